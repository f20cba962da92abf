package placement

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"armada"
)

// backlogLimit is how many changes a demand's search looks at before it is
// cheaper to search anew.
const backlogLimit = 512

// NodeRef names a node: names are unique within an executor.
type NodeRef struct {
	Executor armada.ExecutorID
	Name     string
}

// Space is what the nodes of one pool have free. One goroutine owns it. Nodes
// are known to callers by their position in the order of (executor, name),
// which holds until a node comes or goes.
type Space struct {
	table   armada.ResourceTable
	keyer   keyer
	classes []armada.PriorityClass
	levels  []int32 // class priorities, lowest first; levels[i] belongs to level i+1, see [Space.Below]

	byRef  map[NodeRef]*node
	closed map[armada.ExecutorID]bool
	keys   []uint64       // by node, of the working view
	labels map[string]int // how many demands and gangs ask for a label
	// What follows is by node, or rebuilt from the nodes, when settled.
	leaving  int // runs
	settled  bool
	nodes    []*node
	typeOf   []int32              // -1 while the node is not open
	base     [][]armada.Resources // by level
	free     [][]armada.Resources
	upper    []upper // by level; level 0 has its own in the types
	built    int     // how many of them are
	types    []nodeType
	typeByID map[string]int32
	domains  map[string]*domain
	byName   map[string][]int32 // as of the generation named
	named    uint64

	// Generations: of what matches, of amounts, and of the working view as far
	// as search positions hold.
	labelled, amounts, epoch uint64
	layout                   uint64 // of the positions of nodes

	capacity      armada.Resources
	capacityStale bool

	// The working view of the round.
	changes     []int32 // nodes in the order in which they got less
	log         []taking
	touched     []int32
	isTouched   []bool
	filter      []int32 // value by type, nil for none
	filterValue int32
	holder      int32 // who looks for a place

	reserved []*node // what is kept for holders

	backlogLimit int
}

// node is a node that is known, or that holds runs.
type node struct {
	spec  armada.Node
	known bool
	runs  int                // with those that leave
	held  []armada.Resources // by level
	at    int32              // its position when settled and known
	// holder is for whom it is kept.
	holder int32
}

// taking is one step of the working view: room was taken, or its holder was
// evicted.
type taking struct {
	node    int32
	demand  *Demand
	evicted bool
}

// nodeType is a group of open nodes that every demand accepts or refuses alike.
type nodeType struct {
	like   armada.Node // one of its nodes: the others are equal as far as that matters
	holder int32       // for whom they are kept
	index  index
}

// NewSpace makes an empty space.
func NewSpace(table armada.ResourceTable, classes []armada.PriorityClass) *Space {
	s := &Space{
		table: table, keyer: newKeyer(table), classes: classes,
		byRef: map[NodeRef]*node{}, closed: map[armada.ExecutorID]bool{}, labels: map[string]int{},
		epoch: 1, amounts: 1, labelled: 1, backlogLimit: backlogLimit,
	}
	for _, c := range classes {
		if !slices.Contains(s.levels, c.Priority) {
			s.levels = append(s.levels, c.Priority)
		}
	}
	slices.Sort(s.levels)
	return s
}

// reach returns how many levels, from 0 up, see the resources of a job of the
// class in use: those of classes that cannot displace it. A class that is not
// known is displaced by nobody.
func (s *Space) reach(class string) int {
	for _, c := range s.classes {
		if c.Name == class && c.Preemptible {
			return s.UpTo(c.Priority)
		}
	}
	return s.height()
}

// height is how many levels there are.
func (s *Space) height() int { return len(s.levels) + 2 }

// SetNode adds a node or replaces it and tells whether that changed anything.
func (s *Space) SetNode(spec armada.Node) bool {
	ref := NodeRef{spec.Executor, spec.Name}
	n := s.node(ref)
	if n.known && reflect.DeepEqual(n.spec, spec) {
		return false
	}
	s.Rewind()
	s.capacityStale = true
	if !n.known {
		s.settled = false
	}
	if !maps.Equal(n.spec.Labels, spec.Labels) {
		s.labelled++ // its type may stay the same, but pinned demands look at all labels
	}
	n.spec, n.known = spec, true
	s.refresh(n)
	return true
}

