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

func (q *slowQueues) Queues(context.Context) ([]armada.Queue, error) { return nil, nil }

func TestManyWhoAskAtATimeShareAReadThatBeganAfterTheyAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &slowQueues{weight: 1}
		s := share(store)
		ask := func(want float64) func() {
			done := make(chan struct{})
			go func() {
				defer close(done)
				if q, err := s.Queue(t.Context(), "q"); err != nil || q.PriorityFactor != want {
					t.Errorf("got %v, %v; want the weight %v", q, err, want)
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
		if store.reads != 2 || len(s.reads) != 0 {
			t.Errorf("%d reads, and %d go on", store.reads, len(s.reads))
		}
	})
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
