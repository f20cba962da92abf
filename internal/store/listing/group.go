package listing

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"armada"
	"armada/internal/store"
	"armada/internal/store/intake"
)

// groupPatience bounds how long jobs are grouped, unless the query says it.
const groupPatience = 2 * time.Second

// setsMost is how many job sets are added up to count the jobs in them.
const setsMost = 100_000

// Count counts the jobs that match. What the counts by queue, job set and state
// tell is read from them.
func Count(ctx context.Context, form Form, q store.Query, most int64, table armada.ResourceTable) (store.Counted, error) {
	s, err := newSearch(q, table)
	if err != nil {
		return store.Counted{}, err
	}
	counted := store.Counted{}
	if told, err := s.tallied(form, "count jobs", func(_, _ string, jobs *store.StateCounts) { counted.Jobs += jobs.Total() }); told || err != nil {
		return counted, err
	}
	s.stretch.Descending = true
	room := func() int { return int(max(0, most-counted.Jobs)) }
	done, err := s.run(ctx, form, "count jobs", cmpOr(q.Patience, patience), room, func(*store.FullJob) { counted.Jobs++ })
	counted.AtLeast = !done
	return counted, err
}

// tallied visits the counts of job sets, or of queues with "" where job sets do not
// matter, if they tell what the query asks for: then it answers true.
func (s *search) tallied(form Form, what string, visit func(queue, set string, jobs *store.StateCounts)) (told bool, err error) {
	bySet := false
	for i := range s.where {
		switch s.where[i].Column.Field {
		case store.FieldQueue, store.FieldState:
		case store.FieldJobSet:
			bySet = true
		default:
			return false, nil
		}
	}
	err = form.Look(what, func(v View) error {
		if !bySet {
			totals, _, err := s.queues(v)
			for i := range totals {
				s.count(totals[i].Queue, "", &totals[i].Jobs, visit)
			}
			told = true
			return err
		}
		p := &planner{search: s, view: v}
		var err error
		if p.totals, p.restricted, err = s.queues(v); err != nil {
			return err
		}
		told, err = p.talliedSets(visit)
		return err
	})
	return told, err
}

func (p *planner) talliedSets(visit func(queue, set string, jobs *store.StateCounts)) (bool, error) {
	sets, known, err := p.sets()
	if err != nil {
		return false, err
	}
	if !known {
		filter := SetFilter{}
		if p.restricted {
			filter.Queues = []string{}
			for i := range p.totals {
				filter.Queues = append(filter.Queues, p.totals[i].Queue)
			}
		}
		if sets, err = p.view.Sets(filter, setsMost+1); err != nil || len(sets) > setsMost {
			return false, err
		}
	}
	for i := range sets {
		p.count(sets[i].Queue, sets[i].Name, &sets[i].Jobs, visit)
	}
	return true, nil
}

// count visits the part of counts that matches.
func (s *search) count(queue, set string, jobs *store.StateCounts, visit func(queue, set string, jobs *store.StateCounts)) {
	full := store.FullJob{Job: armada.Job{Queue: queue, JobSet: armada.JobSet(set)}}
	if !s.sees(queue) {
		return
	}
	part := *jobs
	for i := range s.where {
		c := &s.where[i]
		if c.Column.Field == store.FieldState {
			for state := range part {
				if full.Job.State = armada.JobState(state); !c.Holds(c.Column.Of(&full, s.table)) {
					part[state] = 0
				}
			}
		} else if !c.Holds(c.Column.Of(&full, s.table)) {
			return
		}
	}
	if part.Total() > 0 {
		visit(queue, set, &part)
	}
}

