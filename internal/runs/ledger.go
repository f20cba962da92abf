package runs

import (
	"container/list"
	"slices"
	"sync"

	"armada"
)

// Cursor is a position in the sequence of changes that a runtime has seen. The
// zero value stands before the first.
type Cursor uint64

// Changer is a runtime that can tell what changed since an earlier question,
// so that a listener need not read every run at every change. Every [Runtime]
// is one.
type Changer interface {
	// Changed returns the latest status of each run that changed after the
	// cursor, in the order of their latest changes, and where to go on. The
	// zero cursor asks for every run. Forgotten runs are not mentioned.
	Changed(after Cursor) ([]Status, Cursor)
}

// Ledger holds what a runtime knows of its runs, ordered by latest change. It
// is what the forms answer Statuses, Changed and Updates from. It is made by
// [NewLedger]; all methods may be called from many goroutines.
type Ledger struct {
	mu      sync.Mutex
	entries map[armada.RunID]*list.Element // of *ledgerEntry
	order   *list.List                     // latest change last
	seq     Cursor
	updates chan struct{}
}

type ledgerEntry struct {
	status Status
	seq    Cursor
	over   chan struct{} // closed when the run has ended or is dropped
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{
		entries: make(map[armada.RunID]*list.Element),
		order:   list.New(),
		updates: make(chan struct{}, 1),
	}
}

// Put notes the status of a run and signals. A run that has ended stays as it
// ended: Put answers false and changes nothing.
func (l *Ledger) Put(s Status) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	element, known := l.entries[s.Run]
	if !known {
		element = l.order.PushBack(&ledgerEntry{over: make(chan struct{})})
		l.entries[s.Run] = element
	}
	entry := element.Value.(*ledgerEntry)
	if entry.status.Phase.Ended() {
		return false
	}
	entry.status, entry.seq = s, l.seq
	l.order.MoveToBack(element)
	if s.Phase.Ended() {
		close(entry.over)
	}
	l.signal()
	return true
}

// Drop forgets a run. Dropping an unknown run does nothing.
func (l *Ledger) Drop(run armada.RunID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	element, known := l.entries[run]
	if !known {
		return
	}
	if entry := element.Value.(*ledgerEntry); !entry.status.Phase.Ended() {
		close(entry.over)
	}
	l.order.Remove(element)
	delete(l.entries, run)
}

// Get returns the status of a run, and false when it is not known.
func (l *Ledger) Get(run armada.RunID) (Status, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if element, known := l.entries[run]; known {
		return element.Value.(*ledgerEntry).status, true
	}
	return Status{}, false
}

// Over returns a channel that is closed when the run has ended or is dropped;
// that of an unknown run is closed already.
func (l *Ledger) Over(run armada.RunID) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if element, known := l.entries[run]; known {
		return element.Value.(*ledgerEntry).over
	}
	closed := make(chan struct{})
	close(closed)
	return closed
}

// Statuses returns the status of every run, the latest changed last.
func (l *Ledger) Statuses() []Status {
	statuses, _ := l.Changed(0)
	return statuses
}

// Changed is as promised by [Changer]. Its cost grows with what it returns.
func (l *Ledger) Changed(after Cursor) ([]Status, Cursor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var statuses []Status
	for e := l.order.Back(); e != nil; e = e.Prev() {
		entry := e.Value.(*ledgerEntry)
		if entry.seq <= after {
			break
		}
		statuses = append(statuses, entry.status)
	}
	slices.Reverse(statuses)
	return statuses, l.seq
}

// Updates returns the channel that receives, coalesced, after changes.
func (l *Ledger) Updates() <-chan struct{} { return l.updates }

// Signal makes the listener look again, for changes that are not runs.
func (l *Ledger) Signal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signal()
}

func (l *Ledger) signal() {
	select {
	case l.updates <- struct{}{}:
	default: // the listener has not yet seen the last one
	}
}
