package scheduling

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"armada"
)

// naive is a round as one would explain it on a blackboard: every step looks at
// every queue, every job and every node, in exact fractions. It shares no code
// with what it checks.
type naive struct {
	world
	capacity armada.Resources
	free     map[string]armada.Resources // by node
	held     map[string]armada.Resources // by queue
	failed   map[string]int              // kinds that did not fit, and how much was placed then
	done     map[*naiveGang]bool
	gangs    map[string][]*naiveGang // by queue, in order
}

type naiveGang struct {
	members []worldJob // largest first
	last    worldJob
	rank    int32
	label   string
}

// kind is what gangs have in common that are placed alike.
func (g *naiveGang) kind() string {
	shapes := []string{g.label}
	for _, m := range g.members {
		shapes = append(shapes, string(m.Shape))
	}
	return strings.Join(shapes, " ")
}

// mixed tells whether members differ, so that best fit may fail now and succeed
// on fuller nodes.
func (g *naiveGang) mixed() bool {
	return g.members[0].Shape != g.members[len(g.members)-1].Shape
}

func (n *naive) rank(needs *armada.Requirements) int32 {
	for _, c := range n.config.Classes {
		if c.Name == needs.PriorityClass {
			return c.Priority
		}
	}
	return 0
}

// size is what best fit goes by: devices, cores, memory, storage, each cut.
func size(r armada.Resources) []int64 {
	return []int64{max(r[3], 0), max(r[0], 0) / 128, max(r[1], 0) / (64 << 20), max(r[2], 0) / (16 << 30)}
}

func newNaive(w world) *naive {
	n := &naive{
		world: w, free: map[string]armada.Resources{}, held: map[string]armada.Resources{},
		failed: map[string]int{}, done: map[*naiveGang]bool{}, gangs: map[string][]*naiveGang{},
	}
	for _, node := range w.nodes {
		n.free[node.Name] = w.free(node)
		used := slices.ContainsFunc(w.jobs, func(j worldJob) bool {
			return j.run != nil && j.run.Node == node.Name && j.run.Executor == node.Executor
		})
		if (node.Unschedulable || !w.executorOpen(node.Executor)) && !used {
			continue
		}
		room := node.Allocatable
		for _, o := range node.Others {
			room = room.Sub(o.Used)
		}
		for i := range room {
			n.capacity[i] += max(room[i], 0)
		}
	}
	groups := map[string][]worldJob{}
	for _, j := range w.jobs {
		switch {
		case j.run != nil:
			n.held[j.Queue] = n.held[j.Queue].Add(j.needs.Resources)
		case j.Gang.Alone():
			n.gangs[j.Queue] = append(n.gangs[j.Queue], &naiveGang{members: []worldJob{j}, last: j, rank: n.rank(j.needs)})
		default:
			key := fmt.Sprint(j.Queue, j.JobSet, j.Gang.ID)
			groups[key] = append(groups[key], j)
		}
	}
	for _, members := range groups {
		first := members[0]
		if len(members) != first.Gang.Cardinality {
			continue
		}
		g := &naiveGang{members: members, last: slices.MaxFunc(members, compareWorldJobs), rank: n.rank(first.needs), label: first.Gang.UniformityLabel}
		for _, m := range members {
			g.rank = min(g.rank, n.rank(m.needs))
		}
		slices.SortFunc(members, func(a, b worldJob) int {
			return cmp.Or(slices.Compare(size(b.needs.Resources), size(a.needs.Resources)), cmp.Compare(a.Shape, b.Shape), compareWorldJobs(a, b))
		})
		n.gangs[first.Queue] = append(n.gangs[first.Queue], g)
	}
	for _, gangs := range n.gangs {
		slices.SortFunc(gangs, func(a, b *naiveGang) int {
			return cmp.Or(cmp.Compare(b.rank, a.rank), compareWorldJobs(a.last, b.last))
		})
	}
	return n
}

func compareWorldJobs(a, b worldJob) int {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Number, b.Number))
}

// cost is the dominant share times the factor.
func (n *naive) cost(q armada.Queue, held armada.Resources) *big.Rat {
	cost := new(big.Rat)
	for i := range held {
		if n.capacity[i] > 0 {
			if c := big.NewRat(held[i], n.capacity[i]); c.Cmp(cost) > 0 {
				cost = c
			}
		}
	}
	return cost.Mul(cost, new(big.Rat).SetFloat64(q.PriorityFactor))
}