// Group groups the jobs that match by a column.
func Group(ctx context.Context, form Form, q store.Query, by store.Column, times bool, table armada.ResourceTable) (store.Groups, error) {
	if !by.Groupable() {
		return store.Groups{}, intake.Coded(armada.CodeInvalid, "group by %s: its values are no names", by)
	}
	s, err := newSearch(q, table)
	if err != nil {
		return store.Groups{}, err
	}
	g := &grouping{by: by, groups: map[string]*group{}}
	limit := min(cmpOr(q.Limit, defaultPage), store.MaxPage)
	if !times && (by.Field == store.FieldQueue || by.Field == store.FieldState || by.Field == store.FieldJobSet) {
		if by.Field == store.FieldJobSet { // job sets matter: any name is fine
			s.where = append(s.where, store.Condition{Column: by, Op: store.OpExists})
		}
		told, err := s.tallied(form, "group jobs", g.counts)
		if told || err != nil {
			return g.largest(limit, time.Time{}), err
		}
	}
	s.parts.need(by)
	s.parts.Life = s.parts.Life || times
	s.stretch.Descending = true
	done, err := s.run(ctx, form, "group jobs", cmpOr(q.Patience, groupPatience), all, func(full *store.FullJob) { g.add(full, table, times) })
	if err != nil {
		return store.Groups{}, err
	}
	if done {
		s.searched = time.Time{}
	}
	return g.largest(limit, s.searched), nil
}

// grouping are the groups so far.
type grouping struct {
	by     store.Column
	groups map[string]*group
	others int64
}

type group struct {
	store.Group
	submitted, transitioned meanSpan
}

// meanSpan makes a span of times.
type meanSpan struct {
	earliest, latest, base time.Time
	n, sum                 int64 // microseconds since base
}

func (m *meanSpan) add(t time.Time) {
	if m.n == 0 {
		m.earliest, m.latest, m.base = t, t, t
	}
	if t.Before(m.earliest) {
		m.earliest = t
	}
	if t.After(m.latest) {
		m.latest = t
	}
	m.n, m.sum = m.n+1, m.sum+t.Sub(m.base).Microseconds()
}

func (m *meanSpan) span() store.Span {
	if m.n == 0 {
		return store.Span{}
	}
	return store.Span{Earliest: m.earliest, Latest: m.latest, Mean: m.base.Add(time.Duration(m.sum/m.n) * time.Microsecond)}
}

// of returns the group of a value, nil when there are too many.
func (g *grouping) of(value string) *group {
	in := g.groups[value]
	if in == nil && len(g.groups) < store.MaxGroups {
		in = &group{Group: store.Group{Value: value}}
		g.groups[value] = in
	}
	return in
}

// counts adds what is told of a queue or a job set.
func (g *grouping) counts(queue, set string, jobs *store.StateCounts) {
	add := func(value string, jobs *store.StateCounts) {
		if in := g.of(value); in != nil {
			in.Jobs.Add(jobs)
		} else {
			g.others += jobs.Total()
		}
	}
	switch g.by.Field {
	case store.FieldQueue:
		add(queue, jobs)
	case store.FieldJobSet:
		add(set, jobs)
	default:
		for _, state := range armada.JobStates() {
			if jobs[state] > 0 {
				var only store.StateCounts
				only[state] = jobs[state]
				add(state.String(), &only)
			}
		}
	}
}

// add adds a job.
func (g *grouping) add(full *store.FullJob, table armada.ResourceTable, times bool) {
	in := g.of(name(g.by, g.by.Of(full, table)))
	if in == nil {
		g.others++
		return
	}
	in.Jobs[full.Job.State]++
	if times {
		in.submitted.add(full.Job.Submitted)
		in.transitioned.add(full.Job.Transitioned)
	}
}

// name is a value as the name of a group.
func name(by store.Column, v store.Value) string {
	switch {
	case by.Field == store.FieldState:
		return armada.JobState(v.Number).String()
	case by.Numeric():
		return itoa(v.Number)
	default:
		return v.Text
	}
}

// largest are the groups with the most jobs.
func (g *grouping) largest(limit int, searched time.Time) store.Groups {
	out := store.Groups{Searched: searched, Others: g.others}
	for _, in := range g.groups {
		in.Submitted, in.Transitioned = in.submitted.span(), in.transitioned.span()
		out.Groups = append(out.Groups, in.Group)
	}
	slices.SortFunc(out.Groups, func(a, b store.Group) int {
		return cmp.Or(cmp.Compare(b.Jobs.Total(), a.Jobs.Total()), strings.Compare(a.Value, b.Value))
	})
	for i := limit; i < len(out.Groups); i++ {
		out.Others += out.Groups[i].Jobs.Total()
	}
	out.Groups = out.Groups[:min(limit, len(out.Groups))]
	return out
}
