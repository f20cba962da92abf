package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/intake"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
	"armada/internal/store/storetest"
)

// openStore opens a store with queue "q" that tells nothing by itself: what
// must be told is told by notifications.
func openStore(t *testing.T, url string, adjust ...func(*postgres.Config)) *postgres.Store {
	t.Helper()
	config := postgres.Config{URL: url, Poll: time.Hour}
	for _, a := range adjust {
		a(&config)
	}
	s, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}
	return s
}

var ids atomic.Int64

// jobs makes a submission of n jobs that is a large request for n of 50.
func jobs(set armada.JobSet, n int) store.Submission {
	q := &armada.Requirements{PriorityClass: "default"}
	shape := q.Shape(armada.DefaultResourceTable())
	sub := store.Submission{
		Queue: "q", JobSet: set, Shapes: map[armada.ShapeID]*armada.Requirements{shape: q},
		Templates: map[armada.TemplateID][]byte{"cafe": make([]byte, 600)},
	}
	for range n {
		sub.Jobs = append(sub.Jobs, store.NewJob{
			Job:     armada.Job{ID: armada.JobID(fmt.Sprintf("job-%d", ids.Add(1))), Template: "cafe", Shape: shape},
			Details: armada.JobDetails{Namespace: "default", Annotations: map[string]string{"note": fmt.Sprintf("%0300d", 1)}},
		})
	}
	return sub
}

func there(t *testing.T, s store.Store, sub store.Submission) int {
	t.Helper()
	list := make([]armada.JobID, len(sub.Jobs))
	for i := range sub.Jobs {
		list[i] = sub.Jobs[i].Job.ID
	}
	known, err := s.JobsByID(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	return len(known)
}

func code(t *testing.T, err error, want armada.ErrorCode) {
	t.Helper()
	if err == nil || armada.CodeOf(err) != want {
		t.Errorf("the answer is %v (code %d), want code %d", err, armada.CodeOf(err), want)
	}
}

func TestACommitWhoseAnswerIsLostIsAnsweredAsDone(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	p := startProxy(t, pgtest.Shared().Address())
	s := openStore(t, p.through(t, url))
	p.arm(func(c *cut) {
		c.pass()
		<-c.answered
	})
	sub := jobs("set", 50)
	answers, err := s.Submit(t.Context(), sub)
	if err != nil || len(answers) != 50 || answers[7].ID != sub.Jobs[7].Job.ID {
		t.Errorf("it is answered %v, %v", answers, err)
	}
	if n := there(t, s, sub); n != 50 {
		t.Errorf("%d of 50 jobs are there", n)
	}
}

func TestACommitThatNeverArrivedIsUnavailable(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	p := startProxy(t, pgtest.Shared().Address())
	s := openStore(t, p.through(t, url))
	p.arm(func(*cut) {})
	sub := jobs("set", 50)
	_, err := s.Submit(t.Context(), sub)
	code(t, err, armada.CodeUnavailable)
	if n := there(t, s, sub); n != 0 {
		t.Errorf("%d jobs are there", n)
	}
	if _, err := s.Submit(t.Context(), sub); err != nil {
		t.Errorf("the same again: %v", err)
	}
}

func TestACommitThatArrivesAfterItWasAnsweredUnavailableIsNotDone(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	p := startProxy(t, pgtest.Shared().Address())
	s := openStore(t, p.through(t, url))
	answered, passed := make(chan struct{}), make(chan struct{})
	p.arm(func(c *cut) {
		_ = c.client.Close()
		<-answered
		c.pass()
		<-c.answered
		close(passed)
	})
	sub := jobs("set", 50)
	_, err := s.Submit(t.Context(), sub)
	code(t, err, armada.CodeUnavailable)
	close(answered)
	<-passed
	if n := there(t, s, sub); n != 0 {
		t.Errorf("%d jobs are there although the answer was that nothing was done", n)
	}
}

func TestACallerInDoubtMayGiveUpAndIsNotToldThatNothingWasDone(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := openStore(t, url, func(c *postgres.Config) { c.Patience = 200 * time.Millisecond })
	holder, err := pgx.Connect(t.Context(), url) // somebody who takes the lane by hand
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Close(context.WithoutCancel(t.Context())) }()
	tx, err := holder.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "UPDATE armada.lane SET seq = seq"); err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithTimeout(t.Context(), time.Second)
	defer giveUp()
	sub := jobs("set", 3)
	_, err = s.Submit(ctx, sub)
	code(t, err, armada.CodeInternal)
	if !errors.Is(err, intake.ErrDoubt) {
		t.Errorf("the answer is %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Whatever became of the first, what follows is whole.
	more := jobs("set", 3)
	for {
		if _, err = s.Submit(t.Context(), more); armada.CodeOf(err) != armada.CodeUnavailable {
			break
		}
	}
	if err != nil {
		t.Error(err)
	}
	if n := there(t, s, sub); n != 0 && n != 3 {
		t.Errorf("%d of 3 jobs are there", n)
	}
	storetest.VerifyLog(t, s, map[store.JobSetKey][]armada.JobID{{Queue: "q", JobSet: "set"}: {more.Jobs[0].Job.ID}})
}

// raise makes every commit fail with a code until it is called again with "".
func raise(t *testing.T, url, when, sqlstate string) {
	t.Helper()
	server := pgtest.Shared()
	server.Exec(t, url, "DROP TRIGGER IF EXISTS trouble ON armada.change")
	if sqlstate == "" {
		return
	}
	server.Exec(t, url, "CREATE SEQUENCE IF NOT EXISTS trouble_count")
	server.Exec(t, url, `CREATE OR REPLACE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF `+when+` THEN RAISE EXCEPTION 'trouble' USING ERRCODE = '`+sqlstate+`'; END IF; RETURN NEW; END $$`)
	server.Exec(t, url, "CREATE TRIGGER trouble BEFORE INSERT ON armada.change FOR EACH ROW EXECUTE FUNCTION trouble()")
}

func TestWhatTheDatabaseCannotDoAtTheMomentIsUnavailableAndSurvived(t *testing.T) {
	t.Parallel()
	for what, sqlstate := range map[string]string{
		"a full disk": "53100", "no memory": "53200", "a failing disk": "58030", "a statement that took too long": "57014", "a lock that is held": "55P03",
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			s := openStore(t, url)
			key := store.JobSetKey{Queue: "q", JobSet: "set"}
			first := jobs("set", 2)
			if _, err := s.Submit(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			raise(t, url, "true", sqlstate)
			second := jobs("set", 2)
			_, err := s.Submit(t.Context(), second)
			code(t, err, armada.CodeUnavailable)
			code(t, s.PutQueue(t.Context(), armada.Queue{Name: "r"}), armada.CodeUnavailable)
			raise(t, url, "", "")
			if n := there(t, s, second); n != 0 {
				t.Errorf("%d jobs are there", n)
			}
			if _, err := s.Submit(t.Context(), second); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			storetest.VerifyLog(t, s, map[store.JobSetKey][]armada.JobID{key: {first.Jobs[0].Job.ID, second.Jobs[1].Job.ID}})
		})
	}
}

func TestDeadlocksAndSerializationFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	for what, sqlstate := range map[string]string{"deadlock": "40P01", "serialization": "40001"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			s := openStore(t, url)
			raise(t, url, "nextval('trouble_count') % 3 <> 0", sqlstate)
			sub := jobs("set", 2)
			if _, err := s.Submit(t.Context(), sub); err != nil {
				t.Error(err)
			}
			if err := s.PutQueue(t.Context(), armada.Queue{Name: "r"}); err != nil {
				t.Error(err)
			}
			if n := there(t, s, sub); n != 2 {
				t.Errorf("%d jobs are there", n)
			}
		})
	}
}

func TestADatabaseThatIsReadOnlyIsUnavailableUntilItIsNot(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	url := server.Database(t)
	s := openStore(t, url)
	set := func(value string) {
		t.Helper()
		// Through the transaction's own setting: it may be read-only by now.
		server.Exec(t, url+"&default_transaction_read_only=off", "ALTER SYSTEM SET default_transaction_read_only = "+value)
		server.Exec(t, url, "SELECT pg_reload_conf()")
	}
	set("on")
	sub := jobs("set", 1)
	var err error
	for { // the server's processes learn of it one by one
		if _, err = s.Submit(t.Context(), sub); err != nil {
			break
		}
		sub = jobs("set", 1)
	}
	code(t, err, armada.CodeUnavailable)
	set("off")
	for err != nil {
		code(t, err, armada.CodeUnavailable)
		if t.Failed() {
			break
		}
		_, err = s.Submit(t.Context(), sub)
	}
	if n := there(t, s, sub); n != 1 {
		t.Errorf("%d jobs are there", n)
	}
}

func TestNoConnectionIsUnavailableWithinPatience(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	s := openStore(t, server.Database(t), func(c *postgres.Config) { c.Patience = 300 * time.Millisecond })
	server.Stop(t)
	_, err := s.Queues(t.Context())
	code(t, err, armada.CodeUnavailable)
	for range 3 { // the first may find a connection that it believes to be alive
		_, err = s.Submit(t.Context(), jobs("set", 1))
		if armada.CodeOf(err) == armada.CodeUnavailable {
			break
		}
	}
	code(t, err, armada.CodeUnavailable)
	server.Restart(t)
	for err != nil {
		_, err = s.Submit(t.Context(), jobs("set", 1))
	}
}

