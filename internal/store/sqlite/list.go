package sqlite

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/intake"
)

const (
	// defaultPage is the limit of a query that names none.
	defaultPage = 100
	// listTime bounds how long a page is looked for among jobs that do not
	// match; listStep is how many jobs are looked at between glances at the time.
	listTime = 200 * time.Millisecond
	listStep = 500
)

// List returns a page. Candidates come from the narrowest index, in the order
// of numbers; what no index knows is compared one by one until the time is up.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	l, err := newListing(s, q)
	if err != nil {
		return store.Page{}, err
	}
	deadline := time.Now().Add(listTime)
	for {
		var more bool
		err := s.snapshot(ctx, "list jobs", func(c *conn) (err error) {
			more, err = l.step(c)
			return err
		})
		switch {
		case err != nil:
			return store.Page{}, err
		case !more:
			return l.page, nil
		case len(l.page.Jobs) >= l.limit || time.Now().After(deadline):
			l.page.Next = strconv.FormatInt(l.at, 10)
			return l.page, nil
		}
	}
}

// listing is one List call.
type listing struct {
	store  *Store
	q      store.Query
	wanted states
	limit  int
	at     int64 // the number of the last job that was looked at
	page   store.Page

	prepared  bool
	low, high int64   // bounds of numbers, inclusive
	numbers   []int64 // the candidates where they are listed beforehand
	listed    bool
}

func newListing(s *Store, q store.Query) (*listing, error) {
	l := &listing{store: s, q: q, wanted: stateSet(q.States), limit: q.Limit, low: 0, high: math.MaxInt64}
	if l.limit <= 0 {
		l.limit = defaultPage
	}
	l.limit = min(l.limit, store.MaxPage)
	if q.Descending {
		l.at = math.MaxInt64
	}
	if q.After != "" {
		at, err := strconv.ParseInt(q.After, 10, 64)
		if err != nil || at < 0 {
			return nil, intake.Coded(armada.CodeInvalid, "list: %q is not a continuation", q.After)
		}
		l.at = at
	}
	return l, nil
}

// step looks at some candidates and tells whether there may be more.
func (l *listing) step(c *conn) (bool, error) {
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
		l.at = number
		if r == nil || !l.wanted.has(armada.JobState(r.int(6))) {
			continue
		}
		full, err := l.store.fullJob(c, r)
		if err != nil {
			return false, err
		}
		if !l.matches(&full) {
			continue
		}
		if l.page.Jobs = append(l.page.Jobs, full); len(l.page.Jobs) >= l.limit {
			return true, nil
		}
	}
	return len(numbers) >= listStep, nil
}

// matches compares what the candidates' index does not know.
func (l *listing) matches(full *store.FullJob) bool {
	q, job := &l.q, &full.Job
	switch {
	case q.Queue != "" && job.Queue != q.Queue,
		q.JobSet != "" && string(job.JobSet) != q.JobSet,
		!strings.HasPrefix(string(job.JobSet), q.JobSetPrefix),
		q.Owner != "" && job.Owner != q.Owner,
		q.Namespace != "" && full.Details.Namespace != q.Namespace,
		!q.SubmittedAfter.IsZero() && job.Submitted.Before(q.SubmittedAfter),
		!q.SubmittedBefore.IsZero() && !job.Submitted.Before(q.SubmittedBefore):
		return false
	}
	for k, v := range q.Annotations {
		if have, ok := full.Details.Annotations[k]; !ok || have != v {
			return false
		}
	}
	return true
}

