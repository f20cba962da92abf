package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"armada"
	"armada/internal/store/intake"
)

// work is what a call does inside the writer's transaction; it must answer an
// error with a code before it changes anything, and may run again when its
// group was rolled back.
type work func(*batch) error

type request = intake.Request[work]

// write hands a request to the writer and waits until it is durable.
func (s *Store) write(ctx context.Context, what string, weight int, do work) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.line.Do(ctx, what, weight, do)
}

// writer owns the connection that writes and everything it remembers between
// transactions.
type writer struct {
	store *Store
	conn  *conn
	memory
	latest time.Time // the time of the latest transaction
	read   time.Time // what the clock showed then
	groups int       // committed so far
}

func newWriter(s *Store, c *conn) *writer {
	w := &writer{store: s, conn: c}
	w.forget()
	return w
}

// run serves until the line is closed and empty.
func (w *writer) run() {
	defer close(w.store.writerDone)
	for group := w.store.line.Next(); group != nil; group = w.store.line.Next() {
		w.commit(group)
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

// commit runs a group in one transaction and answers its requests.
func (w *writer) commit(group []*request) {
	answers, err := w.attempt(group)
	if err != nil && !isStorage(err) && len(group) > 1 {
		// One of them is to blame: it must fail alone.
		for _, r := range group {
			answers, err := w.attempt([]*request{r})
			r.Answer(w.answerOf(r, answers, 0, err))
		}
		return
	}
	for i, r := range group {
		r.Answer(w.answerOf(r, answers, i, err))
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
		return &armada.Error{Code: armada.CodePrecondition, Message: r.What + ": an id is in use already", Cause: err}
	case isStorage(err):
		return w.store.unavailable(r.What+": nothing was written", err)
	default:
		return fmt.Errorf("%s: nothing was written: %w", r.What, err)
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
		answers[i] = r.Work(b)
		if answers[i] != nil && armada.CodeOf(answers[i]) == armada.CodeInternal {
			err = fmt.Errorf("%s: %w", r.What, answers[i])
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
