package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/store/feed"
	"armada/internal/store/storetest"
)

func openFile(t testing.TB) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a b?c%.db")
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}
	return s, path
}

// onWriter runs f in a transaction of the writer.
func (s *Store) onWriter(f func(*batch) error) error {
	return s.write(context.Background(), "test", 1, f)
}

func submissionOf(set armada.JobSet, first, n int) store.Submission {
	q := &armada.Requirements{PriorityClass: "default"}
	shape := q.Shape(armada.DefaultResourceTable())
	sub := store.Submission{
		Queue: "q", JobSet: set, Shapes: map[armada.ShapeID]*armada.Requirements{shape: q},
		Templates: map[armada.TemplateID][]byte{"cafe": make([]byte, 600)},
	}
	for i := range n {
		sub.Jobs = append(sub.Jobs, store.NewJob{Job: armada.Job{ID: armada.JobID(fmt.Sprintf("job-%d", first+i)), Template: "cafe", Shape: shape}})
	}
	return sub
}

func TestAFullDiskAnswersUnavailableAndIsSurvived(t *testing.T) {
	t.Parallel()
	s, path := openFile(t)
	key := store.JobSetKey{Queue: "q", JobSet: "set"}
	acknowledged := map[store.JobSetKey][]armada.JobID{}
	setLimit := func(pages int) {
		t.Helper()
		if err := s.onWriter(func(b *batch) error {
			_, err := b.w.conn.one(fmt.Sprintf("PRAGMA max_page_count = %d", pages))
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	submit := func(first int) error {
		_, err := s.Submit(t.Context(), submissionOf(key.JobSet, first, 50))
		if err == nil {
			for i := range 50 {
				acknowledged[key] = append(acknowledged[key], armada.JobID(fmt.Sprintf("job-%d", first+i)))
			}
		}
		return err
	}
	setLimit(150)
	next, full := 0, 0
	for full < 3 {
		if err := submit(next); err != nil {
			if armada.CodeOf(err) != armada.CodeUnavailable {
				t.Fatalf("a full disk was answered with %v", err)
			}
			if want := "nothing was written, because the disk is full: make room in " + filepath.Dir(path); !strings.Contains(err.Error(), want) {
				t.Errorf("a full disk was answered with %q, want %q", err, want)
			}
			full++
		}
		if next += 50; next > 100_000 {
			t.Fatal("the disk is never full")
		}
	}
	if len(acknowledged[key]) == 0 {
		t.Fatal("nothing was taken before the disk was full")
	}
	storetest.VerifyLog(t, s, acknowledged)
	setLimit(1 << 30)
	if err := submit(next); err != nil {
		t.Fatalf("after there is room again: %v", err)
	}
	storetest.VerifyLog(t, s, acknowledged)
	results, err := s.Transition(t.Context(), store.Fence{}, []store.Unit{{{Kind: lifecycle.Cancel, Job: acknowledged[key][0]}}})
	if err != nil || results[0].Verdict != lifecycle.Applied {
		t.Errorf("after there is room again: %v %v", results, err)
	}
}

func TestAJobThatCannotBeReadFailsOnlyItsOwnRequests(t *testing.T) {
	t.Parallel()
	s, _ := openFile(t)
	if _, err := s.Submit(t.Context(), submissionOf("set", 0, 2)); err != nil {
		t.Fatal(err)
	}
	if err := s.onWriter(func(b *batch) error {
		delete(b.w.entries, "job-0")
		_, err := b.w.conn.exec("UPDATE job SET life = x'0107ff' WHERE id = 'job-0'")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	blocked, release := make(chan struct{}), make(chan struct{})
	answers := make(chan error, 3)
	go func() { // holds the writer, so that the next two form a group
		answers <- s.onWriter(func(*batch) error {
			close(blocked)
			<-release
			return nil
		})
	}()
	<-blocked
	cancel := func(id armada.JobID) error {
		results, err := s.Transition(t.Context(), store.Fence{}, []store.Unit{{{Kind: lifecycle.Cancel, Job: id}}})
		if err == nil && results[0].Verdict != lifecycle.Applied {
			return errors.New(results[0].Why)
		}
		return err
	}
	good := make(chan error, 1)
	go func() { good <- cancel("job-1") }()
	bad := make(chan error, 1)
	go func() { bad <- cancel("job-0") }()
	for s.line.Waiting() < 2 {
		runtime.Gosched() // both wait for the writer in a moment
	}
	close(release)
	if err := <-answers; err != nil {
		t.Error(err)
	}
	if err := <-good; err != nil {
		t.Errorf("the good job's request: %v", err)
	}
	if err := <-bad; err == nil || armada.CodeOf(err) != armada.CodeInternal {
		t.Errorf("the bad job's request: %v", err)
	}
}

func TestACallThatWasGivenUpBeforeItBeganDoesNothing(t *testing.T) {
	t.Parallel()
	s, _ := openFile(t)
	blocked, release := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- s.onWriter(func(*batch) error {
			close(blocked)
			<-release
			return nil
		})
	}()
	<-blocked
	ctx, giveUp := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := s.Submit(ctx, submissionOf("set", 0, 1))
		answer <- err
	}()
	giveUp()
	if err := <-answer; !errors.Is(err, context.Canceled) {
		t.Errorf("the answer: %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if _, err := s.Job(t.Context(), "job-0"); armada.CodeOf(err) != armada.CodeNotFound {
		t.Errorf("the job of a call that was given up: %v", err)
	}
}

func TestTheLogBeginsAnewWhenItIsTooLarge(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db")
	s, err := Open(t.Context(), Config{Path: path, maxLog: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	largest := int64(0)
	for {
		if err := s.PutQueue(t.Context(), armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() < largest {
			break // it was cut
		}
		if largest = info.Size(); largest > 12<<20 {
			t.Fatalf("the log has %d bytes", largest) // SQLite itself begins anew at 16 MB
		}
	}
}

func TestAFileOfANewerProgramIsRefused(t *testing.T) {
	t.Parallel()
	s, path := openFile(t)
	if err := s.onWriter(func(b *batch) error {
		_, err := b.w.conn.exec("PRAGMA user_version = 999")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), Config{Path: path}); err == nil {
		_ = s.Close()
		t.Error("it was opened")
	}
}

func TestWhatIsNotADatabaseIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notes.txt")
	text := []byte("this is the diary of a cluster and no database, although it is longer than a header of one hundred bytes would be")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), Config{Path: path}); err == nil {
		_ = s.Close()
		t.Error("it was opened")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(text) {
		t.Errorf("the file was changed: %v", err)
	}
}

func TestTheFeedIsTrimmedAndLateReadersAreTold(t *testing.T) {
	t.Parallel()
	s, _ := openFile(t)
	start, err := s.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.onWriter(func(b *batch) error {
		b.w.feed = feedTrim // as after many transactions
		b.touch(feed.Queue, 1)
		if _, err := b.w.conn.exec("UPDATE change SET at = 0"); err != nil {
			return err
		}
		_, err := b.w.conn.exec("INSERT INTO change (seq, at, body) VALUES (?, 0, x'00')", 10*feedKept)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Changes(t.Context(), start, 10); armada.CodeOf(err) != armada.CodeOutOfRange {
		t.Errorf("a position that was trimmed away: %v", err)
	}
	end, err := s.End(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Changes(t.Context(), end, 10); err != nil {
		t.Errorf("the present end: %v", err)
	}
}

func TestPlansOfHotQueriesUseAnIndex(t *testing.T) {
	t.Parallel()
	s, _ := openFile(t)
	for query, want := range map[string]string{
		"SELECT number FROM job WHERE ended = 0 AND (queue, job_set, number) > (1, 2, 3) ORDER BY queue, job_set, number LIMIT 9": "job_active",
		"SELECT number FROM job WHERE job_set = 1 AND number BETWEEN 2 AND 3 ORDER BY number DESC LIMIT 9":                        "job_of_set",
		"SELECT number FROM job WHERE queue = (SELECT id FROM queue WHERE name = 'q') AND number BETWEEN 2 AND 3 ORDER BY number": "job_of_queue",
		"SELECT number FROM job WHERE executor = 'e'":                                                      "job_held",
		"SELECT last, count, events FROM event_block WHERE job_set = 1 AND last > 2 ORDER BY last LIMIT 3": "event_block_place",
		"SELECT id FROM template WHERE uses = 0 ORDER BY id LIMIT 3":                                       "template_unused",
		"SELECT id FROM job_set WHERE queue = 'q' AND name >= 'a' AND name < 'a' || x'ff'":                 "job_set_key",
	} {
		var plan string
		if err := s.read(t.Context(), "explain", func(c *conn) error {
			return c.each("EXPLAIN QUERY PLAN "+query, func(r row) error {
				plan += r.str(3) + "; "
				return nil
			})
		}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, want) || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s\nis planned as %s\nwant %s", query, plan, want)
		}
	}
}
