package postgres

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"armada/internal/store"
	"armada/internal/store/listing"
)

// List returns a page. Candidates come from the narrowest index, in the order
// of numbers; what no index knows is compared one by one until the time is up.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	l, err := listing.New(q)
	if err != nil {
		return store.Page{}, err
	}
	search := &search{Listing: l, store: s, high: math.MaxInt64}
	return l.Run(func() (more bool, err error) {
		err = s.read(ctx, "list jobs", func(ctx context.Context) (err error) {
			more, err = search.step(ctx)
			return err
		})
		return more, err
	})
}

// search is one List call.
type search struct {
	*listing.Listing
	store     *Store
	bounded   bool
	low, high int64 // bounds of numbers, inclusive
}

// step looks at some candidates and tells whether there may be more.
func (l *search) step(ctx context.Context) (bool, error) {
	if err := l.bound(ctx); err != nil {
		return false, err
	}
	low, high := l.Narrow(l.low, l.high)
	if low > high {
		return false, nil
	}
	limit := l.stride()
	query, args := l.candidates(low, high, limit)
	var numbers []int64
	err := l.store.each(ctx, func(r pgx.Rows) error {
		var n int64
		err := r.Scan(&n)
		numbers = append(numbers, n)
		return err
	}, query, args...)
	if err != nil || len(numbers) == 0 {
		return false, err
	}
	jobs, err := l.store.fullJobs(ctx, "j.number = ANY ($1)", numbers)
	if err != nil {
		return false, err
	}
	byNumber := make(map[int64]*store.FullJob, len(jobs))
	for i := range jobs {
		byNumber[jobs[i].Job.Number] = &jobs[i]
	}
	for _, number := range numbers {
		l.Passed(number)
		if full := byNumber[number]; full != nil && l.Wanted.Has(full.Job.State) {
			if l.Offer(full); l.Full() {
				return true, nil
			}
		}
	}
	return len(numbers) >= limit, nil
}

// stride is how many candidates are worth looking at: where all of them match,
// no more than the page has room for.
func (l *search) stride() int {
	if q := &l.Query; (q.States == nil || l.Wanted.OnlyActive()) && q.Owner == "" && q.Namespace == "" && len(q.Annotations) == 0 {
		return min(listing.Step, l.Room())
	}
	return listing.Step
}

// bound turns times of submission into numbers: both grow together.
func (l *search) bound(ctx context.Context) error {
	if l.bounded {
		return nil
	}
	l.bounded = true
	var err error
	if !l.Query.SubmittedAfter.IsZero() {
		if l.low, err = l.store.firstSince(ctx, l.Query.SubmittedAfter); err != nil {
			return err
		}
	}
	if !l.Query.SubmittedBefore.IsZero() {
		if l.high, err = l.store.firstSince(ctx, l.Query.SubmittedBefore); err != nil {
			return err
		}
		l.high--
	}
	return nil
}

// firstSince returns a number such that all jobs from it on, and no others,
// were submitted at or after a time, by bisection.
func (s *Store) firstSince(ctx context.Context, since time.Time) (int64, error) {
	var low, high int64 // the answer lies within
	if err := s.pool.QueryRow(ctx, "SELECT coalesce(min(number), 1), coalesce(max(number), 0) + 1 FROM armada.job").Scan(&low, &high); err != nil {
		return 0, err
	}
	for low < high {
		middle := low + (high-low)/2
		var number, submitted int64
		found := false
		err := s.each(ctx, func(r pgx.Rows) error {
			found = true
			return r.Scan(&number, &submitted)
		}, "SELECT number, submitted FROM armada.job WHERE number >= $1 ORDER BY number LIMIT 1", middle)
		switch {
		case err != nil:
			return 0, err
		case !found || !fromMicros(submitted).Before(since):
			high = middle
		default:
			low = number + 1
		}
	}
	return low, nil
}

// candidates is the statement for the next numbers to look at. Job sets are
// asked one by one and merged, so that each is read by its index. The states of
// active jobs are compared by the statement: of millions none may be wanted.
func (l *search) candidates(low, high int64, limit int) (string, []any) {
	q := &l.Query
	args := []any{low, high, limit}
	param := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	order := "ORDER BY n.number LIMIT $3"
	if q.Descending {
		order = "ORDER BY n.number DESC LIMIT $3"
	}
	table, within := "armada.job", "n.number BETWEEN $1 AND $2"
	if q.States != nil && l.Wanted.OnlyActive() && q.IDs == nil {
		table = "armada.active"
		within += " AND n.state IN (" + l.Wanted.Codes() + ")"
	}
	if q.IDs != nil {
		return "SELECT n.number FROM armada.job n WHERE n.id = ANY (" + param(texts(q.IDs)) + ") AND " + within + " " + order, args
	}
	queue := ""
	if q.Queue != "" {
		queue = " AND n.queue = (SELECT id FROM armada.queue WHERE name = " + param(q.Queue) + ")"
	}
	if q.JobSet != "" || q.JobSetPrefix != "" {
		var sets []string
		if q.Queue != "" {
			sets = append(sets, "s.queue = "+param(q.Queue))
		}
		if q.JobSet != "" {
			sets = append(sets, "s.name = "+param(q.JobSet))
		} else {
			// No character lies behind this one.
			sets = append(sets, "s.name >= "+param(q.JobSetPrefix), "s.name < "+param(q.JobSetPrefix+"\U0010FFFF"))
		}
		return "SELECT n.number FROM armada.job_set s CROSS JOIN LATERAL (SELECT n.number FROM " + table + " n WHERE n.job_set = s.id" + queue +
			" AND " + within + " " + order + ") n WHERE " + strings.Join(sets, " AND ") + " " + order, args
	}
	return "SELECT n.number FROM " + table + " n WHERE " + within + queue + " " + order, args
}
