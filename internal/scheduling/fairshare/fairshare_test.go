package fairshare_test

import (
	"math"
	"math/big"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"armada"
	"armada/internal/scheduling/fairshare"
)

func TestTheCostIsTheLargestFractionTimesTheFactor(t *testing.T) {
	t.Parallel()
	scale := fairshare.NewScale(armada.Resources{1000, 4000}, [armada.MaxResources]int64{})
	const whole = 1 << 36
	for _, c := range []struct {
		held   armada.Resources
		factor float64
		want   uint64
	}{
		{armada.Resources{}, 1, 0},
		{armada.Resources{-5, -5}, 1, 0},
		{armada.Resources{500, 1000}, 1, whole / 2},
		{armada.Resources{250, 3000}, 1, whole / 4 * 3},
		{armada.Resources{500}, 2, whole},
		{armada.Resources{500}, 0.5, whole / 2}, // no factor is below 1
		{armada.Resources{500}, math.NaN(), whole / 2},
		{armada.Resources{0, 0, 77}, 1, 0}, // the pool has none of it
		{armada.Resources{2000}, 1, 2 * whole},
	} {
		if got := scale.Cost(&c.held, fairshare.NewFactor(c.factor)); got != c.want {
			t.Errorf("holding %v at factor %v costs %d, expected %d", c.held, c.factor, got, c.want)
		}
	}
}

func TestAResourceWithoutMultiplierDoesNotCount(t *testing.T) {
	t.Parallel()
	scale := fairshare.NewScale(armada.Resources{1000, 1000}, [armada.MaxResources]int64{0, 500})
	if got := scale.Share(&armada.Resources{1000, 400}); got != fairshare.One/5 {
		t.Errorf("the share is %d, expected a fifth", got)
	}
}

func TestTheCostIsExactForAnyAmounts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(1, 1<<62).Draw(t, "total")
		held := armada.Resources{rapid.Int64Range(0, 1<<62).Draw(t, "held")}
		factor := rapid.IntRange(1, 1<<20).Draw(t, "factor")
		scale := fairshare.NewScale(armada.Resources{total}, [armada.MaxResources]int64{})
		want := new(big.Int).Mul(big.NewInt(held[0]), big.NewInt(int64(factor)))
		want.Div(want.Lsh(want, 36), big.NewInt(total))
		if !want.IsUint64() {
			want.SetUint64(math.MaxUint64)
		}
		if got := scale.Cost(&held, fairshare.NewFactor(float64(factor))); got != want.Uint64() {
			t.Fatalf("the cost is %d, expected %d", got, want)
		}
	})
}

func TestWhatIdleQueuesLeaveGoesToTheOthersByWeight(t *testing.T) {
	t.Parallel()
	claim := func(factor float64, demand int64) fairshare.Claim {
		return fairshare.Claim{Factor: fairshare.NewFactor(factor), Demand: demand}
	}
	for name, c := range map[string]struct {
		claims []fairshare.Claim
		want   []fairshare.Shares
	}{
		"nobody":         {nil, []fairshare.Shares{}},
		"alone":          {[]fairshare.Claim{claim(7, fairshare.One)}, []fairshare.Shares{{1_000_000, 1_000_000, 1_000_000}}},
		"wants nothing":  {[]fairshare.Claim{claim(1, 0), claim(1, 500_000)}, []fairshare.Shares{{}, {1_000_000, 500_000, 1_000_000}}},
		"one wants less": {[]fairshare.Claim{claim(1, 100_000), claim(1, fairshare.One)}, []fairshare.Shares{{500_000, 100_000, 500_000}, {500_000, 900_000, 900_000}}},
		"in two steps": {
			[]fairshare.Claim{claim(1, 100_000), claim(1, 400_000), claim(1, fairshare.One), claim(1, fairshare.One)},
			[]fairshare.Shares{{250_000, 100_000, 250_000}, {250_000, 300_000, 300_000}, {250_000, 300_000, 300_000}, {250_000, 300_000, 300_000}},
		},
		"by weight": {
			[]fairshare.Claim{claim(1, 200_000), claim(2, fairshare.One), claim(2, fairshare.One)},
			[]fairshare.Shares{{500_000, 200_000, 500_000}, {250_000, 400_000, 400_000}, {250_000, 400_000, 400_000}},
		},
	} {
		if diff := gocmp.Diff(c.want, fairshare.Divide(c.claims)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSharesNeverExceedDemandNorThePoolAndLeaveNothingWanted(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		claims := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) fairshare.Claim {
			return fairshare.Claim{
				Factor: fairshare.NewFactor(float64(rapid.IntRange(1, 5).Draw(t, "factor"))),
				Demand: rapid.Int64Range(0, fairshare.One).Draw(t, "demand"),
			}
		}), 1, 12).Draw(t, "claims")
		var fair, adjusted, demand int64
		for i, s := range fairshare.Divide(claims) {
			if s.Adjusted > claims[i].Demand {
				t.Fatalf("claim %d of %v got %d", i, claims[i], s.Adjusted)
			}
			if s.Adjusted < min(s.Fair, claims[i].Demand)-1 {
				t.Fatalf("claim %d of %v got %d, less than its fair share %d", i, claims[i], s.Adjusted, s.Fair)
			}
			if claims[i].Demand > 0 {
				endless := slices.Clone(claims)
				endless[i].Demand = fairshare.One
				if want := fairshare.Divide(endless)[i].Adjusted; s.Uncapped < want-12 || s.Uncapped > want+12 {
					t.Fatalf("claim %d of %v got %d uncapped, and %d if it wants all", i, claims, s.Uncapped, want)
				}
			}
			fair, adjusted, demand = fair+s.Fair, adjusted+s.Adjusted, demand+claims[i].Demand
		}
		if fair > fairshare.One || adjusted > fairshare.One || adjusted < min(demand, fairshare.One)-int64(len(claims)) {
			t.Fatalf("%d fair and %d adjusted for %d", fair, adjusted, demand)
		}
	})
}
