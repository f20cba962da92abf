package sqlite

import (
	"context"
	"slices"
	"strings"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/listing"
)

// List returns a page of the jobs that match.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	return listing.List(ctx, looking{ctx, s}, q, s.config.Resources)
}

// CountMatching counts the jobs that match.
func (s *Store) CountMatching(ctx context.Context, q store.Query, most int64) (store.Counted, error) {
	return listing.Count(ctx, looking{ctx, s}, q, most, s.config.Resources)
}

// Group groups the jobs that match.
func (s *Store) Group(ctx context.Context, q store.Query, by store.Column, times bool) (store.Groups, error) {
	return listing.Group(ctx, looking{ctx, s}, q, by, times, s.config.Resources)
}

// ListJobSets lists job sets.
func (s *Store) ListJobSets(ctx context.Context, q store.JobSetQuery) (store.JobSetPage, error) {
	return listing.JobSets(ctx, looking{ctx, s}, q)
}

// looking is a call that looks for jobs.
type looking struct {
	ctx   context.Context
	store *Store
}

// Look shows what there is at one moment.
func (l looking) Look(what string, look func(listing.View) error) error {
	return l.store.snapshot(l.ctx, what, func(c *conn) error { return look(view{c, l.store}) })
}

// view is what a connection sees within a transaction.
type view struct {
	c *conn
	s *Store
}

// Totals are the jobs of all queues.
func (v view) Totals() ([]listing.Total, error) {
	var totals []listing.Total
	err := v.c.each("SELECT q.id, q.name, t.state, t.jobs FROM tally t JOIN queue q ON q.id = t.queue WHERE t.jobs != 0 ORDER BY q.id", func(r row) error {
		if n := len(totals); n == 0 || totals[n-1].ID != r.int(0) {
			totals = append(totals, listing.Total{ID: r.int(0), Queue: r.str(1)})
		}
		totals[len(totals)-1].Jobs[r.int(2)] = r.int(3)
		return nil
	})
	return totals, err
}

// setColumns are those that readSet reads.
var setColumns = "s.id, (SELECT id FROM queue WHERE name = s.queue), s.queue, s.name, s." + strings.ReplaceAll(stateColumns, ", ", ", s.")

func readSet(r row) listing.Set {
	set := listing.Set{ID: r.int(0), QueueID: r.int(1), Queue: r.str(2), Name: r.str(3)}
	for i, state := range armada.JobStates() {
		set.Jobs[state] = r.int(4 + i)
	}
	return set
}

// Sets are job sets that match. With names or a prefix they are found by name, of
// one queue after the other if there is an index for it, and else by id.
func (v view) Sets(q listing.SetFilter, limit int) ([]listing.Set, error) {
	if q.Queues != nil && len(q.Queues) == 0 || q.Names != nil && len(q.Names) == 0 {
		return nil, nil
	}
	var conditions []string
	var args []any
	in := func(column string, values []string) {
		conditions = append(conditions, column+" IN "+inList(len(values)))
		for _, value := range values {
			args = append(args, value)
		}
	}
	const few = 500 // parameters of a statement; more are compared here
	read := limit
	for _, asked := range []struct {
		column string
		values []string
	}{{"s.queue", q.Queues}, {"s.name", q.Names}} {
		if len(asked.values) > few {
			read = -1 // all, for not all of them count
		} else if asked.values != nil {
			in(asked.column, asked.values)
		}
	}
	if q.Prefix != "" {
		// 0xff is no byte of UTF-8: it lies behind every continuation.
		conditions, args = append(conditions, "s.name >= ? AND s.name < ? || x'ff'"), append(args, q.Prefix, q.Prefix)
	}
	if q.Contains != "" {
		conditions, args = append(conditions, "instr(s.name, ?) > 0"), append(args, q.Contains)
	}
	if q.Before != 0 {
		conditions, args = append(conditions, "s.id < ?"), append(args, q.Before)
	}
	query := "SELECT " + setColumns + " FROM job_set s"
	if len(conditions) > 0 {
		query += " WHERE " + strings.Join(conditions, " AND ")
	}
	order := " ORDER BY s.id DESC LIMIT ?"
	if q.Names != nil || q.Prefix != "" {
		order = " ORDER BY +s.id DESC LIMIT ?" // they are found by name, and then sorted
	}
	var sets []listing.Set
	err := v.c.each(query+order, func(r row) error {
		if set := readSet(r); len(sets) < limit && (q.Queues == nil || slices.Contains(q.Queues, set.Queue)) && (q.Names == nil || slices.Contains(q.Names, set.Name)) {
			sets = append(sets, set)
		}
		return nil
	}, append(args, read)...)
	return sets, err
}

