package auth

import (
	"context"
	"sync"

	"armada"
)

// shared reads a queue once for all who ask for it at a time. Who asks while a read
// goes on waits for the next one, which begins after that: what was written before
// somebody asked is in what they get.
type shared struct {
	store Queues

	mu    sync.Mutex
	reads map[string]*reading // by queue: the one that goes on
}

// reading is one read of a queue.
type reading struct {
	done  chan struct{}
	queue armada.Queue
	err   error
	next  *reading // nil while nobody waits for it
}

func share(queues Queues) *shared { return &shared{store: queues, reads: map[string]*reading{}} }

// Queue returns a queue, which callers share and must not change.
func (s *shared) Queue(ctx context.Context, name string) (armada.Queue, error) {
	r := s.join(ctx, name)
	select {
	case <-r.done:
		return r.queue, r.err
	case <-ctx.Done():
		return armada.Queue{}, context.Cause(ctx)
	}
}

// Queues returns all queues.
func (s *shared) Queues(ctx context.Context) ([]armada.Queue, error) { return s.store.Queues(ctx) }

// join returns the read to wait for, and begins it if none goes on.
func (s *shared) join(ctx context.Context, name string) *reading {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.reads[name]; r != nil {
		if r.next == nil {
			r.next = &reading{done: make(chan struct{})}
		}
		return r.next
	}
	r := &reading{done: make(chan struct{})}
	s.reads[name] = r
	go s.read(context.WithoutCancel(ctx), name, r) // others may wait for it when the first has gone
	return r
}

// read reads until nobody waits any more. The store bounds each read.
func (s *shared) read(ctx context.Context, name string, r *reading) {
	for r != nil {
		r.queue, r.err = s.store.Queue(ctx, name)
		s.mu.Lock()
		next := r.next
		if next == nil {
			delete(s.reads, name)
		} else {
			s.reads[name] = next
		}
		s.mu.Unlock()
		close(r.done)
		r = next
	}
}
