package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
)

// pruneAll makes a pass of what ended before now.
func pruneAll(t *testing.T, s *postgres.Store) (total store.Forgotten) {
	t.Helper()
	for more := true; more; {
		done, err := s.Prune(t.Context(), store.Keep{Since: time.Now().Add(time.Hour)}, 3)
		if err != nil {
			t.Fatal(err)
		}
		more = done.More
		total.Jobs, total.Events = total.Jobs+done.Jobs, total.Events+done.Events
	}
	return total
}

func TestWhatAStoppedPassLeftIsForgottenByTheNextProcess(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	one := openStore(t, url)
	pruneAll(t, one) // it looked at all job sets already
	finish := func(set armada.JobSet) {
		t.Helper()
		sub := jobs(set, 1)
		if _, err := one.Submit(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		if _, err := one.Transition(t.Context(), store.Fence{}, []store.Unit{{{Kind: lifecycle.Cancel, Job: sub.Jobs[0].Job.ID}}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, set := range []armada.JobSet{"a", "b", "c", "d", "e"} {
		finish(set)
	}
	done, err := one.Prune(t.Context(), store.Keep{Since: time.Now().Add(time.Hour)}, 3)
	if err != nil || done.Jobs != 3 || done.Events != 0 {
		t.Fatalf("a piece forgets %+v, %v", done, err)
	}
	two := openStore(t, url) // as if the first were gone
	if done := pruneAll(t, two); done.Jobs != 2 || done.Events != 20 {
		t.Errorf("another process forgets %+v, want 2 jobs and the events of 5", done)
	}
	finish("f")
	if done := pruneAll(t, one); done.Jobs != 1 || done.Events != 4 {
		t.Errorf("the first, which goes on, forgets %+v, want a job and its events", done)
	}
}

// TestTransitionsTouchNoIndexOfActiveJobs counts what PostgreSQL did with the
// rows that transitions changed.
func TestTransitionsTouchNoIndexOfActiveJobs(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := openStore(t, url)
	sub := jobs("set", 200)
	if _, err := s.Submit(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	for priority := range uint32(20) {
		units := make([]store.Unit, len(sub.Jobs))
		for i := range units {
			units[i] = store.Unit{{Kind: lifecycle.Reprioritise, Job: sub.Jobs[i].Job.ID, Priority: priority + 1}}
		}
		if _, err := s.Transition(t.Context(), store.Fence{}, units); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil { // then its processes have reported what they did
		t.Fatal(err)
	}
	var updated, hot int
	waitFor(t, func() bool {
		updated, hot = statistics(t, url)
		return updated >= 20*len(sub.Jobs)
	})
	// Nearly all of them; fewer, down to half, while somebody else holds an old
	// snapshot, such as the database's own upkeep on a busy machine. With an index on
	// what changes it would be none.
	if hot < updated/4 {
		t.Errorf("%d of %d updates of active jobs touched no index", hot, updated)
	}
}

// statistics are how many updates of active jobs there were, and how many of them
// needed no new entry in an index.
func statistics(t *testing.T, url string) (updated, hot int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.WithoutCancel(t.Context())) }()
	err = c.QueryRow(t.Context(), "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'armada' AND relname = 'active'").Scan(&updated, &hot)
	if err != nil {
		t.Fatal(err)
	}
	return updated, hot
}

func TestMarksAndCountsGoWithTheirJobs(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, IndexedAnnotations: []string{"k"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}
	sub := jobs("set", 5)
	for i := range sub.Jobs {
		sub.Jobs[i].Details.Annotations = map[string]string{"k": "v"}
	}
	if _, err := s.Submit(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	var units []store.Unit
	for i := range sub.Jobs {
		units = append(units, store.Unit{{Kind: lifecycle.Cancel, Job: sub.Jobs[i].Job.ID}})
	}
	if _, err := s.Transition(t.Context(), store.Fence{}, units); err != nil {
		t.Fatal(err)
	}
	counts := func() (marks, jobs int) {
		t.Helper()
		c, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close(context.Background()) }()
		if err := c.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM armada.mark), (SELECT sum(jobs) FROM armada.tally)").Scan(&marks, &jobs); err != nil {
			t.Fatal(err)
		}
		return marks, jobs
	}
	if marks, jobs := counts(); marks != 10 || jobs != 5 {
		t.Errorf("5 jobs are counted as %d and have %d marks", jobs, marks)
	}
	pruneAll(t, s)
	if marks, jobs := counts(); marks != 0 || jobs != 0 {
		t.Errorf("without jobs there are %d marks, and %d are counted", marks, jobs)
	}
}
