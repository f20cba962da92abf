//go:build linux

package room_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"armada/test/kube/node/room"
)

// Words that make this test binary a program of its own.
const (
	serves = "serves" // answers connections to port 8080 with what it sees in the folder that its second word names
	opens  = "opens"  // opens the room of orphans in the folder that its second word names, and waits to be killed
)

func TestMain(m *testing.M) {
	if code, was := room.Main(); was {
		os.Exit(code)
	}
	if len(os.Args) == 3 && os.Args[1] == serves {
		panic(serve(os.Args[2]))
	}
	if len(os.Args) == 3 && os.Args[1] == opens {
		_, err := room.Open(orphans(os.Args[2]))
		fmt.Println("opened", err)
		select {}
	}
	os.Exit(m.Run())
}

func serve(folder string) error {
	listener, err := net.Listen("tcp", "10.99.0.1:8080")
	if err != nil {
		return err
	}
	for {
		c, err := listener.Accept()
		if err != nil {
			return err
		}
		entries, _ := os.ReadDir(folder)
		fmt.Fprint(c, len(entries), " files")
		_ = c.Close()
	}
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func plan(folder string) room.Plan {
	return room.Plan{
		Folder: folder, Group: "armada-room-test-" + strconv.Itoa(os.Getpid()), Address: "10.99.0.1", Forward: "10.99.0.1:8080",
		Private: []string{filepath.Join(folder, "private")},
	}
}

// orphans is a room with a program that leaves another one behind, a mount, and
// control groups below the room's in every hierarchy, as container runtimes do.
func orphans(folder string) room.Plan {
	p := plan(folder)
	groups := []string{filepath.Join("/sys/fs/cgroup", p.Group)}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil { // version 1
		roots, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
		groups = nil
		for _, file := range roots {
			groups = append(groups, filepath.Join(filepath.Dir(file), p.Group))
		}
	}
	p.Programs = []room.Program{
		{Name: "leaves", Once: true, Args: []string{"/bin/sh", "-c", `sleep 100000 & echo > private/file; for group in $GROUPS_MADE; do mkdir -p "$group/below"; done`}, Env: []string{"ROOM=" + folder, "GROUPS_MADE=" + strings.Join(groups, " ")}},
		{Name: "stays", Args: []string{"/bin/sleep", "100000"}, Env: []string{"ROOM=" + folder}},
	}
	return p
}

// begun tells whether the last program of the room of orphans was started.
func begun(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "stays.log"))
	return err == nil && living(folder) > 1
}

// isGone tells whether nothing is left of a room.
func isGone(r *room.Room) bool {
	select {
	case <-r.Gone():
		return true
	default:
		return false
	}
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited for %s", what)
		}
	}
}

// living counts the processes that were told that their room is the folder.
func living(folder string) int {
	n := 0
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		if text, _ := os.ReadFile(file); bytes.Contains(text, []byte("ROOM="+folder+"\x00")) {
			n++
		}
	}
	return n
}

// left is what there is of a room.
func left(folder string, opener int) []string {
	var found []string
	if n := living(folder); n > 0 {
		found = append(found, strconv.Itoa(n)+" processes")
	}
	for _, pattern := range []string{folder, "/sys/fs/cgroup/armada-room-test-" + strconv.Itoa(opener), "/sys/fs/cgroup/*/armada-room-test-" + strconv.Itoa(opener)} {
		paths, _ := filepath.Glob(pattern)
		found = append(found, paths...)
	}
	if mounts, _ := os.ReadFile("/proc/self/mounts"); bytes.Contains(mounts, []byte(folder)) {
		found = append(found, "mounts")
	}
	return found
}

// folder is one that the room deletes.
func folder(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "room")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNothingIsLeftOfAClosedRoom(t *testing.T) {
	at := folder(t)
	r, err := room.Open(orphans(at))
	if err != nil {
		t.Fatal(err)
	}
	await(t, "its programs to be started, or it to be gone", func() bool { return begun(at) || isGone(r) })
	if isGone(r) {
		t.Fatal(r.Err())
	}
	if seen, err := os.ReadDir(filepath.Join(at, "private")); err != nil || len(seen) != 0 {
		t.Errorf("outside of the room its private folder has %v, %v", seen, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if found := left(at, os.Getpid()); len(found) > 0 {
		t.Errorf("there is still %v", found)
	}
}

func TestNothingIsLeftOfARoomWhoseOpenerIsKilled(t *testing.T) {
	at := folder(t)
	opener := exec.Command(self(t), opens, at)
	stdout, err := opener.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := opener.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || said != "opened <nil>\n" {
		t.Fatalf("it says %q, %v", said, err)
	}
	await(t, "its programs to be started", func() bool { return begun(at) })
	if err := opener.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = opener.Wait()
	await(t, "everything to go", func() bool { return len(left(at, opener.Process.Pid)) == 0 })
}

func TestARoomEndsWithAnyOfItsProgramsAndSaysWhy(t *testing.T) {
	at := folder(t)
	p := plan(at)
	p.Programs = []room.Program{
		{Name: "stays", Args: []string{"/bin/sleep", "100000"}, Env: []string{"ROOM=" + at}},
		{Name: "fails", Args: []string{"/bin/sh", "-c", "echo so it is; exit 3"}},
	}
	r, err := room.Open(p)
	if err != nil {
		t.Fatal(err)
	}
	<-r.Gone()
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "fails ended (exit code 3); the end of its log:\nso it is") {
		t.Errorf("it says %v", err)
	}
	if found := left(at, os.Getpid()); len(found) > 0 {
		t.Errorf("there is still %v", found)
	}
}

func TestConnectionsAreLedIntoARoomWhereFoldersArePrivate(t *testing.T) {
	at := folder(t)
	p := plan(at)
	hidden, kept := filepath.Join(at, "private"), filepath.Join(at, "private", "kept")
	if err := os.MkdirAll(kept, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(hidden, "hidden"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for folder, want := range map[string]string{hidden: "1 files", kept: "0 files"} {
		p.Kept = []string{kept}
		p.Programs = []room.Program{{Name: "serves", Args: []string{self(t), serves, folder}}}
		var said []byte
		r, err := room.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		await(t, "an answer", func() bool {
			if isGone(r) {
				t.Fatal(r.Err())
			}
			c, err := net.Dial("tcp", r.Addr)
			if err != nil {
				return false
			}
			defer c.Close()
			said, _ = io.ReadAll(c)
			return len(said) > 0
		})
		if string(said) != want {
			t.Errorf("in the room %s has %s, want %s", folder, said, want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := os.MkdirAll(kept, 0o755); err != nil { // the room has deleted it
			t.Fatal(err)
		}
	}
}
