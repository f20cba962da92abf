package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var gangs = []scenario{
	{"a gang takes its members in several submissions, and no more than it has", gangTakesItsMembers},
	{"late members of a finished gang are refused, in its job set only", lateMembersAreRefused},
	{"a member that ended without a run leaves its place to another", aPlaceIsLeft},
	{"a member that is sent again is answered though its gang is complete", memberSentAgain},
	{"members must agree on the cardinality with those that there are", membersAgree},
	{"of many that race for the last places of a gang as many are taken as there are", lastPlacesRace},
	{"a gang is forgotten with its members", gangIsForgotten},
}

// gangOf makes a submission of members of a gang.
func gangOf(queue string, set armada.JobSet, gang string, cardinality, n int) store.Submission {
	s := submission(queue, set, n)
	for i := range s.Jobs {
		s.Jobs[i].Job.Gang = armada.Gang{ID: gang, Cardinality: cardinality, FailFast: true}
	}
	return s
}

// join submits members of a gang and returns their ids.
func (w *world) join(s store.Submission) []armada.JobID {
	w.t.Helper()
	_, err := w.Submit(w.ctx, s)
	w.ok(err)
	return idsOf(s)
}

// late fails unless a submission is refused because of one of its jobs, and
// nothing of it was taken.
func (w *world) late(s store.Submission, job int) {
	w.t.Helper()
	_, err := w.Submit(w.ctx, s)
	w.code(err, armada.CodePrecondition)
	var late *store.GangError
	if !errors.As(err, &late) || late.Job != job || late.Gang != s.Jobs[job].Job.Gang {
		w.t.Fatalf("the answer is %v, want one that names job %d", err, job)
	}
	if taken, err := w.JobsByID(w.ctx, idsOf(s)); err != nil || len(taken) > 0 {
		w.t.Fatalf("of a refused submission %v was taken (%v)", taken, err)
	}
}

func gangTakesItsMembers(t *testing.T, form Form) {
	w := open(t, form)
	w.join(gangOf("a", "set", "g", 4, 1))
	w.join(gangOf("a", "set", "other", 2, 2))
	w.join(gangOf("a", "set", "g", 4, 2))
	w.late(gangOf("a", "set", "g", 4, 2), 1)
	mixed := gangOf("a", "set", "g", 4, 2)
	mixed.Jobs[0].Job.Gang = armada.Gang{}
	w.join(mixed)
	w.late(gangOf("a", "set", "g", 4, 1), 0)
	w.late(gangOf("a", "set", "other", 2, 1), 0)
	w.late(gangOf("a", "set", "large", 2, 3), 2)
	w.join(gangOf("a", "set", "large", 2, 2)) // what was refused left no trace
}

func lateMembersAreRefused(t *testing.T, form Form) {
	w := open(t, form)
	for _, id := range w.join(gangOf("a", "set", "g", 2, 2)) {
		w.finish(id)
	}
	w.late(gangOf("a", "set", "g", 2, 1), 0)
	w.reopen()
	w.late(gangOf("a", "set", "g", 2, 2), 0)
	w.join(gangOf("a", "later", "g", 2, 2))
	w.join(gangOf("b", "set", "g", 2, 2))
	w.submit("a", "set", 1)
}

func aPlaceIsLeft(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.join(gangOf("a", "set", "g", 3, 2))
	w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: ids[0], By: "ann"})
	w.must(lifecycle.Change{Kind: lifecycle.Reject, Job: ids[1], Reason: "no such node"})
	// Now it has none, and may begin as another one.
	ids = w.join(gangOf("a", "set", "g", 2, 2))
	w.must(lease(ids[0]))
	w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: ids[1], By: "ann"})
	w.must(lifecycle.Change{Kind: lifecycle.Cancel, Job: ids[0], By: "ann"}) // it had a run
	w.must(report(lifecycle.ReportStopped, ids[0], 1))
	w.late(gangOf("a", "set", "g", 2, 2), 1)
	w.join(gangOf("a", "set", "g", 2, 1))
	w.late(gangOf("a", "set", "g", 2, 1), 0)
}

func memberSentAgain(t *testing.T, form Form) {
	w := open(t, form)
	s := gangOf("a", "set", "g", 2, 2)
	s.Jobs[0].Job.ClientID, s.Jobs[1].Job.ClientID = "first", "second"
	ids := w.join(s)
	again := gangOf("a", "set", "g", 2, 2)
	again.Jobs[0].Job.ClientID, again.Jobs[1].Job.ClientID = "first", "second"
	answers, err := w.Submit(w.ctx, again)
	w.ok(err)
	for i, a := range answers {
		if !a.Duplicate || a.ID != ids[i] {
			t.Errorf("answer %d is %+v, want job %s", i, a, ids[i])
		}
	}
	again.Jobs[1].Job.ClientID = "third"
	w.late(again, 1)
}

func membersAgree(t *testing.T, form Form) {
	w := open(t, form)
	w.join(gangOf("a", "set", "g", 3, 1))
	w.late(gangOf("a", "set", "g", 4, 1), 0)
	w.join(gangOf("a", "set", "g", 3, 2))
}

func lastPlacesRace(t *testing.T, form Form) {
	w := open(t, form)
	other := w.replica()
	const racers, places, rounds = 8, 5, 5
	for round := range rounds {
		var group sync.WaitGroup
		var taken atomic.Int64
		for i := range racers {
			group.Go(func() {
				where := w.Store
				if i%2 == 1 {
					where = other
				}
				_, err := where.Submit(w.ctx, gangOf("a", "set", fmt.Sprint(round), places, 1))
				var late *store.GangError
				switch {
				case err == nil:
					taken.Add(1)
				case !errors.As(err, &late):
					t.Error(err)
				}
			})
		}
		group.Wait()
		if n := taken.Load(); n != places {
			t.Errorf("round %d: %d members were taken, want %d", round, n, places)
		}
	}
}

func gangIsForgotten(t *testing.T, form Form) {
	w := open(t, form)
	w.finish(w.submit("a", "whole", 1)[0])
	for _, id := range append(w.join(gangOf("a", "set", "g", 2, 2)), w.join(gangOf("a", "whole", "g", 2, 2))...) {
		w.finish(id)
	}
	w.clock.Advance(time.Hour)
	before := w.clock.Now()
	w.submit("a", "set", 1) // the job set stays
	for _, id := range w.join(gangOf("a", "set", "young", 2, 2)) {
		w.finish(id)
	}
	w.late(gangOf("a", "set", "g", 2, 1), 0)
	w.prune(before, 1)
	w.join(gangOf("a", "set", "g", 3, 3))
	w.join(gangOf("a", "whole", "g", 2, 2))
	w.late(gangOf("a", "set", "young", 2, 1), 0)
}
