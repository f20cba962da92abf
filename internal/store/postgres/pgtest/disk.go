package pgtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Disk is a small file system that a server's data is on and nothing else. It is
// mounted where only the server sees it, in a mount namespace of its own, which a
// waiting process holds; without root in a user namespace besides. When that
// process ends, nothing is left of it.
type Disk struct {
	folder string // where the server sees it
	holder *exec.Cmd
	open   io.Closer // the holder's input, whose end ends it
}

// StartOnDisk makes a cluster on a disk of so many bytes, and starts it. With
// logApart its write-ahead log is not on that disk.
func StartOnDisk(t testing.TB, size int64, logApart bool, options ...string) (*Server, *Disk) {
	t.Helper()
	s, err := settle(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	if s.disk, err = mount(filepath.Join(s.folder, "disk"), size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.disk.remove)
	var more []string
	if logApart {
		more = append(more, "--waldir="+filepath.Join(s.folder, "wal"))
	}
	if err := s.initialize(more...); err != nil {
		t.Fatal(err)
	}
	s.Restart(t)
	return s, s.disk
}

// mount makes the disk.
func mount(folder string, size int64) (*Disk, error) {
	if err := os.Mkdir(folder, 0o755); err != nil {
		return nil, err
	}
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil {
		return nil, err
	}
	const script = `mount -t tmpfs -o size="$1",mode=1777 tmpfs "$0" && echo mounted && read -r _`
	d := &Disk{folder: folder, holder: exec.Command("sh", "-c", script, folder, strconv.FormatInt(size, 10))}
	d.holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Setpgid: true}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		d.holder.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		d.holder.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
		d.holder.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: gid, Size: 1}}
	}
	said, err := d.holder.StdoutPipe()
	if err != nil {
		return nil, err
	}
	var complaint strings.Builder
	d.holder.Stderr = &complaint
	if d.open, err = d.holder.StdinPipe(); err != nil {
		return nil, err
	}
	if err := d.holder.Start(); err != nil {
		return nil, fmt.Errorf("pgtest: a mount namespace of our own is needed, which takes root or user namespaces: %w", err)
	}
	if line, err := io.ReadAll(io.LimitReader(said, int64(len("mounted\n")))); err != nil || string(line) != "mounted\n" {
		return nil, errors.Join(fmt.Errorf("pgtest: mounting a small disk: %s", &complaint), err, d.holder.Wait())
	}
	return d, nil
}

// enter begins a command line that runs where the disk is seen, as the owner of
// the server; the program is told of its parent's death.
func (d *Disk) enter(owner *syscall.Credential) []string {
	line := []string{"nsenter", "--mount", "--target=" + strconv.Itoa(d.holder.Process.Pid)}
	if owner != nil {
		return append(line, "--", "setpriv", fmt.Sprintf("--reuid=%d", owner.Uid), fmt.Sprintf("--regid=%d", owner.Gid), "--clear-groups", "--pdeathsig=QUIT", "--")
	}
	// Whoever entered is root there, which PostgreSQL does not want.
	return append(line, "--user", "--preserve-credentials", "--", "unshare", "--user", fmt.Sprintf("--map-user=%d", os.Geteuid()),
		fmt.Sprintf("--map-group=%d", os.Getegid()), "--", "setpriv", "--pdeathsig=QUIT", "--")
}

// ballast is the file that takes the room which nobody else has.
func (d *Disk) ballast() string {
	return filepath.Join("/proc", strconv.Itoa(d.holder.Process.Pid), "root", d.folder, "ballast")
}

// Fill takes all of the disk's room but so many bytes.
func (d *Disk) Fill(t testing.TB, left int64) {
	t.Helper()
	var room syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(d.ballast()), &room); err != nil {
		t.Fatal(err)
	}
	size := int64(room.Bavail)*room.Bsize - left
	if size <= 0 {
		t.Fatalf("pgtest: the disk has %d bytes of room already, %d were to be left", size+left, left)
	}
	file, err := os.Create(d.ballast())
	if err == nil {
		err = syscall.Fallocate(int(file.Fd()), 0, 0, size)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Free gives the room back that Fill took.
func (d *Disk) Free(t testing.TB) {
	t.Helper()
	if err := os.Remove(d.ballast()); err != nil {
		t.Fatal(err)
	}
}

func (d *Disk) remove() {
	_ = d.open.Close()
	_ = d.holder.Wait()
}