// next is the gang that is to be offered now.
func (n *naive) next() (armada.Queue, *naiveGang) {
	var best *naiveGang
	var of armada.Queue
	var lowest *big.Rat
	for _, q := range n.queues { // by name
		at := slices.IndexFunc(n.gangs[q.Name], func(g *naiveGang) bool {
			_, failed := n.failed[g.kind()]
			return !n.done[g] && !failed
		})
		if q.Cordoned || at < 0 {
			continue
		}
		g := n.gangs[q.Name][at]
		held := n.held[q.Name]
		for _, m := range g.members {
			held = held.Add(m.needs.Resources)
		}
		cost := n.cost(q, held)
		if best == nil || g.rank > best.rank || g.rank == best.rank && cost.Cmp(lowest) < 0 {
			best, of, lowest = g, q, cost
		}
	}
	return of, best
}

// place puts the members on the nodes that are left by the filter, or undoes.
func (n *naive) place(g *naiveGang, filter func(armada.Node) bool) []Lease {
	before := map[string]armada.Resources{}
	for k, v := range n.free {
		before[k] = v
	}
	var leases []Lease
	for _, m := range g.members {
		var best *armada.Node
		for i, node := range n.nodes {
			free := n.free[node.Name]
			if !n.accepts(node, m.needs) || !filter(node) || !m.needs.Resources.Fits(&free) {
				continue
			}
			if best == nil || cmp.Or(slices.Compare(size(free), size(n.free[best.Name])),
				cmp.Compare(node.Executor, best.Executor), cmp.Compare(node.Name, best.Name)) < 0 {
				best = &n.nodes[i]
			}
		}
		if best == nil {
			n.free = before
			return nil
		}
		n.free[best.Name] = n.free[best.Name].Sub(m.needs.Resources)
		leases = append(leases, Lease{Job: m.ID, Executor: best.Executor, Node: best.Name})
	}
	return leases
}

// placeUniform tries the values of the label, the one with the least room first.
func (n *naive) placeUniform(g *naiveGang) []Lease {
	sums := map[string]armada.Resources{}
	for _, node := range n.nodes {
		if value, ok := node.Labels[g.label]; ok && !node.Unschedulable && n.executorOpen(node.Executor) {
			sum := sums[value]
			for i, f := range n.free[node.Name] {
				sum[i] += max(f, 0)
			}
			sums[value] = sum
		}
	}
	var values []string
	for v := range sums {
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b string) int {
		return cmp.Or(slices.Compare(size(sums[a]), size(sums[b])), cmp.Compare(a, b))
	})
	for _, v := range values {
		if leases := n.place(g, func(node armada.Node) bool { return node.Labels[g.label] == v }); leases != nil {
			return leases
		}
	}
	return nil
}

func (n *naive) round() []Decision {
	var decisions []Decision
	for {
		q, g := n.next()
		if g == nil && !n.again(len(decisions)) {
			return decisions
		} else if g == nil {
			continue
		}
		var leases []Lease
		if g.label != "" {
			leases = n.placeUniform(g)
		} else {
			leases = n.place(g, func(armada.Node) bool { return true })
		}
		if leases == nil {
			n.failed[g.kind()] = len(decisions)
			continue
		}
		n.done[g] = true
		decisions = append(decisions, Decision{Leases: leases})
		for _, m := range g.members {
			n.held[q.Name] = n.held[q.Name].Add(m.needs.Resources)
		}
	}
}

// again forgets that mixed gangs failed if something was placed after that.
func (n *naive) again(placed int) bool {
	again := false
	for _, gangs := range n.gangs {
		for _, g := range gangs {
			if at, failed := n.failed[g.kind()]; failed && g.mixed() && !n.done[g] && at < placed {
				delete(n.failed, g.kind())
				again = true
			}
		}
	}
	return again
}

func TestARoundDecidesWhatTheNaiveRoundDecides(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		reference := newNaive(w)
		want := reference.round()
		out := Round(Input{Pool: w.pool(0)})
		for _, q := range out.Report.Queues {
			if q.Allocated != reference.held[q.Queue] {
				t.Fatalf("%s holds %v, expected %v", q.Queue, q.Allocated, reference.held[q.Queue])
			}
		}
		if diff := gocmp.Diff(want, out.Decisions); diff != "" {
			t.Fatalf("%v\ndecisions (-naive +round):\n%s", w, diff)
		}
	})
}
