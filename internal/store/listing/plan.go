package listing

import (
	"slices"
	"time"

	"armada"
	"armada/internal/store"
)

const (
	// maxStreams bounds the parts of an index that a walk merges.
	maxStreams = 2000
	// streamCost is what one of them costs, in candidates.
	streamCost = 50
	// probe is how far marks and ids are counted before the walk is taken.
	probe = 10_000
	// heldMost is how many held jobs are listed beforehand: their rows are read.
	heldMost = 2000
	// listMost is how many numbers are listed beforehand.
	listMost = 20_000
	// maxValues is how many values of a mark a walk merges.
	maxValues = 200
)

// option is a way to find all jobs that match, with how many candidates it has.
type option struct {
	walks []Walk
	cost  int64
}

// planner finds the shortest way.
type planner struct {
	*search
	view View

	totals     []Total // of the queues whose jobs can match
	restricted bool    // they are not all
	first      int64   // the lowest number
	best       option
}

// plan decides which walks are taken: those with the fewest candidates.
func (s *search) plan(v View) error {
	p := &planner{search: s, view: v}
	s.walks = []Walk{}
	var err error
	if p.totals, p.restricted, err = s.queues(v); err != nil || len(p.totals) == 0 || s.wanted == nothing {
		return err
	}
	if err := p.bound(); err != nil {
		return err
	}
	if s.stretch.Low > s.stretch.High {
		return nil
	}
	p.byQueue()
	for _, consider := range []func() error{p.byID, p.bySetAndState, p.byMark} {
		if err := consider(); err != nil {
			return err
		}
	}
	s.walks = p.best.walks
	return nil
}

// queues are the totals of the queues whose jobs can match, and whether those are
// not all queues.
func (s *search) queues(v View) ([]Total, bool, error) {
	all, err := v.Totals()
	if err != nil {
		return nil, false, err
	}
	column := store.Column{Field: store.FieldQueue}
	var can []Total
	for i := range all {
		full := store.FullJob{Job: armada.Job{Queue: all[i].Queue}}
		fits := s.sees(all[i].Queue)
		for c := range s.where {
			fits = fits && (s.where[c].Column != column || s.where[c].Holds(column.Of(&full, s.table)))
		}
		if fits {
			can = append(can, all[i])
		}
	}
	return can, len(can) < len(all), nil
}

// take takes an option if it is shorter.
func (p *planner) take(cost int64, walks ...Walk) {
	for i := range walks {
		if walks[i].High == 0 {
			walks[i].High = everywhere
		}
		cost += streamCost * int64(walks[i].streams()-1)
	}
	if p.best.walks == nil || cost < p.best.cost {
		p.best = option{walks, cost}
	}
}

// on are the conditions on a column that compare it so.
func (p *planner) on(column store.Column, op store.Op) []store.Condition {
	var list []store.Condition
	for _, c := range p.where {
		if c.Column == column && c.Op == op {
			list = append(list, c)
		}
	}
	return list
}

// texts are the texts that a column may equal, nil when it is not said.
func (p *planner) texts(field store.Field) []string {
	var may []string
	for i, c := range p.on(store.Column{Field: field}, store.OpEqual) {
		if i == 0 {
			may = append([]string{}, c.Texts...)
		} else {
			may = slices.DeleteFunc(may, func(t string) bool { return !slices.Contains(c.Texts, t) })
		}
	}
	slices.Sort(may)
	return slices.Compact(may)
}

// bound turns times of submission into numbers: both grow together.
func (p *planner) bound() error {
	var err error
	if p.first, err = p.view.First(); err != nil {
		return err
	}
	for _, c := range p.where {
		if c.Column.Field != store.FieldSubmitted || len(c.Numbers) != 1 {
			continue
		}
		at := c.Numbers[0]
		if c.Op == store.OpGreater || c.Op == store.OpLessEqual || c.Op == store.OpEqual {
			at++ // the first that is later
		}
		number, err := p.view.FirstSince(time.UnixMicro(at))
		if err != nil {
			return err
		}
		switch c.Op {
		case store.OpGreater, store.OpGreaterEqual:
			p.stretch.Low = max(p.stretch.Low, number)
		case store.OpLess, store.OpLessEqual, store.OpEqual:
			p.stretch.High = min(p.stretch.High, number-1)
		default: // no other means anything for times
		}
		if c.Op == store.OpEqual {
			if number, err = p.view.FirstSince(time.UnixMicro(at - 1)); err != nil {
				return err
			}
			p.stretch.Low = max(p.stretch.Low, number)
		}
	}
	return nil
}

