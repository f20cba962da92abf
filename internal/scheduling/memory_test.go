package scheduling

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armada"
)

func TestUsageIsHalvedEveryHalfLife(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		halfLife := time.Duration(rapid.Int64Range(1, int64(1000*time.Hour)).Draw(t, "half-life"))
		after := time.Duration(rapid.Int64Range(0, int64(10_000*time.Hour)).Draw(t, "after"))
		want := math.Exp2(-float64(after) / float64(halfLife))
		if got := float64(halved(after, halfLife)) / float64(one); math.Abs(got-want) > 1e-8 {
			t.Fatalf("after %s of %s %v is left, want %v", after, halfLife, got, want)
		}
	})
}

// What is remembered is the same whether a queue's runs are told of often or
// seldom, as long as nothing changes.
func TestWhatIsRememberedDoesNotDependOnHowOftenARoundRuns(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		begin := time.Unix(1_800_000_000, 0)
		queue := func(rounds int) armada.Resources {
			config := benchConfig()
			config.Fairness.UsageHalfLife = time.Hour
			p := NewPool("default", config)
			needs := &armada.Requirements{Resources: armada.Resources{8000, 64 * gib}}
			p.At(begin)
			p.Spend(begin, Outcome{})
			p.SetQueue(armada.Queue{Name: "q", PriorityFactor: 1})
			p.Spend(begin, Outcome{})
			p.Occupy(armada.Job{ID: "j", Queue: "q"}, armada.Run{ID: "j-1", Node: "n"}, needs)
			for i := range rounds {
				p.Spend(begin.Add(2*time.Hour*time.Duration(i)/time.Duration(rounds)), Outcome{})
			}
			end := begin.Add(2 * time.Hour)
			p.At(end)
			p.Remove("j")
			return p.queues["q"].remembered(time.Hour, end)
		}
		seldom, often := queue(1), queue(rapid.IntRange(2, 200).Draw(t, "rounds"))
		if d := seldom[0] - often[0]; d < -2 || d > 200 || seldom[0] < 5999 || seldom[0] > 6000 {
			t.Fatalf("of 8 cores %v or %v are remembered after two half-lives, want 6", seldom[0], often[0])
		}
	})
}
