package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

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

// Look shows what there is. Its statements may belong to several moments: a job is
// compared as it is loaded.
func (l looking) Look(what string, look func(listing.View) error) error {
	return l.store.read(l.ctx, what, func(ctx context.Context) error { return look(view{ctx, l.store}) })
}

// view is what a call sees.
type view struct {
	ctx context.Context
	s   *Store
}

// Totals are the jobs of all queues.
func (v view) Totals() ([]listing.Total, error) {
	var totals []listing.Total
	err := v.s.each(v.ctx, func(r pgx.Rows) error {
		var id, jobs int64
		var name string
		var state int16
		err := r.Scan(&id, &name, &state, &jobs)
		if n := len(totals); n == 0 || totals[n-1].ID != id {
			totals = append(totals, listing.Total{ID: id, Queue: name})
		}
		totals[len(totals)-1].Jobs[state] = jobs
		return err
	}, "SELECT q.id, q.name, t.state, t.jobs FROM armada.tally t JOIN armada.queue q ON q.id = t.queue WHERE t.jobs <> 0 ORDER BY q.id")
	return totals, err
}

// setColumns are those that readSet reads.
const setColumns = `s.id, (SELECT id FROM armada.queue WHERE name = s.queue), s.queue, s.name,
	ARRAY[s.queued, s.leased, s.pending, s.running, s.succeeded, s.failed, s.cancelled, s.preempted, s.rejected]`

func readSet(r pgx.Rows) (listing.Set, error) {
	var set listing.Set
	var jobs []int64
	err := r.Scan(&set.ID, &set.QueueID, &set.Queue, &set.Name, &jobs)
	copy(set.Jobs[armada.JobQueued:], jobs) // in the order of states
	return set, err
}

func (v view) sets(query string, args ...any) ([]listing.Set, error) {
	var sets []listing.Set
	err := v.s.each(v.ctx, func(r pgx.Rows) error {
		set, err := readSet(r)
		sets = append(sets, set)
		return err
	}, query, args...)
	return sets, err
}

// behind is a text behind all that begin with the prefix: no character lies behind
// its last.
func behind(prefix string) string { return prefix + "\U0010FFFF" }

// storable are the texts that the database can have.
func storable(list []string) []string {
	kept := make([]string, 0, len(list))
	for _, text := range list {
		if !strings.Contains(text, "\x00") {
			kept = append(kept, text)
		}
	}
	return kept
}

