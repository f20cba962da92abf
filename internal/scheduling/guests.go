package scheduling

import (
	"math"
	"reflect"
	"slices"

	"armada"
	"armada/internal/scheduling/placement"
)

// A guest is a job that is at home in another pool, whose jobs may use the nodes of
// this one as a second choice. Here it is ranked below everybody who is at home: it
// goes after them, displaces none of them, and is the first to give way. At home in
// a pool is a job that could run on an empty node of a kind that the pool has, or
// had within the last day. Only jobs of preemptible classes are guests; others are at
// home wherever they fit.

// guestClass is the class of guests, for their levels on nodes.
func (c *Config) guestClass() armada.PriorityClass {
	lowest := int32(0)
	for _, class := range c.Classes {
		lowest = min(lowest, class.Priority)
	}
	for i := range c.Away {
		lowest = min(lowest, c.Away[i].Priority)
	}
	if lowest > math.MinInt32 {
		lowest--
	}
	return armada.PriorityClass{Name: "guests of other pools", Priority: lowest, Preemptible: true}
}

// lenders are the pools whose jobs may be guests in a pool, by name.
func (c *Config) lenders(pool string) []string {
	var all []string
	for name, hosts := range c.AwayPools {
		if slices.Contains(hosts, pool) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// InTurn sorts pools in the order in which their rounds should be: a pool before
// those where its jobs may be guests, so that they are tried at home first, and by
// name otherwise. Pools that are guests of each other have no such order.
func (c *Config) InTurn(pools []string) []string {
	sorted := slices.Sorted(slices.Values(pools))
	var order []string
	var visit func(name string, path []string)
	visit = func(name string, path []string) {
		if slices.Contains(order, name) || slices.Contains(path, name) {
			return
		}
		for _, lender := range c.lenders(name) {
			visit(lender, append(path, name))
		}
		if slices.Contains(sorted, name) {
			order = append(order, name)
		}
	}
	for _, name := range sorted {
		visit(name, nil)
	}
	return order
}

// SetKnown tells which kinds of nodes there are, or may be, in all pools: by them
// a job is at home or a guest. It returns whether that may matter to a round. The
// kinds must not change any more.
func (p *Pool) SetKnown(known []KnownKind) bool {
	if len(p.lenders) == 0 {
		return false
	}
	homes := slices.DeleteFunc(slices.Clone(known), func(k KnownKind) bool { return !slices.Contains(p.lenders, k.Pool) })
	if reflect.DeepEqual(homes, p.homes) {
		return false
	}
	p.homes = homes
	for _, s := range p.shapes {
		s.livesIn = nil
	}
	changed := false
	for _, j := range p.jobs {
		if form := p.form(j); j.run == nil && form != j.shape {
			p.reform(j, form)
			changed = true
		}
	}
	p.changed(changed)
	return changed
}

// form is the form of its shape that a queued job has: that of a guest, or at home.
func (p *Pool) form(j *job) *shape {
	home := j.shape.home
	if len(p.homes) == 0 || !home.loose {
		return home
	}
	label := ""
	if j.gang != nil {
		label = j.gang.label
	}
	pool, judged := home.livesIn[label]
	if !judged {
		pool = p.homeOf(home.needs, label)
		if home.livesIn == nil {
			home.livesIn = map[string]string{}
		}
		home.livesIn[label] = pool
	}
	if pool == "" {
		return home
	}
	return p.guest(home, pool)
}

// homeOf is the first pool in which a job is at home whose guest it would be here,
// empty for none.
func (p *Pool) homeOf(needs *armada.Requirements, label string) string {
	for _, pool := range p.lenders {
		for i := range p.homes {
			if k := &p.homes[i]; k.Pool == pool && p.config.fits(needs, label, k) {
				return pool
			}
		}
	}
	return ""
}

// guest finds or makes the form of a shape that is at home in another pool.
func (p *Pool) guest(home *shape, pool string) *shape {
	name := armada.GuestFrom(pool)
	if g := home.on(name); g != home {
		return g
	}
	class := p.config.guestClass()
	ranked := *p.onNode(home.needs)
	ranked.PriorityClass = class.Name
	g := &shape{
		id: home.id, needs: home.needs, demand: p.space.AddDemand(&ranked),
		rank: class.Priority, loose: true, class: home.class, home: home, nodeType: name,
	}
	g.waitAlone()
	home.guests = append(home.guests, g)
	return g
}

// runsAs is the form of its shape that a run has.
func (p *Pool) runsAs(home *shape, run *armada.Run) *shape {
	if pool, guest := run.GuestOf(); guest && len(p.lenders) > 0 && home.loose {
		return p.guest(home, pool)
	}
	return home.on(run.Away)
}

// reform gives a queued job another form of its shape.
func (p *Pool) reform(j *job, form *shape) {
	if j.gang != nil {
		p.unsettle(j.gang)
		j.shape = form
		return
	}
	band := bandSet(0).with(j.band)
	p.leaveLane(j.queue.lane(j.shape.alone, band), j)
	j.shape = form
	j.queue.lane(form.alone, band).insert(j.entry())
}

// waitAlone makes the kind of lone jobs of the shape.
func (s *shape) waitAlone() {
	s.alone = &kind{
		rank: s.rank, members: []member{{shape: s, count: 1}}, parts: []placement.Part{{Demand: s.demand, Count: 1}},
		size: 1, total: s.needs.Resources,
	}
	s.alone.byClass, s.alone.trips = totals(s.alone.members), trips(s.alone.members)
}
