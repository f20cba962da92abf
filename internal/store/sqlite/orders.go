package sqlite

import (
	"cmp"
	"context"
	"slices"

	"armada"
	"armada/internal/store"
	"armada/internal/store/codec"
)

// RunsOf returns what an executor should hold.
func (s *Store) RunsOf(ctx context.Context, id armada.ExecutorID) ([]store.JobAndRun, error) {
	var runs []store.JobAndRun
	err := s.read(ctx, "read runs", func(c *conn) error {
		return c.each("SELECT "+jobColumns+" FROM job WHERE executor = ?", func(r row) error {
			jr, err := s.jobAndRun(c, r)
			runs = append(runs, jr)
			return err
		}, string(id))
	})
	slices.SortFunc(runs, func(a, b store.JobAndRun) int { return cmp.Compare(a.Run.ID, b.Run.ID) })
	return runs, err
}

// Orders returns what is needed to start runs, in the order of the ids.
func (s *Store) Orders(ctx context.Context, runs []armada.RunID) ([]store.Order, error) {
	var orders []store.Order
	templates := map[int64][]byte{}
	err := s.read(ctx, "read orders", func(c *conn) error {
		for _, id := range runs {
			job, ok := id.Job()
			if !ok {
				continue
			}
			r, err := c.one("SELECT "+jobColumns+", details FROM job WHERE id = ?", string(job))
			if err != nil {
				return err
			}
			if r == nil {
				continue
			}
			jr, err := s.jobAndRun(c, r)
			if err != nil {
				return err
			}
			if jr.Run == nil || jr.Run.ID != id || !jr.Run.State.Active() {
				continue
			}
			order := store.Order{Job: jr.Job, Run: *jr.Run}
			if order.Details, err = codec.DecodeDetails(r.blob(jobWidth)); err != nil {
				return err
			}
			if order.Template, err = templateBody(c, r.int(3), templates); err != nil {
				return err
			}
			orders = append(orders, order)
		}
		return nil
	})
	return orders, err
}

// templateBody reads a template once per call.
func templateBody(c *conn, id int64, known map[int64][]byte) ([]byte, error) {
	if body, ok := known[id]; ok {
		return body, nil
	}
	r, err := c.one("SELECT body FROM template WHERE id = ?", id)
	if err != nil || r == nil {
		return nil, missing(err, "template", id)
	}
	known[id] = r.blob(0)
	return r.blob(0), nil
}
