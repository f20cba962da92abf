package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
)

// The columns of a job that jobRow reads, and where they come from. An active
// job's life is known to be in armada.active.
const (
	jobColumns    = "j.number, j.id, s.queue, s.name, t.hash, h.hash, j.submitted, coalesce(a.state, e.state), coalesce(a.life, e.life), j.fixed"
	activeColumns = "j.number, j.id, s.queue, s.name, t.hash, h.hash, j.submitted, a.state, a.life, j.fixed"
	shapeNames    = " JOIN armada.template t ON t.id = j.template JOIN armada.shape h ON h.id = j.shape"
	jobNames      = "JOIN armada.job_set s ON s.id = j.job_set" + shapeNames
	jobSource     = "armada.job j " + jobNames + " LEFT JOIN armada.active a ON a.number = j.number LEFT JOIN armada.ended e ON e.number = j.number"
)

// jobRow reads rows that begin with jobColumns. A leader that starts reads a
// million of them, so all rows share what they are read into, and the names that
// most of them have in common.
type jobRow struct {
	number, submitted                            int64
	state                                        int16
	id, queue, set, template, shape, life, fixed raw
	names                                        map[string]string
	columns                                      []any
	run                                          armada.Run
}

// raw is a column's bytes, until the next row.
type raw []byte

// ScanBytes makes it a pgtype.BytesScanner.
func (r *raw) ScanBytes(b []byte) error {
	*r = b
	return nil
}

// name returns a string that many rows have in common.
func (row *jobRow) name(b []byte) string {
	if s, known := row.names[string(b)]; known {
		return s
	}
	if row.names == nil {
		row.names = map[string]string{}
	}
	s := string(b)
	row.names[s] = s
	return s
}

// job reads a job and its latest run, where what is not asked for is NULL; more is
// what follows jobColumns.
func (row *jobRow) job(r pgx.Row, job *armada.Job, run *armada.Run, more ...any) error {
	row.columns = append(row.columns[:0], &row.number, &row.id, &row.queue, &row.set, &row.template, &row.shape, &row.submitted,
		&row.state, &row.life, &row.fixed)
	row.columns = append(row.columns, more...)
	if err := r.Scan(row.columns...); err != nil {
		return err
	}
	*job = armada.Job{
		Number: row.number, ID: armada.JobID(row.id), Queue: row.name(row.queue), JobSet: armada.JobSet(row.name(row.set)),
		Template: armada.TemplateID(row.name(row.template)), Shape: armada.ShapeID(row.name(row.shape)),
		Submitted: fromMicros(row.submitted), State: armada.JobState(row.state),
	}
	if row.life != nil {
		if err := codec.DecodeLife(row.life, job, run); err != nil {
			return fmt.Errorf("job %s: %w", job.ID, err)
		}
	}
	if row.fixed != nil {
		if err := codec.DecodeFixed(row.fixed, job); err != nil {
			return fmt.Errorf("job %s: %w", job.ID, err)
		}
	}
	job.Owner = row.name([]byte(job.Owner))
	return nil
}

// jobAndRun is job where the run is kept only if there is one.
func (row *jobRow) jobAndRun(r pgx.Row, more ...any) (jr store.JobAndRun, err error) {
	row.run = armada.Run{}
	if err := row.job(r, &jr.Job, &row.run, more...); err != nil {
		return jr, err
	}
	if jr.Job.Attempts > 0 {
		run := row.run
		jr.Run = &run
	}
	return jr, nil
}
