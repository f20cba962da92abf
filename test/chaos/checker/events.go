package checker

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// The promises about streams of events.
const (
	gapless     = "events of a job set are numbered 1 to n without gap or repeat"
	sameForAll  = "every watcher sees the same events"
	legal       = "events come in a legal order"
	timeForward = "the time of a job's events never goes back"
	oneEnd      = "a job ends once, and nothing follows its end"
)

// agree checks the streams of all watchers and returns the events of each job
// set, as its first watcher saw them.
func agree(f *findings, watches []Watch) map[string][]Event {
	first := map[string]Watch{}
	for _, w := range watches {
		numbered(f, w)
		have, known := first[w.JobSet]
		if !known {
			first[w.JobSet] = w
			continue
		}
		compare(f, have, w)
	}
	events := map[string][]Event{}
	for set, w := range first {
		events[set] = w.Events
	}
	return events
}

func numbered(f *findings, w Watch) {
	incarnation := ""
	for i, e := range w.Events {
		of, digits, _ := strings.Cut(e.ID, "-")
		if i == 0 {
			incarnation = of
		}
		if number, err := strconv.Atoi(digits); err != nil || number != i+1 || of != incarnation {
			f.add(gapless, "%s, job set %s: event %d has the id %q (the first one %q)", w.Watcher, w.JobSet, i+1, e.ID, w.Events[0].ID)
			return
		}
	}
}

func compare(f *findings, a, b Watch) {
	if len(a.Events) != len(b.Events) {
		f.add(sameForAll, "job set %s: %s saw %d events and %s %d", a.JobSet, a.Watcher, len(a.Events), b.Watcher, len(b.Events))
	}
	for i := range min(len(a.Events), len(b.Events)) {
		if x, y := a.Events[i], b.Events[i]; !x.same(y) {
			f.add(sameForAll, "job set %s, event %d: %s saw %+v and %s %+v", a.JobSet, i+1, a.Watcher, x, b.Watcher, y)
			return
		}
	}
}

func (e Event) same(o Event) bool {
	at, other := e.Created, o.Created
	e.Created, o.Created = at, at
	return e == o && at.Equal(other)
}

// life is what the events tell of one job.
type life struct {
	job      string
	set      string
	clientID string
	events   []Event
	end      string // succeeded, failed, cancelled or preempted; empty while it has none
	leases   int
}

// has tells whether there was an event of a kind.
func (l *life) has(kind string) bool {
	return slices.ContainsFunc(l.events, func(e Event) bool { return e.Kind == kind })
}

// follows says which state may follow which. An event that is no state (asides)
// may come anywhere between the first and the last.
var follows = map[string][]string{
	"":               {"submitted"},
	"submitted":      {"queued"},
	"queued":         {"leased", "cancelled", "failed"},
	"leased":         {"pending", "running", "succeeded", "failed", "cancelled", "lease_returned", "lease_expired", "preempted"},
	"pending":        {"running", "succeeded", "failed", "cancelled", "lease_returned", "lease_expired", "preempted"},
	"running":        {"succeeded", "failed", "cancelled", "lease_returned", "lease_expired", "preempted"},
	"lease_returned": {"leased", "cancelled", "failed"},
	"lease_expired":  {"failed", "leased", "cancelled"},
	"preempted":      {"failed"},
	"failed":         {}, // unless it says that another attempt follows
	"succeeded":      {},
	"cancelled":      {},
}

var asides = []string{"reprioritizing", "reprioritized", "cancelling", "preempting", "utilisation", "ingress_info"}

// lives checks the events of every job and returns what they tell, by job.
func lives(f *findings, sets map[string][]Event) map[string]*life {
	jobs := map[string]*life{}
	for set, events := range sets {
		for _, e := range events {
			l := jobs[e.Job]
			if l == nil {
				l = &life{job: e.Job, set: set}
				jobs[e.Job] = l
			}
			if l.set != set {
				f.add(legal, "job %s has events in the job sets %s and %s", e.Job, l.set, set)
			}
			l.events = append(l.events, e)
		}
	}
	for _, l := range sorted(jobs) {
		l.live(f)
	}
	return jobs
}

func (l *life) live(f *findings) {
	state := ""
	for i, e := range l.events {
		if i > 0 && e.Created.Before(l.events[i-1].Created) {
			f.add(timeForward, "job %s: %s at %v, after %s at %v", l.job, e.Kind, e.Created, l.events[i-1].Kind, l.events[i-1].Created)
		}
		if l.end != "" {
			f.add(oneEnd, "job %s: %s after it had ended (%s)", l.job, e.Kind, l.end)
			return
		}
		if slices.Contains(asides, e.Kind) {
			if state == "" {
				f.add(legal, "job %s begins with %s", l.job, e.Kind)
			}
			continue
		}
		if !slices.Contains(follows[state], e.Kind) {
			f.add(legal, "job %s: %s after %s", l.job, e.Kind, cmp.Or(state, "nothing"))
			return
		}
		l.enter(f, state, e)
		if state = e.Kind; e.Kind == "failed" && e.Retryable {
			state = "lease_returned" // it is queued again
		}
	}
}

// enter takes a change of state in.
func (l *life) enter(f *findings, from string, e Event) {
	switch e.Kind {
	case "submitted":
		l.clientID = e.ClientID
	case "leased":
		l.leases++
	case "succeeded":
		l.end = "succeeded"
	case "cancelled":
		l.end = "cancelled"
		if !l.has("cancelling") {
			f.add(legal, "job %s was cancelled without a cancelling before", l.job)
		}
	case "failed":
		switch {
		case e.Retryable:
		case from == "preempted":
			l.end = "preempted"
		default:
			l.end = "failed"
		}
	}
}

// sorted returns the lives by job, so that findings come in a stable order.
func sorted(jobs map[string]*life) []*life {
	all := make([]*life, 0, len(jobs))
	for _, l := range jobs {
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b *life) int { return cmp.Compare(a.job, b.job) })
	return all
}