// Sets are job sets that match. With names or a prefix they are found by name, and
// else by id.
func (v view) Sets(q listing.SetFilter, limit int) ([]listing.Set, error) {
	conditions, args := []string{"true"}, []any{limit}
	add := func(condition string, values ...any) {
		for _, value := range values {
			args = append(args, value)
			condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		conditions = append(conditions, condition)
	}
	if q.Queues != nil {
		add("s.queue = ANY (?)", storable(q.Queues))
	}
	if q.Names != nil {
		add("s.name = ANY (?)", storable(q.Names))
	}
	if q.Prefix != "" {
		if strings.Contains(q.Prefix, "\x00") {
			return nil, nil
		}
		add("s.name >= ? AND s.name < ?", q.Prefix, behind(q.Prefix))
	}
	if q.Contains != "" {
		if strings.Contains(q.Contains, "\x00") {
			return nil, nil
		}
		add("strpos(s.name, ?) > 0", q.Contains)
	}
	if q.Before != 0 {
		add("s.id < ?", q.Before)
	}
	order := "s.id"
	if q.Names != nil || q.Prefix != "" {
		order = "s.id + 0" // they are sorted when they were found
	}
	return v.sets("SELECT "+setColumns+" FROM armada.job_set s WHERE "+strings.Join(conditions, " AND ")+" ORDER BY "+order+" DESC LIMIT $1", args...)
}

// ActiveSets are the job sets with active jobs: the index of those is skipped
// through from one job set to the next.
func (v view) ActiveSets(queues []int64) ([]listing.Set, error) {
	return v.sets(`WITH RECURSIVE a AS (
			(SELECT queue, job_set FROM armada.active ORDER BY queue, job_set LIMIT 1)
			UNION ALL SELECT n.queue, n.job_set FROM a CROSS JOIN LATERAL
				(SELECT queue, job_set FROM armada.active WHERE (queue, job_set) > (a.queue, a.job_set) ORDER BY queue, job_set LIMIT 1) n)
		SELECT `+setColumns+` FROM a CROSS JOIN LATERAL (SELECT * FROM armada.job_set WHERE id = a.job_set OFFSET 0) s
			WHERE $1::bigint[] IS NULL OR a.queue = ANY ($1)`, queues)
}

// ActiveInOrder says yes: active jobs have a table of their own.
func (v view) ActiveInOrder() bool { return true }

// streamsOf are the parts of indexes that a walk merges: a statement that tells
// number and state of their candidates, by the columns of p.
func streamsOf(w *listing.Walk) (of, parts string, args []any) {
	ids := func(sets []listing.Set) (ids, queues []int64) {
		for i := range sets {
			ids, queues = append(ids, sets[i].ID), append(queues, sets[i].QueueID)
		}
		return ids, queues
	}
	switch w.Kind {
	case listing.OfQueues:
		return "SELECT n.number, 0 AS state FROM armada.job n WHERE n.queue = p.id", "unnest($5::bigint[]) WITH ORDINALITY p(id, part)", []any{w.Queues}
	case listing.OfSets:
		sets, _ := ids(w.Sets)
		return "SELECT n.number, 0 AS state FROM armada.job n WHERE n.job_set = p.id", "unnest($5::bigint[]) WITH ORDINALITY p(id, part)", []any{sets}
	case listing.Active:
		sets, queues := ids(w.Sets)
		return "SELECT n.number, n.state::int FROM armada.active n WHERE n.queue = p.queue AND n.job_set = p.id",
			"unnest($5::bigint[], $6::bigint[]) WITH ORDINALITY p(id, queue, part)", []any{sets, queues}
	case listing.AllActive:
		return "SELECT n.number, n.state::int FROM armada.active n WHERE true", "(VALUES (1)) p(part)", nil
	case listing.Ended:
		var queues []int64
		var states []int16
		for _, queue := range w.Queues {
			for _, state := range w.States {
				queues, states = append(queues, queue), append(states, int16(state))
			}
		}
		return "SELECT n.number, n.state::int FROM armada.ended n WHERE n.queue = p.queue AND n.state = p.state",
			"unnest($5::bigint[], $6::smallint[]) WITH ORDINALITY p(queue, state, part)", []any{queues, states}
	case listing.Marked:
		return "SELECT n.number, 0 AS state FROM armada.mark n WHERE n.key = (SELECT id FROM armada.mark_key WHERE name = $6) AND n.value = p.value",
			"unnest($5::text[]) WITH ORDINALITY p(value, part)", []any{w.Values, w.Mark}
	default:
		return "SELECT n.number, 0 AS state FROM armada.job n WHERE true", "(VALUES (1)) p(part)", nil
	}
}

// Walk returns the next candidates of a walk. Many streams are asked for few of
// each; what lies behind the last of one that may have more is left for later.
func (v view) Walk(w *listing.Walk, s listing.Stretch) ([]listing.Candidate, bool, error) {
	of, parts, more := streamsOf(w)
	direction := ""
	if s.Descending {
		direction = " DESC"
	}
	each := s.Each(w)
	args := append([]any{s.Low, s.High, each, s.Limit}, more...)
	gathered := listing.NewGathered(s, each)
	err := v.s.each(v.ctx, func(r pgx.Rows) error {
		var part, number int64
		var state int
		err := r.Scan(&part, &number, &state)
		gathered.Add(part, listing.Candidate{Number: number, State: armada.JobState(state)})
		return err
	}, "SELECT p.part, n.number, n.state FROM "+parts+" CROSS JOIN LATERAL ("+of+" AND n.number BETWEEN $1 AND $2 ORDER BY n.number"+direction+
		" LIMIT $3) n ORDER BY n.number"+direction+" LIMIT $4", args...)
	if err != nil {
		return nil, false, err
	}
	list, further := gathered.List()
	return list, further, nil
}

// Load returns jobs that are still there.
func (v view) Load(numbers []int64, parts listing.Parts) ([]store.FullJob, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	jobs, err := v.s.fullJobs(v.ctx, parts, "j.number = ANY ($1)", numbers)
	byNumber := make(map[int64]int, len(jobs))
	for i := range jobs {
		byNumber[jobs[i].Job.Number] = i
	}
	sorted := make([]store.FullJob, 0, len(jobs))
	for _, number := range numbers {
		if i, there := byNumber[number]; there {
			sorted = append(sorted, jobs[i])
		}
	}
	return sorted, err
}

func (v view) numbers(query string, args ...any) ([]int64, error) {
	var numbers []int64
	err := v.s.each(v.ctx, func(r pgx.Rows) error {
		var n int64
		err := r.Scan(&n)
		numbers = append(numbers, n)
		return err
	}, query, args...)
	return numbers, err
}

// number is the one that a statement tells.
func (v view) number(query string, args ...any) (n int64, err error) {
	err = v.s.pool.QueryRow(v.ctx, query, args...).Scan(&n)
	return n, err
}

// Numbers are those of jobs by id.
func (v view) Numbers(ids []string) ([]int64, error) {
	return v.numbers("SELECT number FROM armada.job WHERE id = ANY ($1)", storable(ids))
}

// Prefixed are the numbers of jobs whose ids begin with a text.
func (v view) Prefixed(prefix string, limit int) ([]int64, error) {
	if strings.Contains(prefix, "\x00") {
		return nil, nil
	}
	return v.numbers("SELECT number FROM armada.job WHERE id >= $1 AND id < $2 LIMIT $3", prefix, behind(prefix), limit)
}

// Held are the numbers of jobs that executors hold.
func (v view) Held(states listing.States) ([]int64, error) {
	return v.numbers("SELECT number FROM armada.active WHERE executor IS NOT NULL AND state IN (" + states.Codes() + ")")
}

// First is the lowest number.
func (v view) First() (int64, error) {
	return v.number("SELECT coalesce((SELECT number FROM armada.job ORDER BY number LIMIT 1), 1)")
}

// FirstSince returns a number such that all jobs from it on, and no others,
// were submitted at or after a time, by bisection.
func (v view) FirstSince(since time.Time) (int64, error) {
	var low, high int64 // the answer lies within
	if err := v.s.pool.QueryRow(v.ctx, "SELECT coalesce(min(number), 1), coalesce(max(number), 0) + 1 FROM armada.job").Scan(&low, &high); err != nil {
		return 0, err
	}
	for low < high {
		middle := low + (high-low)/2
		var number, submitted int64
		found := false
		err := v.s.each(v.ctx, func(r pgx.Rows) error {
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

// MarkedSince is the number from which on jobs have their marks.
func (v view) MarkedSince(name string) (int64, bool, error) {
	if strings.Contains(name, "\x00") {
		return 0, false, nil
	}
	since, err := v.number("SELECT coalesce((SELECT since FROM armada.mark_key WHERE name = $1), 0)", name)
	return since, since != 0, err
}

const ofMark = " FROM armada.mark WHERE key = (SELECT id FROM armada.mark_key WHERE name = $1)"

// CountMarked counts jobs with a mark within the stretch, up to its limit.
func (v view) CountMarked(name string, values []string, s listing.Stretch) (int64, error) {
	return v.number("SELECT count(*) FROM (SELECT"+ofMark+" AND value = ANY ($2) AND number BETWEEN $3 AND $4 LIMIT $5) m", name, values, s.Low, s.High, s.Limit)
}

// MarkValues are values that begin with a text: the index is skipped through from
// one to the next.
func (v view) MarkValues(name, prefix string, limit int) ([]string, error) {
	var values []string
	err := v.s.each(v.ctx, func(r pgx.Rows) error {
		var value string
		err := r.Scan(&value)
		values = append(values, value)
		return err
	}, `WITH RECURSIVE v AS (
			(SELECT value`+ofMark+` AND value >= $2 AND value < $3 ORDER BY value LIMIT 1)
			UNION ALL SELECT n.value FROM v CROSS JOIN LATERAL
				(SELECT value`+ofMark+` AND value > v.value AND value < $3 ORDER BY value LIMIT 1) n)
		SELECT value FROM v LIMIT $4`, name, prefix, behind(prefix), limit)
	return values, err
}

// MarkedPrefix are the numbers of jobs with marks that begin with a text.
func (v view) MarkedPrefix(name, prefix string, limit int) ([]int64, error) {
	return v.numbers("SELECT number"+ofMark+" AND value >= $2 AND value < $3 LIMIT $4", name, prefix, behind(prefix), limit)
}
