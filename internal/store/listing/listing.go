package listing

import (
	"context"
	"fmt"
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
	// patience bounds how long a page is looked for among jobs that do not match,
	// unless the query says it.
	patience = 200 * time.Millisecond
	// sortPatience bounds how long matches are collected to sort them.
	sortPatience = 5 * time.Second
	// step is how many candidates a form is asked for at a time.
	step = 500
)

// List returns a page of the jobs that match.
func List(ctx context.Context, form Form, q store.Query, table armada.ResourceTable) (store.Page, error) {
	limit := min(cmpOr(q.Limit, defaultPage), store.MaxPage)
	s, err := newSearch(q, table)
	if err != nil {
		return store.Page{}, err
	}
	if sorts(q.Order) {
		return s.sorted(ctx, form, limit)
	}
	if err := s.resume(q.After); err != nil {
		return store.Page{}, err
	}
	s.parts = Whole
	var page store.Page
	done, err := s.run(ctx, form, "list jobs", cmpOr(q.Patience, patience), func() int { return limit - len(page.Jobs) }, func(full *store.FullJob) {
		page.Jobs = append(page.Jobs, *full)
	})
	if err != nil {
		return store.Page{}, err
	}
	if !done {
		page.Next, page.Searched = strconv.FormatInt(s.at, 10), s.searched
	}
	return page, nil
}

// cmpOr is v, or the other where v says nothing.
func cmpOr[N int | time.Duration](v, other N) N {
	if v <= 0 {
		return other
	}
	return v
}

// sorts tells that an order is not that of numbers.
func sorts(c store.Column) bool {
	switch c.Field {
	case 0, store.FieldSubmitted, store.FieldJobID:
		return false
	default:
		return true
	}
}

// search goes through the jobs that match a query.
type search struct {
	query  store.Query
	table  armada.ResourceTable
	where  []store.Condition
	wanted States
	parts  Parts

	walks    []Walk // nil until they are planned
	stretch  Stretch
	at       int64     // the number of the last job that was looked at; before the first job at the beginning
	searched time.Time // and when the last that was loaded was submitted
	begun    bool      // some job was looked at: however slow it is, every call gets on
}

// newSearch begins a search; Invalid for a query that means nothing.
func newSearch(q store.Query, table armada.ResourceTable) (*search, error) {
	s := &search{query: q, table: table, where: q.Conditions(), stretch: Stretch{High: everywhere, Descending: q.Descending, Limit: step}}
	if q.Descending {
		s.at = everywhere
	}
	for i := range s.where {
		c := &s.where[i]
		if err := c.Means(); err != nil {
			return nil, err
		}
		s.parts.need(c.Column)
		if c.Column.Field == store.FieldState && c.Op == store.OpEqual {
			s.wanted = s.wanted.and(c.Numbers)
		}
	}
	return s, nil
}

// resume goes on behind the place that a continuation names.
func (s *search) resume(after string) error {
	if after == "" {
		return nil
	}
	at, err := strconv.ParseInt(after, 10, 64)
	if err != nil || at < 0 {
		return badContinuation(after)
	}
	s.at = at
	s.stretch = s.stretch.after(at)
	return nil
}

func badContinuation(after string) error {
	return intake.Coded(armada.CodeInvalid, "list: %q is not a continuation", clip(after))
}

