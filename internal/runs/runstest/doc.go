// Package runstest is the one suite that every form of internal/runs passes.
//
// A form tells by a [World] how it is opened and how it makes a [Job] true: the
// suite speaks of what a run does, each form says it in its own way. It must
// never test what only one form does; that is in the form's own tests.
package runstest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"armada"
	"armada/internal/runs"
)

// Job is what a run shall do.
type Job struct {
	Print    []string // lines that it prints when it begins
	ExitCode int32
	Forever  bool // it runs until it is stopped, and then does not succeed
	Deaf     bool // with Forever: it does not end when stopped politely
	Finishes bool // with Forever: stopped politely, it ends with exit code 0
	// Earlier are lines that one of its containers printed before it was started
	// again. Only worlds that start containers again are asked for it.
	Earlier []string
}

// World is one form in a state of its own.
type World struct {
	// Open opens the runtime; the suite closes it. What is opened later finds
	// what an earlier one left, if the form outlives.
	Open func(t testing.TB) runs.Runtime
	// Spec makes the order do the job.
	Spec func(o *runs.Order, job Job)
	// Outlives tells that runs go on when the runtime is closed.
	Outlives bool
	// StartsAgain tells that there are containers which are started again.
	StartsAgain bool
	// Command is a command that does a deed beside a living run.
	Command func(Deed) []string
	// Nameless tells that pods have one container, which answers to every name.
	Nameless bool
}

// patience is how long anything may take on a busy machine.
const patience = 30 * time.Second

// test is one of the suite.
type test struct {
	name string
	run  func(t *testing.T, w World)
}

// Run runs the suite. newWorld is called once for each test.
func Run(t *testing.T, newWorld func(t *testing.T) World) {
	for _, test := range []test{
		{"AnEmptyJobSucceeds", anEmptyJobSucceeds},
		{"ARunReachesItsPhasesInOrder", aRunReachesItsPhasesInOrder},
		{"AFailureKeepsItsExitCode", aFailureKeepsItsExitCode},
		{"AStartedRunIsNotStartedAgain", aStartedRunIsNotStartedAgain},
		{"AnEndedRunIsNotStartedAgain", anEndedRunIsNotStartedAgain},
		{"ConcurrentStartsOfARunAreOne", concurrentStartsOfARunAreOne},
		{"AStopEndsARun", aStopEndsARun},
		{"AStopIsFollowedByForce", aStopIsFollowedByForce},
		{"ALaterStopMayShortenTheGrace", aLaterStopMayShortenTheGrace},
		{"SuccessBeatsAStop", successBeatsAStop},
		{"AnEndedRunKeepsItsOutcomeWhenStopped", anEndedRunKeepsItsOutcomeWhenStopped},
		{"StoppingWhatIsNotKnownSaysSo", stoppingWhatIsNotKnownSaysSo},
		{"AnOutcomeIsKeptUntilForgotten", anOutcomeIsKeptUntilForgotten},
		{"ALivingRunIsNotForgotten", aLivingRunIsNotForgotten},
		{"UpdatesAreCoalesced", updatesAreCoalesced},
		{"ChangesAreToldFromACursorOn", changesAreToldFromACursorOn},
		{"LogsHaveWhatWasPrinted", logsHaveWhatWasPrinted},
		{"ATailIsTheLastLines", aTailIsTheLastLines},
		{"LogsSinceATimeAreNotOlder", logsSinceATimeAreNotOlder},
		{"FollowedLogsEndWithTheRun", followedLogsEndWithTheRun},
		{"LogsStayWhenARunIsForgotten", logsStayWhenARunIsForgotten},
		{"LogsOfWhatIsNotKnownSaySo", logsOfWhatIsNotKnownSaySo},
		{"PreviousLogsAreThoseOfTheLifeBefore", previousLogsAreThoseOfTheLifeBefore},
		{"NodesHaveRoom", nodesHaveRoom},
		{"RunsAreAdoptedAfterClose", runsAreAdoptedAfterClose},
	} {
		test.in(t, newWorld)
	}
	RunCommands(t, newWorld)
}

// RunCommands runs the part of the suite that is about commands, for a world whose
// containers truly run.
func RunCommands(t *testing.T, newWorld func(t *testing.T) World) {
	for _, test := range commands {
		test.in(t, newWorld)
	}
}

func (test test) in(t *testing.T, newWorld func(t *testing.T) World) {
	t.Run(test.name, func(t *testing.T) {
		t.Parallel()
		test.run(t, newWorld(t))
	})
}

// bench is a runtime under test.
type bench struct {
	testing.TB
	runs.Runtime
	world World
	next  int
}

