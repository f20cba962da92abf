package codec

import (
	"fmt"

	"armada"
)

// AppendNodes appends an executor's nodes. Equal nodes in equal order are equal
// bytes, so a hash of them tells whether anything changed.
//
// Fields: node 1 (name 1, pool 2, type 3, label 4, taint 5, allocatable 6,
// unschedulable 7, others 8 with priority 1 and used 2, minimum job 9, pods only 10). The executor is not
// stored. Amounts are nested records of name 1 and amount 2, one per resource.
func AppendNodes(b []byte, table armada.ResourceTable, nodes []armada.Node) []byte {
	r := record(append(b, version))
	for i := range nodes {
		r.nested(1, func(r *record) { appendNode(r, table, &nodes[i]) })
	}
	return r
}

func appendNode(r *record, table armada.ResourceTable, n *armada.Node) {
	r.string(1, n.Name)
	r.string(2, n.Pool)
	r.string(3, n.Type)
	r.pairs(4, n.Labels)
	for i := range n.Taints {
		t := &n.Taints[i]
		r.nested(5, func(r *record) {
			r.string(1, t.Key)
			r.string(2, t.Value)
			r.string(3, string(t.Effect))
		})
	}
	appendAmounts(r, 6, table, &n.Allocatable)
	r.bool(7, n.Unschedulable)
	for i := range n.Others {
		o := &n.Others[i]
		r.nested(8, func(r *record) {
			r.int(1, int64(o.Priority))
			appendAmounts(r, 2, table, &o.Used)
		})
	}
	appendAmounts(r, 9, table, &n.MinimumJob)
	r.bool(10, n.PodsOnly)
}

// DecodeNodes reads the nodes of an executor.
func DecodeNodes(b []byte, table armada.ResourceTable, executor armada.ExecutorID) ([]armada.Node, error) {
	f, err := open(b)
	if err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	var nodes []armada.Node
	for f.next() {
		if f.number == 1 {
			n := armada.Node{Executor: executor}
			f.nested(func(f *fields) { readNode(f, table, &n) })
			nodes = append(nodes, n)
		}
	}
	return nodes, wrap("nodes", f.err)
}

func readNode(f *fields, table armada.ResourceTable, n *armada.Node) {
	for f.next() {
		switch f.number {
		case 1:
			n.Name = f.str()
		case 2:
			n.Pool = f.str()
		case 3:
			n.Type = f.str()
		case 4:
			n.Labels = f.pair(n.Labels)
		case 5:
			var t armada.Taint
			f.nested(func(f *fields) { readTaint(f, &t) })
			n.Taints = append(n.Taints, t)
		case 6:
			f.amount(table, &n.Allocatable)
		case 7:
			n.Unschedulable = f.bool()
		case 8:
			var o armada.PriorityUsage
			f.nested(func(f *fields) {
				for f.next() {
					switch f.number {
					case 1:
						o.Priority = int32(f.int())
					case 2:
						f.amount(table, &o.Used)
					}
				}
			})
			n.Others = append(n.Others, o)
		case 9:
			f.amount(table, &n.MinimumJob)
		case 10:
			n.PodsOnly = f.bool()
		}
	}
}

func readTaint(f *fields, t *armada.Taint) {
	for f.next() {
		switch f.number {
		case 1:
			t.Key = f.str()
		case 2:
			t.Value = f.str()
		case 3:
			t.Effect = armada.TaintEffect(f.str())
		}
	}
}

// appendAmounts writes what is not zero, by name, in the order of the names.
func appendAmounts(r *record, field uint64, table armada.ResourceTable, amounts *armada.Resources) {
	for _, i := range byName(table) {
		if amounts[i] == 0 {
			continue
		}
		r.nested(field, func(r *record) {
			r.string(1, table.At(i).Name)
			r.int(2, amounts[i])
		})
	}
}

// amount reads the amount of one resource; one that is not counted is dropped.
func (f *fields) amount(table armada.ResourceTable, into *armada.Resources) {
	var name string
	var amount int64
	f.nested(func(f *fields) {
		for f.next() {
			switch f.number {
			case 1:
				name = f.str()
			case 2:
				amount = f.int()
			}
		}
	})
	if i, counted := table.Index(name); counted {
		into[i] = amount
	}
}

// byName returns the positions of the table in the order of the names, so that
// equal amounts are equal bytes whatever the table's order.
func byName(table armada.ResourceTable) []int {
	order := make([]int, table.Len())
	for i := range order {
		j := i
		for ; j > 0 && table.At(order[j-1]).Name > table.At(i).Name; j-- {
			order[j] = order[j-1]
		}
		order[j] = i
	}
	return order
}
