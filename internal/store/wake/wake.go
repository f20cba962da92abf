// Package wake tells those who wait in this process that something was committed.
//
// A signal says only "look": one may stand for many, and there may be nothing
// new. Whoever wants to miss nothing asks for the signal before it first looks.
//
// The package must never carry what changed: that is read from the store.
package wake

import (
	"sync"

	"armada/internal/store"
)

// Hubs are the listeners of one store; make them with [NewHubs].
type Hubs struct {
	mu   sync.Mutex
	sets map[store.JobSetKey]listeners
	feed listeners
	wake chan struct{} // the one of Wake
}

type listeners map[chan struct{}]struct{}

// NewHubs returns hubs with nobody at them.
func NewHubs() *Hubs {
	wake := make(chan struct{}, 1)
	return &Hubs{sets: map[store.JobSetKey]listeners{}, feed: listeners{wake: {}}, wake: wake}
}

// JobSet tells those who watch a job set.
func (h *Hubs) JobSet(key store.JobSetKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets[key].signal()
}

// Feed tells those who follow the feed.
func (h *Hubs) Feed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feed.signal()
}

// JobSets tells those who watch a job set that matches.
func (h *Hubs) JobSets(match func(store.JobSetKey) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, l := range h.sets {
		if match(key) {
			l.signal()
		}
	}
}

// All tells everybody.
func (h *Hubs) All() {
	h.Feed()
	h.JobSets(func(store.JobSetKey) bool { return true })
}

func (l listeners) signal() {
	for c := range l {
		select {
		case c <- struct{}{}:
		default: // it was told already and has not looked yet
		}
	}
}

// Watch tells when events of a job set may have been written.
func (h *Hubs) Watch(key store.JobSetKey) (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sets[key] == nil {
		h.sets[key] = listeners{}
	}
	h.sets[key][c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.sets[key], c)
		if len(h.sets[key]) == 0 {
			delete(h.sets, key)
		}
	}
}

// Wake tells when the feed has something new.
func (h *Hubs) Wake() <-chan struct{} { return h.wake }

// Subscribe is Wake for any number of listeners.
func (h *Hubs) Subscribe() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feed[c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.feed, c)
	}
}
