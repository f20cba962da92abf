//go:build linux

package process

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

// fillDisk makes writes of the supervisor beyond a place in its files fail, as
// on a full disk, until room is called. What it has started is not concerned.
func fillDisk(t *testing.T, w *world, place uint64) (room func()) {
	t.Helper()
	var pids []int
	for _, line := range living(asSupervisor) {
		var pid int
		if _, err := fmt.Sscanf(line, "/proc/%d/", &pid); err == nil && strings.Contains(line, w.dir) {
			pids = append(pids, pid)
		}
	}
	if len(pids) != 1 {
		t.Fatalf("the supervisors are %v", pids)
	}
	var was unix.Rlimit
	if err := unix.Prlimit(pids[0], unix.RLIMIT_FSIZE, nil, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(pids[0], unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: place, Max: was.Max}, nil); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Prlimit(pids[0], unix.RLIMIT_FSIZE, &was, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// touch makes a file in the working folder of a run.
func touch(t *testing.T, r *Runtime, run armada.RunID, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.layout.run(run).work(), name), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func exists(r *Runtime, run armada.RunID, name string) bool {
	_, err := os.Stat(filepath.Join(r.layout.run(run).work(), name))
	return err == nil
}

const awaitFile = "while [ ! -e %s ]; do sleep 0.01; done\n"

func TestALogSaysHowManyLinesAFullDiskCostIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	const lines = 30_000 // more than a pipe holds
	script := fmt.Sprintf("echo before\n"+awaitFile+"i=0; while [ $i -lt %d ]; do echo during; i=$((i+1)); done; touch printed\n"+awaitFile+"echo after\n", "full", lines, "room")
	run := started(t, r, pod{Containers: []container{shell("main", script)}}, 1)
	eventually(t, "the first line", func() bool { return len(output(t, r, run)) == 1 })
	info, err := os.Stat(r.layout.run(run).log())
	if err != nil {
		t.Fatal(err)
	}
	room := fillDisk(t, w, uint64(info.Size())+20) // in the middle of a line
	touch(t, r, run, "full")
	eventually(t, "the job goes on printing", func() bool { return exists(r, run, "printed") })
	room()
	touch(t, r, run, "room")
	runstest.AwaitPhase(t, r, run, runs.Succeeded)
	missing, kept := 0, 0
	told := output(t, r, run)
	for _, line := range told {
		var n int
		if _, err := fmt.Sscanf(line, "main:armada: the disk was full, %d lines are missing here", &n); err == nil {
			missing += n
		}
		if line == "main:during" {
			kept++
		}
	}
	if told[0] != "main:before" || told[len(told)-1] != "main:after" || missing == 0 || missing+kept != lines {
		t.Errorf("of %d lines %d are said to be missing and %d are there; the log begins with %q and ends with %q", lines, missing, kept, told[0], told[len(told)-1])
	}
}

func TestARunThatEndsOnAFullDiskIsToldWhenThereIsRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	for n := range 10 { // the journal is to be longer than what the supervisor says
		runstest.AwaitPhase(t, r, started(t, r, pod{Containers: []container{shell("main", "true")}}, 10+n), runs.Succeeded)
	}
	run := started(t, r, pod{Containers: []container{shell("main", fmt.Sprintf(awaitFile+"exit 3", "full"))}}, 1)
	runstest.AwaitPhase(t, r, run, runs.Running)
	info, err := os.Stat(r.layout.journal())
	if err != nil {
		t.Fatal(err)
	}
	room := fillDisk(t, w, uint64(info.Size())+10) // in the middle of a record
	touch(t, r, run, "full")
	eventually(t, "the supervisor says that it cannot write the end down", func() bool {
		says, err := os.ReadFile(r.layout.says())
		return err == nil && strings.Contains(string(says), "the end of a run cannot be written down")
	})
	runstest.AwaitPhase(t, r, run, runs.Running)
	someRoom := fillDisk(t, w, 0)
	// Another one is refused with the reason, and leaves nothing.
	o := pod{Containers: []container{shell("main", "true")}}.order(t, 2)
	if err := r.Start(context.Background(), o); err == nil || !strings.Contains(err.Error(), "file too large") {
		t.Errorf("a start on a full disk answered %v", err)
	}
	if _, err := os.Stat(r.layout.run(o.Run).path); !os.IsNotExist(err) {
		t.Errorf("the run that was refused has left its folder, %v", err)
	}
	someRoom()
	room()
	runstest.AwaitPhase(t, r, run, runs.Failed)
	if h, err := readJournal(r.layout.journal()); err != nil || h.ended[run].Phase != runs.Failed {
		t.Errorf("the journal tells of the run %+v, %v", h.ended[run], err)
	}
	if err := r.Start(context.Background(), o); err != nil {
		t.Errorf("with room again: %v", err)
	}
	runstest.AwaitPhase(t, r, o.Run, runs.Succeeded)
}

func TestAMachineWhoseDiskIsNearlyFullTakesNothingNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for reserve, want := range map[int64]bool{1: false, math.MaxInt64: true} {
		config := w.config()
		config.reserve = reserve
		r, err := Open(config)
		if err != nil {
			t.Fatal(err)
		}
		nodes, err := r.Nodes(context.Background())
		if err != nil || nodes[0].Unschedulable != want {
			t.Errorf("with %d bytes that must be free the nodes are %+v, %v", reserve, nodes, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
