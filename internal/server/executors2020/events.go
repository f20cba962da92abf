package executors2020

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/emptypb"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
)

// Report takes one event of an executor.
func (s *Service) Report(ctx context.Context, m *api.EventMessage) (*emptypb.Empty, error) {
	return s.ReportMultiple(ctx, &api.EventList{Events: []*api.EventMessage{m}})
}

// ReportMultiple makes transitions of events. Every event stands for itself: one
// that is late, repeated, of a kind without a meaning here or about a run that
// the executor does not hold changes nothing, and is no error.
func (s *Service) ReportMultiple(ctx context.Context, list *api.EventList) (*emptypb.Empty, error) {
	if err := s.Authorize(ctx, ""); err != nil {
		return nil, err
	}
	var reports []wire.Report2020
	var names []string
	asked := map[armada.ExecutorID]bool{}
	for _, m := range list.GetEvents() {
		r, known := wire.ReadReport2020(m)
		if !known {
			continue
		}
		if !asked[r.Cluster] {
			asked[r.Cluster] = true
			if err := s.Authorize(ctx, r.Cluster); err != nil {
				return nil, err
			}
		}
		reports, names = append(reports, r), append(names, string(r.Change.Job))
	}
	jobs, err := s.full(ctx, jobIDs(names))
	if err != nil {
		return nil, err
	}
	byCluster := map[armada.ExecutorID][]store.Unit{}
	var clusters []armada.ExecutorID // in the order in which they come
	for i := range reports {
		r := &reports[i]
		full := jobs[r.Change.Job]
		if full == nil || !s.attribute(r, full) {
			s.Log.Debug("an event changes nothing", "executor", r.Cluster, "job", r.Change.Job, "event", r.Change.Kind.String())
			continue
		}
		if len(byCluster[r.Cluster]) == 0 {
			clusters = append(clusters, r.Cluster)
		}
		byCluster[r.Cluster] = append(byCluster[r.Cluster], store.Unit{r.Change})
	}
	for _, id := range clusters {
		// What an executor says whose id is another's now concerns nobody.
		if _, err := s.transition(ctx, fence(id), byCluster[id]); err != nil && armada.CodeOf(err) != armada.CodeFenced {
			return nil, fmt.Errorf("recording events: %w", err)
		}
	}
	return &emptypb.Empty{}, nil
}

// attribute completes a report by the run that it speaks of, or tells that it
// speaks of none that goes on there. A text about why a pod cannot begin is kept
// in the job for the reports of the same list that follow.
func (s *Service) attribute(r *wire.Report2020, full *store.FullJob) bool {
	c := &r.Change
	run, _ := latest(full)
	if !holds(r.Cluster, run) || run.Polled.Delivered.IsZero() || !sameAttempt(c.Pod.KubernetesID, full.Runs) {
		return false
	}
	c.Run = run.ID
	if c.Pod.KubernetesID != "" {
		c.Pod.Name, c.Pod.Namespace = podName(full.Job.ID), full.Details.Namespace
	}
	switch c.Kind {
	case lifecycle.ReportReturned:
		c.MaxAttempts, c.Attempted = s.config.MaxAttempts, !run.Started.IsZero()
		c.End.Reason = cmp.Or(with(c.End.Reason, run.Stuck), "the executor gave the lease back")
		// Without a lease that was given back it is about an earlier one.
		return !run.Polled.Returned.IsZero()
	case lifecycle.ReportFailed:
		c.End.Reason = with(c.End.Reason, run.Stuck)
	case lifecycle.ReportMark:
		run.Stuck = c.End.Reason
	default:
	}
	return true
}

// sameAttempt tells whether a pod may be that of the latest of a job's runs: it is
// not known for an earlier one, nor another for the latest.
func sameAttempt(uid string, runs []armada.Run) bool {
	last := len(runs) - 1
	if uid == "" || runs[last].Pod.KubernetesID == uid {
		return true
	}
	if runs[last].Pod.KubernetesID != "" {
		return false
	}
	for i := range runs[:last] {
		if runs[i].Pod.KubernetesID == uid {
			return false
		}
	}
	return true
}

// podName is how executors of 2020 name the pod of a job.
func podName(job armada.JobID) string { return "armada-" + string(job) }

// with adds what was told before to a reason, if the reason does not say it.
func with(reason, before string) string {
	switch {
	case before == "" || strings.Contains(reason, before):
		return reason
	case reason == "":
		return before
	default:
		return wire.Text(reason + "; before that: " + before)
	}
}
