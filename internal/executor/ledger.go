package executor

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"armada"
	"armada/internal/runs"
)

// ledger holds every run that the agent answers for: from the lease that
// brought it, or its discovery at the start, to the acknowledged report of its
// end. What it costs grows with what happens, not with what it holds, but for
// the lists of a request. It may be used by many goroutines.
type ledger struct {
	mu      sync.Mutex
	entries map[armada.RunID]*entry
	waiting map[armada.RunID]*entry // the held ones
	news    map[armada.RunID]*entry // those of which the server does not know the phase

	// over remembers runs whose end the server has acknowledged, by the request
	// that was made last before that. A lease of such a run may be on its way
	// still: it was read from the store before the end was on record. Answers to
	// later requests cannot be followed by one, see asked.
	over    map[armada.RunID]uint64
	request uint64
}

// stand is how far the agent has come with a run.
type stand uint8

const (
	held     stand = 1 + iota // it waits for its victims to end
	queued                    // it is to be started
	starting                  // the runtime is being asked to start it
	handed                    // the runtime tells what becomes of it
	settled                   // the agent tells: it never ran here
)

// entry is one run of the ledger.
type entry struct {
	stand  stand
	order  *runs.Order    // until it is handed
	after  []armada.RunID // of a held run: its victims
	status runs.Status    // as last told by the runtime, or by the agent itself
	known  runs.Phase     // the latest phase that the server has acknowledged
	told   bool           // the server has acknowledged the run's addresses
	stuck  string         // why it does not begin, as the server has acknowledged
	usage  *armada.Usage  // what it has used and the server does not know; nil for nothing

	// returned tells that the run ends as a lease given back.
	returned *giveBack
	// leaseLost tells that the run is stopped because the lease ends.
	leaseLost bool
	// stop and grace are a stop that waits for the runtime: to have started the
	// run, or to be asked for it.
	stop  bool
	grace time.Duration
}

// giveBack tells why a lease is given back.
type giveBack struct {
	reason    string
	attempted bool // the pod may have run
	// subcategory says that it is no fault of the job; empty if it may be one.
	subcategory string
}

// report is what the server does not know yet of one run.
type report struct {
	status   runs.Status
	known    runs.Phase
	reached  bool // the addresses are news
	stuck    bool // why it does not begin is news
	usage    *armada.Usage
	returned *giveBack
}

func newLedger() *ledger {
	return &ledger{
		entries: map[armada.RunID]*entry{}, waiting: map[armada.RunID]*entry{},
		news: map[armada.RunID]*entry{}, over: map[armada.RunID]uint64{},
	}
}

// take enters a leased run. It answers false for a run that is known already,
// even if its end is acknowledged: a run is started once. Runs that wait for no
// victims are queued, the others held.
func (l *ledger) take(o *runs.Order, after []armada.RunID) (queue, taken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, over := l.over[o.Run]; over || l.entries[o.Run] != nil {
		return false, false
	}
	e := &entry{
		stand: queued, order: o, after: after,
		status: runs.Status{Run: o.Run, Job: o.Job, Queue: o.Queue, JobSet: o.JobSet, Node: o.Node},
	}
	l.entries[o.Run] = e
	if slices.ContainsFunc(after, l.alive) {
		e.stand, l.waiting[o.Run] = held, e
	}
	return e.stand == queued, true
}

func (l *ledger) alive(run armada.RunID) bool {
	e := l.entries[run]
	return e != nil && !e.status.Phase.Ended()
}

// begin returns the order of a queued run that the runtime is to be asked to
// start now, and nil when it is not to be started any more.
func (l *ledger) begin(run armada.RunID) *runs.Order {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[run]
	if e == nil || e.stand != queued {
		return nil
	}
	e.stand = starting
	return e.order
}

// started notes that the runtime has taken the run, and tells whether it was to
// be stopped meanwhile.
func (l *ledger) started(run armada.RunID) (grace time.Duration, stop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[run]
	if e == nil {
		return 0, false // it has ended and that is acknowledged
	}
	l.hand(e)
	stop, e.stop = e.stop, false
	return e.grace, stop
}

