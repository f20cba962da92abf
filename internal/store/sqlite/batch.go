package sqlite

import (
	"fmt"
	"slices"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
)

// batch is what one transaction changes.
type batch struct {
	w   *writer
	now time.Time

	fresh   []*entry // new jobs, by number
	changed []*entry // known jobs
	sets    []*jobSet
	ended   []armada.JobID // jobs that need not be remembered
	clients []client
	byName  map[clientKey]armada.JobID
	uses    useCounts

	block []byte // room for encoding

	feed []uint64 // what was touched, see the kinds below
	fed  map[uint64]struct{}
	woke map[store.JobSetKey]struct{}
}

// useCounts is by how much the uses of templates and shapes change.
type useCounts struct{ templates, shapes map[int64]int64 }

// The kinds of an element of the feed: the row's number times four, plus one of
// these.
const (
	fedJob = iota
	fedQueue
	fedExecutor
)

func newBatch(w *writer, now time.Time) *batch {
	return &batch{
		w: w, now: now, byName: map[clientKey]armada.JobID{},
		uses: useCounts{map[int64]int64{}, map[int64]int64{}},
		fed:  map[uint64]struct{}{}, woke: map[store.JobSetKey]struct{}{},
	}
}

// touch records something for the feed.
func (b *batch) touch(kind int, number int64) {
	element := uint64(number)<<2 | uint64(kind)
	if _, known := b.fed[element]; !known {
		b.fed[element] = struct{}{}
		b.feed = append(b.feed, element)
	}
}

// emit appends events to a job set.
func (b *batch) emit(set *jobSet, events ...armada.Event) {
	if len(events) == 0 {
		return
	}
	if len(set.pending) == 0 {
		b.sets = append(b.sets, set)
	}
	set.pending = append(set.pending, events...)
}

// flush writes everything that is in memory. A batch may be flushed several
// times.
func (b *batch) flush() error {
	for _, step := range []func() error{b.writeJobs, b.writeChanges, b.writeEvents, b.writeClients, b.writeUses} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

const jobValues = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

var (
	insertJob   = "INSERT INTO job (number, id, queue, job_set, template, shape, submitted, state, executor, ended, life, fixed, details) VALUES "
	insertJobs1 = insertJob + jobValues
	insertJobsN = insertJob + repeated(jobValues, jobsPerStatement)
)

const jobsPerStatement = 20

// repeated is n copies of a list of values.
func repeated(values string, n int) string {
	text := values
	for range n - 1 {
		text += ", " + values
	}
	return text
}

func (b *batch) writeJobs() error {
	args := make([]any, 0, 13*jobsPerStatement)
	for group := range slices.Chunk(b.fresh, jobsPerStatement) {
		query, step := insertJobsN, len(group)
		if len(group) < jobsPerStatement {
			query, step = insertJobs1, 1
		}
		for part := range slices.Chunk(group, step) {
			args = args[:0]
			for _, e := range part {
				args = append(args, e.job.Number, string(e.job.ID), e.queue, e.set.id, e.template, e.shape, micros(e.job.Submitted),
					int64(e.job.State), e.holder(), e.ended(), codec.AppendLife(nil, &e.job, &e.run), e.fixed, e.details)
			}
			if _, err := b.w.conn.exec(query, args...); err != nil {
				return fmt.Errorf("insert jobs: %w", err)
			}
		}
		for _, e := range group {
			if err := b.written(e); err != nil {
				return err
			}
			e.fixed, e.details = nil, nil
		}
	}
	b.fresh = b.fresh[:0]
	return nil
}

// writeChanges updates rows. An update that does not name executor and ended
// touches no index.
func (b *batch) writeChanges() error {
	var life []byte
	for _, e := range b.changed {
		life = codec.AppendLife(life[:0], &e.job, &e.run)
		var err error
		switch {
		case e.ended() != 0:
			_, err = b.w.conn.exec("UPDATE job SET state = ?, life = ?, executor = NULL, ended = ? WHERE number = ?",
				int64(e.job.State), life, e.ended(), e.job.Number)
		case e.held:
			_, err = b.w.conn.exec("UPDATE job SET state = ?, life = ?, executor = ? WHERE number = ?",
				int64(e.job.State), life, e.holder(), e.job.Number)
		default:
			_, err = b.w.conn.exec("UPDATE job SET state = ?, life = ? WHERE number = ?", int64(e.job.State), life, e.job.Number)
		}
		if err != nil {
			return fmt.Errorf("update job %s: %w", e.job.ID, err)
		}
		if err := b.written(e); err != nil {
			return err
		}
	}
	b.changed = b.changed[:0]
	return nil
}

// written writes an entry's earlier runs and marks it as clean.
func (b *batch) written(e *entry) error {
	for i := range e.earlier {
		if _, err := b.w.conn.exec("INSERT INTO run (job, attempt, body) VALUES (?, ?, ?)",
			e.job.Number, e.earlier[i].Attempt, codec.AppendRun(nil, &e.earlier[i])); err != nil {
			return fmt.Errorf("insert run %s: %w", e.earlier[i].ID, err)
		}
	}
	e.fresh, e.dirty, e.held, e.earlier = false, false, false, nil
	return nil
}

// holder is the executor that holds the job's run, or nil.
func (e *entry) holder() any {
	if e.job.State.Active() && e.job.Attempts > 0 && e.run.State.Active() {
		return string(e.run.Executor)
	}
	return nil
}

// ended is when the job ended, or 0.
func (e *entry) ended() int64 {
	if e.job.State.Active() {
		return 0
	}
	return max(1, micros(e.job.Transitioned))
}

func (b *batch) writeUses() error {
	for id, n := range b.uses.templates {
		if _, err := b.w.conn.exec("UPDATE template SET uses = uses + ? WHERE id = ?", n, id); err != nil {
			return fmt.Errorf("count uses of a template: %w", err)
		}
	}
	for id, n := range b.uses.shapes {
		if _, err := b.w.conn.exec("UPDATE shape SET uses = uses + ? WHERE id = ?", n, id); err != nil {
			return fmt.Errorf("count uses of a shape: %w", err)
		}
	}
	clear(b.uses.templates)
	clear(b.uses.shapes)
	return nil
}

// published wakes those who wait for what was just committed, and lets go of
// what needs not be remembered.
func (b *batch) published() {
	for key := range b.woke {
		b.w.store.hubs.wakeJobSet(key)
	}
	if len(b.feed) > 0 {
		b.w.store.hubs.wakeFeed()
	}
	for _, id := range b.ended {
		delete(b.w.entries, id)
	}
	b.w.shrink()
}