func open(t *testing.T, w World) *bench {
	t.Helper()
	b := &bench{TB: t, Runtime: w.Open(t), world: w}
	t.Cleanup(func() { b.end() })
	return b
}

// end stops all that lives, so that nothing outlives the test, and closes.
func (b *bench) end() {
	if b.Runtime == nil {
		return
	}
	StopAll(b.TB, b.Runtime)
	if err := b.Close(); err != nil {
		b.Errorf("close: %v", err)
	}
	b.Runtime = nil
}

// reopen closes the runtime and opens it again.
func (b *bench) reopen() {
	b.Helper()
	if err := b.Close(); err != nil {
		b.Fatalf("close: %v", err)
	}
	b.Runtime = b.world.Open(b.TB)
}

// StopAll stops by force what lives in a runtime, and waits for it.
func StopAll(t testing.TB, r runs.Runtime) {
	t.Helper()
	ctx := context.Background()
	statuses, err := r.Statuses(ctx)
	if err != nil {
		t.Errorf("statuses: %v", err)
	}
	for _, s := range statuses {
		if err := r.Stop(ctx, s.Run, -1); err != nil {
			t.Errorf("stop %s: %v", s.Run, err)
		}
	}
	Await(t, r, "all runs to end", func(statuses map[armada.RunID]runs.Status) bool {
		for _, s := range statuses {
			if !s.Phase.Ended() {
				return false
			}
		}
		return true
	})
}

// Await waits until the statuses are as wanted. It is the runtime's listener.
func Await(t testing.TB, r runs.Runtime, what string, as func(map[armada.RunID]runs.Status) bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		statuses, err := r.Statuses(context.Background())
		if err != nil {
			t.Fatalf("statuses: %v", err)
		}
		byRun := make(map[armada.RunID]runs.Status, len(statuses))
		for _, s := range statuses {
			byRun[s.Run] = s
		}
		if as(byRun) {
			return
		}
		select {
		case <-r.Updates():
		case <-late.C:
			t.Fatalf("waited for %s, there is %+v", what, statuses)
		}
	}
}

// AwaitPhase waits for a run to be in a phase and returns its status. A run that
// ends otherwise fails the test.
func AwaitPhase(t testing.TB, r runs.Runtime, run armada.RunID, phase runs.Phase) runs.Status {
	t.Helper()
	var last runs.Status
	Await(t, r, fmt.Sprintf("%s to be %v", run, phase), func(statuses map[armada.RunID]runs.Status) bool {
		last = statuses[run]
		if last.Phase.Ended() && last.Phase != phase {
			t.Fatalf("%s is %v and not %v: %+v", run, last.Phase, phase, last)
		}
		return last.Phase == phase
	})
	return last
}

// order makes an order for a run that there was not before.
func (b *bench) order(job Job) runs.Order {
	b.Helper()
	nodes, err := b.Nodes(context.Background())
	if err != nil || len(nodes) == 0 {
		b.Fatalf("nodes: %v, %v", nodes, err)
	}
	b.next++
	id := armada.JobID(fmt.Sprintf("01arz3ndektsv4rrffq69g%04d", b.next))
	o := runs.Order{
		Run: armada.NewRunID(id, 1), Job: id, Queue: "a-queue", JobSet: "a-set",
		Node: nodes[0].Name, Pool: nodes[0].Pool, Namespace: "default", Annotations: map[string]string{},
	}
	b.world.Spec(&o, job)
	return o
}

func (b *bench) start(o runs.Order) {
	b.Helper()
	if err := b.Start(context.Background(), o); err != nil {
		b.Fatalf("start: %v", err)
	}
}

// begun starts a run that does the job and returns its order.
func (b *bench) begun(job Job) runs.Order {
	b.Helper()
	o := b.order(job)
	b.start(o)
	return o
}

func (b *bench) stop(run armada.RunID, grace time.Duration) {
	b.Helper()
	if err := b.Stop(context.Background(), run, grace); err != nil {
		b.Fatalf("stop: %v", err)
	}
}

func (b *bench) await(run armada.RunID, phase runs.Phase) runs.Status {
	b.Helper()
	return AwaitPhase(b.TB, b.Runtime, run, phase)
}

// lines reads the logs of a run.
func (b *bench) lines(run armada.RunID, q runs.LogQuery) []runs.LogLine {
	b.Helper()
	var lines []runs.LogLine
	err := b.Logs(context.Background(), run, q, func(line runs.LogLine) error {
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		b.Fatalf("logs: %v", err)
	}
	return lines
}

func texts(lines []runs.LogLine) []string {
	texts := make([]string, len(lines))
	for i, line := range lines {
		texts[i] = string(line.Text)
	}
	return texts
}
