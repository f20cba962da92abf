package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

var concurrency = []scenario{
	{"many submitters, transitions and watchers leave every sequence whole", everythingAtOnce},
	{"the feed is exact under concurrency", feedIsExact},
	{"a submitter reads its own writes while others write", readYourWrites},
}

const (
	submitters = 8
	perWorker  = 15
)

// everythingAtOnce lets submitters work on shared and own job sets through two
// replicas while watchers follow; each watcher must see what a reader sees
// afterwards, in order.
func everythingAtOnce(t *testing.T, form Form) {
	w := open(t, form, func(c *Config) { c.Clock = time.Now })
	stores := []store.Store{w.Store, w.replica()}
	keys := []store.JobSetKey{{Queue: "a", JobSet: "shared"}, {Queue: "b", JobSet: "shared"}, {Queue: "a", JobSet: "own"}}
	var mu sync.Mutex
	acknowledged := map[store.JobSetKey][]armada.JobID{}
	var working atomic.Int32
	working.Store(submitters)
	var group sync.WaitGroup
	for worker := range submitters {
		group.Go(func() {
			defer working.Add(-1)
			random := rand.New(rand.NewPCG(uint64(worker), 7))
			for range perWorker {
				key := keys[random.IntN(len(keys))]
				ids := liveOnce(t, stores[random.IntN(2)], key, random)
				mu.Lock()
				acknowledged[key] = append(acknowledged[key], ids...)
				mu.Unlock()
			}
		})
	}
	followed := make([][]armada.Event, len(keys))
	for i, key := range keys {
		group.Go(func() { followed[i] = watchWhile(t, stores[0], key, func() bool { return working.Load() > 0 }) })
	}
	group.Wait()
	VerifyLog(t, stores[1], acknowledged)
	for i, key := range keys {
		if wrong := whole(followed[i]); wrong != "" {
			t.Errorf("a watcher of %v: %s", key, wrong)
		}
		if got, want := len(followed[i]), len(readAll(t, w.Store, key)); got != want {
			t.Errorf("a watcher of %v saw %d events of %d", key, got, want)
		}
	}
}

// liveOnce submits a few jobs and takes some of them through their lives.
func liveOnce(t *testing.T, s store.Store, key store.JobSetKey, random *rand.Rand) []armada.JobID {
	sub := submission(key.Queue, key.JobSet, 1+random.IntN(4))
	if _, err := s.Submit(t.Context(), sub); err != nil {
		t.Error(err)
		return nil
	}
	ids := idsOf(sub)
	for _, id := range ids {
		for _, c := range [][]lifecycle.Change{
			{},
			{{Kind: lifecycle.Cancel, Job: id, By: "bob"}},
			{lease(id), report(lifecycle.ReportRunning, id, 1), report(lifecycle.ReportSucceeded, id, 1)},
			{lease(id), report(lifecycle.ReportReturned, id, 1), lease(id), report(lifecycle.ReportFailed, id, 2)},
		}[random.IntN(4)] {
			if results, err := s.Transition(t.Context(), store.Fence{}, []store.Unit{{c}}); err != nil || results[0].Verdict != lifecycle.Applied {
				t.Errorf("%s of job %s: %v, %v", c.Kind, id, results, err)
			}
		}
	}
	return ids
}

// watchWhile follows a job set as a client does, until there is nothing more
// and nobody works.
func watchWhile(t *testing.T, s store.Store, key store.JobSetKey, more func() bool) []armada.Event {
	signal, stop := s.Watch(key)
	defer stop()
	poll := time.NewTicker(20 * time.Millisecond) // another replica may not wake this one
	defer poll.Stop()
	var all []armada.Event
	var at store.Cursor
	for {
		last := !more()
		events, next, err := s.ReadEvents(t.Context(), key, at, 50)
		if err == nil {
			all, at = append(all, events...), next
		} else if armada.CodeOf(err) != armada.CodeNotFound {
			t.Error(err)
			return all
		}
		if len(events) > 0 {
			continue
		}
		if last {
			return all
		}
		select {
		case <-signal:
		case <-poll.C:
		}
	}
}

// feedIsExact mirrors the state by the feed while others work.
func feedIsExact(t *testing.T, form Form) {
	w := open(t, form, func(c *Config) { c.Clock = time.Now })
	other := w.replica()
	var working atomic.Int32
	working.Store(submitters)
	var group sync.WaitGroup
	for worker := range submitters {
		group.Go(func() {
			defer working.Add(-1)
			random := rand.New(rand.NewPCG(uint64(worker), 11))
			for range perWorker {
				s := w.Store
				if random.IntN(2) == 1 {
					s = other
				}
				liveOnce(t, s, store.JobSetKey{Queue: "a", JobSet: armada.JobSet(fmt.Sprintf("set-%d", random.IntN(5)))}, random)
			}
		})
	}
	m := newMirror()
	at := m.load(t, w.Store)
	poll := time.NewTicker(5 * time.Millisecond) // another replica may not wake this one
	defer poll.Stop()
	for working.Load() > 0 {
		at = m.follow(t, w.Store, at, 1+int(working.Load()))
		select {
		case <-w.Wake():
		case <-poll.C:
		}
	}
	group.Wait()
	m.follow(t, w.Store, at, 1000)
	m.same(t, w.Store)
	if len(m.jobs) == 0 || len(m.ended) == 0 {
		t.Errorf("%d active and %d ended jobs", len(m.jobs), len(m.ended))
	}
}

func readYourWrites(t *testing.T, form Form) {
	w := open(t, form)
	var group sync.WaitGroup
	for worker := range submitters {
		group.Go(func() {
			key := store.JobSetKey{Queue: "a", JobSet: armada.JobSet(fmt.Sprintf("set-%d", worker%3))}
			for range perWorker {
				sub := submission(key.Queue, key.JobSet, 2)
				if _, err := w.Submit(w.ctx, sub); err != nil {
					t.Error(err)
					return
				}
				ids := idsOf(sub)
				jobs, err := w.JobsByID(w.ctx, ids)
				if err != nil || len(jobs) != 2 {
					t.Errorf("%d of 2 jobs can be read: %v", len(jobs), err)
				}
				page, err := w.List(w.ctx, store.Query{Queue: key.Queue, JobSet: string(key.JobSet), IDs: ids})
				if err != nil || len(page.Jobs) != 2 {
					t.Errorf("%d of 2 jobs are listed: %v", len(page.Jobs), err)
				}
				if last, err := w.LastEvent(w.ctx, key); err != nil || last.Number < 4 {
					t.Errorf("the last event: %+v, %v", last, err)
				}
			}
		})
	}
	group.Wait()
}
