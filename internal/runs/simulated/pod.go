package simulated

import (
	"container/heap"
	"fmt"
	"strconv"
	"strings"
	"time"

	"armada"
	"armada/internal/runs"
)

// Exit codes of pods that are stopped: killed by SIGTERM, by SIGKILL.
const (
	exitTerminated = 143
	exitKilled     = 137
)

// plan is what a pod will do if nobody interferes.
type plan struct {
	pending, runtime, stop time.Duration
	exitCode               int32
	lines                  []string
}

// planOf reads the annotations of an order over the configured defaults. The
// error names the annotation that cannot be read.
func planOf(c *Config, annotations map[string]string) (plan, error) {
	p := plan{pending: c.PendingDelay, runtime: c.Runtime, exitCode: c.ExitCode}
	for _, d := range []struct {
		key  string
		into *time.Duration
	}{
		{AnnotationPendingDelay, &p.pending},
		{AnnotationRuntime, &p.runtime},
		{AnnotationStopDelay, &p.stop},
	} {
		if text, given := annotations[d.key]; given {
			value, err := time.ParseDuration(text)
			if err != nil || value < 0 {
				return plan{}, fmt.Errorf("annotation %s: %q is no duration such as 1.5s", d.key, text)
			}
			*d.into = value
		}
	}
	if text, given := annotations[AnnotationExitCode]; given {
		code, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return plan{}, fmt.Errorf("annotation %s: %q is no exit code from 0 to 255", AnnotationExitCode, text)
		}
		p.exitCode = int32(code)
	}
	if text := annotations[AnnotationLog]; text != "" {
		p.lines = strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	}
	return p, nil
}

// pod is one run on a made-up node.
type pod struct {
	status runs.Status
	plan   plan
	index  int       // of the timetable; -1 when nothing more will happen
	due    time.Time // of its next step
	order  uint64    // of pods due at the same time, the earlier started is first

	ran    chan struct{} // closed when it has begun to run
	ends   time.Time     // of its own life; zero while pending
	stopAt time.Time     // when a stop ends it; zero without one
	forced bool          // that stop is by force
}

// step does what is due at now and says whether the status changed.
func (p *pod) step(now time.Time) bool {
	s := &p.status
	if !p.stopAt.IsZero() && !p.stopAt.After(now) && (p.ends.IsZero() || p.stopAt.Before(p.ends)) {
		code := int32(exitTerminated)
		if p.forced {
			code = exitKilled
		}
		p.end(runs.Stopped, p.stopAt, code, "stopped")
		return true
	}
	if s.Phase == runs.Pending && !p.due.After(now) {
		s.Phase, s.Running = runs.Running, p.due
		p.ends = p.due.Add(p.plan.runtime)
		if p.ends.After(now) {
			return true
		}
	}
	if s.Phase != runs.Running || p.ends.After(now) {
		return false
	}
	if p.plan.exitCode == 0 {
		p.end(runs.Succeeded, p.ends, 0, "")
	} else {
		p.end(runs.Failed, p.ends, p.plan.exitCode, fmt.Sprintf("container main ended with exit code %d", p.plan.exitCode))
	}
	return true
}

func (p *pod) end(phase runs.Phase, at time.Time, code int32, reason string) {
	p.status.Phase, p.status.Ended, p.status.Stopping = phase, at, false
	p.status.End = armada.RunEnd{Reason: reason}
	if !p.status.Running.IsZero() {
		p.status.End.Containers = []armada.ContainerEnd{{Name: "main", ExitCode: code, Reason: reason}}
	}
}

// next is when the pod has to be looked at again.
func (p *pod) next() time.Time {
	at := p.ends
	if p.status.Phase == runs.Pending {
		at = p.status.Pending.Add(p.plan.pending)
	}
	if !p.stopAt.IsZero() && p.stopAt.Before(at) {
		at = p.stopAt
	}
	return at
}

// timetable orders pods by their next step; it is a container/heap.
type timetable []*pod

func (t timetable) Len() int { return len(t) }

func (t timetable) Less(i, j int) bool {
	if !t[i].due.Equal(t[j].due) {
		return t[i].due.Before(t[j].due)
	}
	return t[i].order < t[j].order
}

func (t timetable) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

// Push is for container/heap.
func (t *timetable) Push(x any) {
	p := x.(*pod)
	p.index = len(*t)
	*t = append(*t, p)
}

// Pop is for container/heap.
func (t *timetable) Pop() any {
	last := len(*t) - 1
	p := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	p.index = -1
	return p
}

// plan puts the pod where its next step belongs, or takes it out when over.
func (t *timetable) plan(p *pod) {
	switch {
	case p.status.Phase.Ended():
		if p.index >= 0 {
			heap.Remove(t, p.index)
		}
	case p.index < 0:
		p.due = p.next()
		heap.Push(t, p)
	default:
		p.due = p.next()
		heap.Fix(t, p.index)
	}
}
