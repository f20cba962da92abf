package placement

import (
	"cmp"
	"slices"
	"strconv"

	"armada"
)

// typeID names what matters about a node's labels and taints.
func (s *Space) typeID(n *node) string {
	var id []byte
	word := func(w string) { id = append(append(strconv.AppendInt(id, int64(len(w)), 10), ':'), w...) }
	taints := slices.Clone(n.spec.Taints)
	slices.SortFunc(taints, func(a, b armada.Taint) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Effect, b.Effect))
	})
	for _, t := range taints {
		word(t.Key)
		word(t.Value)
		word(string(t.Effect))
	}
	id = append(strconv.AppendInt(append(id, '|'), int64(n.holder), 10), '|')
	for _, least := range n.spec.MinimumJob {
		id = append(strconv.AppendInt(id, least, 10), ' ')
	}
	id = strconv.AppendBool(id, n.spec.PodsOnly)
	keys := make([]string, 0, len(s.labels))
	for key := range s.labels {
		if _, ok := n.spec.Labels[key]; ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	id = append(id, '|')
	for _, key := range keys {
		word(key)
		word(n.spec.Labels[key])
	}
	return string(id)
}

// domain divides the types by the value of a label.
type domain struct {
	labelled uint64
	values   []string
	valueOf  []int32 // by type; -1 without the label
	sums     []armada.Resources
	order    []int32
}

func (s *Space) domain(label string) *domain {
	d := s.domains[label]
	if d == nil {
		d = &domain{}
		if s.domains == nil {
			s.domains = map[string]*domain{}
		}
		s.domains[label] = d
	}
	if d.labelled == s.labelled {
		return d
	}
	d.labelled, d.values, d.valueOf = s.labelled, d.values[:0], d.valueOf[:0]
	position := map[string]int32{}
	for i := range s.types {
		value, ok := s.types[i].like.Labels[label]
		if !ok || s.types[i].index.count == 0 {
			d.valueOf = append(d.valueOf, -1)
			continue
		}
		v, known := position[value]
		if !known {
			v = int32(len(d.values))
			position[value] = v
			d.values = append(d.values, value)
		}
		d.valueOf = append(d.valueOf, v)
	}
	return d
}

// tightestFirst orders the values by what their open nodes have free in all.
func (d *domain) tightestFirst(s *Space) []int32 {
	d.sums = slices.Grow(d.sums[:0], len(d.values))[:len(d.values)]
	clear(d.sums)
	for i, t := range s.typeOf {
		if t < 0 || d.valueOf[t] < 0 {
			continue
		}
		sum := &d.sums[d.valueOf[t]]
		for r := range sum {
			sum[r] += max(s.free[0][i][r], 0)
		}
	}
	d.order = d.order[:0]
	for v := range d.values {
		d.order = append(d.order, int32(v))
	}
	slices.SortFunc(d.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(s.keyer.key(&d.sums[a]), s.keyer.key(&d.sums[b])), cmp.Compare(d.values[a], d.values[b]))
	})
	return d.order
}
