package sqlite

import (
	"fmt"
	"slices"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/feed"
	"armada/internal/store/intake"
)

// batch is what one transaction changes.
type batch struct {
	*intake.Batch
	w *writer

	ended []armada.JobID // jobs that need not be remembered
	uses  useCounts
	tally tally
	marks []mark

	block []byte // room for encoding

	feed []feed.Element // what was touched
	fed  map[feed.Element]struct{}
	woke map[store.JobSetKey]struct{}
}

// useCounts is by how much the uses of templates and shapes change.
type useCounts struct{ templates, shapes map[int64]int64 }

func newBatch(w *writer, now time.Time) *batch {
	b := &batch{
		w: w, uses: useCounts{map[int64]int64{}, map[int64]int64{}},
		fed: map[feed.Element]struct{}{}, woke: map[store.JobSetKey]struct{}{}, tally: newTally(),
	}
	c := w.store.config
	b.Batch = intake.NewBatch(b, now, intake.Limits{MaxQueuedPerQueue: c.MaxQueuedPerQueue, Retries: c.Retries}, c.Resources)
	return b
}

// touch records something for the feed.
func (b *batch) touch(kind int, number int64) {
	element := feed.Of(kind, number)
	if _, known := b.fed[element]; !known {
		b.fed[element] = struct{}{}
		b.feed = append(b.feed, element)
	}
}

// flush writes everything that is in memory. A batch may be flushed several
// times.
func (b *batch) flush() error {
	for _, step := range []func() error{b.intern, b.writeJobs, b.writeChanges, b.writeMarks, b.writeEvents, b.writeTally, b.writeClients, b.writeGangs, b.writeUses} {
		if err := step(); err != nil {
			return err
		}
	}
	b.Flushed()
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
	for group := range slices.Chunk(b.Fresh, jobsPerStatement) {
		query, step := insertJobsN, len(group)
		if len(group) < jobsPerStatement {
			query, step = insertJobs1, 1
		}
		for part := range slices.Chunk(group, step) {
			args = args[:0]
			for _, e := range part {
				args = append(args, e.Job.Number, string(e.Job.ID), e.Queue, e.Set.ID, b.w.templates[e.Job.Template], b.w.shapes[e.Job.Shape],
					micros(e.Job.Submitted), int64(e.Job.State), holder(e), ended(e), codec.AppendLife(nil, &e.Job, &e.Run), e.Fixed, e.Details)
			}
			if _, err := b.w.conn.exec(query, args...); err != nil {
				return fmt.Errorf("insert jobs: %w", err)
			}
		}
		for _, e := range group {
			b.touch(feed.Job, e.Job.Number)
			b.stageMarks(e.Job.Number, e.Job.Owner, e.Annotations)
			if e.Job.State.Terminal() {
				b.ended = append(b.ended, e.Job.ID)
			}
			if err := b.written(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeChanges updates rows. An update that does not name executor and ended
// touches no index.
func (b *batch) writeChanges() error {
	var life []byte
	for _, e := range b.Changed {
		life = codec.AppendLife(life[:0], &e.Job, &e.Run)
		var err error
		switch {
		case ended(e) != 0:
			_, err = b.w.conn.exec("UPDATE job SET state = ?, life = ?, executor = NULL, ended = ? WHERE number = ?",
				int64(e.Job.State), life, ended(e), e.Job.Number)
		case e.Held:
			_, err = b.w.conn.exec("UPDATE job SET state = ?, life = ?, executor = ? WHERE number = ?",
				int64(e.Job.State), life, holder(e), e.Job.Number)
		default:
			_, err = b.w.conn.exec("UPDATE job SET state = ?, life = ? WHERE number = ?", int64(e.Job.State), life, e.Job.Number)
		}
		if err != nil {
			return fmt.Errorf("update job %s: %w", e.Job.ID, err)
		}
		if e.Told {
			b.touch(feed.Job, e.Job.Number)
		}
		if e.Job.State.Terminal() {
			b.ended = append(b.ended, e.Job.ID)
		}
		if err := b.written(e); err != nil {
			return err
		}
	}
	return nil
}

// written writes an entry's earlier runs, counts it and marks it as clean.
func (b *batch) written(e *intake.Entry) error {
	b.tally.moves(e.Queue, e.Set.ID, e.Was, e.Job.State)
	for i := range e.Earlier {
		if _, err := b.w.conn.exec("INSERT INTO run (job, attempt, body) VALUES (?, ?, ?)",
			e.Job.Number, e.Earlier[i].Attempt, codec.AppendRun(nil, &e.Earlier[i])); err != nil {
			return fmt.Errorf("insert run %s: %w", e.Earlier[i].ID, err)
		}
	}
	e.Written()
	return nil
}

// holder is the executor that holds the job's run, or nil.
func holder(e *intake.Entry) any {
	if id := e.Holder(); id != "" {
		return string(id)
	}
	return nil
}

// ended is when the job ended, or 0.
func ended(e *intake.Entry) int64 {
	if e.Job.State.Active() {
		return 0
	}
	return max(1, micros(e.Job.Transitioned))
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
		b.w.store.JobSet(key)
	}
	if len(b.feed) > 0 {
		b.w.store.Feed()
	}
	for queue, by := range b.Queued {
		if n, counted := b.w.queued[queue]; counted {
			b.w.queued[queue] = n + by
		}
	}
	for _, id := range b.ended {
		delete(b.w.entries, id)
	}
	b.w.shrink()
}
