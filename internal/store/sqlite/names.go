package sqlite

import (
	"fmt"
	"sync"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
)

// names turns the row ids that jobs carry back into what they stand for, and
// remembers them. Row ids are never reused, so what it remembers stays true;
// the writer, whose new rows may be rolled back, has one of its own.
type names struct {
	table armada.ResourceTable

	mu        sync.RWMutex
	sets      map[int64]store.JobSetKey
	templates map[int64]armada.TemplateID
	shapes    map[int64]shape
}

type shape struct {
	id           armada.ShapeID
	requirements *armada.Requirements
}

func newNames(table armada.ResourceTable) *names {
	return &names{
		table: table,
		sets:  map[int64]store.JobSetKey{}, templates: map[int64]armada.TemplateID{}, shapes: map[int64]shape{},
	}
}

// The columns of a job that decodeJob reads.
const (
	jobColumns = "number, id, job_set, template, shape, submitted, state, life, fixed"
	jobWidth   = 9
)

// decodeJob reads a row that begins with jobColumns, where what is not asked for is
// NULL.
func (n *names) decodeJob(c *conn, r row, job *armada.Job, run *armada.Run) error {
	key, err := n.set(c, r.int(2))
	if err != nil {
		return err
	}
	template, err := n.template(c, r.int(3))
	if err != nil {
		return err
	}
	shape, err := n.shape(c, r.int(4))
	if err != nil {
		return err
	}
	*job = armada.Job{
		ID: armada.JobID(r.str(1)), Number: r.int(0), Queue: key.Queue, JobSet: key.JobSet,
		Template: template, Shape: shape.id, State: armada.JobState(r.int(6)), Submitted: fromMicros(r.int(5)),
	}
	if r[7] != nil {
		if err := codec.DecodeLife(r.blob(7), job, run); err != nil {
			return fmt.Errorf("job %s: %w", job.ID, err)
		}
	}
	if r[8] != nil {
		if err := codec.DecodeFixed(r.blob(8), job); err != nil {
			return fmt.Errorf("job %s: %w", job.ID, err)
		}
	}
	return nil
}

func (n *names) set(c *conn, id int64) (store.JobSetKey, error) {
	return recall(n, n.sets, id, func() (store.JobSetKey, error) {
		r, err := c.one("SELECT queue, name FROM job_set WHERE id = ?", id)
		if err != nil || r == nil {
			return store.JobSetKey{}, missing(err, "job_set", id)
		}
		return store.JobSetKey{Queue: r.str(0), JobSet: armada.JobSet(r.str(1))}, nil
	})
}

func (n *names) template(c *conn, id int64) (armada.TemplateID, error) {
	return recall(n, n.templates, id, func() (armada.TemplateID, error) {
		r, err := c.one("SELECT hash FROM template WHERE id = ?", id)
		if err != nil || r == nil {
			return "", missing(err, "template", id)
		}
		return armada.TemplateID(r.str(0)), nil
	})
}

// shape returns a shape; its requirements are shared and must not be changed.
func (n *names) shape(c *conn, id int64) (shape, error) {
	return recall(n, n.shapes, id, func() (shape, error) {
		r, err := c.one("SELECT hash, body FROM shape WHERE id = ?", id)
		if err != nil || r == nil {
			return shape{}, missing(err, "shape", id)
		}
		q, err := codec.DecodeRequirements(r.blob(1), n.table)
		return shape{armada.ShapeID(r.str(0)), q}, err
	})
}

// recall returns what is remembered, or asks and remembers. A map that has
// grown too large begins anew.
func recall[V any](n *names, known map[int64]V, id int64, ask func() (V, error)) (V, error) {
	n.mu.RLock()
	v, ok := known[id]
	n.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := ask()
	if err != nil {
		return v, err
	}
	n.mu.Lock()
	if len(known) >= maxInterns {
		clear(known)
	}
	known[id] = v
	n.mu.Unlock()
	return v, nil
}

// missing explains why a row that another row names was not read.
func missing(err error, table string, id int64) error {
	if err != nil {
		return err
	}
	return missingRow(table, id)
}

func missingRow(table string, id int64) error {
	return fmt.Errorf("row %d of table %s is missing", id, table)
}
