package auth

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"armada"
)

// slowQueues takes a second for each read, and counts them.
type slowQueues struct {
	reads  int
	weight float64
}

func (q *slowQueues) Queue(_ context.Context, name string) (armada.Queue, error) {
	q.reads++
	weight := q.weight
	time.Sleep(time.Second) // in a bubble
	return armada.Queue{Name: name, PriorityFactor: weight}, nil
}

func (q *slowQueues) Queues(ctx context.Context) ([]armada.Queue, error) {
	one, err := q.Queue(ctx, "q")
	return []armada.Queue{one}, err
}

func TestManyWhoAskAtATimeShareAReadThatBeganAfterTheyAsked(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(context.Context, *shared) (armada.Queue, error){
		"a queue": func(ctx context.Context, s *shared) (armada.Queue, error) { return s.Queue(ctx, "q") },
		"all queues": func(ctx context.Context, s *shared) (armada.Queue, error) {
			all, err := s.Queues(ctx)
			return append(all, armada.Queue{})[0], err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			store := &slowQueues{weight: 1}
			s := share(store)
			ask := func(want float64) func() {
				done := make(chan struct{})
				go func() {
					defer close(done)
					if q, err := read(t.Context(), s); err != nil || q.PriorityFactor != want {
						t.Errorf("%s: got %v, %v; want the weight %v", name, q, err, want)
					}
				}()
				return func() { <-done }
			}
			first := ask(1)
			synctest.Wait()
			store.weight = 2 // written while the first read goes on
			var others []func()
			for range 10 {
				others = append(others, ask(2))
			}
			first()
			for _, wait := range others {
				wait()
			}
			synctest.Wait()
			if store.reads != 2 || len(s.one.going)+len(s.all.going) != 0 {
				t.Errorf("%s: %d reads, and %d go on", name, store.reads, len(s.one.going)+len(s.all.going))
			}
		})
	}
}

func TestWhoeverGivesUpDoesNotEndTheReadOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := share(&slowQueues{weight: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Queue(ctx, "q"); err == nil {
			t.Error("it was waited for in spite of the deadline")
		}
		if q, err := s.Queue(t.Context(), "q"); err != nil || q.Name != "q" {
			t.Errorf("%v, %v", q, err)
		}
		synctest.Wait()
	})
}
