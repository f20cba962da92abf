package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/sqlite"
)

// shelf holds run folders by when they were last written to, of 10 bytes each.
type shelf struct {
	mu      sync.Mutex
	written []time.Time
}

// add puts a folder there that was written to now.
func (s *shelf) add() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written = append(s.written, time.Now())
}

// count is how many there are.
func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.written)
}

func (s *shelf) Prune(_ context.Context, before time.Time, size int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	had := len(s.written)
	s.written = slices.DeleteFunc(s.written, before.After)
	if over := len(s.written) - int(size/10); size > 0 && over > 0 {
		s.written = slices.Delete(s.written, 0, over)
	}
	return had - len(s.written), nil
}

// attic is a store whose clock is that of the bubble that the test runs in, and
// a retention that works on it.
type attic struct {
	*testing.T
	*sqlite.Store
	*retention
	registry *prometheus.Registry
	disk     *moodyDisk
	shelf    shelf
	made     int
	shift    atomic.Int64 // of the clock by which jobs are old
}

// inAttic runs a test in a bubble, where hours take no time.
func inAttic(t *testing.T, keep Store, keepLogs int64, test func(a *attic)) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "armada.db")
	synctest.Test(t, func(t *testing.T) {
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, ClientIDRetention: keep.KeepClientIDs})
		if err != nil {
			t.Fatal(err)
		}
		for _, queue := range []string{"q", "r"} {
			if err := s.PutQueue(t.Context(), armada.Queue{Name: queue, PriorityFactor: 1}); err != nil {
				t.Fatal(err)
			}
		}
		u := &System{config: Config{Store: keep, Executor: Executor{KeepLogsBytes: keepLogs}}, store: s, registry: prometheus.NewRegistry(), log: slog.New(slog.DiscardHandler)}
		r, err := u.retention()
		if err != nil {
			t.Fatal(err)
		}
		a := &attic{T: t, Store: s, retention: r, registry: u.registry, disk: &moodyDisk{Store: s}}
		r.store, r.folders, r.leads = a.disk, &a.shelf, func() bool { return true }
		r.now = func() time.Time { return time.Now().Add(time.Duration(a.shift.Load())) }
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.run(ctx) }()
		test(a)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// pass lets time go by while the retention works.
func (a *attic) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// submit submits a job with a client id of its own.
func (a *attic) submit(set armada.JobSet) armada.JobID {
	a.Helper()
	return a.submitTo("q", set)
}

func (a *attic) submitTo(queue string, set armada.JobSet) armada.JobID {
	a.Helper()
	a.made++
	id := armada.JobID(fmt.Sprintf("job-%d", a.made))
	needs := &armada.Requirements{PriorityClass: "default"}
	shape := needs.Shape(armada.DefaultResourceTable())
	if _, err := a.Submit(a.Context(), store.Submission{
		Queue: queue, JobSet: set, Shapes: map[armada.ShapeID]*armada.Requirements{shape: needs},
		Templates: map[armada.TemplateID][]byte{"cafe": []byte("a pod spec")},
		Jobs:      []store.NewJob{{Job: armada.Job{ID: id, ClientID: string(id), Template: "cafe", Shape: shape}}},
	}); err != nil {
		a.Fatal(err)
	}
	return id
}

// finish ends a job, and leaves its folder.
func (a *attic) finish(id armada.JobID) {
	a.Helper()
	results, err := a.Transition(a.Context(), store.Fence{}, []store.Unit{{{Kind: lifecycle.Cancel, Job: id}}})
	if err != nil || results[0].Verdict != lifecycle.Applied {
		a.Fatal(results, err)
	}
	a.shelf.add()
}

// knows lists the jobs that are still known.
func (a *attic) knows() []armada.JobID {
	a.Helper()
	var ids []armada.JobID
	for n := range a.made {
		id := armada.JobID(fmt.Sprintf("job-%d", n+1))
		if jobs, err := a.JobsByID(a.Context(), []armada.JobID{id}); err != nil {
			a.Fatal(err)
		} else if len(jobs) == 1 {
			ids = append(ids, id)
		}
	}
	return ids
}

// tells lists of which jobs a job set has events.
func (a *attic) tells(set armada.JobSet) []armada.JobID {
	a.Helper()
	events, _, err := a.ReadEvents(a.Context(), store.JobSetKey{Queue: "q", JobSet: set}, store.Cursor{}, 1000)
	if err != nil && armada.CodeOf(err) != armada.CodeNotFound {
		a.Fatal(err)
	}
	var ids []armada.JobID
	for _, e := range events {
		ids = append(ids, e.Job)
	}
	return slices.Compact(ids)
}

