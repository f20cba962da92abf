package lifecycle

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"armada"
)

// every returns one change of each kind, and more where a kind has variants.
func every() []Change {
	var changes []Change
	for _, kind := range ChangeKinds() {
		changes = append(changes, Change{Kind: kind, By: "ann", Reason: "because", Priority: 9, End: armada.RunEnd{Debug: kind.String()}})
	}
	for _, kind := range ChangeKinds() {
		if kind.EndsBadly() {
			changes = append(changes, Change{Kind: kind, Retrying: Retrying{Policies: always(2), Most: 5}})
		}
	}
	for _, mark := range []Mark{MarkDelivered, MarkRenewed, MarkDone, MarkReturned, MarkStuck} {
		changes = append(changes, Change{Kind: ReportMark, Mark: mark, End: armada.RunEnd{Reason: "no such image"}})
	}
	changes = append(changes, Change{Kind: Expire, Again: true})
	return append(changes, Change{Kind: ReportReturned, MaxAttempts: 2}, Change{Kind: Preempt, Announce: true})
}

// observes tells of changes that move neither the job nor its run.
func observes(kind ChangeKind) bool {
	return kind == ReportUsage || kind == ReportIngress || kind == ReportDebug
}

// check compares a life before and after one change against what always holds.
func check(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, before, after *life, c Change,
) {
	t.Helper()
	fresh := after.events[len(before.events):]
	if after.verdict != Applied {
		if after.verdict == Refused && after.why == "" {
			t.Fatalf("%s is refused without a word", c.Kind)
		}
		if len(fresh) > 0 || !reflect.DeepEqual(before.job, after.job) || !reflect.DeepEqual(before.run, after.run) {
			t.Fatalf("%s was not applied and changed something: %s", c.Kind, cmp.Diff(before.job, after.job))
		}
		return
	}
	if before.job.State.Terminal() {
		t.Fatalf("%s was applied to a job that is %s", c.Kind, before.job.State)
	}
	if c.Kind == ReportDebug {
		want := before.run
		want.End.Debug = c.End.Debug
		if len(fresh) > 0 || !reflect.DeepEqual(before.job, after.job) || !reflect.DeepEqual(want, after.run) {
			t.Fatalf("%s changed more than what it tells: %s", c.Kind, cmp.Diff(want, after.run))
		}
		return
	}
	versions := int64(1)
	if observes(c.Kind) { // which is told, and is no transition
		versions = 0
		if !after.job.Transitioned.Equal(before.job.Transitioned) {
			t.Fatalf("%s: the job's latest transition was at %s, and is said to have been at %s", c.Kind, before.job.Transitioned, after.job.Transitioned)
		}
	}
	if after.job.Version != before.job.Version+versions {
		t.Fatalf("%s: version %d after %d", c.Kind, after.job.Version, before.job.Version)
	}
	ends := 0
	for _, e := range fresh {
		if e.Created.Before(before.job.Latest()) || e.Created.After(after.job.Latest()) || e.Created.After(later(after.now, before.job.Latest())) {
			t.Fatalf("%s: event %s at %s, after one at %s", c.Kind, e.Kind, e.Created, before.job.Latest())
		}
		if terminal(e) {
			ends++
		}
	}
	if want := map[bool]int{true: 1}[after.job.State.Terminal()]; ends != want {
		t.Fatalf("%s: %d terminal events, and the job is %s", c.Kind, ends, after.job.State)
	}
	if ends == 1 && !terminal(after.last()) {
		t.Fatalf("%s: %s follows the job's end", c.Kind, after.last().Kind)
	}
	switch _, leased := after.job.Run(); {
	case after.job.State.Active() && after.job.State != armada.JobQueued:
		if !after.run.State.Active() || after.run.ID != armada.NewRunID(after.job.ID, after.job.Attempts) {
			t.Fatalf("%s: the job is %s and its run %s is %s", c.Kind, after.job.State, after.run.ID, after.run.State)
		}
	case leased && after.run.State.Active():
		t.Fatalf("%s: the job is %s and its run goes on", c.Kind, after.job.State)
	}
	if before.job.State != armada.JobQueued && after.job.State == armada.JobQueued {
		if before.job.Wish.Kind == armada.WishCancel {
			t.Fatalf("%s: a cancelled job is queued again", c.Kind)
		}
		if after.job.Wish.Kind != armada.WishNone || after.job.Number != before.job.Number || after.job.Priority != before.job.Priority {
			t.Fatalf("%s: a job that is queued again lost its place or kept a wish: %+v", c.Kind, after.job)
		}
	}
	if retries := after.job.Lessons.Retries(); retries > 2 || retries > before.job.Lessons.Retries()+1 {
		t.Fatalf("%s: policies gave %d attempts after %d, and 2 are allowed", c.Kind, retries, before.job.Lessons.Retries())
	}
	if after.job.State.Terminal() && before.job.Wish.Kind != armada.WishNone && after.job.State != armada.JobSucceeded {
		if want := map[armada.WishKind]armada.JobState{armada.WishCancel: armada.JobCancelled, armada.WishPreempt: armada.JobPreempted}; after.job.State != want[before.job.Wish.Kind] {
			t.Fatalf("%s: the wish of a job was not granted, it is %s", c.Kind, after.job.State)
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// reachable visits every state that any sequence of changes leads to, with at
// most three attempts.
func reachable(visit func(*life)) {
	type key struct {
		job      armada.JobState
		run      armada.RunState
		wish     armada.WishKind
		attempts int
		returned int
		retried  int
		done     bool
	}
	seen := map[key]bool{}
	todo := []*life{submitted()}
	for len(todo) > 0 {
		l := todo[0]
		todo = todo[1:]
		k := key{l.job.State, l.run.State, l.job.Wish.Kind, l.job.Attempts, l.job.Lessons.Returns(), l.job.Lessons.Retries(), !l.run.Polled.Done.IsZero()}
		if seen[k] || l.job.Attempts > 3 {
			continue
		}
		seen[k] = true
		visit(l)
		for _, c := range every() {
			next := *l
			todo = append(todo, next.apply(c))
		}
	}
}

func TestEveryChangeInEveryReachableStateKeepsThePromises(t *testing.T) {
	t.Parallel()
	states := 0
	reachable(func(before *life) {
		states++
		for _, c := range every() {
			after := *before
			check(t, before, after.apply(c), c)
		}
	})
	if states < 40 {
		t.Errorf("only %d states were reached", states)
	}
}

func TestARepeatedChangeChangesNothing(t *testing.T) {
	t.Parallel()
	reachable(func(before *life) {
		for _, c := range every() {
			if observes(c.Kind) || c.Mark == MarkRenewed { // which tells when it was said last
				continue
			}
			c = before.addressed(c) // a repeat speaks of the same run
			once := *before
			if once.apply(c); once.verdict != Applied {
				continue
			}
			twice := once
			if twice.apply(c); twice.verdict == Applied || !reflect.DeepEqual(once.job, twice.job) {
				t.Errorf("%s is applied twice to a job that was %s", c.Kind, before.job.State)
			}
			if (c.Kind.FromExecutor() || c.Kind == Expire || c.Kind == Cancel || c.Kind == Preempt) && twice.verdict != Already {
				t.Errorf("%s of a job that was %s: its repeat is refused: %s", c.Kind, before.job.State, twice.why)
			}
		}
	})
}

func TestRandomHistoriesKeepThePromises(t *testing.T) {
	t.Parallel()
	changes := every()
	rapid.Check(t, func(t *rapid.T) {
		l := submitted()
		for range rapid.IntRange(1, 40).Draw(t, "changes") {
			c := rapid.SampledFrom(changes).Draw(t, "change")
			c.At = dawn.Add(time.Duration(rapid.IntRange(-100, 100).Draw(t, "at")) * time.Second)
			if rapid.IntRange(0, 9).Draw(t, "misdirected") == 0 {
				c.Run = armada.NewRunID(l.job.ID, rapid.IntRange(1, 4).Draw(t, "attempt"))
			}
			if rapid.IntRange(0, 9).Draw(t, "by another") == 0 {
				c.Executor = "west"
			}
			l.now = l.now.Add(time.Duration(rapid.IntRange(-3, 5).Draw(t, "clock")) * time.Second)
			before := *l
			check(t, &before, l.apply(c), c)
		}
		for i, e := range l.events {
			if i > 0 && e.Created.Before(l.events[i-1].Created) {
				t.Fatalf("event %d, %s, is dated before the one in front of it", i, e.Kind)
			}
		}
	})
}
