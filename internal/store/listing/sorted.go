package listing

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"math"
	"slices"

	"armada"
	"armada/internal/store"
	"armada/internal/store/intake"
)

// place is where a job stands in an order: jobs that are equal in the column are
// in that of their numbers.
type place struct {
	Value  store.Value
	Number int64
}

func (a place) compare(b place) int {
	if a.Value.Is != b.Value.Is { // those that have nothing come first
		if b.Value.Is {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(a.Value.Number, b.Value.Number), cmp.Compare(a.Value.Text, b.Value.Text), cmp.Compare(a.Number, b.Number))
}

// mark is a continuation of a sorted list: the last place of the page, in the order
// of a column.
type sortedMark struct {
	Column     store.Column
	Descending bool
	Place      place
}

// sorted returns a page in the order of a column. All matches are found anew for
// each page; the page goes on behind the place of the one before, so that a job
// that stays in its place is neither shown twice nor left out.
func (s *search) sorted(ctx context.Context, form Form, limit int) (store.Page, error) {
	q := &s.query
	var last *place
	if q.After != "" {
		mark, err := readMark(q.After)
		if err != nil || mark.Column != q.Order || mark.Descending != q.Descending {
			return store.Page{}, badContinuation(q.After)
		}
		last = &mark.Place
	}
	s.parts.need(q.Order)
	s.stretch.Descending = true
	var places []place
	found := 0
	done, err := s.run(ctx, form, "list jobs", max(q.Patience, sortPatience), func() int { return store.MaxSorted + 1 - found }, func(full *store.FullJob) {
		found++
		places = append(places, place{q.Order.Of(full, s.table), full.Job.Number})
	})
	switch {
	case err != nil:
		return store.Page{}, err
	case found > store.MaxSorted:
		return store.Page{}, intake.Coded(armada.CodePrecondition, "order by %s: more than %d jobs match: ask for fewer, or order by submitted", q.Order, store.MaxSorted)
	case !done:
		return store.Page{}, intake.Coded(armada.CodePrecondition, "order by %s: the jobs that match cannot be found in time: ask for fewer, or order by submitted", q.Order)
	}
	compare := place.compare
	if q.Descending {
		compare = func(a, b place) int { return b.compare(a) }
	}
	slices.SortFunc(places, compare)
	if last != nil {
		from, found := slices.BinarySearchFunc(places, *last, compare)
		if found {
			from++
		}
		places = places[from:]
	}
	var page store.Page
	if len(places) > limit {
		places = places[:limit]
		page.Next = sortedMark{q.Order, q.Descending, places[limit-1]}.String()
	}
	numbers := make([]int64, len(places))
	for i := range places {
		numbers[i] = places[i].Number
	}
	err = form.Look("list jobs", func(v View) (err error) {
		page.Jobs, err = v.Load(numbers, Whole)
		return err
	})
	return page, err
}

// String is the continuation's text.
func (m sortedMark) String() string {
	b, _ := json.Marshal(m) // of numbers and texts
	return base64.RawURLEncoding.EncodeToString(b)
}

func readMark(text string) (sortedMark, error) {
	var m sortedMark
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(b, &m)
}

// all is room for any number of jobs.
func all() int { return math.MaxInt32 }