func (l *ledger) hand(e *entry) {
	if e.stand != settled {
		e.stand, e.order = handed, nil
	}
}

// giveBack ends a run that never ran here as a lease given back. A run that is
// the runtime's stays.
func (l *ledger) giveBack(run armada.RunID, why giveBack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[run]; e != nil && e.stand < handed {
		l.settle(e, runs.Stopped, &why)
	}
}

// stop notes that a run is to end, and tells whether the runtime is to be asked
// for it: not while such a stop waits for it already, for the server repeats its
// stops. A run that has not begun, or that was never leased here, is as good as
// stopped.
func (l *ledger) stop(run armada.RunID, grace time.Duration) (ask bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[run]
	if e == nil {
		job, _ := run.Job()
		e = &entry{stand: queued, status: runs.Status{Run: run, Job: job}}
		l.entries[run] = e
	}
	switch e.stand {
	case held, queued:
		l.settle(e, runs.Stopped, nil)
	case starting:
		e.wait(grace)
	case handed:
		return !e.status.Phase.Ended() && e.wait(grace)
	case settled:
	}
	return false
}

// wait lets a stop wait for the runtime, and tells whether it is news.
func (e *entry) wait(grace time.Duration) bool {
	if e.stop && (grace == 0 || e.grace != 0 && grace >= e.grace) { // 0 is the pod's own
		return false
	}
	e.stop, e.grace = true, grace
	return true
}

// stopAsked notes that the runtime was asked to stop a run: the next stop is asked
// for again.
func (l *ledger) stopAsked(run armada.RunID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[run]; e != nil && e.stand == handed {
		e.stop = false
	}
}

// lost ends a run that the runtime knows no more, although it was told to run
// it and nobody was told to forget it.
func (l *ledger) lost(run armada.RunID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[run]; e != nil && e.stand == handed && !e.status.Phase.Ended() {
		l.settle(e, runs.Unknown, nil)
	}
}

// settle ends a run by the agent's own word.
func (l *ledger) settle(e *entry, phase runs.Phase, returned *giveBack) {
	delete(l.waiting, e.status.Run)
	e.stand, e.order, e.returned, e.status.Phase = settled, nil, returned, phase
	l.news[e.status.Run] = e
}

// learn takes over what the runtime tells. Runs that were not entered are
// adopted.
func (l *ledger) learn(statuses []runs.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range statuses {
		run := statuses[i].Run
		e := l.entries[run]
		if _, over := l.over[run]; over && e == nil {
			continue // the runtime forgets it presently
		}
		if e == nil {
			e = &entry{}
			l.entries[run] = e
		}
		if e.stand == settled {
			continue
		}
		l.hand(e)
		if e.status = statuses[i]; e.status.Phase > e.known || e.reached() || e.stuckNews() {
			l.news[run] = e
		}
	}
}

// used notes what a run has used, nil for nothing, unless its end is known: then
// it is too late.
func (l *ledger) used(run armada.RunID, usage *armada.Usage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[run]; e != nil && usage != nil && e.status.Phase == runs.Running {
		e.usage, l.news[run] = usage, e
	}
}

// running is the set of the runs whose containers run.
func (l *ledger) running() map[armada.RunID]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	running := map[armada.RunID]bool{}
	for run, e := range l.entries {
		if e.status.Phase == runs.Running {
			running[run] = true
		}
	}
	return running
}

// release queues the held runs whose victims have ended, and returns them in
// order.
func (l *ledger) release() []armada.RunID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ready []armada.RunID
	for run, e := range l.waiting {
		if !slices.ContainsFunc(e.after, l.alive) {
			e.stand, e.after = queued, nil
			delete(l.waiting, run)
			ready = append(ready, run)
		}
	}
	slices.Sort(ready)
	return ready
}

