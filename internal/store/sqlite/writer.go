package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"armada"
)

const (
	// maxGroup bounds the requests of one transaction, and how many may wait.
	maxGroup = 512
	// maxGroupWeight bounds the rows of one transaction, so that nobody waits
	// long for others' work. A single request may weigh more.
	maxGroupWeight = 4000
)

// request is a call that writes. Do runs inside the transaction; it must
// answer an error with a code before it changes anything, and may run again
// when its group was rolled back.
type request struct {
	what   string
	weight int // about how many rows it writes
	do     func(*batch) error
	taken  atomic.Bool // by the writer, or by its caller who gave up
	done   chan error
}

// write hands a request to the writer and waits until it is durable.
func (s *Store) write(ctx context.Context, what string, weight int, do func(*batch) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	r := &request{what: what, weight: weight, do: do, done: make(chan error, 1)}
	select {
	case s.requests <- r:
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		if r.taken.CompareAndSwap(false, true) {
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		}
		return <-r.done
	}
}

// writer owns the connection that writes and everything it remembers between
// transactions.
type writer struct {
	store *Store
	conn  *conn
	memory
	latest time.Time // the time of the latest transaction
	read   time.Time // what the clock showed then
	group  []*request
	groups int // committed so far
}

func newWriter(s *Store, c *conn) *writer {
	w := &writer{store: s, conn: c}
	w.forget()
	return w
}

// run serves until the requests' channel is closed and empty.
func (w *writer) run() {
	defer close(w.store.writerDone)
	for first := range w.store.requests {
		w.commit(w.gather(first))
		w.boundLog()
	}
	// Errors of closing concern nobody: every answer was durable before.
	_ = w.conn.close()
}

// The log beside the file is copied into it in passing, and begins anew when no
// reader needs it. Readers that overlap without end keep it growing: beyond
// Config.maxLog bytes the writer waits for them once. It looks every logCheck groups.
const (
	defaultMaxLog = 256 << 20
	logCheck      = 256
)

func (w *writer) boundLog() {
	if w.groups++; w.groups%logCheck != 0 {
		return
	}
	if info, err := os.Stat(w.store.config.Path + "-wal"); err != nil || info.Size() < w.store.config.maxLog {
		return
	}
	// If it fails the log stays large and the next look tries again.
	_, _ = w.conn.one("PRAGMA wal_checkpoint(TRUNCATE)")
}

// gather takes what waits, up to the limits of a group.
func (w *writer) gather(first *request) []*request {
	w.group = append(w.group[:0], first)
	weight := first.weight
	for len(w.group) < maxGroup && weight < maxGroupWeight {
		select {
		case r, open := <-w.store.requests:
			if !open {
				return w.group
			}
			w.group = append(w.group, r)
			weight += r.weight
		default:
			return w.group
		}
	}
	return w.group
}

// commit runs a group in one transaction and answers its requests.
func (w *writer) commit(group []*request) {
	taken := group[:0]
	for _, r := range group {
		if r.taken.CompareAndSwap(false, true) {
			taken = append(taken, r)
		}
	}
	if len(taken) == 0 {
		return
	}
	answers, err := w.attempt(taken)
	if err != nil && !isStorage(err) && len(taken) > 1 {
		// One of them is to blame: it must fail alone.
		for _, r := range taken {
			answers, err := w.attempt([]*request{r})
			r.done <- w.answerOf(r, answers, 0, err)
		}
		return
	}
	for i, r := range taken {
		r.done <- w.answerOf(r, answers, i, err)
	}
}

// answerOf turns the outcome of a group into that of one request.
//
// A rollback takes back what answers were based on, so all share its error.
func (w *writer) answerOf(r *request, answers []error, i int, err error) error {
	switch {
	case err == nil:
		return answers[i]
	case isConstraint(err):
		return &armada.Error{Code: armada.CodePrecondition, Message: r.what + ": an id is in use already", Cause: err}
	case isStorage(err):
		return w.store.unavailable(r.what+": nothing was written", err)
	default:
		return fmt.Errorf("%s: nothing was written: %w", r.what, err)
	}
}

// attempt runs requests in one transaction and tells the answer of each. With
// an error nothing was written.
func (w *writer) attempt(group []*request) ([]error, error) {
	b, err := w.begin()
	if err != nil {
		w.forget()
		return nil, err
	}
	answers := make([]error, len(group))
	for i, r := range group {
		answers[i] = r.do(b)
		if answers[i] != nil && armada.CodeOf(answers[i]) == armada.CodeInternal {
			err = fmt.Errorf("%s: %w", r.what, answers[i])
			break
		}
	}
	if err == nil {
		err = b.flush()
	}
	if err == nil {
		err = b.writeFeed()
	}
	if err == nil {
		_, err = w.conn.exec("COMMIT")
	}
	if err != nil {
		// A failed COMMIT may have ended the transaction itself.
		_, _ = w.conn.exec("ROLLBACK")
		w.forget()
		return nil, err
	}
	b.published()
	return answers, nil
}

// begin opens a transaction. Being the only one that may write from now on, it
// sees whether somebody else wrote since the last one.
func (w *writer) begin() (*batch, error) {
	if _, err := w.conn.exec("BEGIN IMMEDIATE"); err != nil {
		return nil, err
	}
	version, err := w.conn.one("PRAGMA data_version")
	if err == nil && (w.dataVersion != version.int(0) || !w.loaded) {
		w.forget()
		err = w.load()
		w.dataVersion = version.int(0)
	}
	if err != nil {
		_, rollback := w.conn.exec("ROLLBACK")
		return nil, errors.Join(err, rollback)
	}
	return newBatch(w, w.tick()), nil
}

// tick returns the time of a transaction. It never goes back. When the clock
// did, time goes on at half its pace until the clock has caught up: a record
// that is later than another must look so.
func (w *writer) tick() time.Time {
	read := w.store.config.Clock()
	now := read.UTC().Truncate(time.Microsecond)
	if now.Before(w.latest) {
		passed := time.Duration(0)
		if !w.read.IsZero() {
			passed = read.Sub(w.read) // by the monotonic clock, which does not step
		}
		now = w.latest.Add(max(time.Microsecond, passed/2)).Truncate(time.Microsecond)
	}
	w.latest, w.read = now, read
	return now
}
