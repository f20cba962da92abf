package scheduling

import (
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"armada"
)

// drawGuests draws a full world where jobs of another pool may be guests.
func drawGuests(t *rapid.T) world {
	w := drawFull(t)
	w.config.AwayPools = map[string][]string{"plain": {"default"}}
	for range rapid.IntRange(1, 3).Draw(t, "kinds") {
		k := KnownKind{}
		k.Pool = rapid.SampledFrom([]string{"plain", "other"}).Draw(t, "pool")
		k.Allocatable = armada.Resources{rapid.Int64Range(1, 4).Draw(t, "cpu") * 1000, 1 << 40, 1 << 40}
		w.known = append(w.known, k)
	}
	return w
}

func TestGuestsDisplaceNobodyWhoIsAtHome(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawGuests(t)
		for range 2 {
			out := Round(Input{Pool: w.pool(0)})
			jobs, away := map[armada.JobID]worldJob{}, map[armada.JobID]string{}
			for _, j := range w.jobs {
				jobs[j.ID] = j
			}
			for _, d := range out.Decisions {
				for _, l := range d.Leases {
					away[l.Job] = l.Away
				}
				for _, v := range d.Preemptions {
					_, homeless := jobs[v.Job].run.GuestOf()
					if by := away[v.For]; v.Cause != ForRepair && by != "" && !homeless {
						t.Fatalf("%v\n%s, who is away as %s, takes the place of %s", w, v.For, by, v.Job)
					}
				}
			}
			for id, as := range away {
				j := jobs[id]
				fits := slices.ContainsFunc(w.known, func(k KnownKind) bool {
					return k.Pool == "plain" && w.config.fits(j.needs, j.Gang.UniformityLabel, &k)
				})
				if guest := as == armada.GuestFrom("plain"); guest != (fits && w.class(j.needs).Preemptible) {
					t.Fatalf("%v\n%s is away as %q, and fits in pool plain: %v", w, id, as, fits)
				}
			}
			w = w.after(out).ended(whoever)
		}
	})
}

func TestWhoIsAGuestDoesNotHangOnTheOrderOfWhatWasTold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawGuests(t)
		w = w.after(Round(Input{Pool: w.pool(0)})).ended(whoever)
		want := Round(Input{Pool: w.pool(0)})
		if diff := gocmp.Diff(want, Round(Input{Pool: w.pool(rapid.Uint64Range(1, 100).Draw(t, "seed"))})); diff != "" {
			t.Fatalf("%v\n%s", w, diff)
		}
	})
}

func TestPoolsTakeTurnsBeforeThoseWhereTheirJobsAreGuests(t *testing.T) {
	t.Parallel()
	c := Config{AwayPools: map[string][]string{"z": {"a", "m"}, "m": {"b"}, "gone": {"z"}}}
	if got := c.InTurn([]string{"m", "b", "a", "z", "n"}); !slices.Equal(got, []string{"z", "a", "m", "b", "n"}) {
		t.Errorf("the turns are %v", got)
	}
}
