package runstest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"armada"
	"armada/internal/runs"
)

func anEmptyJobSucceeds(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{})
	s := b.await(o.Run, runs.Succeeded)
	if s.Job != o.Job || s.Queue != o.Queue || s.JobSet != o.JobSet || s.Node != o.Node || s.Pod.Name == "" {
		t.Errorf("the status does not tell of its order: %+v", s)
	}
	if s.End.Reason != "" || len(s.End.Containers) != 1 || s.End.Containers[0].ExitCode != 0 {
		t.Errorf("the end is not that of a success: %+v", s.End)
	}
}

func aRunReachesItsPhasesInOrder(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Forever: true})
	s := b.await(o.Run, runs.Running)
	if s.Pending.IsZero() || s.Running.Before(s.Pending) || !s.Ended.IsZero() {
		t.Errorf("the times of a running run are wrong: %+v", s)
	}
	b.stop(o.Run, -1)
	s = b.await(o.Run, runs.Stopped)
	if s.Ended.Before(s.Running) || s.Stopping {
		t.Errorf("the times of an ended run are wrong: %+v", s)
	}
}

func aFailureKeepsItsExitCode(t *testing.T, w World) {
	b := open(t, w)
	s := b.await(b.begun(Job{ExitCode: 3}).Run, runs.Failed)
	if s.End.Reason == "" || len(s.End.Containers) != 1 || s.End.Containers[0].ExitCode != 3 {
		t.Errorf("the end does not tell of exit code 3: %+v", s.End)
	}
}

func aStartedRunIsNotStartedAgain(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Forever: true, Print: []string{"once"}})
	first := b.await(o.Run, runs.Running)
	b.start(o)
	if again := b.await(o.Run, runs.Running); !again.Running.Equal(first.Running) {
		t.Errorf("it was started at %v and again at %v", first.Running, again.Running)
	}
	b.stop(o.Run, -1)
	b.await(o.Run, runs.Stopped)
	if got := texts(b.lines(o.Run, runs.LogQuery{})); !slices.Equal(got, []string{"once"}) && len(got) != 0 {
		t.Errorf("it printed %q", got)
	}
}

func anEndedRunIsNotStartedAgain(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Print: []string{"once"}})
	first := b.await(o.Run, runs.Succeeded)
	b.start(o)
	other := b.begun(Job{}) // when this has ended, a second start would have been seen
	b.await(other.Run, runs.Succeeded)
	if again := b.await(o.Run, runs.Succeeded); !again.Ended.Equal(first.Ended) {
		t.Errorf("it ended at %v and again at %v", first.Ended, again.Ended)
	}
	if got := texts(b.lines(o.Run, runs.LogQuery{})); !slices.Equal(got, []string{"once"}) {
		t.Errorf("it printed %q", got)
	}
}

func concurrentStartsOfARunAreOne(t *testing.T, w World) {
	b := open(t, w)
	o := b.order(Job{Print: []string{"once"}})
	var starts sync.WaitGroup
	for range 8 {
		starts.Go(func() {
			if err := b.Start(context.Background(), o); err != nil {
				t.Errorf("start: %v", err)
			}
		})
	}
	starts.Wait()
	b.await(o.Run, runs.Succeeded)
	if got := texts(b.lines(o.Run, runs.LogQuery{})); !slices.Equal(got, []string{"once"}) {
		t.Errorf("it printed %q", got)
	}
}

func aStopEndsARun(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Forever: true})
	b.await(o.Run, runs.Running)
	b.stop(o.Run, patience)
	s := b.await(o.Run, runs.Stopped)
	if s.Ended.Sub(s.Running) > patience/2 {
		t.Errorf("a polite stop took from %v to %v", s.Running, s.Ended)
	}
	if s.End.Reason == "" {
		t.Error("a stopped run has no reason")
	}
}

func aStopIsFollowedByForce(t *testing.T, w World) {
	b := open(t, w)
	const grace = 200 * time.Millisecond
	o := b.begun(Job{Forever: true, Deaf: true, Print: []string{"deaf"}})
	b.awaitLine(o.Run, "deaf")
	begun := time.Now()
	b.stop(o.Run, grace)
	if s := b.await(o.Run, runs.Stopped); s.Ended.Sub(begun) < grace {
		t.Errorf("the grace was %v of %v", s.Ended.Sub(begun), grace)
	}
}

func aLaterStopMayShortenTheGrace(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Forever: true, Deaf: true, Print: []string{"deaf"}})
	b.awaitLine(o.Run, "deaf")
	b.stop(o.Run, time.Hour)
	Await(t, b.Runtime, "it to be stopping", func(s map[armada.RunID]runs.Status) bool { return s[o.Run].Stopping })
	b.stop(o.Run, -1)
	b.await(o.Run, runs.Stopped)
}

