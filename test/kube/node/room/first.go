//go:build linux

package room

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startPatience is how long a program may take until it answers, on a busy
// machine.
const startPatience = 2 * time.Minute

// live is the first process of a room: it furnishes the room, starts the programs
// and reaps the orphans. With it the room ends.
func live() error {
	signal.Ignore(syscall.SIGPIPE)
	var plan Plan
	if err := json.NewDecoder(os.Stdin).Decode(&plan); err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	if err := furnish(&plan); err != nil {
		return err
	}
	if err := network(plan.Address); err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(door, "door"))
	if err != nil {
		return err
	}
	go forward(listener, plan.Forward)
	h := household{plan: &plan, ended: reap(), running: map[int]string{}}
	for i := range plan.Programs {
		if err := h.start(&plan.Programs[i]); err != nil {
			return err
		}
	}
	for e := range h.ended {
		if name, ours := h.running[e.pid]; ours {
			return h.failure(name, e.status)
		}
	}
	return nil
}

// furnish makes the mounts of the room.
func furnish(plan *Plan) error {
	// Nothing that is mounted here is seen outside, but what is mounted in here may
	// be passed on to containers.
	for _, how := range []uintptr{unix.MS_SLAVE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", how|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("keeping mounts to ourselves, which needs CAP_SYS_ADMIN: %w", err)
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc for the room's processes; containers that have it masked forbid that: %w", err)
	}
	for _, folder := range plan.Private {
		if err := hide(folder, plan.Kept); err != nil {
			return err
		}
	}
	for path, content := range plan.Files {
		own := filepath.Join(plan.Folder, "as-"+filepath.Base(path))
		if err := os.WriteFile(own, []byte(content), 0o644); err != nil {
			return err
		}
		if err := unix.Mount(own, path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting a file of our own at %s: %w", path, err)
		}
	}
	return nil
}

// hide mounts an empty folder over another, and into it what is kept of that.
func hide(folder string, kept []string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	open := map[string]*os.File{}
	for _, path := range kept {
		if !strings.HasPrefix(path, folder+"/") {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		open[path] = f
	}
	if err := unix.Mount("room", folder, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mounting an empty folder at %s: %w", folder, err)
	}
	for path, f := range open {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("keeping %s in the room: %w", path, err)
		}
	}
	return nil
}

// network gives the room's own loopback its addresses (netdevice(7)).
func network(address string) error {
	ip := net.ParseIP(address).To4()
	if ip == nil {
		return fmt.Errorf("address: must be an IPv4 address, is %q", address)
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	set := func(device string, what uint, fill func(*unix.Ifreq) error) {
		var request *unix.Ifreq
		if request, err = unix.NewIfreq(device); err == nil {
			if err = fill(request); err == nil {
				err = unix.IoctlIfreq(socket, what, request)
			}
		}
	}
	up := func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP); return nil }
	steps := []func(){
		func() { set("lo", unix.SIOCSIFFLAGS, up) },
		func() { set("lo:room", unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(ip) }) },
		func() {
			set("lo:room", unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr(net.IPv4bcast.To4()) })
		},
	}
	for _, step := range steps {
		if step(); err != nil {
			return fmt.Errorf("giving the room the address %s, which needs CAP_NET_ADMIN: %w", address, err)
		}
	}
	return nil
}

// forward leads connections into the room.
func forward(from net.Listener, to string) {
	for {
		outside, err := from.Accept()
		if err != nil {
			return
		}
		go func() {
			defer outside.Close()
			inside, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer inside.Close()
			go func() {
				_, _ = io.Copy(inside, outside)
				_ = inside.(*net.TCPConn).CloseWrite()
			}()
			_, _ = io.Copy(outside, inside)
		}()
	}
}

// ending is a process that has ended.
type ending struct {
	pid    int
	status syscall.WaitStatus
}

// reap reaps whatever ends in the room: orphans become children of its first
// process.
func reap() <-chan ending {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGCHLD)
	ended := make(chan ending)
	go func() {
		for range signals {
			for {
				var e ending
				pid, err := syscall.Wait4(-1, &e.status, syscall.WNOHANG, nil)
				if errors.Is(err, syscall.EINTR) {
					continue
				}
				if err != nil || pid <= 0 {
					break
				}
				e.pid = pid
				ended <- e
			}
		}
	}()
	return ended
}

// household is the programs of the room.
type household struct {
	plan    *Plan
	ended   <-chan ending
	running map[int]string
}

// start starts a program and waits as long as it says.
func (h *household) start(p *Program) error {
	log, err := os.Create(h.logOf(p.Name))
	if err != nil {
		return err
	}
	defer log.Close()
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer nothing.Close()
	pid, err := syscall.ForkExec(p.Args[0], p.Args, &syscall.ProcAttr{
		Env: append(os.Environ(), p.Env...), Dir: h.plan.Folder, Files: []uintptr{nothing.Fd(), log.Fd(), log.Fd()},
	})
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.Args[0], err)
	}
	h.running[pid] = p.Name
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for p.Once || !answers(ctx, p.Until) {
		select {
		case e := <-h.ended:
			name, ours := h.running[e.pid]
			if e.pid == pid && p.Once && e.status.ExitStatus() == 0 {
				delete(h.running, pid)
				return nil
			}
			if ours {
				return h.failure(name, e.status)
			}
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s; the end of its log:\n%s", p.Name, startPatience, h.tail(p.Name))
		}
	}
	return nil
}

// answers tells whether what a program waits for is there.
func answers(ctx context.Context, until string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if path, is := strings.CutPrefix(until, "unix:"); is {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	if until == "" {
		return true
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, until, http.NoBody)
	if err != nil {
		return false
	}
	// Whether it is there is all that is asked.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func (h *household) logOf(name string) string { return filepath.Join(h.plan.Folder, name+".log") }

// failure tells that a program has ended which should not.
func (h *household) failure(name string, status syscall.WaitStatus) error {
	how := "exit code " + strconv.Itoa(status.ExitStatus())
	if status.Signaled() {
		how = status.Signal().String()
	}
	return fmt.Errorf("%s ended (%s); the end of its log:\n%s", name, how, h.tail(name))
}

func (h *household) tail(name string) []byte {
	text, _ := os.ReadFile(h.logOf(name))
	text = bytes.TrimSpace(text)
	return text[max(0, len(text)-3000):]
}
