package sqlite

import (
	"context"
	"sync"
	"time"

	"armada"
)

// acknowledgements is what the latest records of executors say, for answers
// that need no write.
type acknowledgements struct {
	mu     sync.Mutex
	latest map[armada.ExecutorID]acknowledgement
}

// acknowledgement is one record. It counts from when the call came in, which is
// before the time that was written: an executor that counts from it stops
// sooner than the server gives it up, never later.
type acknowledgement struct {
	session armada.SessionID
	lease   time.Duration
	asked   time.Time // by the store's clock, with its monotonic part
}

func newAcknowledgements() *acknowledgements {
	return &acknowledgements{latest: map[armada.ExecutorID]acknowledgement{}}
}

// record keeps the later of two records: answers may arrive out of order.
func (a *acknowledgements) record(id armada.ExecutorID, r acknowledgement) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if have, known := a.latest[id]; !known || !r.asked.Before(have.asked) {
		a.latest[id] = r
	}
}

func (a *acknowledgements) forget(id armada.ExecutorID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.latest, id)
}

// recent returns the record of the session if it is younger than a third of
// the lease.
func (a *acknowledgements) recent(id armada.ExecutorID, session armada.SessionID, now time.Time) (acknowledgement, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, known := a.latest[id]
	age := now.Sub(r.asked) // negative when a clock without a monotonic part stepped back
	return r, known && r.session == session && age >= 0 && age < r.lease/3
}

// left is how much of the lease is left at a moment.
func (r acknowledgement) left(now time.Time) time.Duration {
	return min(r.lease, max(0, r.lease-now.Sub(r.asked)))
}

// Acknowledge records that an executor was heard of.
func (s *Store) Acknowledge(ctx context.Context, id armada.ExecutorID, session armada.SessionID) (time.Duration, error) {
	asked := s.config.Clock()
	if r, ok := s.acks.recent(id, session, asked); ok {
		return r.left(asked), nil
	}
	record := acknowledgement{session: session, asked: asked}
	err := s.write(ctx, "acknowledge", 1, func(b *batch) error {
		if err := b.w.checkSession(id, session); err != nil {
			return err
		}
		e := b.w.executors[id]
		e.executor.Acknowledged = b.now
		record.lease = e.executor.Lease
		b.touch(fedExecutor, e.number)
		_, err := b.w.conn.exec("UPDATE executor SET acknowledged = ? WHERE number = ?", micros(b.now), e.number)
		return err
	})
	if err != nil {
		return 0, err
	}
	s.acks.record(id, record)
	return record.left(s.config.Clock()), nil
}