// load is work that goes on while the database is in trouble: submissions to two
// job sets through several stores, and cancellations through others.
type load struct {
	*testing.T
	stores   []*postgres.Store
	done     atomic.Bool
	answered atomic.Int64 // submissions that were taken
	group    sync.WaitGroup

	mu           sync.Mutex
	acknowledged map[store.JobSetKey][]armada.JobID
	denied       []store.Submission
}

func startLoad(t *testing.T, stores ...*postgres.Store) *load {
	t.Helper()
	l := &load{T: t, stores: stores, acknowledged: map[store.JobSetKey][]armada.JobID{}}
	for worker := range 6 {
		l.group.Go(func() {
			for round := 0; !l.done.Load(); round++ {
				l.step(worker, round)
			}
		})
	}
	t.Cleanup(func() { l.done.Store(true) })
	return l
}

// step submits two jobs and cancels one of them.
func (l *load) step(worker, round int) {
	ctx := context.WithoutCancel(l.Context())
	key := store.JobSetKey{Queue: "q", JobSet: armada.JobSet(fmt.Sprintf("set-%d", (worker+round)%2))}
	sub := jobs(key.JobSet, 2)
	_, err := l.stores[worker%len(l.stores)].Submit(ctx, sub)
	l.mu.Lock()
	switch {
	case err == nil:
		l.acknowledged[key] = append(l.acknowledged[key], sub.Jobs[0].Job.ID, sub.Jobs[1].Job.ID)
		l.answered.Add(1)
	case armada.CodeOf(err) == armada.CodeUnavailable:
		l.denied = append(l.denied, sub)
	default:
		l.Errorf("the answer: %v", err)
	}
	l.mu.Unlock()
	if err != nil {
		return
	}
	_, err = l.stores[(worker+1)%len(l.stores)].Transition(ctx, store.Fence{}, []store.Unit{{{Kind: lifecycle.Cancel, Job: sub.Jobs[0].Job.ID}}})
	if err != nil && armada.CodeOf(err) != armada.CodeUnavailable {
		l.Errorf("a transition: %v", err)
	}
}

// goesOn returns after some more submissions were taken.
func (l *load) goesOn() {
	l.Helper()
	before := l.answered.Load()
	waitFor(l.T, func() bool { return l.answered.Load() > before+20 })
}

// check ends the load: what was answered OK is there, what was answered
// Unavailable is not, and the events are whole.
func (l *load) check() {
	l.Helper()
	l.done.Store(true)
	l.group.Wait()
	storetest.VerifyLog(l.T, l.stores[0], l.acknowledged)
	for _, sub := range l.denied {
		if n := there(l.T, l.stores[len(l.stores)-1], sub); n != 0 {
			l.Errorf("%d jobs of a submission are there that was answered Unavailable", n)
		}
	}
	l.Logf("%d submissions taken, %d answered Unavailable", l.answered.Load(), len(l.denied))
}

// TestACommitIsSettledTheSameHoweverOftenItIsAsked: the answer of who settles it
// may be lost, too.
func TestACommitIsSettledTheSameHoweverOftenItIsAsked(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := opened(t, url)
	if err := s.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}
	sub := jobs("set", 1)
	names := map[bool][]byte{false: []byte("never done")}
	for _, write := range []func() error{ // new jobs, and none
		func() error { _, err := s.Submit(t.Context(), sub); return err },
		func() error {
			_, err := s.Transition(t.Context(), store.Fence{}, []store.Unit{{{Kind: lifecycle.Reprioritise, Job: sub.Jobs[0].Job.ID, Priority: 7}}})
			return err
		},
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
		var name []byte
		c := session(t, url)
		if err := c.QueryRow(t.Context(), "SELECT commit FROM armada.change WHERE commit IS NOT NULL ORDER BY seq DESC LIMIT 1").Scan(&name); err != nil {
			t.Fatal(err)
		}
		names[true] = name
		for want, name := range names {
			for range 3 {
				if done, err := postgres.Settle(s, name); err != nil || done != want {
					t.Errorf("whether %q was done is answered by %t, %v; want %t", name, done, err, want)
				}
			}
		}
	}
}

// TestAServerThatDiesUnderLoadLosesAndDoublesNothing kills the database again
// and again while two stores work on it.
func TestAServerThatDiesUnderLoadLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	url := server.Database(t)
	l := startLoad(t, openStore(t, url), openStore(t, url))
	for _, die := range []func(testing.TB){server.Crash, server.Kill, server.Stop, server.Crash} {
		l.goesOn()
		die(t)
		server.Restart(t)
	}
	l.goesOn()
	l.check()
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !condition() {
		select {
		case <-ticker.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
		if t.Failed() {
			return
		}
	}
}
