package simulator

import (
	"cmp"
	"container/heap"
	"time"
)

// agenda is what will happen, the earliest first, and of one moment in the
// order in which it was noted.
type agenda struct {
	due   appointments
	noted int
}

type appointment struct {
	at    time.Duration
	order int
	do    func() error
}

// note has something happen at a moment.
func (a *agenda) note(at time.Duration, do func() error) {
	a.noted++
	heap.Push(&a.due, appointment{at, a.noted, do})
}

// next is the moment of what happens next, and false when nothing does.
func (a *agenda) next() (time.Duration, bool) {
	if len(a.due) == 0 {
		return 0, false
	}
	return a.due[0].at, true
}

// take removes what happens next.
func (a *agenda) take() appointment { return heap.Pop(&a.due).(appointment) }

type appointments []appointment

func (h appointments) Len() int { return len(h) }
func (h appointments) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(h[i].at, h[j].at), cmp.Compare(h[i].order, h[j].order)) < 0
}
func (h appointments) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *appointments) Push(x any)   { *h = append(*h, x.(appointment)) }
func (h *appointments) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = appointment{}
	*h = (*h)[:last]
	return x
}