// ActiveSets are the job sets with active jobs, which have an index of their own.
func (v view) ActiveSets(queues []int64) ([]listing.Set, error) {
	var sets []listing.Set
	err := v.c.each("SELECT "+setColumns+" FROM job_set s WHERE s.queued + s.leased + s.pending + s.running > 0", func(r row) error {
		if set := readSet(r); queues == nil || slices.Contains(queues, set.QueueID) {
			sets = append(sets, set)
		}
		return nil
	})
	return sets, err
}

// ActiveInOrder says no: the active jobs are found by their queues and job sets.
func (v view) ActiveInOrder() bool { return false }

// Walk returns the next candidates of a walk.
func (v view) Walk(w *listing.Walk, s listing.Stretch) ([]listing.Candidate, bool, error) {
	from, streams, args := v.parts(w)
	return listing.Merge(s, streams, func(i int, s listing.Stretch) ([]listing.Candidate, error) {
		query := "SELECT " + from + " AND number BETWEEN ? AND ? ORDER BY number LIMIT ?"
		if s.Descending {
			query = "SELECT " + from + " AND number BETWEEN ? AND ? ORDER BY number DESC LIMIT ?"
		}
		var list []listing.Candidate
		err := v.c.each(query, func(r row) error {
			list = append(list, listing.Candidate{Number: r.int(0), State: armada.JobState(r.int(1))})
			return nil
		}, append(args(i), s.Low, s.High, s.Limit)...)
		return list, err
	})
}

// parts are what the streams of a walk have in common, how many they are, and the
// arguments of each.
func (v view) parts(w *listing.Walk) (from string, streams int, args func(i int) []any) {
	switch w.Kind {
	case listing.OfQueues:
		return "number, state FROM job WHERE queue = ?", len(w.Queues), func(i int) []any { return []any{w.Queues[i]} }
	case listing.OfSets:
		return "number, state FROM job WHERE job_set = ?", len(w.Sets), func(i int) []any { return []any{w.Sets[i].ID} }
	case listing.Active:
		return "number, state FROM job WHERE ended = 0 AND queue = ? AND job_set = ?", len(w.Sets), func(i int) []any {
			return []any{w.Sets[i].QueueID, w.Sets[i].ID}
		}
	case listing.Ended:
		return "number, state FROM job WHERE ended != 0 AND queue = ? AND state = ?", len(w.Queues) * len(w.States), func(i int) []any {
			return []any{w.Queues[i/len(w.States)], int64(w.States[i%len(w.States)])}
		}
	case listing.Marked:
		return "number, 0 FROM mark WHERE key = (SELECT id FROM mark_key WHERE name = ?) AND value = ?", len(w.Values), func(i int) []any {
			return []any{w.Mark, w.Values[i]}
		}
	default:
		return "number, state FROM job WHERE true", 1, func(int) []any { return nil }
	}
}

// columnsOf are jobColumns and details, with NULL for what is not asked for.
func columnsOf(parts listing.Parts) string {
	columns := jobColumns
	if !parts.Life {
		columns = strings.Replace(columns, "life", "NULL", 1)
	}
	if !parts.Owner {
		columns = strings.Replace(columns, "fixed", "NULL", 1)
	}
	if parts.Details {
		columns += ", details"
	}
	return columns
}

// jobsPerRead is how many jobs a statement reads by number.
const jobsPerRead = 100