// counted is what the metric says of what was forgotten.
func (a *attic) counted(what string) float64 {
	a.Helper()
	families, err := a.registry.Gather()
	if err != nil {
		a.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "armada_retention_forgotten_total" && m.GetLabel()[0].GetValue() == what {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestFinishedJobsGoWithAllTheyLeftWhenTheyAreOld(t *testing.T) {
	inAttic(t, Store{KeepFinished: time.Hour, KeepClientIDs: 3 * time.Hour}, 0, func(a *attic) {
		old, long := a.submit("s"), a.submit("other")
		a.finish(old)
		a.pass(40 * time.Minute)
		young := a.submit("s")
		a.finish(young)
		a.pass(19 * time.Minute)
		if got := a.knows(); !slices.Equal(got, []armada.JobID{old, long, young}) {
			a.Errorf("before the hour is over there is %v", got)
		}
		a.pass(3 * time.Minute)
		if got := a.knows(); !slices.Equal(got, []armada.JobID{long, young}) {
			a.Errorf("after an hour there is %v, want the job that is active and the one that ended later", got)
		}
		if got := a.tells("s"); !slices.Equal(got, []armada.JobID{young}) {
			a.Errorf("after an hour the events speak of %v", got)
		}
		if a.shelf.count() != 1 {
			a.Errorf("after an hour there are %d run folders", a.shelf.count())
		}
		a.pass(4 * time.Hour)
		if got := a.knows(); !slices.Equal(got, []armada.JobID{long}) {
			a.Errorf("in the end there is %v, want the job that is active", got)
		}
		if got := append(a.tells("s"), a.tells("other")...); !slices.Equal(got, []armada.JobID{long}) {
			a.Errorf("in the end the events speak of %v", got)
		}
		for what, want := range map[string]float64{"jobs": 2, "events": 8, "client ids": 3, "run folders": 2} {
			if got := a.counted(what); got != want {
				a.Errorf("%g %s are counted as forgotten, want %g", got, what, want)
			}
		}
	})
}

func TestFinishedJobsGoWithAllTheyLeftWhenTheyAreMany(t *testing.T) {
	inAttic(t, Store{KeepFinished: time.Hour, KeepFinishedJobs: 10, KeepClientIDs: time.Hour}, 40, func(a *attic) {
		active := a.submit("s")
		var ids []armada.JobID
		for range 10 {
			ids = append(ids, a.submit("s"))
			a.finish(ids[len(ids)-1])
			a.pass(time.Second)
		}
		a.pass(2 * time.Minute)
		if got := a.knows(); len(got) != 11 {
			a.Errorf("of as many as may be kept %d are left", len(got)-1)
		}
		if a.shelf.count() != 4 {
			a.Errorf("%d run folders of 10 bytes are left, 40 bytes may be kept", a.shelf.count())
		}
		ids = append(ids, a.submit("s"))
		a.finish(ids[10])
		a.pass(2 * time.Minute)
		if got, want := a.knows(), append([]armada.JobID{active}, ids[2:]...); !slices.Equal(got, want) {
			a.Errorf("there is %v, want the active one and the nine that ended last, %v", got, want)
		}
	})
}

func TestAQueueWithATimeOfItsOwnKeepsItsJobsUntilThen(t *testing.T) {
	keep := Store{KeepFinished: time.Hour, KeepFinishedOf: map[string]time.Duration{"r": 3 * time.Hour}, KeepClientIDs: time.Hour}
	inAttic(t, keep, 0, func(a *attic) {
		ours, theirs := a.submit("s"), a.submitTo("r", "s")
		a.finish(ours)
		a.finish(theirs)
		a.pass(62 * time.Minute)
		if got := a.knows(); !slices.Equal(got, []armada.JobID{theirs}) || a.shelf.count() != 2 {
			a.Errorf("after an hour there is %v, with %d folders, want %v with both", got, a.shelf.count(), theirs)
		}
		a.pass(2 * time.Hour)
		if got := a.knows(); len(got) != 0 || a.shelf.count() != 0 {
			a.Errorf("after three hours there is %v, with %d folders", got, a.shelf.count())
		}
	})
}

func TestAClockThatStepsMakesNothingOlderThanTheStep(t *testing.T) {
	inAttic(t, Store{KeepFinished: 3 * time.Hour, KeepClientIDs: time.Hour}, 0, func(a *attic) {
		a.finish(a.submit("s"))
		for _, step := range []time.Duration{time.Hour, -time.Hour, -time.Hour, time.Hour} {
			a.shift.Add(int64(step))
			a.pass(10 * time.Minute)
			if got := a.knows(); len(got) != 1 || a.shelf.count() != 1 {
				a.Errorf("after a step of %s the young job is %v, with %d folders", step, got, a.shelf.count())
			}
		}
		a.pass(150 * time.Minute)
		if got := a.knows(); len(got) != 0 || a.shelf.count() != 0 {
			a.Errorf("in the end there is %v, with %d folders", got, a.shelf.count())
		}
	})
}

// moodyDisk refuses to forget as long as it is full.
type moodyDisk struct {
	*sqlite.Store
	full atomic.Bool
}

func (f *moodyDisk) Prune(ctx context.Context, keep store.Keep, limit int) (store.Forgotten, error) {
	if f.full.Load() {
		return store.Forgotten{Before: keep.Since, More: true}, errors.New("no room")
	}
	return f.Store.Prune(ctx, keep, limit)
}

func TestRunFoldersGoEvenWhenTheStoreCannotForgetAndItIsTriedAgain(t *testing.T) {
	inAttic(t, Store{KeepFinished: time.Hour, KeepClientIDs: time.Hour}, 10, func(a *attic) {
		a.disk.full.Store(true)
		a.finish(a.submit("s"))
		a.finish(a.submit("s"))
		a.pass(70 * time.Minute)
		if a.shelf.count() != 0 {
			a.Errorf("%d run folders are left on the full disk", a.shelf.count())
		}
		if got := a.knows(); len(got) != 2 {
			a.Errorf("the store refuses, and there is %v", got)
		}
		a.disk.full.Store(false)
		a.pass(30 * time.Minute)
		if got := a.knows(); len(got) != 0 {
			a.Errorf("the store works again, and there is %v", got)
		}
	})
}
