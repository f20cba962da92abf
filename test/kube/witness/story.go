// Package witness is how the tests of both tiers, with played nodes and on a real
// one, see what an Armada of theirs does: what its server tells of jobs, and
// conditions that are waited for.
//
// What is waited for is bounded by a patience, which bounds failures and is no
// measure of speed.
package witness

import (
	"context"
	"slices"
	"testing"
	"time"

	"armada"
	"armada/pkg/api"
	"armada/pkg/client"
)

// Story is what was told of each job, in order.
type Story map[string][]*api.EventMessage

func (s Story) add(m *api.EventStreamMessage) {
	job := client.Head(m.GetMessage()).Job
	s[job] = append(s[job], m.GetMessage())
}

// Events counts those of all jobs.
func (s Story) Events() int {
	n := 0
	for _, events := range s {
		n += len(events)
	}
	return n
}

// Kinds are the kinds of a job's events.
func (s Story) Kinds(job string) []armada.EventKind {
	var kinds []armada.EventKind
	for _, m := range s[job] {
		kinds = append(kinds, client.Head(m).Kind)
	}
	return kinds
}

// Count is how many events of a kind a job has.
func (s Story) Count(job string, kind armada.EventKind) int {
	n := 0
	for _, k := range s.Kinds(job) {
		if k == kind {
			n++
		}
	}
	return n
}

// Last returns the last event of a kind; it must be there.
func (s Story) Last(t testing.TB, job string, kind armada.EventKind) *api.EventMessage {
	t.Helper()
	for _, m := range slices.Backward(s[job]) {
		if client.Head(m).Kind == kind {
			return m
		}
	}
	t.Fatalf("job %s has no event %s: %v", job, kind, s.Kinds(job))
	return nil
}

// log tells of what the jobs that did not get on have come to: a few will do.
func (s Story) log(t testing.TB, unfinished func(job string) bool) {
	t.Helper()
	const few = 5
	told := 0
	for job, events := range s {
		if unfinished(job) && told < few {
			told++
			t.Logf("job %s: %v, at last %v", job, s.Kinds(job), events[len(events)-1])
		}
	}
}

// Until watches a job set from its beginning until a condition holds.
func Until(t testing.TB, c *client.Client, stream client.Stream, patience time.Duration, what string, holds func(Story) bool) Story {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s := Story{}
	err := c.Watch(ctx, stream, func(m *api.EventStreamMessage) error {
		if s.add(m); holds(s) {
			return client.ErrStop
		}
		return nil
	})
	if err != nil {
		s.log(t, func(string) bool { return true })
		t.Fatalf("waited for %s: %v", what, err)
	}
	return s
}

// Ended watches a job set from its beginning until jobs of it have ended.
func Ended(t testing.TB, c *client.Client, stream client.Stream, patience time.Duration, jobs ...string) (Story, map[string]armada.JobState) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s := Story{}
	states, err := c.Await(ctx, stream, jobs, func(m *api.EventStreamMessage) error {
		s.add(m)
		return nil
	})
	if err != nil {
		s.log(t, func(job string) bool {
			_, ended := states[job]
			return !ended && slices.Contains(jobs, job)
		})
		t.Fatalf("%d of %d jobs have ended: %v", len(states), len(jobs), err)
	}
	return s, states
}

// Await asks again until something holds.
func Await(t testing.TB, patience time.Duration, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited for %s", what)
		}
	}
}
