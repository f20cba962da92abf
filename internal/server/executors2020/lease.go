package executors2020

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
)

// LeaseJobs records what a cluster has, waits for the scheduler to see it, and
// hands out what was decided for the cluster and was not handed out before. A run
// is marked before it is in the answer: an answer that is lost is made good by
// the end of the lease, and never by a second one, of which such an executor would
// make a second pod.
func (s *Service) LeaseJobs(ctx context.Context, r *api.LeaseRequest) (*api.JobLease, error) {
	id, err := s.caller(ctx, "ClusterId", r.GetClusterId())
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx, id); err != nil {
		return nil, err
	}
	f := &following{service: s, executor: id}
	if err := f.begin(ctx); err != nil {
		return nil, err
	}
	defer f.end()
	if held, err := s.Store.Held(ctx); err != nil {
		return nil, fmt.Errorf("asking whether anything may be started: %w", err)
	} else if held == 0 {
		if err := s.tidy(ctx, id, f.runs); err != nil {
			return nil, err
		}
	}
	bound, err := s.bound(ctx, f.runs)
	if err != nil {
		return nil, err
	}
	offer := wire.ReadOffer2020(r, s.pool(id), s.Table, bound)
	if err := s.Store.PutNodes(ctx, id, session, offer.Nodes); err != nil {
		return nil, fmt.Errorf("recording the nodes: %w", err)
	}
	if _, err := s.Store.Acknowledge(ctx, id, session); err != nil {
		return nil, fmt.Errorf("recording that the executor was heard of: %w", err)
	}
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	if held, err := s.Store.Held(ctx); err != nil {
		return nil, fmt.Errorf("asking whether anything may be started: %w", err)
	} else if held > 0 {
		return &api.JobLease{}, nil
	}
	jobs, err := s.handOut(ctx, id, &offer, f.runs)
	if err != nil {
		return nil, err
	}
	return &api.JobLease{Job: jobs}, nil
}

// bound is what our pods use of each node, as far as it is known where they run.
func (s *Service) bound(ctx context.Context, runs map[armada.RunID]*store.JobAndRun) (map[string]armada.Resources, error) {
	bound := map[string]armada.Resources{}
	for _, j := range runs {
		if j.Run.State != armada.RunRunning {
			continue
		}
		needs, err := s.needs(ctx, &j.Job)
		if err != nil {
			return nil, err
		}
		bound[j.Run.Node] = bound[j.Run.Node].Add(needs)
	}
	return bound, nil
}

// following knows the active runs of an executor while a call lasts.
type following struct {
	service  *Service
	executor armada.ExecutorID
	position store.Position
	signal   <-chan struct{}
	stop     func()
	runs     map[armada.RunID]*store.JobAndRun
}

// begin reads the runs that there are; what follows is in the feed after that.
func (f *following) begin(ctx context.Context) error {
	st := f.service.Store
	var err error
	if f.position, err = st.End(ctx); err != nil {
		return fmt.Errorf("finding the end of the feed: %w", err)
	}
	runs, err := st.RunsOf(ctx, f.executor)
	if err != nil {
		return fmt.Errorf("listing the runs: %w", err)
	}
	f.runs = make(map[armada.RunID]*store.JobAndRun, len(runs))
	for i := range runs {
		f.runs[runs[i].Run.ID] = &runs[i]
	}
	f.signal, f.stop = st.Subscribe()
	return nil
}

func (f *following) end() { f.stop() }

// settle is for how long nothing more must have been decided for a call to go on.
const settle = 50 * time.Millisecond

// feedPiece bounds one read of the feed.
const feedPiece = 5000

// wait waits for what is decided now that the nodes are known: until something
// was and no more follows, or the time is up.
func (f *following) wait(ctx context.Context) error {
	over := time.NewTimer(f.service.config.Wait)
	defer over.Stop()
	var quiet <-chan time.Time
	for {
		news, err := f.read(ctx)
		if err != nil {
			return err
		}
		if news || quiet == nil && f.waiting() {
			quiet = time.After(settle)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over.C:
			return nil
		case <-quiet:
			return nil
		case <-f.signal:
		}
	}
}

// waiting tells whether there is a run to hand out.
func (f *following) waiting() bool {
	for _, j := range f.runs {
		if undelivered(j) {
			return true
		}
	}
	return false
}

func undelivered(j *store.JobAndRun) bool {
	return j.Run.State == armada.RunLeased && j.Run.Polled.Delivered.IsZero() && j.Job.Wish.Kind == armada.WishNone
}

// read takes over what the feed tells, and tells whether a run to hand out was
// among it.
func (f *following) read(ctx context.Context) (news bool, err error) {
	for {
		changed, next, err := f.service.Store.ChangedRuns(ctx, f.position, feedPiece)
		if err != nil {
			return false, fmt.Errorf("reading the feed: %w", err)
		}
		if bytes.Equal(next, f.position) {
			return news, nil
		}
		f.position = next
		for i := range changed {
			j := &changed[i]
			if j.Run == nil || j.Run.Executor != f.executor {
				continue
			}
			if known := f.runs[j.Run.ID]; known != nil && known.Job.Version >= j.Job.Version {
				continue
			}
			if !j.Run.State.Active() {
				delete(f.runs, j.Run.ID)
				continue
			}
			f.runs[j.Run.ID] = j
			news = news || undelivered(j)
		}
	}
}

// handOut marks what is chosen as delivered, and returns the jobs of which this
// call is the one that did.
func (s *Service) handOut(ctx context.Context, id armada.ExecutorID, offer *wire.Offer2020, runs map[armada.RunID]*store.JobAndRun) ([]*api.Job, error) {
	chosen, err := s.choose(ctx, id, offer, runs)
	if err != nil {
		return nil, err
	}
	units := make([]store.Unit, len(chosen))
	for i, c := range chosen {
		units[i] = store.Unit{{Kind: lifecycle.ReportMark, Mark: lifecycle.MarkDelivered, Job: c.job, Run: c.run, Executor: id}}
		if c.unfit != "" {
			units[i] = store.Unit{{
				Kind: lifecycle.ReportReturned, Job: c.job, Run: c.run, Executor: id, MaxAttempts: s.config.MaxAttempts, End: armada.RunEnd{Reason: c.unfit},
			}}
		}
	}
	results, err := s.transition(ctx, fence(id), units)
	if err != nil {
		return nil, fmt.Errorf("recording what is handed out: %w", err)
	}
	var jobs []*api.Job
	for i, r := range results {
		if r.Verdict == lifecycle.Applied && chosen[i].unfit == "" {
			jobs = append(jobs, chosen[i].message)
		}
	}
	if len(jobs) > 0 {
		s.Log.Info("jobs are handed out", "executor", id, "jobs", len(jobs))
	}
	return jobs, nil
}
