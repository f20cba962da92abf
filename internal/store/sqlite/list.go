package sqlite

import (
	"context"
	"math"
	"slices"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/listing"
)

// List returns a page. Candidates come from the narrowest index, in the order
// of numbers; what no index knows is compared one by one until the time is up.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	l, err := newSearch(s, q)
	if err != nil {
		return store.Page{}, err
	}
	return l.Run(func() (more bool, err error) {
		err = s.snapshot(ctx, "list jobs", func(c *conn) (err error) {
			more, err = l.step(c)
			return err
		})
		return more, err
	})
}

// search is one List call.
type search struct {
	*listing.Listing
	store *Store

	prepared  bool
	low, high int64   // bounds of numbers, inclusive
	numbers   []int64 // the candidates where they are listed beforehand
	listed    bool
}

func newSearch(s *Store, q store.Query) (*search, error) {
	l, err := listing.New(q)
	return &search{Listing: l, store: s, high: math.MaxInt64}, err
}

// step looks at some candidates and tells whether there may be more.
func (l *search) step(c *conn) (bool, error) {
	if !l.prepared {
		if err := l.prepare(c); err != nil {
			return false, err
		}
		l.prepared = true
	}
	numbers, err := l.candidates(c)
	if err != nil {
		return false, err
	}
	for _, number := range numbers {
		r, err := c.one("SELECT "+jobColumns+", details FROM job WHERE number = ?", number)
		if err != nil {
			return false, err
		}
		l.Passed(number)
		if r == nil || !l.Wanted.Has(armada.JobState(r.int(6))) {
			continue
		}
		full, err := l.store.fullJob(c, r)
		if err != nil {
			return false, err
		}
		if l.Offer(&full); l.Full() {
			return true, nil
		}
	}
	return len(numbers) >= listing.Step, nil
}

// prepare narrows the numbers down by time, and lists the candidates at once
// where they are few: jobs by id, and active ones.
func (l *search) prepare(c *conn) error {
	if err := l.bound(c); err != nil {
		return err
	}
	q := &l.Query
	collect := func(r row) error {
		l.numbers = append(l.numbers, r.int(0))
		return nil
	}
	switch {
	case q.IDs != nil:
		l.listed = true
		for _, id := range q.IDs {
			if err := c.each("SELECT number FROM job WHERE id = ?", collect, string(id)); err != nil {
				return err
			}
		}
	case q.States != nil && l.Wanted.OnlyActive():
		l.listed = true
		query, args := "SELECT number FROM job WHERE ended = 0 AND state IN ("+l.Wanted.Codes()+")", []any(nil)
		if q.Queue != "" {
			query, args = query+" AND queue = (SELECT id FROM queue WHERE name = ?)", append(args, q.Queue)
			if q.JobSet != "" {
				query, args = query+" AND job_set IN (SELECT id FROM job_set WHERE queue = ? AND name = ?)", append(args, q.Queue, q.JobSet)
			}
		}
		if err := c.each(query, collect, args...); err != nil {
			return err
		}
	}
	slices.Sort(l.numbers)
	l.numbers = slices.Compact(l.numbers)
	if l.Query.Descending {
		slices.Reverse(l.numbers)
	}
	return nil
}

// bound turns times of submission into numbers: both grow together.
func (l *search) bound(c *conn) error {
	var err error
	if !l.Query.SubmittedAfter.IsZero() {
		if l.low, err = firstSince(c, l.Query.SubmittedAfter); err != nil {
			return err
		}
	}
	if !l.Query.SubmittedBefore.IsZero() {
		if l.high, err = firstSince(c, l.Query.SubmittedBefore); err != nil {
			return err
		}
		l.high--
	}
	return nil
}

// firstSince returns a number such that all jobs from it on, and no others,
// were submitted at or after a time, by bisection.
func firstSince(c *conn, since time.Time) (int64, error) {
	r, err := c.one("SELECT coalesce(min(number), 1), coalesce(max(number), 0) + 1 FROM job")
	if err != nil {
		return 0, err
	}
	low, high := r.int(0), r.int(1) // the answer lies within
	for low < high {
		middle := low + (high-low)/2
		r, err := c.one("SELECT number, submitted FROM job WHERE number >= ? ORDER BY number LIMIT 1", middle)
		if err != nil {
			return 0, err
		}
		switch {
		case r == nil || !fromMicros(r.int(1)).Before(since):
			high = middle
		default:
			low = r.int(0) + 1
		}
	}
	return low, nil
}

// candidates returns the next numbers to look at: listing.Step of them, or fewer
// when those are the last.
func (l *search) candidates(c *conn) ([]int64, error) {
	low, high := l.Narrow(l.low, l.high)
	if low > high {
		return nil, nil
	}
	if l.listed {
		return l.fromList(low, high), nil
	}
	order := " ORDER BY number LIMIT ?"
	if l.Query.Descending {
		order = " ORDER BY number DESC LIMIT ?"
	}
	q := &l.Query
	switch {
	case q.JobSet != "":
		return l.ofSets(c, "name = ?", []any{q.JobSet}, low, high)
	case q.JobSetPrefix != "":
		// 0xff is no byte of UTF-8: it lies behind every continuation.
		return l.ofSets(c, "name >= ? AND name < ? || x'ff'", []any{q.JobSetPrefix, q.JobSetPrefix}, low, high)
	case q.Queue != "":
		return collectNumbers(c, "SELECT number FROM job WHERE queue = (SELECT id FROM queue WHERE name = ?) AND number BETWEEN ? AND ?"+order,
			q.Queue, low, high, listing.Step)
	default:
		return collectNumbers(c, "SELECT number FROM job WHERE number BETWEEN ? AND ?"+order, low, high, listing.Step)
	}
}

func (l *search) fromList(low, high int64) []int64 {
	var numbers []int64
	for _, n := range l.numbers {
		if low <= n && n <= high {
			if numbers = append(numbers, n); len(numbers) == listing.Step {
				break
			}
		}
	}
	return numbers
}

// ofSets merges the jobs of job sets, of one queue or of all.
func (l *search) ofSets(c *conn, names string, args []any, low, high int64) ([]int64, error) {
	if l.Query.Queue != "" {
		names, args = "queue = ? AND "+names, append([]any{l.Query.Queue}, args...)
	}
	sets, err := collectNumbers(c, "SELECT id FROM job_set WHERE "+names, args...)
	if err != nil {
		return nil, err
	}
	order := " ORDER BY number LIMIT ?"
	if l.Query.Descending {
		order = " ORDER BY number DESC LIMIT ?"
	}
	var merged []int64
	cut := func() {
		slices.Sort(merged)
		if l.Query.Descending {
			slices.Reverse(merged)
		}
		if len(merged) < listing.Step {
			return
		}
		merged = merged[:listing.Step]
		if l.Query.Descending { // nothing beyond the last kept is of use
			low = merged[listing.Step-1]
		} else {
			high = merged[listing.Step-1]
		}
	}
	for _, set := range sets {
		numbers, err := collectNumbers(c, "SELECT number FROM job WHERE job_set = ? AND number BETWEEN ? AND ?"+order, set, low, high, listing.Step)
		if err != nil {
			return nil, err
		}
		if merged = append(merged, numbers...); len(merged) > 4*listing.Step {
			cut()
		}
	}
	cut()
	return merged, nil
}

func collectNumbers(c *conn, query string, args ...any) ([]int64, error) {
	var numbers []int64
	err := c.each(query, func(r row) error {
		numbers = append(numbers, r.int(0))
		return nil
	}, args...)
	return numbers, err
}
