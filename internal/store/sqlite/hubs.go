package sqlite

import (
	"sync"

	"armada/internal/store"
)

// hubs tell those who wait in this process that something was committed. A
// signal says only "look": one may stand for many.
type hubs struct {
	mu   sync.Mutex
	sets map[store.JobSetKey]listeners
	feed listeners
	wake chan struct{} // the one of Wake
}

type listeners map[chan struct{}]struct{}

func newHubs() *hubs {
	wake := make(chan struct{}, 1)
	return &hubs{sets: map[store.JobSetKey]listeners{}, feed: listeners{wake: {}}, wake: wake}
}

func (h *hubs) wakeJobSet(key store.JobSetKey) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sets[key].signal()
}

func (h *hubs) wakeFeed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feed.signal()
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
func (s *Store) Watch(key store.JobSetKey) (<-chan struct{}, func()) {
	h, c := s.hubs, make(chan struct{}, 1)
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

// Wake tells when Changes has something new.
func (s *Store) Wake() <-chan struct{} { return s.hubs.wake }

// Subscribe is Wake for any number of listeners.
func (s *Store) Subscribe() (<-chan struct{}, func()) {
	h, c := s.hubs, make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feed[c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.feed, c)
	}
}
