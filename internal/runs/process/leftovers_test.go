//go:build linux

package process

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/runstest"
)

// groupsOf lists the control groups, in any hierarchy, that supervisors of a data
// folder have made: below the groups of this process, however deep.
func groupsOf(t *testing.T, l layout) []string {
	t.Helper()
	name := cagesName(l)
	var found []string
	for _, root := range roots() {
		_ = filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			if err == nil && e.IsDir() && strings.Contains(path, "/"+name) {
				found = append(found, path)
			}
			return nil // others' groups come and go meanwhile
		})
	}
	return found
}

// roots are this process's own groups where groups can be made.
func roots() []string {
	unified, memory := ownGroups()
	var roots []string
	for _, root := range []string{unified, memory} {
		if at := filepath.Join(root, "armada-tries-"+strconv.Itoa(os.Getpid())); root != "" && os.Mkdir(at, 0o755) == nil {
			_ = os.Remove(at)
			roots = append(roots, root)
		}
	}
	return roots
}

// limited is a container that wants a cage of memory too.
func limited(script string) pod {
	c := shell("main", script)
	c.Resources = map[string]limits{"limits": {"memory": "64Mi"}}
	return pod{Containers: []container{c}}
}

func TestNoControlGroupOutlivesItsUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.open(t)
	live := started(t, r, limited("echo here; exec sleep 1000"), 0)
	runstest.AwaitLine(t, r, live, "here")
	if groups := groupsOf(t, r.layout); len(groups) < 2*len(roots()) {
		t.Errorf("a run that lives has the groups %q below %q", groups, roots())
	}
	for n := 1; n <= 30; n++ {
		started(t, r, limited("(sleep 1000 &); exit 0"), n)
	}
	for n := 1; n <= 30; n++ {
		runstest.AwaitPhase(t, r, pod{}.order(t, n).Run, runs.Succeeded)
	}
	eventually(t, "the groups of the ended runs to go", func() bool { return len(groupsOf(t, r.layout)) <= 2*len(roots()) })
	if err := r.Stop(context.Background(), live, -1); err != nil {
		t.Fatal(err)
	}
	runstest.AwaitPhase(t, r, live, runs.Stopped)
	if err := r.Quit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left := groupsOf(t, r.layout); len(left) > 0 {
		t.Errorf("there are still %q", left)
	}
}

