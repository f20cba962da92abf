package sqlite

import (
	"context"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
	"armada/internal/store/intake"
	"armada/internal/store/listing"
)

// Job returns one job.
func (s *Store) Job(ctx context.Context, id armada.JobID) (store.FullJob, error) {
	jobs, err := s.JobsByID(ctx, []armada.JobID{id})
	if err != nil {
		return store.FullJob{}, err
	}
	if len(jobs) == 0 {
		return store.FullJob{}, intake.Coded(armada.CodeNotFound, "job %s is not known", id)
	}
	return jobs[0], nil
}

// JobsByID returns the jobs that are known.
func (s *Store) JobsByID(ctx context.Context, ids []armada.JobID) ([]store.FullJob, error) {
	var jobs []store.FullJob
	err := s.read(ctx, "read jobs", func(c *conn) error {
		for _, id := range ids {
			r, err := c.one("SELECT "+jobColumns+", details FROM job WHERE id = ?", string(id))
			if err != nil {
				return err
			}
			if r == nil {
				continue
			}
			var full store.FullJob
			if err := s.readFull(c, r, listing.Whole, &full); err != nil {
				return err
			}
			jobs = append(jobs, full)
		}
		return nil
	})
	return jobs, err
}

// readFull reads a row of jobColumns and, if they are wanted, details, and the job's
// earlier runs.
func (s *Store) readFull(c *conn, r row, parts listing.Parts, full *store.FullJob) error {
	var run armada.Run
	err := s.names.decodeJob(c, r, &full.Job, &run)
	if err != nil {
		return err
	}
	if shape, err := s.names.shape(c, r.int(4)); err == nil {
		full.Needs = shape.requirements
	}
	if parts.Details {
		if full.Details, err = codec.DecodeDetails(r.blob(jobWidth)); err != nil {
			return err
		}
	}
	if parts.Earlier && full.Job.Attempts > 1 {
		err = c.each("SELECT body FROM run WHERE job = ? ORDER BY attempt", func(r row) error {
			run, err := codec.DecodeRun(r.blob(0), full.Job.ID)
			full.Runs = append(full.Runs, run)
			return err
		}, full.Job.Number)
		if err != nil {
			return err
		}
	}
	if full.Job.Attempts > 0 {
		full.Runs = append(full.Runs, run)
	}
	return nil
}

// Count groups active jobs.
func (s *Store) Count(ctx context.Context, queue string) ([]store.JobSetCount, error) {
	return listing.CountActive(looking{ctx, s}, queue)
}

// ActiveJobs returns ids of a job set's active jobs.
func (s *Store) ActiveJobs(ctx context.Context, key store.JobSetKey, states []armada.JobState) ([]armada.JobID, error) {
	wanted := listing.StatesOf(states)
	var ids []armada.JobID
	err := s.read(ctx, "read active jobs", func(c *conn) error {
		return c.each(`SELECT id, state FROM job WHERE ended = 0 AND queue = (SELECT id FROM queue WHERE name = ?)
			AND job_set IN (SELECT id FROM job_set WHERE queue = ? AND name = ?) ORDER BY number`, func(r row) error {
			if wanted.Has(armada.JobState(r.int(1))) {
				ids = append(ids, armada.JobID(r.str(0)))
			}
			return nil
		}, key.Queue, key.Queue, string(key.JobSet))
	})
	return ids, err
}

// Template returns the bytes of a pod spec.
func (s *Store) Template(ctx context.Context, id armada.TemplateID) ([]byte, error) {
	var body []byte
	err := s.read(ctx, "read template", func(c *conn) error {
		r, err := c.one("SELECT body FROM template WHERE hash = ?", string(id))
		if err != nil {
			return err
		}
		if r == nil {
			return intake.Coded(armada.CodeNotFound, "template %s is not known", id)
		}
		body = r.blob(0)
		return nil
	})
	return body, err
}

// Requirements returns what a shape stands for.
func (s *Store) Requirements(ctx context.Context, id armada.ShapeID) (*armada.Requirements, error) {
	var q *armada.Requirements
	err := s.read(ctx, "read shape", func(c *conn) error {
		r, err := c.one("SELECT body FROM shape WHERE hash = ?", string(id))
		if err != nil {
			return err
		}
		if r == nil {
			return intake.Coded(armada.CodeNotFound, "shape %s is not known", id)
		}
		q, err = codec.DecodeRequirements(r.blob(0), s.config.Resources)
		return err
	})
	return q, err
}
