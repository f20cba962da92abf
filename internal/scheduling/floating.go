package scheduling

import (
	"slices"

	"armada"
)

// Budget is how much pools share of a floating resource: one that is no part of
// nodes, such as licences.
type Budget struct {
	Resource string
	Pools    []string
	Amount   int64
}

// covers tells whether a pool draws on the budget.
func (b *Budget) covers(pool string) bool { return slices.Contains(b.Pools, pool) }

// Budgeted is what a pool may use of floating resources when nobody else does.
func (c *Config) Budgeted(pool string) armada.Resources {
	var sum armada.Resources
	for i := range c.Budgets {
		if at, counted := c.Resources.Index(c.Budgets[i].Resource); counted && c.Budgets[i].covers(pool) {
			sum[at] += c.Budgets[i].Amount
		}
	}
	return sum
}

// Floats tells whether an amount has floating resources in it.
func (c *Config) Floats(amounts *armada.Resources) bool {
	for i := range c.Resources.Len() {
		if c.Resources.At(i).Floating && amounts[i] != 0 {
			return true
		}
	}
	return false
}

// onNode is what a job takes of its node: nothing of floating resources, and a
// pod where pods are counted.
func (c *Config) onNode(needs *armada.Requirements) *armada.Requirements {
	node := *needs
	for i := range c.Resources.Len() {
		switch r := c.Resources.At(i); {
		case r.Floating:
			node.Resources[i] = 0
		case r.Name == armada.Pods:
			node.Resources[i] = 1
		}
	}
	if node.Resources == needs.Resources {
		return needs
	}
	return &node
}

// node is a node with what it has by itself: nothing of floating resources. One
// that does not say how many pods it can have may have any number.
func (c *Config) node(n armada.Node) armada.Node {
	for i := range c.Resources.Len() {
		switch r := c.Resources.At(i); {
		case r.Floating:
			n.Allocatable[i], n.MinimumJob[i] = 0, 0
		case r.Name == armada.Pods && n.Allocatable[i] == 0:
			n.Allocatable[i] = anyNumber
		}
	}
	return n
}

// anyNumber is more pods than a node can have, and few enough to be added up.
const anyNumber = 1 << 32

// unspent is what is left for this pool of the floating resources: of each
// budget what the runs of all its pools leave. Other resources are unbounded.
func (p *Pool) unspent() bound {
	var left bound
	for i := range left {
		left[i] = unbounded
		if i < p.config.Resources.Len() && p.config.Resources.At(i).Floating {
			left[i] = 0
		}
	}
	for i := range p.config.Budgets {
		b := &p.config.Budgets[i]
		at, counted := p.config.Resources.Index(b.Resource)
		if !counted || !b.covers(p.name) {
			continue
		}
		left[at] += b.Amount
		for _, o := range p.shared.pools {
			if b.covers(o.name) {
				left[at] -= o.held(at)
			}
		}
	}
	return left
}

// held is what all runs of the pool hold of a resource.
func (p *Pool) held(resource int) int64 {
	var sum int64
	for _, q := range p.byName {
		sum += q.held[resource] + q.leaving[resource]
	}
	return sum
}

// sinks tells whether too little is left of a floating resource for gangs of the
// kind, and why. What is left only becomes less within a step of a round.
func (r *round) sinks(k *kind) (armada.Reason, bool) {
	i, _, yes := r.unspent.exceeded(&r.given, &k.total)
	if !yes {
		return armada.Reason{}, false
	}
	return r.short(armada.ReasonFloating, i, max(r.unspent[i]-r.given[i], 0), k.total[i]), true
}
