package postgres

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

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
	err := s.read(ctx, "read jobs", func(ctx context.Context) error {
		found, err := s.fullJobs(ctx, listing.Whole, "j.id = ANY ($1)", texts(ids))
		if err != nil {
			return err
		}
		byID := make(map[armada.JobID]*store.FullJob, len(found))
		for i := range found {
			byID[found[i].Job.ID] = &found[i]
		}
		for _, id := range ids {
			if full := byID[id]; full != nil {
				jobs = append(jobs, *full)
			}
		}
		return nil
	})
	return jobs, err
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// fullJobs reads jobs with the parts that are wanted.
func (s *Store) fullJobs(ctx context.Context, parts listing.Parts, where string, args ...any) ([]store.FullJob, error) {
	columns := jobColumns
	if !parts.Life {
		columns = strings.Replace(columns, "coalesce(a.life, e.life)", "NULL::bytea", 1)
	}
	if !parts.Owner {
		columns = strings.Replace(columns, "j.fixed", "NULL::bytea", 1)
	}
	source := jobSource
	if !parts.Needs {
		columns = strings.Replace(columns, "t.hash, h.hash", "NULL::text, NULL::text", 1)
		source = strings.Replace(source, shapeNames, "", 1)
	}
	if parts.Details {
		columns += ", j.details"
	}
	var jobs []store.FullJob
	var again []int64 // those with earlier attempts
	var row jobRow
	err := s.each(ctx, func(r pgx.Rows) error {
		var full store.FullJob
		var details []byte
		var more []any
		if parts.Details {
			more = []any{&details}
		}
		jr, err := row.jobAndRun(r, more...)
		if err != nil {
			return err
		}
		full.Job = jr.Job
		if jr.Run != nil {
			full.Runs = []armada.Run{*jr.Run}
		}
		if jr.Job.Attempts > 1 && parts.Earlier {
			again = append(again, jr.Job.Number)
		}
		if parts.Details {
			full.Details, err = codec.DecodeDetails(details)
		}
		jobs = append(jobs, full)
		return err
	}, "SELECT "+columns+" FROM "+source+" WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	if parts.Needs {
		if err := s.addNeeds(ctx, jobs); err != nil {
			return nil, err
		}
	}
	if len(again) == 0 {
		return jobs, nil
	}
	return jobs, s.addEarlier(ctx, jobs, again)
}

// needsOfShapes remembers what shapes stand for.
type needsOfShapes struct {
	mu    sync.RWMutex
	known map[armada.ShapeID]*armada.Requirements
}

// addNeeds sets what the jobs ask for.
func (s *Store) addNeeds(ctx context.Context, jobs []store.FullJob) error {
	unknown := s.needs.fill(jobs)
	if len(unknown) == 0 {
		return nil
	}
	found := map[armada.ShapeID]*armada.Requirements{}
	err := s.each(ctx, func(r pgx.Rows) error {
		var hash string
		var body []byte
		if err := r.Scan(&hash, &body); err != nil {
			return err
		}
		q, err := codec.DecodeRequirements(body, s.config.Resources)
		found[armada.ShapeID(hash)] = q
		return err
	}, "SELECT hash, body FROM armada.shape WHERE hash = ANY ($1)", unknown)
	if err != nil {
		return err
	}
	s.needs.learn(found)
	s.needs.fill(jobs)
	return nil
}

