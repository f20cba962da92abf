package sqlite

import (
	"context"
	"fmt"

	"armada"
	"armada/internal/store"
	"armada/internal/store/intake"
)

// Submit takes jobs in.
func (s *Store) Submit(ctx context.Context, sub store.Submission) ([]store.Submitted, error) {
	prepared := intake.Prepare(&sub)
	var answers []store.Submitted
	err := s.write(ctx, "submit", len(sub.Jobs), func(b *batch) (err error) {
		staged := len(b.Fresh)
		if answers, err = b.Submit(prepared); err != nil {
			return err
		}
		for _, e := range b.Fresh[staged:] {
			b.w.numbers.job++
			e.Job.Number = b.w.numbers.job
			b.w.entries[e.Job.ID] = e
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
}

// Transition applies changes.
func (s *Store) Transition(ctx context.Context, fence store.Fence, units []store.Unit) ([]store.UnitResult, error) {
	changes, err := intake.CheckSize(units)
	if err != nil {
		return nil, err
	}
	var results []store.UnitResult
	err = s.write(ctx, "transition", changes, func(b *batch) (err error) {
		results, err = b.Transition(fence, units)
		return err
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// What a batch asks, it reads in the writer's transaction.
var _ intake.Form = (*batch)(nil)

// Queue returns the row of a queue.
func (b *batch) Queue(name string) (int64, bool, error) {
	q := b.w.queues[name]
	if q == nil || q.deleted {
		return 0, false, nil
	}
	return q.id, true, nil
}

// PoliciesOf returns the names of a queue's retry policies.
func (b *batch) PoliciesOf(queue string) ([]string, error) {
	q := b.w.queues[queue]
	if q == nil || q.deleted {
		return nil, nil
	}
	return q.queue.RetryPolicies, nil
}

// Policy returns a retry policy.
func (b *batch) Policy(name string) (armada.RetryPolicy, bool, error) {
	p, known := b.w.policies[name]
	return p, known, nil
}

// QueuedJobs counts on first use.
func (b *batch) QueuedJobs(queue string) (int64, error) {
	if n, ok := b.w.queued[queue]; ok {
		return n + b.Queued[queue], nil
	}
	q := b.w.queues[queue]
	if q == nil {
		return 0, nil
	}
	if err := b.flush(); err != nil { // what is counted must be in the table
		return 0, err
	}
	r, err := b.w.conn.one("SELECT count(*) FROM job WHERE queue = ? AND ended = 0 AND state = ?", q.id, int64(armada.JobQueued))
	if err != nil {
		return 0, err
	}
	b.w.queued[queue] = r.int(0) - b.Queued[queue]
	return r.int(0), nil
}

// JobSet returns the job set that takes jobs under the key.
func (b *batch) JobSet(key store.JobSetKey) (*intake.JobSet, error) {
	set, err := b.w.openSet(key)
	if err != nil {
		return nil, err
	}
	if set == nil {
		b.w.numbers.set++
		set = &jobSet{JobSet: intake.JobSet{ID: b.w.numbers.set, Key: key}, fresh: true}
		b.w.sets[key], b.w.setsByID[set.ID] = set, set
	}
	return &set.JobSet, nil
}

// Job returns a job in memory, reading it if need be.
func (b *batch) Job(id armada.JobID) (*intake.Entry, error) {
	e, err := b.w.entry(id)
	if e != nil && e.Job.State.Terminal() {
		b.ended = append(b.ended, id)
	}
	return e, err
}

// Leads tells whether an epoch is current.
func (b *batch) Leads(epoch int64) (bool, error) { return b.w.leads(epoch), nil }

// Current tells whether a session is its executor's current one.
func (b *batch) Current(executor armada.ExecutorID, session armada.SessionID) (bool, error) {
	return b.w.checkSession(executor, session) == nil, nil
}

// internRow returns the row of a hash, writing it if need be. Nobody uses it
// yet.
func internRow[ID ~string](w *writer, known map[ID]int64, latest *int64, table string, hash ID, body []byte) (int64, error) {
	if id, ok := known[hash]; ok {
		return id, nil
	}
	r, err := w.conn.one("SELECT id FROM "+table+" WHERE hash = ?", string(hash))
	if err != nil {
		return 0, err
	}
	if r != nil {
		known[hash] = r.int(0)
		return r.int(0), nil
	}
	*latest++
	if _, err := w.conn.exec("INSERT INTO "+table+" (id, hash, uses, body) VALUES (?, ?, 0, ?)", *latest, string(hash), body); err != nil {
		return 0, fmt.Errorf("insert a %s: %w", table, err)
	}
	known[hash] = *latest
	return *latest, nil
}

// intern finds or writes the templates and shapes of the new jobs and counts
// their uses.
func (b *batch) intern() error {
	w := b.w
	for hash, t := range b.Templates {
		id, err := internRow(w, w.templates, &w.numbers.template, "template", hash, t.Body)
		if err != nil {
			return err
		}
		b.uses.templates[id] += t.Uses
	}
	for hash, s := range b.Shapes {
		id, err := internRow(w, w.shapes, &w.numbers.shape, "shape", hash, s.Body)
		if err != nil {
			return err
		}
		b.uses.shapes[id] += s.Uses
	}
	return nil
}
