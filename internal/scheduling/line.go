package scheduling

import (
	"cmp"
	"slices"
)

// lineBlock is how many entries a block of a line holds at most.
const lineBlock = 512

// line is jobs in order: lower priority number first, then lower number. It is a
// list of sorted blocks: cheap to extend at its end and to take from anywhere,
// and read without following pointers.
type line struct {
	blocks [][]entry
	count  int
}

// entry is a job at its place: number is that of its submission, or for a run
// the moment of its lease.
type entry struct {
	number   int64
	priority uint32
	job      *job
}

func (e entry) compare(o entry) int {
	if e.priority != o.priority || e.number != o.number {
		return cmp.Or(cmp.Compare(e.priority, o.priority), cmp.Compare(e.number, o.number))
	}
	return cmp.Or(cmp.Compare(e.job.number, o.job.number), cmp.Compare(e.job.id, o.job.id))
}

func (j *job) entry() entry { return entry{j.number, j.priority, j} }

// find returns the block and the offset where e stands or would stand; the line
// has a block.
func (l *line) find(e entry) (at, offset int) {
	at, found := slices.BinarySearchFunc(l.blocks, e, func(b []entry, e entry) int { return b[0].compare(e) })
	if found {
		return at, 0
	}
	at = max(at-1, 0)
	offset, _ = slices.BinarySearchFunc(l.blocks[at], e, entry.compare)
	return at, offset
}

func (l *line) insert(e entry) {
	l.count++
	if len(l.blocks) == 0 {
		l.blocks = append(l.blocks, []entry{e})
		return
	}
	at, offset := l.find(e)
	if len(l.blocks[at]) == lineBlock {
		if at == len(l.blocks)-1 && offset == lineBlock {
			l.blocks = append(l.blocks, append(make([]entry, 0, lineBlock), e))
			return
		}
		upper := append(make([]entry, 0, lineBlock), l.blocks[at][lineBlock/2:]...)
		clear(l.blocks[at][lineBlock/2:])
		l.blocks[at] = l.blocks[at][:lineBlock/2]
		l.blocks = slices.Insert(l.blocks, at+1, upper)
		if offset > lineBlock/2 {
			at, offset = at+1, offset-lineBlock/2
		}
	}
	l.blocks[at] = slices.Insert(l.blocks[at], offset, e)
}

func (l *line) remove(e entry) {
	at, offset := l.find(e)
	l.count--
	l.blocks[at] = slices.Delete(l.blocks[at], offset, offset+1)
	if len(l.blocks[at]) == 0 {
		l.blocks = slices.Delete(l.blocks, at, at+1)
	}
}
