package executor

import (
	"testing"

	"armada"
	"armada/internal/runs"
)

func orderOf(run armada.RunID) *runs.Order {
	job, _ := run.Job()
	return &runs.Order{Run: run, Job: job, Queue: "q", JobSet: "s"}
}

func seen(run armada.RunID, phase runs.Phase) runs.Status {
	job, _ := run.Job()
	return runs.Status{Run: run, Job: job, Queue: "q", JobSet: "s", Phase: phase}
}

func phases(reports []report) map[armada.RunID]runs.Phase {
	m := map[armada.RunID]runs.Phase{}
	for _, r := range reports {
		m[r.status.Run] = r.status.Phase
	}
	return m
}

func TestARunIsAnsweredForFromItsLeaseToTheAcknowledgedReportOfItsEnd(t *testing.T) {
	t.Parallel()
	l := newLedger()
	if !l.take(orderOf("a-1"), nil) || l.take(orderOf("a-1"), nil) {
		t.Fatal("a lease must be taken once")
	}
	l.learn([]runs.Status{seen("a-1", runs.Running)})
	reports := l.unreported(false)
	if got := phases(reports)["a-1"]; got != runs.Running {
		t.Fatalf("reported %s, want running", got)
	}
	if l.acknowledged(reports[0]) {
		t.Error("a running run may be forgotten")
	}
	if n := len(l.unreported(false)); n != 0 {
		t.Errorf("%d reports are left after the acknowledgement", n)
	}
	l.learn([]runs.Status{seen("a-1", runs.Succeeded)})
	reports = l.unreported(false)
	if len(l.ids()) != 1 {
		t.Error("a run is dropped before its end is acknowledged")
	}
	if !l.acknowledged(reports[0]) || len(l.ids()) != 0 {
		t.Error("a run whose end is acknowledged stays")
	}
}

func TestAnEndThatComesDuringAReportIsReportedNext(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.take(orderOf("a-1"), nil)
	l.learn([]runs.Status{seen("a-1", runs.Running)})
	inFlight := l.unreported(false)
	l.learn([]runs.Status{seen("a-1", runs.Failed)})
	l.acknowledged(inFlight[0])
	if got := phases(l.unreported(false))["a-1"]; got != runs.Failed {
		t.Errorf("next report is %s, want failed", got)
	}
}

func TestRunsFoundAtTheStartAreAdopted(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.learn([]runs.Status{seen("a-1", runs.Running), seen("b-1", runs.Succeeded)})
	if got := l.active(); len(got) != 1 || got[0] != "a-1" {
		t.Errorf("active are %v, want a-1", got)
	}
	if got := phases(l.unreported(false)); got["a-1"] != runs.Running || got["b-1"] != runs.Succeeded {
		t.Errorf("reports are %v", got)
	}
}

func TestARunWaitsForItsVictims(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.learn([]runs.Status{seen("victim-1", runs.Running)})
	l.take(orderOf("a-1"), []armada.RunID{"victim-1", "unknown-1"})
	if ready := l.learn(nil); len(ready) != 0 {
		t.Fatal("the run starts beside its victim")
	}
	ready := l.learn([]runs.Status{seen("victim-1", runs.Stopped)})
	if len(ready) != 1 || ready[0].Run != "a-1" {
		t.Fatalf("ready are %v, want a-1", ready)
	}
	if ready := l.learn(nil); len(ready) != 0 {
		t.Error("the run is started twice")
	}
}

func TestAStopDuringAStartIsRemembered(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.take(orderOf("a-1"), nil)
	if l.giveUp("a-1", nil) {
		t.Fatal("a run that is being started counts as stopped")
	}
	if !l.started("a-1") {
		t.Error("the stop is forgotten")
	}
}

func TestAStopOfARunThatIsNotHereIsReportedAsStopped(t *testing.T) {
	t.Parallel()
	l := newLedger()
	if !l.giveUp("a-1", nil) {
		t.Fatal("nothing is reported")
	}
	reports := l.unreported(false)
	if len(reports) != 1 || reports[0].status.Phase != runs.Stopped || reports[0].status.Job != "a" {
		t.Fatalf("reports are %+v", reports)
	}
	if l.acknowledged(reports[0]) {
		t.Error("the runtime is asked to forget a run that it never knew")
	}
}

func TestAStoppedRunOfADrainingExecutorIsGivenBack(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.learn([]runs.Status{seen("a-1", runs.Stopped), seen("b-1", runs.Succeeded)})
	for _, r := range l.unreported(true) {
		if given := r.returned != nil; given != (r.status.Run == "a-1") {
			t.Errorf("run %s given back: %t", r.status.Run, given)
		}
	}
}

func TestARunStoppedForTheLeaseHasFailed(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.learn([]runs.Status{seen("a-1", runs.Running), seen("b-1", runs.Running)})
	if got := l.loseLease(); len(got) != 2 {
		t.Fatalf("stopped are %v, want both", got)
	}
	l.learn([]runs.Status{seen("a-1", runs.Stopped), seen("b-1", runs.Succeeded)})
	for _, r := range l.unreported(false) {
		switch r.status.Run {
		case "a-1":
			if r.status.Phase != runs.Failed || r.status.End.Subcategory != armada.SubcategoryLeaseExpired {
				t.Errorf("a stopped run is reported as %s, %q", r.status.Phase, r.status.End.Subcategory)
			}
		case "b-1":
			if r.status.Phase != runs.Succeeded {
				t.Errorf("a run that succeeded is reported as %s", r.status.Phase)
			}
		}
		if !l.acknowledged(r) {
			t.Errorf("run %s stays in the ledger", r.status.Run)
		}
	}
}
