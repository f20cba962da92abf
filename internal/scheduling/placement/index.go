package placement

import (
	"slices"

	"armada"
)

// blockSize is how many nodes a block holds at most. Half of it are moved when
// a node changes its place, and all of them are looked at in the one block
// where a search ends.
const blockSize = 128

// index keeps the open nodes of one type ordered by (key, position): blocks of
// flat arrays, each with bounds of what its nodes have, so that a search passes
// over blocks where nothing can fit, and an explanation over those that cannot
// come nearer.
type index struct {
	blocks []block
	count  int
}

// block is a stretch of an index. Its bounds hold for every node in it and may
// be wider than necessary.
type block struct {
	spots []spot
	most  armada.Resources // free
	large armada.Resources // the largest allocatable of each resource
	small armada.Resources // the smallest
}

// spot is a node and the key under which it stands in the index.
type spot struct {
	key  uint64
	node int32
}

func (a spot) before(b spot) bool {
	return a.key < b.key || a.key == b.key && a.node < b.node
}

// find returns the block and the offset where s stands or would stand.
func (x *index) find(s spot) (at, offset int) {
	low, high := 0, len(x.blocks) // the first block that begins after s
	for low < high {
		middle := (low + high) / 2
		if s.before(x.blocks[middle].spots[0]) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	at = max(low-1, 0)
	if len(x.blocks) == 0 {
		return 0, 0
	}
	spots := x.blocks[at].spots
	low, high = 0, len(spots)
	for low < high {
		middle := (low + high) / 2
		if spots[middle].before(s) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return at, low
}

func (x *index) insert(s spot, free, all *armada.Resources) {
	x.count++
	if len(x.blocks) == 0 {
		x.blocks = append(x.blocks, block{spots: append(make([]spot, 0, blockSize), s), most: *free, large: *all, small: *all})
		return
	}
	at, offset := x.find(s)
	b := &x.blocks[at]
	if len(b.spots) == blockSize && len(x.blocks) > 8+4*x.count/blockSize {
		x.pack()
		at, offset = x.find(s)
		b = &x.blocks[at]
	}
	if len(b.spots) == blockSize {
		upper := *b // both halves keep the bounds of the whole
		upper.spots = append(make([]spot, 0, blockSize), b.spots[blockSize/2:]...)
		b.spots = b.spots[:blockSize/2]
		x.blocks = slices.Insert(x.blocks, at+1, upper)
		if offset > blockSize/2 {
			at, offset = at+1, offset-blockSize/2
		}
		b = &x.blocks[at]
	}
	b.spots = slices.Insert(b.spots, offset, s)
	b.widen(free, all)
}

// pack joins blocks that have become too small to be worth their number.
func (x *index) pack() {
	old := x.blocks
	x.blocks = make([]block, 0, 2*x.count/blockSize+1)
	for _, o := range old {
		last := len(x.blocks) - 1
		if last < 0 || len(x.blocks[last].spots)+len(o.spots) > blockSize*3/4 {
			o.spots = append(make([]spot, 0, blockSize), o.spots...)
			x.blocks = append(x.blocks, o)
			continue
		}
		x.blocks[last].spots = append(x.blocks[last].spots, o.spots...)
		x.blocks[last].widen(&o.most, &o.large)
		x.blocks[last].widen(&o.most, &o.small)
	}
}

func (x *index) remove(s spot) {
	at, offset := x.find(s)
	x.removeAt(at, offset)
}

func (x *index) removeAt(at, offset int) {
	b := &x.blocks[at]
	b.spots = slices.Delete(b.spots, offset, offset+1)
	x.count--
	if len(b.spots) == 0 {
		x.blocks = slices.Delete(x.blocks, at, at+1)
	}
}

// move gives a node its new place. free and all are what it has now.
func (x *index) move(from, to spot, free, all *armada.Resources) {
	at, offset := x.find(from)
	b := &x.blocks[at]
	if (offset == 0 && at == 0 || offset > 0 && b.spots[offset-1].before(to)) &&
		(offset+1 == len(b.spots) && at+1 == len(x.blocks) || offset+1 < len(b.spots) && to.before(b.spots[offset+1])) {
		b.spots[offset] = to
		b.widen(free, all)
		return
	}
	x.removeAt(at, offset)
	x.insert(to, free, all)
}

func (b *block) widen(free, all *armada.Resources) {
	for i := range b.most {
		b.most[i] = max(b.most[i], free[i])
		b.large[i] = max(b.large[i], all[i])
		b.small[i] = min(b.small[i], all[i])
	}
}

// tighten makes the bound of what is free exact again.
func (b *block) tighten(free []armada.Resources) {
	b.most = free[b.spots[0].node]
	for _, s := range b.spots[1:] {
		for i, f := range &free[s.node] {
			b.most[i] = max(b.most[i], f)
		}
	}
}

// first returns the lowest spot before limit whose node has room for need; low
// is the key of need.
func (x *index) first(need *armada.Resources, low uint64, limit spot, free []armada.Resources) (spot, bool) {
	if len(x.blocks) == 0 {
		return spot{}, false
	}
	at, offset := x.find(spot{key: low, node: -1})
	for ; at < len(x.blocks); at, offset = at+1, 0 {
		b := &x.blocks[at]
		if !b.spots[0].before(limit) {
			break
		}
		if !need.Fits(&b.most) {
			continue
		}
		for _, s := range b.spots[offset:] {
			if !s.before(limit) {
				return spot{}, false
			}
			if need.Fits(&free[s.node]) {
				return s, true
			}
		}
		b.tighten(free)
	}
	return spot{}, false
}
