package storetest

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
)

// crashChild in the environment makes a test binary the process that is killed:
// it works on the database that the variable names until then.
const crashChild = "ARMADA_STORE_CRASH_CHILD"

// CrashChild returns false in the process of the tests. In a child it works on
// the database that it was started for, until it is killed or something fails;
// then it returns true, and TestMain must exit with an error.
func CrashChild(open func(ctx context.Context, place string) (store.Store, error)) bool {
	place := os.Getenv(crashChild)
	if place == "" {
		return false
	}
	s, err := open(context.Background(), place)
	if err == nil {
		err = workUntilKilled(s)
	}
	fmt.Fprintln(os.Stderr, err)
	return true
}

// acknowledgement is a line that the child prints when a call was answered: a
// job and the version that it has reached.
type acknowledgement struct {
	key     store.JobSetKey
	id      armada.JobID
	version int64
}

func (a acknowledgement) String() string {
	return fmt.Sprintf("%s %s %s %d\n", a.key.Queue, a.key.JobSet, a.id, a.version)
}

// workUntilKilled submits and moves jobs from many goroutines.
func workUntilKilled(s store.Store) error {
	ctx := context.Background()
	if err := s.PutQueue(ctx, armada.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		return err
	}
	failed := make(chan error)
	for worker := range 8 {
		go func() {
			for round := 0; ; round++ {
				if err := workOnce(ctx, s, worker, round); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

func workOnce(ctx context.Context, s store.Store, worker, round int) error {
	key := store.JobSetKey{Queue: "q", JobSet: armada.JobSet(fmt.Sprintf("set-%d", (worker+round)%3))}
	r := &armada.Requirements{PriorityClass: "default"}
	shape := r.Shape(armada.DefaultResourceTable())
	sub := store.Submission{
		Queue: key.Queue, JobSet: key.JobSet, Shapes: map[armada.ShapeID]*armada.Requirements{shape: r},
		Templates: map[armada.TemplateID][]byte{"cafe": []byte("spec")},
	}
	for i := range 1 + round%5 {
		id := armada.JobID(fmt.Sprintf("%d-%d-%d-%d", os.Getpid(), worker, round, i))
		sub.Jobs = append(sub.Jobs, store.NewJob{Job: armada.Job{ID: id, Template: "cafe", Shape: shape}})
	}
	if _, err := s.Submit(ctx, sub); err != nil {
		return err
	}
	for _, j := range sub.Jobs {
		fmt.Print(acknowledgement{key, j.Job.ID, 1})
	}
	first := sub.Jobs[0].Job.ID
	for _, u := range []store.Unit{
		{{Kind: lifecycle.Lease, Job: first, Lease: lifecycle.Terms{Executor: "e", Node: "n", Pool: "p"}}},
		{{Kind: lifecycle.ReportRunning, Job: first, Run: armada.NewRunID(first, 1), Executor: "e"}},
		{{Kind: lifecycle.ReportSucceeded, Job: first, Run: armada.NewRunID(first, 1), Executor: "e"}},
	} {
		results, err := s.Transition(ctx, store.Fence{}, []store.Unit{u})
		if err != nil {
			return err
		}
		fmt.Print(acknowledgement{key, first, results[0].Jobs[0].Version})
	}
	return nil
}

// SurviveKill9 kills processes that work on a database at random moments, and
// checks each time that all they were answered is there. The binary's TestMain
// must call [CrashChild].
func SurviveKill9(t *testing.T, place string, open func(ctx context.Context, place string) (store.Store, error)) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	acknowledged := map[store.JobSetKey][]armada.JobID{}
	versions := map[armada.JobID]int64{}
	rounds := 6
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		for _, a := range killAfter(t, place, 1+random.IntN(400), time.Duration(random.IntN(int(3*time.Millisecond)))) {
			if a.version == 1 {
				acknowledged[a.key] = append(acknowledged[a.key], a.id)
			}
			versions[a.id] = max(versions[a.id], a.version)
		}
		s, err := open(t.Context(), place)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		VerifyLog(t, s, acknowledged)
		for id, version := range versions {
			if full, err := s.Job(t.Context(), id); err != nil || full.Job.Version < version {
				t.Errorf("round %d: job %s reached version %d and has %d: %v", round, id, version, full.Job.Version, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			t.Fatalf("round %d of seed %d", round, seed)
		}
	}
	t.Logf("%d jobs in %d rounds", len(versions), rounds)
}

// killAfter lets a child work until it has printed so many lines and some time
// more, kills it, and returns all lines that it completed.
func killAfter(t *testing.T, place string, lines int, more time.Duration) []acknowledgement {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), crashChild+"="+place)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errors strings.Builder
	child.Stderr = &errors
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill := func() { once.Do(func() { _ = child.Process.Kill() }) }
	defer kill()
	var all []acknowledgement
	reader := bufio.NewReader(out)
	for {
		line, err := reader.ReadString('\n')
		if err != nil {
			break // what follows the last newline was not acknowledged in full
		}
		var a acknowledgement
		if _, err := fmt.Sscanf(line, "%s %s %s %d", &a.key.Queue, &a.key.JobSet, &a.id, &a.version); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if all = append(all, a); len(all) == lines {
			time.AfterFunc(more, kill)
		}
	}
	_ = child.Wait()
	if len(all) < lines {
		t.Fatalf("the child ended after %d of %d lines: %s", len(all), lines, errors.String())
	}
	return all
}