// byQueue considers all jobs, and those of the queues.
func (p *planner) byQueue() {
	all, ids := int64(0), []int64{}
	for i := range p.totals {
		all += p.totals[i].Jobs.Total()
		ids = append(ids, p.totals[i].ID)
	}
	if high := p.stretch.High; high < everywhere {
		all = min(all, max(0, high-max(p.first, p.stretch.Low)+1))
	}
	if p.restricted && len(ids) <= maxStreams {
		p.take(all, Walk{Kind: OfQueues, Queues: ids})
	} else {
		p.take(all, Walk{Kind: All})
	}
}

// byID considers the ids that are asked for, and those that begin so.
func (p *planner) byID() error {
	if ids := p.texts(store.FieldJobID); ids != nil {
		numbers, err := p.view.Numbers(ids)
		if err != nil {
			return err
		}
		slices.Sort(numbers)
		p.take(int64(len(numbers)), Walk{Kind: Listed, Numbers: numbers})
	}
	for _, c := range p.on(store.Column{Field: store.FieldJobID}, store.OpPrefix) {
		numbers, err := p.view.Prefixed(c.Texts[0], listMost+1)
		if err != nil {
			return err
		}
		if len(numbers) <= listMost {
			slices.Sort(numbers)
			p.take(int64(len(numbers)), Walk{Kind: Listed, Numbers: numbers})
		}
	}
	return nil
}

// bySetAndState considers job sets, and the states of jobs.
func (p *planner) bySetAndState() error {
	sets, known, err := p.sets()
	if err != nil {
		return err
	}
	if known {
		all := int64(0)
		for i := range sets {
			all += sets[i].Jobs.Total()
		}
		p.take(all, Walk{Kind: OfSets, Sets: sets})
	}
	if p.wanted == 0 {
		return nil
	}
	var walks []Walk
	cost := int64(0)
	var active, ended []armada.JobState
	for _, state := range p.wanted.list() {
		if state.Active() {
			active = append(active, state)
		} else {
			ended = append(ended, state)
		}
	}
	if len(active) > 0 { // first, for a job that ends meanwhile is found among those that ended
		w, n, err := p.active(active, sets, known)
		if err != nil {
			return err
		}
		walks, cost = append(walks, w), n
	}
	if len(ended) > 0 {
		w := Walk{Kind: Ended, States: ended}
		for i := range p.totals {
			n := int64(0)
			for _, state := range ended {
				n += p.totals[i].Jobs[state]
			}
			if n > 0 {
				w.Queues, cost = append(w.Queues, p.totals[i].ID), cost+n
			}
		}
		walks = append(walks, w)
	}
	for i := range walks {
		if walks[i].streams() > maxStreams {
			return nil
		}
	}
	p.take(cost, walks...)
	return nil
}

// sets are the job sets that the query names, wholly or in part, and whether they are
// known.
func (p *planner) sets() ([]Set, bool, error) {
	filter := SetFilter{Names: p.texts(store.FieldJobSet)}
	if prefixes := p.on(store.Column{Field: store.FieldJobSet}, store.OpPrefix); len(prefixes) > 0 {
		filter.Prefix = prefixes[0].Texts[0]
	}
	if filter.Names == nil && filter.Prefix == "" {
		// All names are read for this, which is less than to read the jobs of all sets.
		parts := p.on(store.Column{Field: store.FieldJobSet}, store.OpContains)
		if len(parts) == 0 || p.best.cost <= streamCost {
			return nil, false, nil
		}
		filter.Contains = parts[0].Texts[0]
	}
	if filter.Names != nil {
		filter.Prefix = ""
	}
	if p.restricted {
		for i := range p.totals {
			filter.Queues = append(filter.Queues, p.totals[i].Queue)
		}
	}
	sets, err := p.view.Sets(filter, maxStreams+1)
	return slices.DeleteFunc(sets, func(s Set) bool { return s.Jobs.Total() == 0 }), len(sets) <= maxStreams, err
}

