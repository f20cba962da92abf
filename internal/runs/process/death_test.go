//go:build linux

package process

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

// bothWays runs a test on this machine as it is, and as if it had no control
// groups.
func bothWays(t *testing.T, test func(t *testing.T, w *world)) {
	for name, bare := range map[string]bool{"WithWhatTheMachineHas": false, "WithoutControlGroups": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.bare = bare
			test(t, w)
		})
	}
}

// word is a duration for sleep that no other test uses, so that its process can
// be found.
func word(t *testing.T) string {
	t.Helper()
	return strconv.FormatInt(1_000_000_000+time.Now().UnixNano()%1_000_000_000_000, 10)
}

func TestClosingEndsASupervisorThatHasNothingToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.open(t)
	runstest.AwaitPhase(t, r, started(t, r, pod{Containers: []container{shell("main", "true")}}, 1), runs.Succeeded)
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if left := living(w.dir); len(left) > 0 {
		t.Errorf("there lives %v", left)
	}
	if _, err := r.Prune(context.Background(), time.Time{}, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed runtime answered %v", err)
	}
	runstest.AwaitPhase(t, w.opened(t), "01brz3ndektsv4rrffq69g0001-1", runs.Succeeded)
}

// killSupervisor kills the supervisor that a runtime has started.
func killSupervisor(t *testing.T, r *Runtime) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.children) != 1 {
		t.Fatalf("there are %d supervisors of this process", len(r.children))
	}
	if err := r.children[0].Kill(); err != nil {
		t.Fatal(err)
	}
}

// armadaIsKilled starts orders in a process of its own and kills it.
func armadaIsKilled(t *testing.T, w *world, orders ...runs.Order) {
	t.Helper()
	armadaIsKilledIn(t, nil, w, orders...)
}

func TestRunsOfAKilledArmadaAreAdoptedWithTheirExitCodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	waits := pod{Containers: []container{shell("main", "echo waiting; read x < "+gate+"; exit 4")}}.order(t, 1)
	over := pod{Containers: []container{shell("main", "exit 5")}}.order(t, 2)
	armadaIsKilled(t, w, waits, over)

	r := w.opened(t)
	if s := runstest.AwaitPhase(t, r, over.Run, runs.Failed); s.End.Containers[0].ExitCode != 5 {
		t.Errorf("the run that ended meanwhile ended so: %+v", s.End)
	}
	runstest.AwaitPhase(t, r, waits.Run, runs.Running)
	if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil {
		t.Fatal(err)
	}
	if s := runstest.AwaitPhase(t, r, waits.Run, runs.Failed); s.End.Containers[0].ExitCode != 4 {
		t.Errorf("the adopted run ended so: %+v", s.End)
	}
	if got := output(t, r, waits.Run); len(got) != 1 || got[0] != "main:waiting" {
		t.Errorf("it printed %q", got)
	}
}

func TestWhatLivesOfAKilledSupervisorIsKilledAndReportedUnknown(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w *world) {
		r := w.opened(t)
		sleeps := word(t)
		drops := []string{"nothing", "lifeline", "mark"}
		if !w.bare { // without control groups nothing finds what has dropped both when its supervisor is gone
			drops = append(drops, "lifeline,mark")
		}
		script := fugitives(sleeps, drops...) + "echo here; exec sleep " + sleeps
		o := pod{Containers: []container{shell("main", script)}}.order(t, 1)
		ended := started(t, r, pod{Containers: []container{shell("main", "exit 6")}}, 2)
		if err := r.Start(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		runstest.AwaitLine(t, r, o.Run, "here")
		runstest.AwaitPhase(t, r, ended, runs.Failed)
		killSupervisor(t, r)

		s := runstest.AwaitPhase(t, r, o.Run, runs.Unknown)
		if left := living(sleeps); len(left) > 0 {
			t.Errorf("reported while there lived %v", left)
		}
		if s.End.Subcategory != armada.SubcategoryOutcomeUnknown || s.Queue != o.Queue || s.JobSet != o.JobSet {
			t.Errorf("the end is not that of an unknown outcome: %+v", s)
		}
		if err := r.Start(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		runstest.AwaitPhase(t, r, o.Run, runs.Unknown)
		if s := runstest.AwaitPhase(t, r, ended, runs.Failed); s.End.Containers[0].ExitCode != 6 {
			t.Errorf("an end was lost with the supervisor: %+v", s)
		}
		runstest.AwaitPhase(t, r, started(t, r, pod{Containers: []container{shell("main", "true")}}, 3), runs.Succeeded)
		if got := output(t, r, o.Run); len(got) != 1 {
			t.Errorf("it printed %q: it was started again", got)
		}
	})
}

