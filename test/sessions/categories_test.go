package sessions

import (
	"testing"
	"time"

	"armada"
	"armada/internal/executor"
	"armada/internal/runs"
	"armada/internal/store"
)

// exitCodes names failures with an exit code.
func exitCodes(category, subcategory string, values ...int32) func(*executor.Config) {
	return func(c *executor.Config) {
		c.Categories = executor.Categories{Categories: []executor.Category{{Name: category, Rules: []executor.CategoryRule{
			{OnExitCodes: executor.ExitCodes{Operator: executor.ExitCodeIn, Values: values}, Subcategory: subcategory, Hint: "look at the data"},
		}}}}
	}
}

func TestTheCategoryOfAFailureTravelsToTheUsersEvent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cluster("east", options{config: exitCodes("data", "schema", 65)})
		id := w.submit(life{runtime: "5s", exit: 65})
		w.lease(id, "east")
		end := w.becomes(id, armada.JobFailed).Runs[0].End
		if end.Category != "data" || end.Subcategory != "schema" || end.Reason != "container main ended with exit code 65 (hint: look at the data)" {
			t.Errorf("the run ended so: %+v", end)
		}
		if told := w.failed(id).End; told == nil || told.Category != "data" || told.Subcategory != "schema" {
			t.Errorf("the event tells %+v", told)
		}
	})
}

// failed is the event of a job's failure.
func (w *world) failed(id armada.JobID) armada.Event {
	w.t.Helper()
	events, _, err := w.store.ReadEvents(w.t.Context(), store.JobSetKey{Queue: "q", JobSet: "set"}, store.Cursor{}, 1000)
	ok(w.t, err)
	for _, e := range events {
		if e.Job == id && e.Kind == armada.EventFailed {
			return e
		}
	}
	w.t.Fatalf("job %s has no failed event", id)
	return armada.Event{}
}

func TestARunThatWasStoppedForTheLeaseIsNotNamedByItsExitCode(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.cluster("east", options{config: exitCodes("data", "", 137, 143)})
		id := w.submit(life{stopDelay: "1s"})
		w.lease(id, "east")
		w.becomes(id, armada.JobRunning)
		c.link.lose(true, true)
		pause(theLease)
		c.link.mend()
		if sub := w.becomes(id, armada.JobFailed).Runs[0].End.Subcategory; sub != armada.SubcategoryLeaseExpired {
			t.Errorf("it is called %q", sub)
		}
	})
}

// givesBack is a runtime whose runs that fail never really ran.
type givesBack struct{ runs.Runtime }

func (g *givesBack) Changed(after runs.Cursor) ([]runs.Status, runs.Cursor) {
	changed, next := g.Runtime.Changed(after)
	for i := range changed {
		changed[i].GiveBack = changed[i].Phase == runs.Failed
	}
	return changed, next
}

func TestALeaseThatComesBackHasItsCategoryAndCountsEvenWhenThatSoundsLikeArmadasOwn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.cluster("east", options{
			config: exitCodes("cluster", armada.SubcategoryDrained, 7),
			wrap:   func(r runs.Runtime) runs.Runtime { return &givesBack{r} },
		})
		id := w.submit(life{runtime: "5s", exit: 7})
		var job store.FullJob
		for attempts := 1; ; attempts++ {
			w.lease(id, "east")
			w.until("the lease is given back", func() bool {
				job = w.job(id)
				return len(job.Runs) == attempts && job.Runs[attempts-1].State.Terminal()
			})
			if job.Job.State == armada.JobFailed {
				break
			}
			if end := job.Runs[attempts-1].End; end.Category != "cluster" || end.Subcategory != armada.SubcategoryDrained {
				t.Fatalf("attempt %d ended so: %+v", attempts, end)
			}
			if attempts > 20 {
				t.Fatal("the leases that came back are not counted")
			}
			pause(time.Second)
		}
	})
}