// active is a walk through the active jobs in some states.
func (p *planner) active(states []armada.JobState, sets []Set, known bool) (Walk, int64, error) {
	if !slices.Contains(states, armada.JobQueued) {
		held := int64(0)
		for i := range p.totals {
			for _, state := range []armada.JobState{armada.JobLeased, armada.JobPending, armada.JobRunning} {
				held += p.totals[i].Jobs[state]
			}
		}
		if held <= heldMost {
			numbers, err := p.view.Held(StatesOf(states))
			slices.Sort(numbers)
			return Walk{Kind: Listed, Numbers: numbers}, int64(len(numbers)), err
		}
	}
	together := int64(everywhere) // what it costs to walk through all active jobs
	if !known && !p.restricted && p.view.ActiveInOrder() {
		together = 0
		for i := range p.totals {
			together += p.totals[i].Jobs.Active()
		}
		if together <= listMost { // to look for their job sets costs more
			return Walk{Kind: AllActive}, together, nil
		}
	}
	if !known {
		var queues []int64
		if p.restricted {
			for i := range p.totals {
				queues = append(queues, p.totals[i].ID)
			}
		}
		var err error
		if sets, err = p.view.ActiveSets(queues); err != nil {
			return Walk{}, 0, err
		}
	}
	w, cost := Walk{Kind: Active, States: states}, int64(0)
	for i := range sets {
		for _, state := range states {
			if sets[i].Jobs[state] > 0 {
				w.Sets, cost = append(w.Sets, sets[i]), cost+sets[i].Jobs.Active()
				break
			}
		}
	}
	if together <= cost+streamCost*int64(len(w.Sets)) || together < everywhere && len(w.Sets) > maxStreams {
		return Walk{Kind: AllActive}, together, nil
	}
	return w, cost, nil
}

// byMark considers owners and annotations that are indexed. Older jobs, which have
// no marks of the name, are found as if there were none.
func (p *planner) byMark() error {
	others := p.best
	for _, c := range p.where {
		name := c.Column.Key
		switch {
		case c.Column.Field == store.FieldOwner:
			name = Owners
		case c.Column.Field != store.FieldAnnotation || name == "":
			continue
		}
		since, known, err := p.view.MarkedSince(name)
		if err != nil {
			return err
		}
		if !known {
			continue
		}
		w, cost, err := p.marked(name, &c)
		if err != nil {
			return err
		}
		if w == nil {
			continue
		}
		walks := []Walk{*w}
		walks[0].Low, walks[0].High = since, everywhere
		if since > p.first {
			cost += min(others.cost, since-p.first)
			for _, older := range others.walks {
				older.High = since - 1
				walks = append(walks, older)
			}
		}
		p.take(cost, walks...)
	}
	return nil
}

// marked is a walk through the jobs with marks that meet a condition, nil when
// there is none that is short.
func (p *planner) marked(name string, c *store.Condition) (*Walk, int64, error) {
	var values []string
	switch {
	case c.Op == store.OpEqual && len(c.Texts) <= maxValues:
		for _, v := range c.Texts {
			values = append(values, MarkValue(v))
		}
		slices.Sort(values)
		values = slices.Compact(values)
	case c.Op == store.OpPrefix:
		prefix := MarkValue(c.Texts[0])
		var err error
		if values, err = p.view.MarkValues(name, prefix, maxValues+1); err != nil {
			return nil, 0, err
		}
		if len(values) > maxValues {
			numbers, err := p.view.MarkedPrefix(name, prefix, listMost+1)
			slices.Sort(numbers)
			if err != nil || len(numbers) > listMost {
				return nil, 0, err
			}
			return &Walk{Kind: Listed, Numbers: slices.Compact(numbers)}, int64(len(numbers)), nil
		}
	default:
		return nil, 0, nil
	}
	if len(values) == 0 {
		return &Walk{Kind: Listed}, 0, nil
	}
	within := p.stretch
	within.Limit = probe
	n, err := p.view.CountMarked(name, values, within)
	return &Walk{Kind: Marked, Mark: name, Values: values}, n, err
}