// RemoveNode forgets a node and tells whether it was known. What runs hold
// there is remembered until they release it.
func (s *Space) RemoveNode(ref NodeRef) bool {
	n, ok := s.byRef[ref]
	if !ok || !n.known {
		return false
	}
	s.Rewind()
	n.known, s.settled, s.capacityStale = false, false, true
	if n.runs == 0 {
		delete(s.byRef, ref)
	}
	return true
}

// SetExecutor opens or closes an executor's nodes and tells whether that
// changed anything. Executors are open until they are closed.
func (s *Space) SetExecutor(id armada.ExecutorID, open bool) bool {
	if s.closed[id] == !open {
		return false
	}
	s.Rewind()
	s.capacityStale = true
	if open {
		delete(s.closed, id)
	} else {
		s.closed[id] = true
	}
	if s.settled {
		for _, n := range s.nodes {
			if n.spec.Executor == id {
				s.refresh(n)
			}
		}
	}
	return true
}

// Hold records that a run holds the demand's resources on a node, known or not.
// One that leaves holds them at level 0 only.
func (s *Space) Hold(ref NodeRef, d *Demand, leaves bool) { s.hold(ref, d, leaves, 1) }

// Release takes back what [Space.Hold] recorded.
func (s *Space) Release(ref NodeRef, d *Demand, leaves bool) { s.hold(ref, d, leaves, -1) }

func (s *Space) hold(ref NodeRef, d *Demand, leaves bool, sign int) {
	s.Rewind()
	n := s.node(ref)
	n.runs += sign
	reach := d.reach
	if leaves {
		reach = 1
		s.leaving += sign
	}
	for l := range n.held[:reach] {
		if sign > 0 {
			n.held[l] = n.held[l].Add(d.needs.Resources)
		} else {
			n.held[l] = n.held[l].Sub(d.needs.Resources)
		}
	}
	if n.known && !s.open(n) {
		s.capacityStale = true // closed nodes count while they are in use
	}
	s.recount(n)
	if !n.known && n.runs == 0 {
		delete(s.byRef, ref)
	}
}

func (s *Space) node(ref NodeRef) *node {
	n, ok := s.byRef[ref]
	if !ok {
		n = &node{spec: armada.Node{Executor: ref.Executor, Name: ref.Name}, held: make([]armada.Resources, s.height())}
		s.byRef[ref] = n
	}
	return n
}

func (s *Space) open(n *node) bool { return !n.spec.Unschedulable && !s.closed[n.spec.Executor] }

// addKey makes a label count when nodes are grouped into types.
func (s *Space) addKey(key string) {
	if _, ok := s.labels[key]; !ok {
		s.settled = false
	}
	s.labels[key]++
}

// removeKey leaves the types finer than necessary until they are made anew:
// what is asked for once is mostly asked for again.
func (s *Space) removeKey(key string) { s.labels[key]-- }

// AddLabel prepares for gangs whose nodes share the label's value.
func (s *Space) AddLabel(key string) { s.addKey(key) }

// RemoveLabel tells that a label added is not asked for any more.
func (s *Space) RemoveLabel(key string) { s.removeKey(key) }