func TestBothKilledLeavesUnknownRunsToTheNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sleeps := word(t)
	o := pod{Containers: []container{shell("main", "echo here; sleep "+sleeps)}}.order(t, 1)
	armadaIsKilled(t, w, o)
	r := w.open(t)
	runstest.AwaitLine(t, r, o.Run, "here")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, at := range living(w.dir) { // the supervisor has the folder among its arguments
		pid, err := strconv.Atoi(strings.Split(at, "/")[2])
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(at, asSupervisor) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	r = w.opened(t)
	runstest.AwaitPhase(t, r, o.Run, runs.Unknown)
	if left := living(sleeps); len(left) > 0 {
		t.Errorf("reported while there lived %v", left)
	}
}

func TestNothingOutlivesTheEndOfARun(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w *world) {
		r := w.opened(t)
		sleeps := word(t)
		run := started(t, r, pod{Containers: []container{shell("main", fugitives(sleeps, "nothing", "lifeline", "mark", "lifeline,mark")+"exit 0")}}, 1)
		runstest.AwaitPhase(t, r, run, runs.Succeeded)
		left := living(sleeps)
		if w.bare { // the one that threw everything away is found when the supervisor has no more runs
			if err := r.Quit(context.Background()); err != nil {
				t.Fatal(err)
			}
			left = living(sleeps)
		}
		if len(left) > 0 {
			t.Errorf("there lives %v", left)
		}
	})
}

func TestAStopByForceReachesWhatHasEscaped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	sleeps := word(t)
	run := started(t, r, pod{Containers: []container{shell("main", fugitives(sleeps, "nothing", "lifeline,mark")+"echo here; trap '' TERM; while :; do sleep 1; done")}}, 1)
	runstest.AwaitLine(t, r, run, "here")
	if err := r.Stop(context.Background(), run, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	runstest.AwaitPhase(t, r, run, runs.Stopped)
	if left := living(sleeps); len(left) > 0 {
		t.Errorf("there lives %v", left)
	}
}

func TestASupervisorThatIsToldToEndEndsItsRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	run := started(t, r, pod{Containers: []container{shell("main", "echo here; exec sleep 1000")}}, 1)
	runstest.AwaitLine(t, r, run, "here")
	r.mu.Lock()
	err := r.children[0].Signal(syscall.SIGTERM)
	r.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if s := runstest.AwaitPhase(t, r, run, runs.Failed); !strings.Contains(s.End.Reason, "told to end") {
		t.Errorf("it ended so: %+v", s.End)
	}
}

func TestRunsEndWhenTheirDataFolderIsRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.dir = filepath.Join(w.dir, "inner")
	sleeps := word(t)
	o := pod{Containers: []container{shell("main", "echo here; sleep "+sleeps)}}.order(t, 1)
	armadaIsKilled(t, w, o)
	eventually(t, "the run", func() bool { return len(living(sleeps)) > 0 })
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the run and its supervisor to end", func() bool {
		return len(living(sleeps)) == 0 && len(living(w.dir)) == 0
	})
}

func TestASupervisorEndsWithItsLastRunWhenNobodyIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.idle = 50 * time.Millisecond
	r := w.open(t)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	run := started(t, r, pod{Containers: []container{shell("main", "read x < "+gate)}}, 1)
	runstest.AwaitPhase(t, r, run, runs.Running)
	if err := r.Quit(context.Background()); !errors.Is(err, ErrBusy) {
		t.Errorf("quitting with a run answered %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(gate, []byte("go\n"), 0); err != nil { // this waits for the reader: it lives
		t.Fatal(err)
	}
	eventually(t, "the supervisor to end", func() bool {
		lock, err := os.OpenFile(r.layout.lock(), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		free, err := lockFile(lock)
		return free && err == nil
	})
	runstest.AwaitPhase(t, w.opened(t), run, runs.Succeeded)
}

func TestTwoHundredRunsAtOnceAllRunOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	const count = 200
	p := pod{Containers: []container{shell("main", "echo $ARMADA_RUN_ID; exit 9")}}
	errs := make(chan error, count)
	for n := range count {
		o := p.order(t, n)
		go func() { errs <- r.Start(context.Background(), o) }()
	}
	for range count {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	runstest.Await(t, r, "all to end", func(statuses map[armada.RunID]runs.Status) bool {
		for _, s := range statuses {
			if !s.Phase.Ended() {
				return false
			}
		}
		return len(statuses) == count
	})
	statuses, err := r.Statuses(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statuses {
		if got := output(t, r, s.Run); len(got) != 1 || got[0] != "main:"+string(s.Run) {
			t.Errorf("%s printed %q", s.Run, got)
		}
		if s.Phase != runs.Failed || s.End.Containers[0].ExitCode != 9 {
			t.Errorf("%s is %+v", s.Run, s)
		}
	}
}