func clip(text string) string {
	const most = 60
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// run visits jobs that match until there is no room for more, nothing is left, or
// the time is up. It tells whether nothing is left.
func (s *search) run(ctx context.Context, form Form, what string, patience time.Duration, room func() int, visit func(*store.FullJob)) (bool, error) {
	deadline := time.Now().Add(patience)
	for {
		if err := context.Cause(ctx); err != nil {
			return false, fmt.Errorf("%s: %w", what, err)
		}
		more := true
		err := form.Look(what, func(v View) (err error) {
			if s.walks == nil {
				if err := s.plan(v); err != nil {
					return err
				}
			}
			more, err = s.step(v, deadline, room, visit)
			return err
		})
		switch {
		case err != nil:
			return false, err
		case !more:
			return true, nil
		case room() <= 0 || time.Now().After(deadline):
			return false, nil
		}
	}
}

// step looks at some candidates, and tells whether there may be more.
func (s *search) step(v View, deadline time.Time, room func() int, visit func(*store.FullJob)) (bool, error) {
	list, more, err := s.candidates(v)
	if err != nil {
		return false, err
	}
	for len(list) > 0 {
		if room() <= 0 || s.begun && time.Now().After(deadline) {
			return true, nil
		}
		part := list[:min(len(list), max(100, min(step, room())))]
		list = list[len(part):]
		full, err := s.look(v, part, room, visit)
		if err != nil || full {
			return true, err
		}
	}
	return more, nil
}

// look loads candidates and visits those that match. It tells whether the room did
// not suffice.
func (s *search) look(v View, part []Candidate, room func() int, visit func(*store.FullJob)) (bool, error) {
	numbers := make([]int64, 0, len(part))
	for _, c := range part {
		if c.State == 0 || s.wanted.Has(c.State) {
			numbers = append(numbers, c.Number)
		}
	}
	jobs, err := v.Load(numbers, s.parts)
	if err != nil {
		return false, err
	}
	for i := range jobs {
		if room() <= 0 {
			return true, nil
		}
		s.passed(jobs[i].Job.Number)
		s.searched = jobs[i].Job.Submitted
		if s.matches(&jobs[i]) {
			visit(&jobs[i])
		}
	}
	s.passed(part[len(part)-1].Number)
	return false, nil
}

// passed records that a candidate was looked at.
func (s *search) passed(number int64) {
	s.at, s.begun = number, true
	s.stretch = s.stretch.after(number)
}

// candidates are the next ones of all walks together.
func (s *search) candidates(v View) ([]Candidate, bool, error) {
	var all []Candidate
	more, rest := false, s.stretch
	for i := range s.walks {
		w := &s.walks[i]
		part := rest
		part.Low, part.High = max(part.Low, w.Low), min(part.High, w.High)
		if part.Low > part.High {
			continue
		}
		var list []Candidate
		var further bool
		var err error
		if w.Kind == Listed {
			list, further = w.list(part)
		} else if list, further, err = v.Walk(w, part); err != nil {
			return nil, false, err
		}
		if further && len(list) > 0 { // behind its last, it may know others
			more, rest = true, rest.until(list[len(list)-1].Number)
		}
		all = append(all, list...)
	}
	return rest.within(rest.sort(all)), more, nil
}

// matches compares a job with what is asked for.
func (s *search) matches(full *store.FullJob) bool {
	if !s.sees(full.Job.Queue) {
		return false
	}
	for i := range s.where {
		if c := &s.where[i]; !c.Holds(c.Column.Of(full, s.table)) {
			return false
		}
	}
	return true
}

// sees tells whether the asker may see jobs of a queue.
func (s *search) sees(queue string) bool { return sees(s.query.Queues, queue) }

func sees(queues []string, queue string) bool {
	if queues == nil {
		return true
	}
	for _, q := range queues {
		if q == queue {
			return true
		}
	}
	return false
}

// States is a set of states; the empty one holds all.
type States uint32

// StatesOf returns the set of some states, and that of all for none.
func StatesOf(list []armada.JobState) States {
	var set States
	for _, s := range list {
		set |= 1 << s
	}
	return set
}

// nothing is a set that holds no state of a job.
const nothing States = 1

// and returns what is both in the set and among the numbers of states.
func (s States) and(numbers []int64) States {
	both := nothing
	for _, state := range armada.JobStates() {
		for _, n := range numbers {
			if n == int64(state) && s.Has(state) {
				both |= 1 << state
			}
		}
	}
	return both
}

// Has tells whether a state is among them.
func (s States) Has(state armada.JobState) bool { return s == 0 || s&(1<<state) != 0 }

// list are the states in the set.
func (s States) list() []armada.JobState {
	var list []armada.JobState
	for _, state := range armada.JobStates() {
		if s.Has(state) {
			list = append(list, state)
		}
	}
	return list
}

// Codes are the numbers of the states, with commas between.
func (s States) Codes() string {
	codes := []string{}
	for _, state := range s.list() {
		codes = append(codes, strconv.Itoa(int(state)))
	}
	return strings.Join(codes, ", ")
}
