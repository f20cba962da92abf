package executor

import (
	"testing"
	"time"

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

// take enters a lease that must be new.
func take(t *testing.T, l *ledger, run armada.RunID, after ...armada.RunID) {
	t.Helper()
	if _, taken := l.take(orderOf(run), after); !taken {
		t.Fatalf("run %s is known already", run)
	}
}

// acknowledge lets the server know everything.
func acknowledge(l *ledger) {
	for _, r := range l.unreported(false) {
		l.acknowledged(r)
	}
}

func TestARunIsAnsweredForFromItsLeaseToTheAcknowledgedReportOfItsEnd(t *testing.T) {
	t.Parallel()
	l := newLedger()
	take(t, l, "a-1")
	if _, again := l.take(orderOf("a-1"), nil); again {
		t.Fatal("a lease was taken twice")
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
	if l.size() != 1 {
		t.Error("a run is dropped before its end is acknowledged")
	}
	if !l.acknowledged(reports[0]) || l.size() != 0 {
		t.Error("a run whose end is acknowledged stays")
	}
}

func TestALeaseThatComesAfterTheEndOfItsRunStartsNothing(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.ask(1)
	take(t, l, "a-1")
	l.learn([]runs.Status{seen("a-1", runs.Succeeded)})
	acknowledge(l)
	l.asked(1) // what comes after this answer may have been read before the end was on record
	if _, taken := l.take(orderOf("a-1"), nil); taken {
		t.Fatal("an ended run was started again")
	}
	l.ask(2)
	l.asked(2)
	if n := len(l.over); n != 0 {
		t.Errorf("%d ended runs are remembered although nothing can bring them back", n)
	}
}

func TestAnEndThatComesDuringAReportIsReportedNext(t *testing.T) {
	t.Parallel()
	l := newLedger()
	take(t, l, "a-1")
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
	take(t, l, "a-1", "victim-1", "unknown-1")
	if ready := l.release(); len(ready) != 0 || l.begin("a-1") != nil {
		t.Fatal("the run starts beside its victim")
	}
	l.learn([]runs.Status{seen("victim-1", runs.Stopped)})
	if ready := l.release(); len(ready) != 1 || ready[0] != "a-1" || l.begin("a-1") == nil {
		t.Fatalf("ready are %v, want a-1", ready)
	}
	if ready := l.release(); len(ready) != 0 || l.begin("a-1") != nil {
		t.Error("the run is started twice")
	}
}

func TestARunWhoseVictimNeverBeganNeedNotWait(t *testing.T) {
	t.Parallel()
	l := newLedger()
	take(t, l, "victim-1")
	take(t, l, "a-1", "victim-1")
	l.stop("victim-1", 0)
	if ready := l.release(); len(ready) != 1 || ready[0] != "a-1" {
		t.Errorf("ready are %v, want a-1", ready)
	}
}

func TestAStopDuringAStartIsRemembered(t *testing.T) {
	t.Parallel()
	l := newLedger()
	take(t, l, "a-1")
	if l.begin("a-1") == nil {
		t.Fatal("the run does not begin")
	}
	if l.stop("a-1", 0) || l.stop("a-1", 3) || l.stop("a-1", 4) || l.stop("a-1", 0) {
		t.Fatal("the runtime is asked to stop what it may not know yet")
	}
	if grace, stop := l.started("a-1"); !stop || grace != 3 {
		t.Errorf("after the start: stop %t, grace %d; want the shortest", stop, grace)
	}
}

func TestARunThatIsStoppedBeforeItBeganNeverBegins(t *testing.T) {
	t.Parallel()
	l := newLedger()
	take(t, l, "a-1")
	if l.stop("a-1", 0) || l.begin("a-1") != nil {
		t.Error("a stopped run begins")
	}
	if got := phases(l.unreported(false))["a-1"]; got != runs.Stopped {
		t.Errorf("reported %s, want stopped", got)
	}
}

func TestAStopOfARunThatIsNotHereIsReportedAsStopped(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.stop("a-1", 0)
	reports := l.unreported(false)
	if len(reports) != 1 || reports[0].status.Phase != runs.Stopped || reports[0].status.Job != "a" {
		t.Fatalf("reports are %+v", reports)
	}
	if l.acknowledged(reports[0]) {
		t.Error("the runtime is asked to forget a run that it never knew")
	}
	if _, taken := l.take(orderOf("a-1"), nil); taken {
		t.Error("a lease that comes after the stop of its run is taken")
	}
}

func TestARunThatTheRuntimeHasLostEndsAsUnknown(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.learn([]runs.Status{seen("a-1", runs.Running), seen("b-1", runs.Succeeded)})
	l.lost("a-1")
	l.lost("b-1")
	if got := phases(l.unreported(false)); got["a-1"] != runs.Unknown || got["b-1"] != runs.Succeeded {
		t.Errorf("reports are %v", got)
	}
}

func TestAStoppedRunOfADrainingExecutorIsGivenBack(t *testing.T) {
	t.Parallel()
	l := newLedger()
	take(t, l, "c-1")
	l.stop("c-1", 0)
	l.learn([]runs.Status{seen("a-1", runs.Stopped), seen("b-1", runs.Succeeded)})
	for _, r := range l.unreported(true) {
		if given := r.returned != nil; given != (r.status.Run != "b-1") {
			t.Errorf("run %s given back: %t", r.status.Run, given)
		}
		if r.returned != nil && r.returned.attempted != (r.status.Run == "a-1") {
			t.Errorf("run %s attempted: %t", r.status.Run, r.returned.attempted)
		}
	}
}

func TestALostLeaseFailsWhatRanAndGivesBackWhatHadNotBegun(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.learn([]runs.Status{seen("a-1", runs.Running), seen("b-1", runs.Running)})
	take(t, l, "c-1")
	if got, marked := l.loseLease(); len(got) != 2 || marked != 2 {
		t.Fatalf("stopped are %v, want a-1 and b-1", got)
	}
	if got, marked := l.loseLease(); len(got) != 2 || marked != 0 {
		t.Errorf("the second time stopped are %v, %d of them anew", got, marked)
	}
	if l.begin("c-1") != nil {
		t.Error("a run begins although the lease is over")
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
		case "c-1":
			if r.returned == nil || r.returned.attempted {
				t.Errorf("a run that had not begun is reported as %+v", r.returned)
			}
		}
		l.acknowledged(r)
	}
	if l.size() != 0 {
		t.Errorf("%d runs stay in the ledger", l.size())
	}
}

func TestANewSessionIsToldAgainWhatLivingRunsHaveComeTo(t *testing.T) {
	t.Parallel()
	l := newLedger()
	take(t, l, "a-1")
	take(t, l, "b-1")
	l.learn([]runs.Status{seen("a-1", runs.Running)})
	acknowledge(l)
	l.newSession()
	reports := l.unreported(false)
	if got := phases(reports); len(got) != 1 || got["a-1"] != runs.Running || reports[0].known != 0 {
		t.Errorf("in the new session %+v are told", reports)
	}
	acknowledge(l)
	if n := len(l.unreported(false)); n != 0 {
		t.Errorf("%d reports are left after the acknowledgement", n)
	}
}

func TestARunThatItsRuntimeGivesBackIsReportedAsALeaseGivenBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		running   time.Time
		attempted bool
	}{
		{name: "it never ran"},
		{name: "it ran", running: time.Now(), attempted: true},
	} {
		l := newLedger()
		take(t, l, "a-1")
		s := seen("a-1", runs.Failed)
		s.GiveBack, s.Running, s.End.Reason = true, c.running, "the node refused the pod"
		l.learn([]runs.Status{s})
		reports := l.unreported(false)
		if len(reports) != 1 || reports[0].returned == nil || *reports[0].returned != (giveBack{reason: s.End.Reason, attempted: c.attempted}) {
			t.Fatalf("%s: reported as %+v", c.name, reports)
		}
		if back := failure(&reports[0]).GetPodLeaseReturned(); back.GetMessage() != s.End.Reason || back.GetRunAttempted() != c.attempted {
			t.Errorf("%s: told as %v", c.name, back)
		}
		if !l.acknowledged(reports[0]) {
			t.Errorf("%s: the runtime is not told to forget the run", c.name)
		}
	}
}

func TestTheAddressesOfARunAreToldOnceInEachSession(t *testing.T) {
	t.Parallel()
	l := newLedger()
	take(t, l, "a-1")
	s := seen("a-1", runs.Running)
	l.learn([]runs.Status{s})
	acknowledge(l)
	told := func(want bool) {
		t.Helper()
		reports := l.unreported(false)
		if got := len(reports) == 1 && reports[0].reached; got != want {
			t.Errorf("addresses are told: %v, want %v: %+v", got, want, reports)
		}
		for _, r := range reports {
			list := events(&r, "p")
			last := list[len(list)-1].GetStandaloneIngressInfo().GetIngressAddresses()
			if want && last[80] != "10.0.0.1:30080" {
				t.Errorf("told as %v", list)
			}
			l.acknowledged(r)
		}
	}
	told(false)
	s.Addresses = map[uint32]string{80: "10.0.0.1:30080"}
	l.learn([]runs.Status{s})
	told(true)
	l.learn([]runs.Status{s})
	told(false)
	l.newSession()
	told(true)
}
