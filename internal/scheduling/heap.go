package scheduling

// heapify, sink, push and pop keep a slice as a heap whose first element goes before
// all others. The order is total, so what comes first does not depend on how
// the elements came in.

func heapify[E any](heap []E, before func(a, b E) bool) {
	for i := len(heap)/2 - 1; i >= 0; i-- {
		sink(heap, i, before)
	}
}

// sink puts the element at i, which may have become later, where it belongs.
func sink[E any](heap []E, i int, before func(a, b E) bool) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && before(heap[child+1], heap[child]) {
			child++
		}
		if !before(heap[child], heap[i]) {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

// push adds an element.
func push[E any](heap []E, e E, before func(a, b E) bool) []E {
	heap = append(heap, e)
	for i := len(heap) - 1; i > 0 && before(heap[i], heap[(i-1)/2]); i = (i - 1) / 2 {
		heap[i], heap[(i-1)/2] = heap[(i-1)/2], heap[i]
	}
	return heap
}

// pop drops the first element.
func pop[E any](heap []E, before func(a, b E) bool) []E {
	last := len(heap) - 1
	heap[0] = heap[last]
	heap = heap[:last]
	sink(heap, 0, before)
	return heap
}
