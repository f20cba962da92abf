package auth

import (
	"context"
	"sync"

	"armada"
)

// shared reads queues once for all who ask for the same at a time. Callers share
// what they get, and must not change it.
type shared struct {
	one reads[armada.Queue]   // by name
	all reads[[]armada.Queue] // under the empty name
}

func share(queues Queues) *shared {
	return &shared{
		one: reads[armada.Queue]{
			from:  func(ctx context.Context, name string) (armada.Queue, error) { return queues.Queue(ctx, name) },
			going: map[string]*reading[armada.Queue]{},
		},
		all: reads[[]armada.Queue]{
			from:  func(ctx context.Context, _ string) ([]armada.Queue, error) { return queues.Queues(ctx) },
			going: map[string]*reading[[]armada.Queue]{},
		},
	}
}

// Queue returns a queue.
func (s *shared) Queue(ctx context.Context, name string) (armada.Queue, error) {
	return s.one.get(ctx, name)
}

// Queues returns all queues. Where there are ten thousand, that is work of many
// milliseconds for a list of a few jobs: however many callers ask, one read goes on.
func (s *shared) Queues(ctx context.Context) ([]armada.Queue, error) { return s.all.get(ctx, "") }

// reads are the reads that go on. Who asks while one goes on waits for the next,
// which begins after that: what was written before somebody asked is in what they
// get.
type reads[T any] struct {
	from func(ctx context.Context, name string) (T, error)

	mu    sync.Mutex
	going map[string]*reading[T] // by name
}

// reading is one read.
type reading[T any] struct {
	done  chan struct{}
	found T
	err   error
	next  *reading[T] // nil while nobody waits for it
}

// get returns what a read finds that began after it was asked for.
func (s *reads[T]) get(ctx context.Context, name string) (T, error) {
	r := s.join(ctx, name)
	select {
	case <-r.done:
		return r.found, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// join returns the read to wait for, and begins it if none goes on.
func (s *reads[T]) join(ctx context.Context, name string) *reading[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.going[name]; r != nil {
		if r.next == nil {
			r.next = &reading[T]{done: make(chan struct{})}
		}
		return r.next
	}
	r := &reading[T]{done: make(chan struct{})}
	s.going[name] = r
	go s.read(context.WithoutCancel(ctx), name, r) // others may wait for it when the first has gone
	return r
}

// read reads until nobody waits any more. The store bounds each read.
func (s *reads[T]) read(ctx context.Context, name string, r *reading[T]) {
	for r != nil {
		r.found, r.err = s.from(ctx, name)
		s.mu.Lock()
		next := r.next
		if next == nil {
			delete(s.going, name)
		} else {
			s.going[name] = next
		}
		s.mu.Unlock()
		close(r.done)
		r = next
	}
}