// fill sets what is known of jobs, and returns the shapes that are not.
func (n *needsOfShapes) fill(jobs []store.FullJob) []string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	var unknown []string
	for i := range jobs {
		if jobs[i].Needs = n.known[jobs[i].Job.Shape]; jobs[i].Needs == nil {
			unknown = append(unknown, string(jobs[i].Job.Shape))
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

func (n *needsOfShapes) learn(found map[armada.ShapeID]*armada.Requirements) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil || len(n.known) > maxKnown {
		n.known = map[armada.ShapeID]*armada.Requirements{}
	}
	maps.Copy(n.known, found)
}

// addEarlier adds the runs before the current one. The job was read before, so
// more attempts may have followed it by now.
func (s *Store) addEarlier(ctx context.Context, jobs []store.FullJob, numbers []int64) error {
	byNumber := make(map[int64]*store.FullJob, len(numbers))
	for i := range jobs {
		byNumber[jobs[i].Job.Number] = &jobs[i]
	}
	err := s.each(ctx, func(r pgx.Rows) error {
		var number int64
		var body []byte
		if err := r.Scan(&number, &body); err != nil {
			return err
		}
		full := byNumber[number]
		run, err := codec.DecodeRun(body, full.Job.ID)
		if run.Attempt < full.Job.Attempts {
			full.Runs = append(full.Runs, run)
		}
		return err
	}, "SELECT job, body FROM armada.run WHERE job = ANY ($1)", numbers)
	for _, n := range numbers {
		slices.SortFunc(byNumber[n].Runs, func(a, b armada.Run) int { return cmp.Compare(a.Attempt, b.Attempt) })
	}
	return err
}

// Count groups active jobs.
func (s *Store) Count(ctx context.Context, queue string) ([]store.JobSetCount, error) {
	return listing.CountActive(looking{ctx, s}, queue)
}

// ActiveJobs returns ids of a job set's active jobs.
func (s *Store) ActiveJobs(ctx context.Context, key store.JobSetKey, states []armada.JobState) ([]armada.JobID, error) {
	wanted := listing.StatesOf(states)
	var ids []armada.JobID
	err := s.read(ctx, "read active jobs", func(ctx context.Context) error {
		return s.each(ctx, func(r pgx.Rows) error {
			var id string
			var state int16
			if err := r.Scan(&id, &state); err != nil {
				return err
			}
			if wanted.Has(armada.JobState(state)) {
				ids = append(ids, armada.JobID(id))
			}
			return nil
		}, `SELECT j.id, a.state FROM armada.active a JOIN armada.job j ON j.number = a.number
			WHERE a.queue = (SELECT id FROM armada.queue WHERE name = $1)
			AND a.job_set = ANY (ARRAY(SELECT id FROM armada.job_set WHERE queue = $1 AND name = $2)) ORDER BY a.number`, key.Queue, string(key.JobSet))
	})
	return ids, err
}

// Template returns the bytes of a pod spec.
func (s *Store) Template(ctx context.Context, id armada.TemplateID) ([]byte, error) {
	return s.body(ctx, "template", string(id))
}

// Requirements returns what a shape stands for.
func (s *Store) Requirements(ctx context.Context, id armada.ShapeID) (*armada.Requirements, error) {
	body, err := s.body(ctx, "shape", string(id))
	if err != nil {
		return nil, err
	}
	return codec.DecodeRequirements(body, s.config.Resources)
}

func (s *Store) body(ctx context.Context, table, hash string) ([]byte, error) {
	var body []byte
	err := s.read(ctx, "read "+table, func(ctx context.Context) error {
		err := s.pool.QueryRow(ctx, "SELECT body FROM armada."+table+" WHERE hash = $1", hash).Scan(&body)
		if errors.Is(err, pgx.ErrNoRows) {
			return intake.Coded(armada.CodeNotFound, "%s %s is not known", table, hash)
		}
		return err
	})
	return body, err
}

// RunsOf returns what an executor should hold.
func (s *Store) RunsOf(ctx context.Context, id armada.ExecutorID) ([]store.JobAndRun, error) {
	var runs []store.JobAndRun
	var row jobRow
	err := s.read(ctx, "read runs", func(ctx context.Context) error {
		return s.each(ctx, func(r pgx.Rows) error {
			jr, err := row.jobAndRun(r)
			runs = append(runs, jr)
			return err
		}, "SELECT "+jobColumns+" FROM "+jobSource+" WHERE a.executor = $1", string(id))
	})
	slices.SortFunc(runs, func(a, b store.JobAndRun) int { return cmp.Compare(a.Run.ID, b.Run.ID) })
	return runs, err
}

// Orders returns what is needed to start runs, in the order of the ids.
func (s *Store) Orders(ctx context.Context, runs []armada.RunID) ([]store.Order, error) {
	var jobs []string
	for _, id := range runs {
		if job, ok := id.Job(); ok {
			jobs = append(jobs, string(job))
		}
	}
	byRun := map[armada.RunID]store.Order{}
	templates := map[armada.TemplateID][]byte{}
	var row jobRow
	err := s.read(ctx, "read orders", func(ctx context.Context) error {
		err := s.each(ctx, func(r pgx.Rows) error {
			var details []byte
			jr, err := row.jobAndRun(r, &details)
			if err != nil || jr.Run == nil || !jr.Run.State.Active() {
				return err
			}
			order := store.Order{Job: jr.Job, Run: *jr.Run}
			order.Details, err = codec.DecodeDetails(details)
			byRun[jr.Run.ID], templates[jr.Job.Template] = order, nil
			return err
		}, "SELECT "+jobColumns+", j.details FROM "+jobSource+" WHERE j.id = ANY ($1)", jobs)
		if err != nil || len(templates) == 0 {
			return err
		}
		hashes := make([]string, 0, len(templates))
		for hash := range templates {
			hashes = append(hashes, string(hash))
		}
		return s.each(ctx, func(r pgx.Rows) error {
			var hash string
			var body []byte
			err := r.Scan(&hash, &body)
			templates[armada.TemplateID(hash)] = body
			return err
		}, "SELECT hash, body FROM armada.template WHERE hash = ANY ($1)", hashes)
	})
	var orders []store.Order
	for _, id := range runs {
		// A template that is gone by now belonged to a run that has ended.
		if order, active := byRun[id]; active && templates[order.Job.Template] != nil {
			order.Template = templates[order.Job.Template]
			orders = append(orders, order)
			delete(byRun, id)
		}
	}
	return orders, err
}