// unreported returns what the server does not know yet, by run id. While the
// executor drains, a run that was stopped counts as given back.
func (l *ledger) unreported(draining bool) []report {
	l.mu.Lock()
	defer l.mu.Unlock()
	reports := make([]report, 0, len(l.news))
	for _, e := range l.news {
		if draining && e.status.Phase == runs.Stopped && e.returned == nil {
			e.returned = &giveBack{reason: "the executor was stopped", attempted: e.stand == handed, subcategory: armada.SubcategoryDrained}
		}
		reports = append(reports, e.report())
	}
	slices.SortFunc(reports, func(a, b report) int { return cmp.Compare(a.status.Run, b.status.Run) })
	return reports
}

// reached tells whether the server is to be told where the run is reached.
func (e *entry) reached() bool { return len(e.status.Addresses) > 0 && !e.told }

// stuckNews tells whether the server is to be told why the run does not begin, or
// that it gets on.
func (e *entry) stuckNews() bool { return e.status.Phase == runs.Pending && e.status.Stuck != e.stuck }

// report tells what the server does not know of the run. One that was stopped
// for the lease has failed, as it would have when the server gave it up.
func (e *entry) report() report {
	r := report{status: e.status, known: e.known, reached: e.reached(), stuck: e.stuckNews(), usage: e.usage, returned: e.returned}
	if e.returned == nil && e.status.GiveBack {
		r.returned = &giveBack{reason: e.status.End.Reason, attempted: !e.status.Running.IsZero()}
	}
	if e.leaseLost && e.returned == nil && e.status.Phase == runs.Stopped {
		r.status.Phase = runs.Failed
		r.status.End.Category, r.status.End.Subcategory = armada.CategoryInternal, armada.SubcategoryLeaseExpired
		r.status.End.Reason = "the executor could not reach the server for as long as its lease and stopped the run"
	}
	return r
}

// acknowledged notes that the server knows a report, and tells whether the run
// is over and was the runtime's: it is to be forgotten there.
func (l *ledger) acknowledged(r report) (forget bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	run := r.status.Run
	e := l.entries[run]
	if e == nil {
		return false
	}
	e.known, e.told = max(e.known, r.status.Phase), e.told || r.reached
	if e.usage == r.usage {
		e.usage = nil
	}
	if r.stuck {
		e.stuck = r.status.Stuck
	}
	if e.status.Phase <= e.known && !e.reached() && !e.stuckNews() && e.usage == nil {
		delete(l.news, run)
	}
	if !r.status.Phase.Ended() {
		return false
	}
	delete(l.news, run)
	delete(l.entries, run)
	l.over[run] = l.request
	return e.stand == handed
}

// loseLease gives back what has not begun, marks every other run that has not
// ended, and returns those in order, and how many of them are marked anew.
func (l *ledger) loseLease() (active []armada.RunID, marked int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for run, e := range l.entries {
		switch {
		case e.status.Phase.Ended():
		case e.stand < starting:
			l.settle(e, runs.Stopped, &leaseEnds)
		default:
			if !e.leaseLost {
				e.leaseLost = true
				marked++
			}
			active = append(active, run)
		}
	}
	slices.Sort(active)
	return active, marked
}

// ask begins a request of the session and lists the runs for it, in order.
func (l *ledger) ask(request uint64) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.request = request
	ids := make([]string, 0, len(l.entries))
	for id := range l.entries {
		ids = append(ids, string(id))
	}
	slices.Sort(ids)
	return ids
}

// asked notes that the request was answered. The server reads what it pushes
// after an answer from the store, where ends that were acknowledged before the
// request are on record, so their runs need not be remembered any more.
func (l *ledger) asked(request uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for run, before := range l.over {
		if before < request {
			delete(l.over, run)
		}
	}
}

// newSession forgets what only leases of the old one could bring back. What
// living runs have come to is told again: the server's store may have been
// restored and not know it any more.
func (l *ledger) newSession() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.over)
	l.request = 0
	for run, e := range l.entries {
		if e.known != 0 {
			e.known, e.told, e.stuck = 0, false, ""
			l.news[run] = e
		}
	}
}

// size is the number of runs.
func (l *ledger) size() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
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
