package app

import (
	"context"
	"strings"
	"testing"

	"armada"
	"armada/internal/store"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
	"armada/pkg/api/schedulerobjects"
	"armada/pkg/client"
)

// queue makes the queue "q".
func (f *fleet) queue(c *client.Client) {
	f.Helper()
	if err := c.CreateQueue(f.Context(), &api.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		f.Fatal(err)
	}
}

// connected waits until the store says that a replica holds an executor's
// stream.
func (f *fleet) connected(id armada.ExecutorID, m *member) {
	f.Helper()
	f.until(string(id)+" is connected to "+m.replica.Name, func() bool {
		e, err := f.kept.Executor(f.Context(), id)
		return err == nil && e.Replica == m.replica.Name
	})
}

func TestAReplicaTellsWhatOnlyAnotherKnows(t *testing.T) {
	onEachForm(t, func(f *fleet) {
		a := f.replica("a", "127.0.0.1:0")
		f.leads(a)
		b := f.replica("b", "127.0.0.1:0")
		f.executor("east", b.GRPCAddr())
		f.executor("west", a.GRPCAddr())
		f.connected("east-1", b)
		f.connected("west-1", a)
		atA, atB := f.client(a.GRPCAddr()), f.client(b.GRPCAddr())
		f.queue(atA)

		// Submitted at a, led by a, run by an executor at b, watched at b.
		w := f.watch(atB, "set")
		jobs := f.submit(atA, "set", item("east", "from the east"), item("west", "from the west"))
		w.succeed(jobs)

		for i, want := range []string{"from the east", "from the west"} {
			for at, c := range map[string]*client.Client{"a": atA, "b": atB} {
				var got []string
				err := c.Logs(f.Context(), client.LogQuery{Job: jobs[i]}, func(l *lookout.LogLine) error {
					got = append(got, l.GetLine())
					return nil
				})
				if err != nil || strings.Join(got, "\n") != want {
					f.Errorf("at %s the log of job %d is %q, %v; want %q", at, i, got, err, want)
				}
			}
		}

		// Why a job waits, and where it stands, is in the memory of a.
		waits := f.submit(atB, "set", item("nowhere", ""))
		for at, c := range map[string]*client.Client{"a": atA, "b": atB} {
			f.until("the reason is told at "+at, func() bool {
				found, err := c.Jobs(f.Context(), client.JobQuery{IDs: waits})
				return err == nil && len(found) == 1 && strings.Contains(found[0].GetReason(), "no node matches the node selector")
			})
			job, err := c.Job(f.Context(), waits[0])
			if s := job.GetStanding(); err != nil || s.GetPlace() != 1 || s.GetQueued() != 1 || len(s.GetPools()) == 0 {
				f.Errorf("at %s it stands at %v, %v", at, s, err)
			}
			report, err := c.Reporter.GetSchedulingReport(f.Context(), &schedulerobjects.SchedulingReportRequest{})
			if err != nil || !strings.Contains(report.GetReport(), "Pool default, round of") {
				f.Errorf("at %s the report is %q, %v", at, report.GetReport(), err)
			}
		}
	})
}

func TestALogWhoseReplicaIsGoneSaysSo(t *testing.T) {
	onEachForm(t, func(f *fleet) {
		a := f.replica("a", "127.0.0.1:0")
		b := f.replica("b", "127.0.0.1:0")
		atA := f.client(a.GRPCAddr())
		f.queue(atA)
		f.executor("east", b.GRPCAddr())
		w := f.watch(atA, "set")
		jobs := f.submit(atA, "set", item("east", "hello"))
		w.succeed(jobs)
		b.end()
		stream, err := atA.Lookout.GetLogs(f.Context(), &lookout.LogsRequest{JobId: jobs[0]})
		if err == nil {
			_, err = stream.Recv()
		}
		for _, part := range []string{"Unavailable", `executor "east-1"`, `replica "b`, b.GRPCAddr()} {
			if err == nil || !strings.Contains(err.Error(), part) {
				f.Errorf("the error is %v, want it to name %s", err, part)
			}
		}
	})
}

// TestAllReplicasAreReplacedUnderLoadWithoutAFailedCallOrALostEvent replaces
// one replica after the other, as a rolling update does, while jobs are
// submitted, run and watched by clients and executors that know both addresses.
func TestAllReplicasAreReplacedUnderLoadWithoutAFailedCallOrALostEvent(t *testing.T) {
	onEachForm(t, func(f *fleet) {
		a := f.replica("a", "127.0.0.1:0")
		f.leads(a)
		b := f.replica("b", "127.0.0.1:0")
		first, second := a.GRPCAddr(), b.GRPCAddr()
		f.executor("east", first, second)
		f.executor("west", second, first)
		// One begins at a and one at b.
		submitter, watchers := f.client(first, second), []*client.Client{f.client(first, second), f.client(second, first)}
		f.queue(submitter)
		var watched []*watcher
		for _, c := range watchers {
			watched = append(watched, f.watch(c, "set"))
		}

		ctx, stop := context.WithCancel(f.Context())
		submitted := make(chan []string)
		go func() {
			var ids []string
			for ctx.Err() == nil {
				more, err := submitter.Submit(f.Context(), "q", "set", []*api.JobSubmitRequestItem{item("east", ""), item("west", "")})
				if err != nil {
					f.Errorf("a submit failed: %v", err)
					break
				}
				ids = append(ids, more...)
			}
			submitted <- ids
		}()
		// progress waits until jobs that are submitted from now on have run.
		progress := func() {
			f.Helper()
			for _, w := range watched {
				w.mu.Lock()
				goal := len(w.ended) + 20
				w.mu.Unlock()
				f.until("20 more jobs end", func() bool {
					w.mu.Lock()
					defer w.mu.Unlock()
					return len(w.ended) >= goal
				})
			}
		}
		progress()
		a.end()
		f.leads(b)
		progress()
		a = f.replica("a2", first)
		progress()
		b.end()
		f.leads(a)
		progress()
		f.replica("b2", second)
		progress()
		stop()
		ids := <-submitted
		for _, w := range watched {
			w.succeed(ids)
		}
		last, err := f.kept.LastEvent(f.Context(), store.JobSetKey{Queue: "q", JobSet: "set"})
		if err != nil {
			f.Fatal(err)
		}
		for i, w := range watched {
			f.until("every event is seen", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return int64(w.seen) == last.Number
			})
			if w.again == 0 {
				f.Errorf("watcher %d was never moved to another replica", i)
			}
		}
		f.Logf("%d jobs, %d events", len(ids), last.Number)
	})
}