// Settle brings everything up to date with the nodes. It is called before
// placing; calling it again costs nothing.
func (s *Space) Settle() {
	if s.settled {
		return
	}
	s.Rewind()
	s.settled = true
	s.layout++
	maps.DeleteFunc(s.labels, func(_ string, asked int) bool { return asked == 0 })
	s.nodes = s.nodes[:0]
	for _, n := range s.byRef {
		if n.known {
			s.nodes = append(s.nodes, n)
		}
	}
	slices.SortFunc(s.nodes, func(a, b *node) int {
		return cmp.Or(cmp.Compare(a.spec.Executor, b.spec.Executor), cmp.Compare(a.spec.Name, b.spec.Name))
	})
	count := len(s.nodes)
	s.keys, s.typeOf, s.isTouched = make([]uint64, count), make([]int32, count), make([]bool, count)
	s.base, s.free, s.upper = make([][]armada.Resources, s.height()), make([][]armada.Resources, s.height()), make([]upper, s.height())
	for l := range s.base {
		s.base[l], s.free[l] = make([]armada.Resources, count), make([]armada.Resources, count)
	}
	s.built, s.types, s.typeByID = 0, nil, map[string]int32{}
	for i, n := range s.nodes {
		n.at, s.typeOf[i] = int32(i), -1
		s.refresh(n)
	}
	s.labelled++
}

// refresh computes anew what a settled space knows of a node.
func (s *Space) refresh(n *node) {
	if !s.settled || !n.known {
		s.recount(n)
		return
	}
	i := n.at
	was, is := s.typeOf[i], int32(-1)
	if s.open(n) {
		is = s.typeFor(n)
	}
	if was >= 0 {
		s.types[was].index.remove(spot{s.keys[i], i})
		s.leaveUpper(was, i)
		s.typeOf[i] = -1
	}
	s.recount(n)
	if is >= 0 {
		s.types[is].index.insert(spot{s.keys[i], i}, &s.free[0][i], &n.spec.Allocatable)
		s.typeOf[i] = is
		s.joinUpper(is, i)
	}
	if was != is {
		s.labelled++
	}
}

// recount computes anew what a node has free.
func (s *Space) recount(n *node) {
	s.epoch++
	s.amounts++
	s.changes = s.changes[:0]
	if !s.settled || !n.known {
		return
	}
	i := n.at
	for l := range s.base {
		room := n.spec.Allocatable.Sub(n.held[l])
		for _, o := range n.spec.Others {
			room = room.Sub(o.Used)
		}
		s.base[l][i], s.free[l][i] = room, room
	}
	s.moved(i)
}

// typeFor finds or makes the type of a node.
func (s *Space) typeFor(n *node) int32 {
	id := s.typeID(n)
	t, ok := s.typeByID[id]
	if !ok {
		t = int32(len(s.types))
		s.types = append(s.types, nodeType{like: n.spec, holder: n.holder})
		s.typeByID[id] = t
	}
	return t
}

// Capacity is what all nodes have that are open or in use, without what others
// use there.
func (s *Space) Capacity() armada.Resources {
	s.Settle()
	if !s.capacityStale {
		return s.capacity
	}
	s.capacity, s.capacityStale = armada.Resources{}, false
	for _, n := range s.nodes {
		if !s.open(n) && n.runs == 0 {
			continue
		}
		room := n.spec.Allocatable
		for _, o := range n.spec.Others {
			room = room.Sub(o.Used)
		}
		for i := range room {
			s.capacity[i] += max(room[i], 0)
		}
	}
	return s.capacity
}

// Layout changes whenever positions of nodes may have changed.
func (s *Space) Layout() uint64 { return s.layout }

// Nodes is how many nodes are known.
func (s *Space) Nodes() int { return len(s.nodes) }

// At tells the position of a node, and whether it is known.
func (s *Space) At(ref NodeRef) (int32, bool) {
	n, ok := s.byRef[ref]
	if !ok || !n.known {
		return 0, false
	}
	return n.at, true
}

// Node tells which node stands at a position.
func (s *Space) Node(at int32) (armada.ExecutorID, string) {
	n := s.nodes[at]
	return n.spec.Executor, n.spec.Name
}

// LabelOf returns a node's label.
func (s *Space) LabelOf(ref NodeRef, label string) (string, bool) {
	n, ok := s.byRef[ref]
	if !ok || !n.known {
		return "", false
	}
	v, ok := n.spec.Labels[label]
	return v, ok
}

// Remembered counts the nodes and the labels that are asked for, for tests of
// what is forgotten.
func (s *Space) Remembered() int {
	s.Settle()
	return len(s.byRef) + len(s.labels)
}