func TestTheNextSupervisorTakesTheControlGroupsOfAKilledOneAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.opened(t)
	o := limited("echo here; exec sleep 1000").order(t, 1)
	over := started(t, r, limited("true"), 2)
	if err := r.Start(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	runstest.AwaitLine(t, r, o.Run, "here")
	runstest.AwaitPhase(t, r, over, runs.Succeeded)
	// As if it had been killed, or the kernel had held the group, when the run was
	// written down as ended; one has groups that the run made for itself.
	for _, root := range roots() {
		for _, name := range []string{string(over) + ".1/its/own", "01brz3ndektsv4rrffq69g0009-1.7"} {
			if err := os.MkdirAll(filepath.Join(root, cagesName(r.layout), name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	killSupervisor(t, r)

	runstest.AwaitPhase(t, r, o.Run, runs.Unknown)
	eventually(t, "nothing but the folders of the groups", func() bool { return len(groupsOf(t, r.layout)) == len(roots()) })
	next := started(t, r, limited("echo here; exec sleep 1000"), 3)
	runstest.AwaitLine(t, r, next, "here")
	if groups := groupsOf(t, r.layout); len(groups) != 2*len(roots()) {
		t.Errorf("with a new run there are the groups %q", groups)
	}
}

// The next supervisor may be started from another control group: by a shell, when
// the first was started by a service.
func TestControlGroupsThatWereMadeElsewhereAreFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l, err := openLayout(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	var elsewhere []string
	for _, root := range roots() {
		at := filepath.Join(root, "armada-elsewhere-"+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(at) })
		elsewhere = append(elsewhere, at)
	}
	sleeps := word(t)
	drops := []string{"nothing"}
	if unified, _ := ownGroups(); len(elsewhere) > 0 && strings.HasPrefix(elsewhere[0], unified+"/") {
		drops = append(drops, "lifeline,mark") // whom only the group tells of
	}
	o := limited(fugitives(sleeps, drops...)+"echo here; exec sleep "+sleeps).order(t, 1)
	armadaIsKilledIn(t, elsewhere, w, o)
	r := w.open(t)
	runstest.AwaitLine(t, r, o.Run, "here")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if made := groupsOf(t, l); len(elsewhere) > 0 && !strings.Contains(strings.Join(made, " "), "armada-elsewhere-") {
		t.Fatalf("the groups are %q", made)
	}
	for _, at := range living(w.dir) {
		if pid, err := strconv.Atoi(strings.Split(at, "/")[2]); err == nil && strings.Contains(at, asSupervisor) {
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
	if err := r.Quit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if left := groupsOf(t, l); len(left) > 0 {
		t.Errorf("there are still %q", left)
	}
	if text, err := os.ReadFile(l.cages()); err != nil || len(text) > 0 {
		t.Errorf("of groups there are written down %q, %v", text, err)
	}
}

// armadaIsKilledIn is armadaIsKilled for one that lives in other control groups.
func armadaIsKilledIn(t *testing.T, groups []string, w *world, orders ...runs.Order) {
	t.Helper()
	text, err := json.Marshal(orders)
	if err != nil {
		t.Fatal(err)
	}
	script := "for group; do [ \"$group\" = -- ] && break; echo $$ > $group/cgroup.procs || exit 1; shift; done; shift; exec \"$@\""
	args := append(append([]string{"-c", script, "sh"}, groups...), "--", os.Args[0], asClient, w.dir, string(text))
	cmd := exec.Command("/bin/sh", args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "started\n" {
		t.Errorf("armada said %q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
}

func TestWhatLivesInALeftGroupIsNotTakenForLitter(t *testing.T) {
	t.Parallel()
	for _, root := range roots() {
		folder := filepath.Join(root, "armada-litter-"+strconv.Itoa(os.Getpid()))
		at := filepath.Join(folder, "01brz3ndektsv4rrffq69g0001-1.1", "below")
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", "echo $$ > "+at+"/cgroup.procs && echo in && exec sleep 1000")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "in\n" {
			t.Fatalf("entering the group said %q, %v", line, err)
		}
		c := cages{earlier: []cages{{unified: folder}}}
		nobody := func(armada.RunID) bool { return false }
		if c.sweep(nobody) {
			t.Error("a group in which a process lives is said to have gone")
		}
		if err := syscall.Kill(cmd.Process.Pid, 0); err != nil {
			t.Errorf("the process is gone: %v", err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		eventually(t, "the empty group to go", func() bool { return c.sweep(nobody) })
		if err := os.Remove(folder); err != nil {
			t.Error(err)
		}
	}
}

// systemd starts a service that has Delegate and DelegateSubgroup in a group below
// the one that it leaves to it.
func TestControlGroupsAreMadeInTheGroupThatWasDelegated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	above, own := delegatedGroups(t)
	if own == "" {
		return // nobody can make groups of version 2 here, so nobody can delegate any
	}
	o := limited("x=0123456789abcdef; i=0; while [ $i -lt 24 ]; do x=$x$x; i=$((i+1)); done").order(t, 1)
	armadaIsKilledIn(t, []string{own}, w, o)
	r := w.opened(t)
	controllers, err := os.ReadFile(filepath.Join(above, "cgroup.controllers"))
	if err != nil {
		t.Fatal(err)
	}
	groups := strings.Join(groupsOf(t, r.layout), " ")
	if strings.Contains(string(controllers), "memory") {
		if s := runstest.AwaitPhase(t, r, o.Run, runs.Failed); s.End.Cause != armada.CauseOutOfMemory {
			t.Errorf("it ended so: %+v", s.End)
		}
		if !strings.Contains(groups, above+"/"+cagesName(r.layout)) || strings.Contains(groups, own+"/") {
			t.Errorf("the groups are %q", groups)
		}
	} else if !strings.Contains(groups, own+"/"+cagesName(r.layout)) {
		t.Errorf("no group above can limit memory, and the groups are %q", groups)
	}
	if err := r.Quit(context.Background()); err != nil {
		runstest.StopAll(t, r)
	}
}

// delegatedGroups makes a group of version 2 that is marked as delegated, and one
// below it for who it is delegated to; empty where that cannot be.
func delegatedGroups(t *testing.T) (above, own string) {
	t.Helper()
	unified, _ := ownGroups()
	if unified == "" {
		return "", ""
	}
	above = filepath.Join(unified, "armada-delegated-"+strconv.Itoa(os.Getpid()))
	own = filepath.Join(above, "own")
	if err := os.MkdirAll(own, 0o755); err != nil {
		return "", ""
	}
	t.Cleanup(func() { eventually(t, "the delegated groups to go", func() bool { return removeGroup(above) }) })
	enableMemory(unified)
	if err := unix.Setxattr(above, "user.delegate", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	return above, own
}
