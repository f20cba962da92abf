// Package acks remembers when executors were last recorded as heard of, so that a
// form of the store need not write each time: at most every third of a lease.
//
// The package must never answer for a session that another has replaced for
// longer than that third: records of this process do not know of others'.
package acks

import (
	"sync"
	"time"

	"armada"
)

// Records are the latest ones that this process knows; make them with [NewRecords].
// They are safe for concurrent use.
type Records struct {
	mu     sync.Mutex
	latest map[armada.ExecutorID]Record
}

// Record is one acknowledgement. It counts from when the call came in, which is
// before the time that was written: an executor that counts from it stops
// sooner than the server gives it up, never later.
type Record struct {
	Session armada.SessionID
	Lease   time.Duration
	Asked   time.Time // by the store's clock, with its monotonic part
}

// NewRecords returns no records.
func NewRecords() *Records {
	return &Records{latest: map[armada.ExecutorID]Record{}}
}

// Keep keeps the later of two records: answers may arrive out of order.
func (a *Records) Keep(id armada.ExecutorID, r Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if have, known := a.latest[id]; !known || !r.Asked.Before(have.Asked) {
		a.latest[id] = r
	}
}

// Forget drops the record of an executor.
func (a *Records) Forget(id armada.ExecutorID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.latest, id)
}

// Recent returns the record of the session if it is younger than a third of
// the lease.
func (a *Records) Recent(id armada.ExecutorID, session armada.SessionID, now time.Time) (Record, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, known := a.latest[id]
	age := now.Sub(r.Asked) // negative when a clock without a monotonic part stepped back
	return r, known && r.Session == session && age >= 0 && age < r.Lease/3
}

// Left is how much of the lease is left at a moment.
func (r Record) Left(now time.Time) time.Duration {
	return min(r.Lease, max(0, r.Lease-now.Sub(r.Asked)))
}