func successBeatsAStop(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Forever: true, Finishes: true, Print: []string{"ready"}})
	b.awaitLine(o.Run, "ready")
	b.stop(o.Run, patience)
	b.await(o.Run, runs.Succeeded)
}

func anEndedRunKeepsItsOutcomeWhenStopped(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{ExitCode: 5})
	b.await(o.Run, runs.Failed)
	b.stop(o.Run, 0)
	b.await(b.begun(Job{}).Run, runs.Succeeded)
	b.await(o.Run, runs.Failed)
}

func stoppingWhatIsNotKnownSaysSo(t *testing.T, w World) {
	b := open(t, w)
	if err := b.Stop(context.Background(), b.order(Job{}).Run, 0); !errors.Is(err, runs.ErrUnknownRun) {
		t.Errorf("stop answered %v", err)
	}
}

func anOutcomeIsKeptUntilForgotten(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{ExitCode: 7})
	b.await(o.Run, runs.Failed)
	if w.Outlives {
		b.reopen()
		if s := b.await(o.Run, runs.Failed); len(s.End.Containers) != 1 || s.End.Containers[0].ExitCode != 7 {
			t.Errorf("the outcome was not kept: %+v", s)
		}
	}
	for range 2 { // forgetting what is not known does nothing
		if err := b.Forget(context.Background(), o.Run); err != nil {
			t.Fatalf("forget: %v", err)
		}
	}
	if statuses, err := b.Statuses(context.Background()); err != nil || len(statuses) != 0 {
		t.Errorf("after forgetting there is %+v, %v", statuses, err)
	}
	if w.Outlives {
		b.reopen()
		if statuses, err := b.Statuses(context.Background()); err != nil || len(statuses) != 0 {
			t.Errorf("after opening again there is %+v, %v", statuses, err)
		}
	}
}

func aLivingRunIsNotForgotten(t *testing.T, w World) {
	b := open(t, w)
	o := b.begun(Job{Forever: true})
	b.await(o.Run, runs.Running)
	if err := b.Forget(context.Background(), o.Run); err == nil {
		t.Error("a run that lives was forgotten")
	}
	b.await(o.Run, runs.Running)
}

func updatesAreCoalesced(t *testing.T, w World) {
	b := open(t, w)
	orders := make([]runs.Order, 5)
	for i := range orders {
		orders[i] = b.begun(Job{})
	}
	for _, o := range orders {
		b.await(o.Run, runs.Succeeded)
	}
	for pending := 0; ; pending++ {
		select {
		case <-b.Updates():
			continue
		default:
		}
		if pending > 1 {
			t.Errorf("%d updates were waiting", pending)
		}
		return
	}
}

func changesAreToldFromACursorOn(t *testing.T, w World) {
	b := open(t, w)
	first := b.begun(Job{})
	b.await(first.Run, runs.Succeeded)
	all, cursor := b.Changed(0)
	if len(all) != 1 || all[0].Run != first.Run {
		t.Fatalf("from the beginning there is %+v", all)
	}
	if none, _ := b.Changed(cursor); len(none) != 0 {
		t.Errorf("nothing changed, and there is %+v", none)
	}
	second := b.begun(Job{})
	b.await(second.Run, runs.Succeeded)
	if changed, _ := b.Changed(cursor); len(changed) != 1 || changed[0].Run != second.Run || changed[0].Phase != runs.Succeeded {
		t.Errorf("one run changed, and there is %+v", changed)
	}
}

func nodesHaveRoom(t *testing.T, w World) {
	b := open(t, w)
	nodes, err := b.Nodes(context.Background())
	if err != nil || len(nodes) == 0 {
		t.Fatalf("nodes: %v, %v", nodes, err)
	}
	for _, n := range nodes {
		if n.Name == "" || n.Pool == "" || n.Allocatable[0] <= 0 || n.Labels["kubernetes.io/hostname"] == "" {
			t.Errorf("a node lacks something: %+v", n)
		}
	}
}

func runsAreAdoptedAfterClose(t *testing.T, w World) {
	b := open(t, w)
	lives := b.begun(Job{Forever: true, Finishes: true, Print: []string{"ready"}})
	b.awaitLine(lives.Run, "ready")
	if !w.Outlives {
		return // what is opened next is another world
	}
	b.reopen()
	b.await(lives.Run, runs.Running)
	b.start(lives)
	b.stop(lives.Run, patience)
	b.await(lives.Run, runs.Succeeded)
	if got := texts(b.lines(lives.Run, runs.LogQuery{})); !slices.Equal(got, []string{"ready"}) {
		t.Errorf("it printed %q", got)
	}
}
