//go:build linux

package process

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"armada"
	"armada/internal/podspec"
	"armada/internal/runs"
)

// Times that nobody configures.
const (
	drainPatience   = 2 * time.Second  // for output that an undiscovered process holds open
	sidecarPause    = time.Second      // before a sidecar that ended is started again
	sidecarMaxPause = time.Minute      // the longest such pause; it doubles
	defaultGrace    = 30 * time.Second // as in Kubernetes
	retryPause      = time.Second      // before the journal is tried again
)

// halt is why a run must end before its containers do.
type halt uint8

const (
	haltNone     halt = iota
	haltStop          // Stop was called
	haltDeadline      // its active deadline has passed
	haltShutdown      // the supervisor was told to end
)

// run is one run that lives. Its goroutine is live; others may call halt.
type run struct {
	sup      *supervisor
	order    runs.Order
	folder   folder
	lifeline *os.File
	log      *logWriter

	mu          sync.Mutex
	status      runs.Status
	containers  []podspec.Container // once they are read
	live        map[*instance]bool  // started and not yet ended
	spawned     int                 // instances so far
	begun       map[*podspec.Container]bool
	halted      halt
	interrupted bool          // something that counts was not over when it was halted
	skipped     bool          // something that counts was not started because of that
	halting     chan struct{} // closed when halted
	finishing   bool          // only sidecars are left
	grace       time.Duration // what its pod spec gives it
	killAt      time.Time
	killer      *time.Timer

	began time.Time // when the first container was started
	spent int64     // nanoseconds of processors that the ended containers used
	told  int64     // the most that was told of all
}

// result is how a container ended.
type result struct {
	end    armada.ContainerEnd
	failed bool
	oom    bool
}

// execute runs the containers of the order to their end, and answers with the
// status of the ended run but its time.
func (r *run) execute() runs.Status {
	spec, err := podspec.Decode(r.order.Spec)
	if err != nil {
		return r.concludeBroken(fmt.Sprintf("the pod spec cannot be read: %v", err))
	}
	r.setGrace(spec)
	spec.AddEnv(runs.Variables(&r.order))
	containers := spec.Containers(fields(&r.order))
	r.mu.Lock()
	r.containers = containers
	r.mu.Unlock()
	if problem := cannotWork(containers); problem != "" {
		return r.concludeBroken(problem)
	}
	if deadline, limited := spec.ActiveDeadline(); limited {
		late := time.AfterFunc(deadline, func() { r.halt(haltDeadline, 0) })
		defer late.Stop()
	}
	var sidecars sync.WaitGroup
	defer sidecars.Wait()
	results, proper := r.initialise(containers, &sidecars)
	if proper {
		results = append(results, r.together(containers)...)
	}
	r.finishSidecars()
	sidecars.Wait()
	return r.conclude(results, proper)
}

func (r *run) setGrace(spec *podspec.Spec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if grace := spec.GracePeriod(); grace > 0 {
		r.grace = grace
	}
}

// cannotWork says why the containers can never run here; empty when they may.
func cannotWork(containers []podspec.Container) string {
	for i := range containers {
		c := &containers[i]
		if len(c.Command) == 0 || c.Command[0] == "" {
			return fmt.Sprintf("container %s has no command: this runtime runs commands of its machine and no images (the image is %q)", c.Name, c.Image)
		}
		if len(c.Unmet) > 0 {
			return fmt.Sprintf("container %s needs what this runtime has not: %s", c.Name, strings.Join(c.Unmet, "; "))
		}
	}
	return ""
}

// initialise runs the init containers in order, starts the sidecars among them,
// and tells whether the others may start.
func (r *run) initialise(containers []podspec.Container, sidecars *sync.WaitGroup) ([]result, bool) {
	var results []result
	for i := range containers {
		c := &containers[i]
		switch {
		case !c.Init:
		case c.Sidecar:
			started := make(chan struct{})
			sidecars.Go(func() { r.sidecar(c, started) })
			<-started
		default:
			res := r.toEnd(c)
			if res == nil {
				return results, false
			}
			results = append(results, *res)
			if res.failed {
				return results, false
			}
		}
	}
	return results, true
}

// together runs the containers beside each other to the end of the last.
func (r *run) together(containers []podspec.Container) []result {
	var started []*instance
	results := make([]result, 0, len(containers))
	for i := range containers {
		c := &containers[i]
		if c.Init {
			continue
		}
		in, failure := r.begin(c)
		switch {
		case failure != nil:
			results = append(results, notStarted(c, failure))
		case in != nil:
			started = append(started, in)
		}
	}
	if len(started) > 0 {
		r.setRunning()
	}
	for _, in := range started {
		results = append(results, r.wait(in))
	}
	return results
}

// toEnd runs one container to its end; nil when the run was halted before.
func (r *run) toEnd(c *podspec.Container) *result {
	in, failure := r.begin(c)
	if failure != nil {
		res := notStarted(c, failure)
		return &res
	}
	if in == nil {
		return nil
	}
	res := r.wait(in)
	return &res
}

func notStarted(c *podspec.Container, failure *startError) result {
	return result{failed: true, end: armada.ContainerEnd{
		Name: c.Name, ExitCode: failure.code, Reason: "CannotRun", Message: failure.text,
	}}
}

