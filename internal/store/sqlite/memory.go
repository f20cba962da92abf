package sqlite

import (
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/intake"
)

// The bounds of what the writer remembers.
const (
	maxEntries = 1 << 16
	maxSets    = 1 << 16
	maxInterns = 1 << 16
)

// memory is what the writer remembers between transactions: a copy of parts of
// the file, dropped whenever in doubt.
type memory struct {
	loaded      bool
	dataVersion int64

	queues   map[string]*queueRow
	policies map[string]armada.RetryPolicy
	setsByID map[int64]*jobSet
	sets     map[store.JobSetKey]*jobSet    // the ones that take jobs
	entries  map[armada.JobID]*intake.Entry // active jobs
	queued   map[string]int64               // queued jobs by queue, counted on first use

	templates map[armada.TemplateID]int64
	shapes    map[armada.ShapeID]int64
	names     *names
	marks     markKeys

	executors map[armada.ExecutorID]*executorRow
	leader    store.Leader
	feed      int64 // changes since the feed was trimmed

	numbers counters
}

// counters are the latest numbers given.
type counters struct{ queue, set, template, shape, job, executor int64 }

type queueRow struct {
	id      int64
	deleted bool
	queue   armada.Queue
}

// jobSet is a job set's row.
type jobSet struct {
	intake.JobSet
	closed bool
	last   int64
	fresh  bool // not in the file yet
}

// forget drops everything.
func (w *writer) forget() {
	w.memory = memory{
		queues: map[string]*queueRow{}, policies: map[string]armada.RetryPolicy{}, setsByID: map[int64]*jobSet{}, sets: map[store.JobSetKey]*jobSet{},
		entries: map[armada.JobID]*intake.Entry{}, queued: map[string]int64{},
		templates: map[armada.TemplateID]int64{}, shapes: map[armada.ShapeID]int64{}, names: newNames(w.store.config.Resources),
		executors: map[armada.ExecutorID]*executorRow{},
	}
}

// load reads what must always be known: queues, retry policies, executors, the leader and the
// latest numbers.
func (w *writer) load() error {
	err := w.conn.each("SELECT id, name, deleted, body FROM queue", func(r row) error {
		q, err := codec.DecodeQueue(r.blob(3), r.str(1))
		w.queues[r.str(1)] = &queueRow{id: r.int(0), deleted: r.int(2) != 0, queue: q}
		return err
	})
	if err != nil {
		return err
	}
	err = eachPolicy(w.conn, func(p armada.RetryPolicy) { w.policies[p.Name] = p })
	if err != nil {
		return err
	}
	err = w.conn.each("SELECT name, seq FROM sqlite_sequence", func(r row) error {
		switch r.str(0) {
		case "queue":
			w.numbers.queue = r.int(1)
		case "job_set":
			w.numbers.set = r.int(1)
		case "template":
			w.numbers.template = r.int(1)
		case "shape":
			w.numbers.shape = r.int(1)
		case "job":
			w.numbers.job = r.int(1)
		case "executor":
			w.numbers.executor = r.int(1)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := w.loadExecutors(); err != nil {
		return err
	}
	if w.marks, err = readMarkKeys(w.conn); err != nil {
		return err
	}
	one, err := w.conn.one("SELECT replica, addr, epoch, until FROM leader")
	if err != nil {
		return err
	}
	w.leader = store.Leader{Replica: store.Replica{Name: one.str(0), Addr: one.str(1)}, Epoch: one.int(2), Until: fromMicros(one.int(3))}
	latest, err := w.conn.one("SELECT max(at) FROM event_block WHERE id = (SELECT max(id) FROM event_block)")
	if err != nil {
		return err
	}
	if at := fromMicros(latest.int(0)); at.After(w.latest) {
		w.latest = at
	}
	w.loaded = true
	return nil
}

// shrink keeps the memory within its bounds; called between transactions.
func (w *writer) shrink() {
	if len(w.setsByID) > maxSets {
		// Entries point to sets: they go together.
		w.setsByID, w.sets, w.entries = map[int64]*jobSet{}, map[store.JobSetKey]*jobSet{}, map[armada.JobID]*intake.Entry{}
	}
	for id := range w.entries {
		if len(w.entries) <= maxEntries {
			break
		}
		delete(w.entries, id)
	}
	if len(w.templates) > maxInterns {
		w.templates = map[armada.TemplateID]int64{}
	}
	if len(w.shapes) > maxInterns {
		w.shapes = map[armada.ShapeID]int64{}
	}
}

// openSet returns the job set of the key that takes jobs, and nil when there
// is none.
func (w *writer) openSet(key store.JobSetKey) (*jobSet, error) {
	if set, ok := w.sets[key]; ok {
		return set, nil
	}
	r, err := w.conn.one("SELECT id, last FROM job_set WHERE queue = ? AND name = ? AND closed = 0", key.Queue, string(key.JobSet))
	if err != nil || r == nil {
		return nil, err
	}
	set := w.setsByID[r.int(0)]
	if set == nil {
		set = &jobSet{JobSet: intake.JobSet{ID: r.int(0), Key: key}, last: r.int(1)}
		w.setsByID[set.ID] = set
	}
	w.sets[key] = set
	return set, nil
}

// set returns a job set by its row id.
func (w *writer) set(id int64) (*jobSet, error) {
	if set, ok := w.setsByID[id]; ok {
		return set, nil
	}
	r, err := w.conn.one("SELECT queue, name, closed, last FROM job_set WHERE id = ?", id)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, missingRow("job_set", id)
	}
	key := store.JobSetKey{Queue: r.str(0), JobSet: armada.JobSet(r.str(1))}
	set := &jobSet{JobSet: intake.JobSet{ID: id, Key: key}, closed: r.int(2) != 0, last: r.int(3)}
	w.setsByID[id] = set
	return set, nil
}

// entry returns a job, and nil when it is unknown.
func (w *writer) entry(id armada.JobID) (*intake.Entry, error) {
	if e, ok := w.entries[id]; ok {
		return e, nil
	}
	r, err := w.conn.one("SELECT "+jobColumns+", queue, job_set FROM job WHERE id = ?", string(id))
	if err != nil || r == nil {
		return nil, err
	}
	e := &intake.Entry{Queue: r.int(jobWidth)}
	set, err := w.set(r.int(jobWidth + 1))
	if err != nil {
		return nil, err
	}
	e.Set = &set.JobSet
	if err := w.names.decodeJob(w.conn, r, &e.Job, &e.Run); err != nil {
		return nil, err
	}
	e.Was = e.Job.State
	w.entries[id] = e
	return e, nil
}

// within tells whether a moment is less than d before now.
func within(at, now time.Time, d time.Duration) bool { return at.After(now.Add(-d)) }