// Load returns jobs that are still there.
func (v view) Load(numbers []int64, parts listing.Parts) ([]store.FullJob, error) {
	query := "SELECT " + columnsOf(parts) + " FROM job WHERE number IN "
	jobs := make([]store.FullJob, len(numbers))
	places := make(map[int64]int, len(numbers))
	for i, number := range numbers {
		places[number] = i
	}
	read := func(r row) error { return v.s.readFull(v.c, r, parts, &jobs[places[r.int(0)]]) }
	args := make([]any, 0, jobsPerRead)
	for part := range slices.Chunk(numbers, jobsPerRead) {
		args = args[:0]
		for _, number := range part {
			args = append(args, number)
		}
		list := inList(1)
		if len(part) > 1 {
			list = inList(jobsPerRead)
		}
		for len(part) > 1 && len(args) < jobsPerRead { // a short part repeats its last
			args = append(args, part[len(part)-1])
		}
		if err := v.c.each(query+list, read, args...); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(jobs, func(full store.FullJob) bool { return full.Job.Number == 0 }), nil
}

// Numbers are those of jobs by id.
func (v view) Numbers(ids []string) ([]int64, error) {
	var numbers []int64
	for _, id := range ids {
		if err := v.c.each("SELECT number FROM job WHERE id = ?", collect(&numbers), id); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

// collect adds the numbers of rows to a list.
func collect(numbers *[]int64) func(row) error {
	return func(r row) error {
		*numbers = append(*numbers, r.int(0))
		return nil
	}
}

// Prefixed are the numbers of jobs whose ids begin with a text.
func (v view) Prefixed(prefix string, limit int) (numbers []int64, err error) {
	err = v.c.each("SELECT number FROM job WHERE id >= ? AND id < ? || x'ff' LIMIT ?", collect(&numbers), prefix, prefix, limit)
	return numbers, err
}

// Held are the numbers of jobs that executors hold.
func (v view) Held(states listing.States) (numbers []int64, err error) {
	err = v.c.each("SELECT number FROM job WHERE executor IS NOT NULL AND state IN ("+states.Codes()+")", collect(&numbers))
	return numbers, err
}

// First is the lowest number.
func (v view) First() (int64, error) {
	r, err := v.c.one("SELECT coalesce(min(number), 1) FROM job")
	if err != nil {
		return 0, err
	}
	return r.int(0), nil
}

// FirstSince returns a number such that all jobs from it on, and no others,
// were submitted at or after a time, by bisection.
func (v view) FirstSince(since time.Time) (int64, error) {
	r, err := v.c.one("SELECT coalesce((SELECT min(number) FROM job), 1), coalesce((SELECT max(number) FROM job), 0) + 1")
	if err != nil {
		return 0, err
	}
	low, high := r.int(0), r.int(1) // the answer lies within
	for low < high {
		middle := low + (high-low)/2
		r, err := v.c.one("SELECT number, submitted FROM job WHERE number >= ? ORDER BY number LIMIT 1", middle)
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

// MarkedSince is the number from which on jobs have their marks.
func (v view) MarkedSince(name string) (int64, bool, error) {
	r, err := v.c.one("SELECT since FROM mark_key WHERE name = ? AND since IS NOT NULL", name)
	if err != nil || r == nil {
		return 0, false, err
	}
	return r.int(0), true, nil
}

const ofMark = " FROM mark WHERE key = (SELECT id FROM mark_key WHERE name = ?)"

// CountMarked counts jobs with a mark within the stretch, up to its limit.
func (v view) CountMarked(name string, values []string, s listing.Stretch) (int64, error) {
	total := int64(0)
	for _, value := range values {
		r, err := v.c.one("SELECT count(*) FROM (SELECT 1"+ofMark+" AND value = ? AND number BETWEEN ? AND ? LIMIT ?)", name, value, s.Low, s.High, s.Limit)
		if err != nil {
			return 0, err
		}
		if total += r.int(0); total >= int64(s.Limit) {
			break
		}
	}
	return total, nil
}

// MarkValues are values that begin with a text: the index is skipped through from
// one to the next.
func (v view) MarkValues(name, prefix string, limit int) ([]string, error) {
	var values []string
	from := ">="
	for at := prefix; len(values) < limit; from = ">" {
		r, err := v.c.one("SELECT value"+ofMark+" AND value "+from+" ? ORDER BY value LIMIT 1", name, at)
		if err != nil {
			return nil, err
		}
		if r == nil || !strings.HasPrefix(r.str(0), prefix) {
			break
		}
		at = r.str(0)
		values = append(values, at)
	}
	return values, nil
}

// MarkedPrefix are the numbers of jobs with marks that begin with a text.
func (v view) MarkedPrefix(name, prefix string, limit int) (numbers []int64, err error) {
	err = v.c.each("SELECT number"+ofMark+" AND value >= ? AND value < ? || x'ff' LIMIT ?", collect(&numbers), name, prefix, prefix, limit)
	return numbers, err
}
