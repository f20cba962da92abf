package executors2020

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// maxAnswer bounds what one answer hands out, in bytes: executors of 2020 take 4
// MiB, and nothing of more.
const maxAnswer = 3 << 20

// chosen is a run to hand out, or one that never can be.
type chosen struct {
	job     armada.JobID
	run     armada.RunID
	message *api.Job
	unfit   string // why it cannot be handed out; empty if it can
}

// choose returns what to hand out, in the order in which it was decided. What the
// executor has no room for, as it counts it, waits for another call.
func (s *Service) choose(ctx context.Context, id armada.ExecutorID, offer *wire.Offer2020, runs map[armada.RunID]*store.JobAndRun) ([]chosen, error) {
	waiting, err := s.candidates(ctx, id, offer, runs)
	if err != nil {
		return nil, err
	}
	orders, err := s.Store.Orders(ctx, waiting)
	if err != nil {
		return nil, fmt.Errorf("reading what to start: %w", err)
	}
	specs := map[template]*corev1.PodSpec{}
	var list []chosen
	size := 0
	for i := range orders {
		o := &orders[i]
		spec, err := s.spec(specs, o, offer)
		if err != nil {
			return nil, err
		}
		c := chosen{job: o.Job.ID, run: o.Run.ID, message: wire.Job2020(o, spec)}
		bytes := proto.Size(c.message) + 8 // with what stands before it in the answer
		switch {
		case len(o.Details.Services) > 0 || len(o.Details.Ingresses) > 0 || !o.Job.Gang.Alone():
			// Placed by a shape from before there was [armada.Requirements.MoreThanPod].
			c.unfit = "the executor runs pods without services, ingresses and gangs"
		case bytes > maxAnswer:
			c.unfit = fmt.Sprintf("the job is too large for the executor, which takes no answer of more than %d bytes", maxAnswer)
		case size+bytes > maxAnswer:
			return list, nil
		default:
			size += bytes
		}
		list = append(list, c)
	}
	return list, nil
}

// candidates are the runs that may be handed out and that the executor has room
// for, at most as many as one transition can mark.
func (s *Service) candidates(ctx context.Context, id armada.ExecutorID, offer *wire.Offer2020, runs map[armada.RunID]*store.JobAndRun) ([]armada.RunID, error) {
	var waiting []*store.JobAndRun
	free := offer.Free
	for _, j := range runs {
		switch {
		case undelivered(j):
			if !slices.ContainsFunc(j.Run.After, func(victim armada.RunID) bool { return runs[victim] != nil }) {
				waiting = append(waiting, j)
			}
		case begins(j.Run):
			needs, err := s.needs(ctx, &j.Job)
			if err != nil {
				return nil, err
			}
			free = free.Sub(needs) // the executor may not have counted it yet
		}
	}
	slices.SortFunc(waiting, func(a, b *store.JobAndRun) int {
		return cmp.Or(a.Run.Leased.Compare(b.Run.Leased), cmp.Compare(a.Job.Number, b.Job.Number))
	})
	haunted, err := s.haunted(ctx, id, waiting)
	if err != nil {
		return nil, err
	}
	var ids []armada.RunID
	for _, j := range waiting {
		needs, err := s.needs(ctx, &j.Job)
		if err != nil {
			return nil, err
		}
		if haunted[j.Job.ID] || !offer.Minimum.Fits(&needs) || !needs.Fits(&free) || len(ids) == store.MaxTransition {
			continue
		}
		free = free.Sub(needs)
		ids = append(ids, j.Run.ID)
	}
	return ids, nil
}

// begins tells of a run that was handed out and of whose pod nothing was heard.
func begins(run *armada.Run) bool {
	p := &run.Polled
	return run.State == armada.RunLeased && !p.Delivered.IsZero() && p.Renewed.IsZero() && p.Done.IsZero() && p.Returned.IsZero()
}

// haunted are the jobs of which the executor may still have an earlier attempt's
// pod, which has the same name: it removes that when it has asked which pods may
// stay.
func (s *Service) haunted(ctx context.Context, id armada.ExecutorID, waiting []*store.JobAndRun) (map[armada.JobID]bool, error) {
	var again []armada.JobID
	for _, j := range waiting {
		if j.Run.Attempt > 1 && time.Since(j.Run.Leased) < s.config.PodsGone {
			again = append(again, j.Job.ID)
		}
	}
	jobs, err := s.full(ctx, again)
	if err != nil {
		return nil, err
	}
	haunted := map[armada.JobID]bool{}
	for job, full := range jobs {
		_, before := latest(full)
		haunted[job] = before != nil && before.Executor == id && !before.Polled.Delivered.IsZero()
	}
	return haunted, nil
}

// template names a spec as the pods of an answer are made from it.
type template struct {
	id   armada.TemplateID
	away string
}

// spec returns what a pod is made from: without what the cluster knows nothing
// of.
func (s *Service) spec(known map[template]*corev1.PodSpec, o *store.Order, offer *wire.Offer2020) (*corev1.PodSpec, error) {
	key := template{o.Job.Template, o.Run.Away}
	if spec := known[key]; spec != nil {
		return spec, nil
	}
	spec, err := wire.PodSpec(o.Template)
	if err != nil {
		return nil, fmt.Errorf("decoding the pod spec of job %s: %w", o.Job.ID, err)
	}
	wire.WithoutFloating(spec, s.Table)
	wire.Without(spec, offer.Uncounted)
	if spec.GetPriorityClassName() == s.config.DefaultClass {
		spec.PriorityClassName = nil
	}
	if away := s.config.Away[o.Run.Away]; len(away) > 0 {
		spec = wire.Tolerating(spec, away)
	}
	known[key] = spec
	return spec, nil
}
