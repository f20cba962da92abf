package executor

import (
	"cmp"
	"slices"
	"sync"

	"armada"
	"armada/internal/runs"
)

// ledger holds every run that the agent answers for: from the lease that
// brought it, or its discovery at the start, to the acknowledged report of its
// end. It may be used by many goroutines. What it costs grows with what changes,
// not with what it holds.
type ledger struct {
	mu      sync.Mutex
	entries map[armada.RunID]*entry
	news    map[armada.RunID]*entry // those that the server does not know all of
	waiting map[armada.RunID]*entry // those that are held
}

// entry is one run of the ledger.
type entry struct {
	status runs.Status // as last told by the runtime, or by the agent itself
	known  runs.Phase  // the latest phase that the server has acknowledged
	// held is the order of a run that waits for the runs in after to end.
	held  *runs.Order
	after []armada.RunID
	// returned tells that the run ends as a lease given back.
	returned *giveBack
	// leaseLost tells that the run is stopped because the lease ends.
	leaseLost bool
	// ours tells that the runtime does not know the run: the agent made the
	// status.
	ours bool
	// starting tells that the runtime is being asked to start the run; a stop
	// that comes meanwhile waits for the answer.
	starting, stop bool
}

// giveBack tells why a lease is given back.
type giveBack struct {
	reason    string
	attempted bool // the pod may have run
	draining  bool // because the executor stops, which is no fault of the job
}

// report is what the server does not know yet of one run.
type report struct {
	status   runs.Status
	known    runs.Phase
	returned *giveBack
}

func newLedger() *ledger {
	return &ledger{
		entries: map[armada.RunID]*entry{},
		news:    map[armada.RunID]*entry{},
		waiting: map[armada.RunID]*entry{},
	}
}

// take enters a leased run. It answers false for a run that is entered already.
func (l *ledger) take(o *runs.Order, after []armada.RunID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.entries[o.Run]; known {
		return false
	}
	e := &entry{status: runs.Status{Run: o.Run, Job: o.Job, Queue: o.Queue, JobSet: o.JobSet, Node: o.Node}, ours: true}
	if len(after) > 0 {
		e.held, e.after = o, slices.Clone(after)
		l.waiting[o.Run] = e
	}
	e.starting = e.held == nil
	l.entries[o.Run] = e
	return true
}

// started notes that the runtime has taken the run, and tells whether somebody
// wanted it stopped meanwhile.
func (l *ledger) started(run armada.RunID) (stop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, found := l.entries[run]
	if !found {
		return false
	}
	e.starting = false
	return e.stop
}

// giveUp ends a run that the runtime does not know, as a returned lease or,
// when a stop was asked for, as stopped; a run that was never leased here is as
// good as stopped. It answers false for a run that is the runtime's, or is being
// started: then started tells of the stop.
func (l *ledger) giveUp(run armada.RunID, returned *giveBack) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, found := l.entries[run]
	if !found {
		job, _ := run.Job()
		e = &entry{status: runs.Status{Run: run, Job: job}, ours: true}
		l.entries[run] = e
	}
	if !e.ours {
		return false
	}
	if e.starting && returned == nil {
		e.stop = true
		return false
	}
	e.starting = false
	e.status.Phase, e.held, e.returned = runs.Stopped, nil, returned
	delete(l.waiting, run)
	l.news[run] = e
	return true
}

// learn takes over what the runtime tells. Runs that were not entered are
// adopted. It returns the orders whose wait is over.
func (l *ledger) learn(statuses []runs.Status) (ready []*runs.Order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range statuses {
		e, found := l.entries[statuses[i].Run]
		if !found {
			e = &entry{}
			l.entries[statuses[i].Run] = e
		}
		e.status, e.ours = statuses[i], false
		if e.status.Phase > e.known {
			l.news[e.status.Run] = e
		}
	}
	for run, e := range l.waiting {
		if !slices.ContainsFunc(e.after, l.alive) {
			ready = append(ready, e.held)
			e.held, e.starting = nil, true
			delete(l.waiting, run)
		}
	}
	return ready
}

func (l *ledger) alive(run armada.RunID) bool {
	e, found := l.entries[run]
	return found && !e.status.Phase.Ended()
}

// unreported returns what the server does not know yet, by run id. While the
// executor drains, a run that was stopped counts as given back.
func (l *ledger) unreported(draining bool) []report {
	l.mu.Lock()
	defer l.mu.Unlock()
	reports := make([]report, 0, len(l.news))
	for _, e := range l.news {
		if draining && e.status.Phase == runs.Stopped && e.returned == nil {
			e.returned = &giveBack{reason: "the executor was stopped", attempted: true, draining: true}
		}
		reports = append(reports, e.report())
	}
	slices.SortFunc(reports, func(a, b report) int { return cmp.Compare(a.status.Run, b.status.Run) })
	return reports
}

// report tells what the server does not know of the run. One that was stopped
// for the lease has failed, as it would have when the server gave it up.
func (e *entry) report() report {
	r := report{status: e.status, known: e.known, returned: e.returned}
	if e.leaseLost && e.returned == nil && e.status.Phase == runs.Stopped {
		r.status.Phase = runs.Failed
		r.status.End.Category, r.status.End.Subcategory = armada.CategoryInternal, armada.SubcategoryLeaseExpired
		r.status.End.Reason = "the executor could not reach the server for as long as its lease and stopped the run"
	}
	return r
}

// loseLease marks every run that has not ended, and returns them in order.
func (l *ledger) loseLease() []armada.RunID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var active []armada.RunID
	for id, e := range l.entries {
		if !e.status.Phase.Ended() {
			e.leaseLost = true
			active = append(active, id)
		}
	}
	slices.Sort(active)
	return active
}

// acknowledged notes that the server knows a report, and tells whether the run
// is over and was the runtime's: it may be forgotten there.
func (l *ledger) acknowledged(r report) (forget bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, found := l.entries[r.status.Run]
	if !found {
		return false
	}
	if e.known = max(e.known, r.status.Phase); e.status.Phase <= e.known {
		delete(l.news, r.status.Run)
	}
	if !r.status.Phase.Ended() {
		return false
	}
	delete(l.entries, r.status.Run)
	delete(l.news, r.status.Run)
	return !e.ours
}

// size is how many runs the ledger has.
func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

// ids lists the runs of the ledger in order.
func (l *ledger) ids() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	ids := make([]string, 0, len(l.entries))
	for id := range l.entries {
		ids = append(ids, string(id))
	}
	slices.Sort(ids)
	return ids
}

// active lists the runs that have not ended, in order.
func (l *ledger) active() []armada.RunID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var active []armada.RunID
	for id, e := range l.entries {
		if !e.status.Phase.Ended() {
			active = append(active, id)
		}
	}
	slices.Sort(active)
	return active
}
