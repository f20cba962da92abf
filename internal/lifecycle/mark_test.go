package lifecycle

import (
	"testing"
	"time"

	"armada"
)

func mark(m Mark) Change { return Change{Kind: ReportMark, Mark: m} }

func TestARunIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	l := submitted().all(Lease).apply(mark(MarkDelivered))
	if l.verdict != Applied || l.run.Polled.Delivered != l.now {
		t.Fatalf("delivered at %s: %v, want %s", l.run.Polled.Delivered, l.verdict, l.now)
	}
	if l.apply(mark(MarkDelivered)); l.verdict != Already {
		t.Errorf("delivered again: %v", l.verdict)
	}
	if l.all(Expire).all(Lease).apply(mark(MarkDelivered)); l.verdict == Applied {
		t.Error("a job that has ended is delivered")
	}
}

func TestAJobThatIsNotWantedIsNeitherDeliveredNorRenewed(t *testing.T) {
	t.Parallel()
	for _, m := range []Mark{MarkDelivered, MarkRenewed} {
		if l := submitted().all(Lease, Cancel).apply(mark(m)); l.verdict != Refused {
			t.Errorf("mark %d: %v, want it refused", m, l.verdict)
		}
	}
}

func TestARunThatItsExecutorNamesIsNotDoneWithAndNeedNotBeDelivered(t *testing.T) {
	t.Parallel()
	l := submitted().all(Lease).apply(mark(MarkDone)).apply(mark(MarkRenewed))
	want := armada.Polled{Delivered: l.now, Renewed: l.now}
	if l.run.Polled != want {
		t.Errorf("it is %+v, want %+v", l.run.Polled, want)
	}
	l.apply(mark(MarkReturned)).apply(mark(MarkRenewed))
	if l.verdict != Already || l.run.Polled.Returned.IsZero() {
		t.Errorf("a lease that was given back is renewed: %v, %+v", l.verdict, l.run.Polled)
	}
}

func TestMarksAreNoEvents(t *testing.T) {
	t.Parallel()
	l := submitted().all(Lease)
	before := l.job.Transitioned
	for _, m := range []Mark{MarkDelivered, MarkRenewed, MarkDone, MarkReturned, MarkStuck} {
		l.apply(Change{Kind: ReportMark, Mark: m, End: armada.RunEnd{Reason: "no such image"}})
	}
	l.ends(t, armada.JobLeased, armada.RunLeased, armada.EventLeased)
	if l.job.Transitioned != before || l.run.Version != 6 {
		t.Errorf("the latest event is of %s and the run's version %d, want %s and 6", l.job.Transitioned, l.run.Version, before)
	}
}

func TestARunIsStuckUntilItGetsOnOrBegins(t *testing.T) {
	t.Parallel()
	why := func(text string) Change {
		return Change{Kind: ReportMark, Mark: MarkStuck, End: armada.RunEnd{Reason: text}}
	}
	l := submitted().all(Lease, ReportPending).apply(why("no such image"))
	if l.run.Stuck != "no such image" {
		t.Errorf("it is stuck for %q", l.run.Stuck)
	}
	if l.apply(why("no such image")); l.verdict != Already {
		t.Errorf("told again it is %v", l.verdict)
	}
	if l.apply(why("")); l.run.Stuck != "" || l.verdict != Applied {
		t.Errorf("it gets on, and is stuck for %q", l.run.Stuck)
	}
	if l.apply(why("no such image")).all(ReportRunning).apply(why("told late")); l.run.Stuck != "" || l.job.State != armada.JobRunning {
		t.Errorf("it is %s, and stuck for %q", l.job.State, l.run.Stuck)
	}
}

func TestAnExpiryForWantOfNewsIsRefusedWhenThereIsSome(t *testing.T) {
	t.Parallel()
	l := submitted().all(Lease)
	known := l.run.Version
	l.apply(mark(MarkRenewed))
	if l.apply(Change{Kind: Expire, Again: true, RunVersion: known}); l.verdict != Refused {
		t.Fatalf("%v, want it refused", l.verdict)
	}
	l.apply(Change{Kind: Expire, Again: true, RunVersion: l.run.Version})
	l.ends(t, armada.JobQueued, armada.RunLost, armada.EventLeased, armada.EventLeaseExpired)
}

func TestALeaseOf2020ThatExpiresAsksNoPolicy(t *testing.T) {
	t.Parallel()
	l := submitted().all(Lease).apply(Change{Kind: Expire, Again: true, Retrying: Retrying{Most: 5, Policies: always(3)}})
	l.ends(t, armada.JobQueued, armada.RunLost, armada.EventLeased, armada.EventLeaseExpired)
	if n := l.job.Lessons.Retries(); n != 0 {
		t.Errorf("%d retries are counted", n)
	}
}

func TestTheLatestWordOfARunIsThatOfItsLatestMark(t *testing.T) {
	t.Parallel()
	p := armada.Polled{Delivered: dawn, Renewed: dawn.Add(time.Minute), Done: dawn.Add(time.Second)}
	if got := p.Latest(); !got.Equal(p.Renewed) {
		t.Errorf("it is of %s, want %s", got, p.Renewed)
	}
}