// prepare narrows the numbers down by time, and lists the candidates at once
// where they are few: jobs by id, and active ones.
func (l *listing) prepare(c *conn) error {
	if err := l.bound(c); err != nil {
		return err
	}
	q := &l.q
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
	case q.States != nil && l.wanted.onlyActive() && q.Queue != "" && q.JobSet != "":
		l.listed = true
		if err := c.each(`SELECT number FROM job WHERE ended = 0 AND queue = (SELECT id FROM queue WHERE name = ?)
			AND job_set IN (SELECT id FROM job_set WHERE queue = ? AND name = ?)`, collect, q.Queue, q.Queue, q.JobSet); err != nil {
			return err
		}
	case q.States != nil && l.wanted.onlyActive() && q.Queue != "":
		l.listed = true
		if err := c.each("SELECT number FROM job WHERE ended = 0 AND queue = (SELECT id FROM queue WHERE name = ?)", collect, q.Queue); err != nil {
			return err
		}
	case q.States != nil && l.wanted.onlyActive():
		l.listed = true
		if err := c.each("SELECT number FROM job WHERE ended = 0", collect); err != nil {
			return err
		}
	}
	slices.Sort(l.numbers)
	l.numbers = slices.Compact(l.numbers)
	if l.q.Descending {
		slices.Reverse(l.numbers)
	}
	return nil
}

// bound turns times of submission into numbers: both grow together.
func (l *listing) bound(c *conn) error {
	var err error
	if !l.q.SubmittedAfter.IsZero() {
		if l.low, err = firstSince(c, l.q.SubmittedAfter); err != nil {
			return err
		}
	}
	if !l.q.SubmittedBefore.IsZero() {
		if l.high, err = firstSince(c, l.q.SubmittedBefore); err != nil {
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

// candidates returns the next numbers to look at: listStep of them, or fewer
// when those are the last.
func (l *listing) candidates(c *conn) ([]int64, error) {
	low, high := l.low, l.high
	if l.q.Descending {
		high = min(high, l.at-1)
	} else {
		low = max(low, l.at+1)
	}
	if low > high {
		return nil, nil
	}
	if l.listed {
		return l.fromList(low, high), nil
	}
	order := " ORDER BY number LIMIT ?"
	if l.q.Descending {
		order = " ORDER BY number DESC LIMIT ?"
	}
	q := &l.q
	switch {
	case q.JobSet != "":
		return l.ofSets(c, "name = ?", []any{q.JobSet}, low, high)
	case q.JobSetPrefix != "":
		// 0xff is no byte of UTF-8: it lies behind every continuation.
		return l.ofSets(c, "name >= ? AND name < ? || x'ff'", []any{q.JobSetPrefix, q.JobSetPrefix}, low, high)
	case q.Queue != "":
		return collectNumbers(c, "SELECT number FROM job WHERE queue = (SELECT id FROM queue WHERE name = ?) AND number BETWEEN ? AND ?"+order,
			q.Queue, low, high, listStep)
	default:
		return collectNumbers(c, "SELECT number FROM job WHERE number BETWEEN ? AND ?"+order, low, high, listStep)
	}
}

func (l *listing) fromList(low, high int64) []int64 {
	var numbers []int64
	for _, n := range l.numbers {
		if low <= n && n <= high {
			if numbers = append(numbers, n); len(numbers) == listStep {
				break
			}
		}
	}
	return numbers
}

// ofSets merges the jobs of job sets, of one queue or of all.
func (l *listing) ofSets(c *conn, names string, args []any, low, high int64) ([]int64, error) {
	if l.q.Queue != "" {
		names, args = "queue = ? AND "+names, append([]any{l.q.Queue}, args...)
	}
	sets, err := collectNumbers(c, "SELECT id FROM job_set WHERE "+names, args...)
	if err != nil {
		return nil, err
	}
	order := " ORDER BY number LIMIT ?"
	if l.q.Descending {
		order = " ORDER BY number DESC LIMIT ?"
	}
	var merged []int64
	cut := func() {
		slices.Sort(merged)
		if l.q.Descending {
			slices.Reverse(merged)
		}
		if len(merged) < listStep {
			return
		}
		merged = merged[:listStep]
		if l.q.Descending { // nothing beyond the last kept is of use
			low = merged[listStep-1]
		} else {
			high = merged[listStep-1]
		}
	}
	for _, set := range sets {
		numbers, err := collectNumbers(c, "SELECT number FROM job WHERE job_set = ? AND number BETWEEN ? AND ?"+order, set, low, high, listStep)
		if err != nil {
			return nil, err
		}
		if merged = append(merged, numbers...); len(merged) > 4*listStep {
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
