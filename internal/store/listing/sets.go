package listing

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"armada"
	"armada/internal/store"
)

// setStep is how many job sets a form is asked for at a time.
const setStep = 2000

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// JobSets lists job sets, those used first latest first.
func JobSets(ctx context.Context, form Form, q store.JobSetQuery) (store.JobSetPage, error) {
	limit := min(cmpOr(q.Limit, defaultPage), store.MaxPage)
	filter := SetFilter{Queues: q.Queues, Prefix: q.Prefix}
	if q.After != "" {
		at, err := strconv.ParseInt(q.After, 10, 64)
		if err != nil || at <= 0 {
			return store.JobSetPage{}, badContinuation(q.After)
		}
		filter.Before = at
	}
	if q.Queue != "" {
		if !sees(q.Queues, q.Queue) {
			return store.JobSetPage{}, nil
		}
		filter.Queues = []string{q.Queue}
	}
	var page store.JobSetPage
	deadline := time.Now().Add(patience)
	for more := true; more; {
		if err := context.Cause(ctx); err != nil {
			return page, fmt.Errorf("list job sets: %w", err)
		}
		var sets []Set
		err := form.Look("list job sets", func(v View) (err error) {
			if q.ActiveOnly {
				sets, err = activeSets(v, &filter)
				more = false
				return err
			}
			sets, err = v.Sets(filter, setStep)
			more = len(sets) == setStep
			return err
		})
		if err != nil {
			return page, err
		}
		for i := range sets {
			filter.Before = sets[i].ID
			if !strings.Contains(sets[i].Name, q.Contains) || sets[i].Jobs.Total() == 0 || q.ActiveOnly && sets[i].Jobs.Active() == 0 {
				continue
			}
			page.JobSets = append(page.JobSets, store.JobSetSummary{Queue: sets[i].Queue, JobSet: armada.JobSet(sets[i].Name), Jobs: sets[i].Jobs})
			if len(page.JobSets) == limit {
				page.Next = itoa(filter.Before)
				return page, nil
			}
		}
		if more && time.Now().After(deadline) {
			page.Next = itoa(filter.Before)
			return page, nil
		}
	}
	return page, nil
}

// activeSets are the job sets with active jobs that pass the filter, in its order.
func activeSets(v View, f *SetFilter) ([]Set, error) {
	sets, err := v.ActiveSets(nil)
	sets = slices.DeleteFunc(sets, func(s Set) bool {
		return !sees(f.Queues, s.Queue) || !strings.HasPrefix(s.Name, f.Prefix) || f.Before != 0 && s.ID >= f.Before
	})
	slices.SortFunc(sets, func(a, b Set) int { return int(b.ID - a.ID) })
	return sets, err
}

// CountActive counts the active jobs of a queue, or of all, by job set and state.
func CountActive(form Form, queue string) ([]store.JobSetCount, error) {
	type key struct{ queue, set string }
	bySet := map[key]*store.StateCounts{}
	err := form.Look("count jobs", func(v View) error {
		totals, err := v.Totals()
		if err != nil {
			return err
		}
		var ids []int64
		for i := range totals {
			if totals[i].Queue == queue {
				ids = []int64{totals[i].ID}
			}
		}
		if queue != "" && ids == nil {
			return nil
		}
		sets, err := v.ActiveSets(ids)
		for i := range sets { // one that was used again is there several times
			k := key{sets[i].Queue, sets[i].Name}
			if bySet[k] == nil {
				bySet[k] = &store.StateCounts{}
			}
			bySet[k].Add(&sets[i].Jobs)
		}
		return err
	})
	var counts []store.JobSetCount
	for k, jobs := range bySet {
		for _, state := range armada.JobStates() {
			if state.Active() && jobs[state] > 0 {
				counts = append(counts, store.JobSetCount{Queue: k.queue, JobSet: armada.JobSet(k.set), State: state, Jobs: jobs[state]})
			}
		}
	}
	slices.SortFunc(counts, func(a, b store.JobSetCount) int {
		return cmp.Or(strings.Compare(a.Queue, b.Queue), strings.Compare(string(a.JobSet), string(b.JobSet)), cmp.Compare(a.State, b.State))
	})
	return counts, err
}
