//go:build linux

package process

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reaper starts processes and collects every child of this process: those that
// it started and the strays that become children when their parents die,
// because this process is their subreaper.
//
// A process id means the process only until it is collected. All sending of
// signals by id therefore happens under the lock under which children are
// collected; a leader is collected after its group was killed.
type reaper struct {
	mu       sync.Mutex
	children map[int]*child
	gathered chan struct{} // closed and replaced when a stray was collected

	signals chan os.Signal
	quit    chan struct{}
	done    chan struct{}
}

// child is the first process of a container or of a command.
type child struct {
	pid    int
	over   chan struct{} // closed when it has ended
	status syscall.WaitStatus
	cpu    int64 // nanoseconds that it used, with those of its children that it waited for
}

// exitCode is how a child has ended, as a shell counts it.
func (c *child) exitCode() int32 {
	if c.status.Signaled() {
		return 128 + int32(c.status.Signal())
	}
	return int32(c.status.ExitStatus())
}

// newReaper makes this process a subreaper and collects its children until
// close.
func newReaper() (*reaper, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a subreaper: %w", err)
	}
	r := &reaper{
		children: make(map[int]*child), gathered: make(chan struct{}),
		signals: make(chan os.Signal, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	signal.Notify(r.signals, unix.SIGCHLD)
	go r.run()
	return r, nil
}

func (r *reaper) run() {
	defer close(r.done)
	for {
		r.collect()
		select {
		case <-r.signals:
		case <-r.quit:
			return
		}
	}
}

func (r *reaper) close() {
	signal.Stop(r.signals)
	close(r.quit)
	<-r.done
}

// start starts a process as the leader of a session of its own. within runs
// around the start, on a thread that it may change; its error is that it could
// not change it back.
func (r *reaper) start(path string, argv []string, attr *syscall.ProcAttr, within func(start func()) error) (*child, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	attr.Sys.Setsid = true
	var pid int
	var err error
	onThread(func() error {
		return within(func() { pid, _, err = syscall.StartProcess(path, argv, attr) })
	})
	if err != nil {
		return nil, err
	}
	c := &child{pid: pid, over: make(chan struct{})}
	r.children[pid] = c
	return c, nil
}

// onThread runs f on a thread that nobody else uses meanwhile, and afterwards
// only if f succeeds. It is never the first thread of this process: to the
// kernel that one stands for the whole, and what moves it moves our memory too.
func onThread(f func() error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			onThread(f)
		}()
		<-done
		runtime.UnlockOSThread()
		return
	}
	if f() == nil {
		runtime.UnlockOSThread() // otherwise the thread ends with its goroutine
	}
}

// signal sends a signal to the group of a child that has not been collected,
// and tells whether the child itself still lived.
func (r *reaper) signal(c *child, s syscall.Signal) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.children[c.pid] != c {
		return false
	}
	alive := peek(unix.P_PID, c.pid) == 0
	_ = unix.Kill(-c.pid, s) // the only error is that nobody is left
	return alive
}

// collect takes in everybody who has ended.
func (r *reaper) collect() {
	stray := false
	for {
		pid := peek(unix.P_ALL, 0)
		if pid == 0 {
			break
		}
		r.mu.Lock()
		c := r.children[pid]
		if c != nil {
			_ = unix.Kill(-pid, unix.SIGKILL) // the group ends with its leader
		}
		var status syscall.WaitStatus
		var used syscall.Rusage
		_, err := syscall.Wait4(pid, &status, syscall.WNOHANG, &used)
		for errors.Is(err, syscall.EINTR) {
			_, err = syscall.Wait4(pid, &status, syscall.WNOHANG, &used)
		}
		if c == nil {
			stray = true
		} else {
			delete(r.children, pid)
			c.status, c.cpu = status, used.Utime.Nano()+used.Stime.Nano()
			close(c.over)
		}
		r.mu.Unlock()
	}
	if stray {
		r.mu.Lock()
		close(r.gathered)
		r.gathered = make(chan struct{})
		r.mu.Unlock()
	}
}

// started tells whether a living child was started here, and is no stray.
func (r *reaper) started(pid int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.children[pid] != nil
}

// nextStray returns a channel that is closed when the next stray was collected.
func (r *reaper) nextStray() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gathered
}

// killStrays kills the children that nobody started here and of which belongs
// says so, and tells how many there were.
func (r *reaper) killStrays(belongs func(pid int) bool) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := 0
	for _, pid := range offspring() {
		if r.children[pid] == nil && belongs(pid) {
			found++
			_ = unix.Kill(pid, unix.SIGKILL) // a child's id is its own until it is collected, under this lock
		}
	}
	return found
}

// offspring lists the children of this process.
func offspring() []int {
	var pids []int
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		list, err := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(list)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// siginfo is the part of waitid's answer that we need; the kernel aligns the
// union after the three numbers to a pointer.
type siginfo struct {
	numbers [3]int32
	_       [unsafe.Sizeof(uintptr(0)) - 4]byte
	pid     int32
	_       [128]byte
}

// peek returns the id of a child that has ended and leaves it to be collected;
// 0 when there is none.
func peek(kind, id int) int {
	for {
		var info siginfo
		err := unix.Waitid(kind, id, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0
		}
		return int(info.pid)
	}
}