// begin starts a container, and answers nil and nil when the run is halted.
func (r *run) begin(c *podspec.Container) (*instance, *startError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.halted != haltNone || (c.Sidecar && r.finishing) {
		if !c.Sidecar {
			r.interrupted, r.skipped = true, true
		}
		return nil, nil
	}
	if r.begun[c] {
		r.log.again(c.Name)
	}
	r.begun[c] = true
	in, failure := r.spawn(c)
	if failure == nil {
		r.live[in] = true
		if r.began.IsZero() {
			r.began = time.Now()
		}
	}
	return in, failure
}

// wait waits for the end of a container and of everything it has started.
func (r *run) wait(in *instance) result {
	<-in.child.over
	in.closed.Wait() // before it is decided who is the last: what commands leave is looked for by the last
	r.mu.Lock()
	delete(r.live, in)
	last := len(r.live) == 0
	r.mu.Unlock()
	r.clear(in, last)
	in.drain(drainPatience)
	r.mu.Lock()
	r.spent += in.used()
	r.mu.Unlock()
	res := result{oom: in.cage.outOfMemory()}
	r.sup.discard(in.cage)

	status := in.child.status
	res.end = armada.ContainerEnd{Name: in.container.Name, ExitCode: in.child.exitCode(), Reason: "Completed"}
	if status.Signaled() {
		res.end.Message = fmt.Sprintf("ended by signal %d (%v)", int(status.Signal()), status.Signal())
	}
	if res.end.ExitCode != 0 {
		res.failed, res.end.Reason = true, "Error"
	}
	if res.failed && res.oom {
		res.end.Cause, res.end.Reason = armada.CauseOutOfMemory, "OOMKilled"
	}
	return res
}

// clear kills what is left of a container whose first process has ended. With
// a cage nothing can hide; without one, strays are known by their marks, which
// are the run's, so that they can be looked for only after the last container
// of those that live.
func (r *run) clear(in *instance, last bool) {
	left := in.cage.kill
	if in.cage.unified == "" {
		if !last {
			return
		}
		left = func() bool {
			return r.sup.reaper.killStrays(func(pid int) bool { return r.sup.layout.marks(pid)[r.order.Run] }) > 0
		}
	}
	for {
		gathered := r.sup.reaper.nextStray()
		if !left() {
			return
		}
		select {
		case <-gathered:
		case <-time.After(100 * time.Millisecond): // one that is still its parent's child ends unseen by us
		}
	}
}

// sidecar runs a sidecar, again when it ends, until the run needs it no more.
// started is closed when it was started for the first time, or could not be.
func (r *run) sidecar(c *podspec.Container, started chan struct{}) {
	pause := sidecarPause
	for first := true; ; first = false {
		in, failure := r.begin(c)
		if first {
			close(started)
		}
		if failure != nil {
			r.log.appendLines(c.Name, true, [][]byte{[]byte("armada: " + failure.text)})
		} else if in == nil {
			return
		} else {
			r.wait(in)
		}
		select {
		case <-r.halting:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, sidecarMaxPause)
	}
}

// finishSidecars ends the sidecars when nothing else is left.
func (r *run) finishSidecars() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finishing = true
	if r.halted == haltNone {
		close(r.halting)
	}
	r.signal(syscall.SIGTERM, true)
	r.killAfter(r.grace)
}

// halt ends the run: politely, after grace by force. Grace 0 stands for that of
// the pod spec, a negative one for none. Of several calls the earliest force
// counts, and the first reason.
func (r *run) halt(why halt, grace time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status.Phase.Ended() {
		return // its end is being written down
	}
	if r.halted == haltNone {
		r.halted = why
		if !r.finishing {
			close(r.halting)
		}
		if why == haltStop {
			r.status.Stopping = true
			r.sup.ledger.Put(r.status)
		}
		if r.signal(syscall.SIGTERM, false) {
			r.interrupted = true
		}
	}
	if grace == 0 {
		grace = r.grace
	}
	r.killAfter(grace)
}

// signal sends a signal to the living sidecars or to the others, and tells
// whether any of them lived; the lock is held.
func (r *run) signal(s syscall.Signal, sidecars bool) bool {
	alive := false
	for in := range r.live {
		if in.container.Sidecar == sidecars && r.sup.reaper.signal(in.child, s) {
			alive = true
		}
	}
	return alive
}

// killAfter sees to it that all is killed after grace, unless that will happen
// earlier; the lock is held.
func (r *run) killAfter(grace time.Duration) {
	at := time.Now().Add(max(grace, 0))
	if !r.killAt.IsZero() && !at.Before(r.killAt) {
		return
	}
	r.killAt = at
	if r.killer != nil {
		r.killer.Stop()
	}
	if grace <= 0 {
		r.kill()
		return
	}
	r.killer = time.AfterFunc(grace, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.kill()
	})
}

// kill ends all that lives by force; the lock is held.
func (r *run) kill() {
	for in := range r.live {
		r.sup.reaper.signal(in.child, syscall.SIGKILL)
		in.cage.kill()
	}
}

func (r *run) setRunning() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Phase, r.status.Running = runs.Running, time.Now()
	r.sup.ledger.Put(r.status)
}
