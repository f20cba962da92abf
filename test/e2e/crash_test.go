package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
)

const kills = 10

// TestKillingArmadaUnderLoadLosesAndRepeatsNothing kills `armada up` at random
// moments while jobs are submitted, and starts it again. The supervisor lives
// on, so that every end is known.
func TestKillingArmadaUnderLoadLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	c := crash(t, false)
	for job, end := range c.ends {
		if end.GetSucceeded() == nil {
			t.Errorf("job %s ended as %v although its supervisor lived", job, end)
		}
	}
}

// TestKillingArmadaAndItsSupervisorRepeatsNothing kills the supervisor too:
// then nobody sees how its runs end, and they must not be repeated.
func TestKillingArmadaAndItsSupervisorRepeatsNothing(t *testing.T) {
	t.Parallel()
	c := crash(t, true)
	unknown := 0
	for job, end := range c.ends {
		switch {
		case end.GetSucceeded() != nil:
		case end.GetFailed().GetFailureSubcategory() == "outcome-unknown":
			unknown++
		default:
			t.Errorf("job %s ended as %v, want succeeded or outcome unknown", job, end)
		}
	}
	t.Logf("%d of %d outcomes are unknown", unknown, len(c.ends))
}

// crashed is what a crash test has seen.
type crashed struct {
	ends map[string]*api.EventMessage // the terminal event of every job
}

func crash(t *testing.T, supervisorToo bool) crashed {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir, marks := t.TempDir(), t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })

	var mu sync.Mutex
	u := startUp(t, dir, "--capacity", "cpu=64,memory=64Gi,ephemeral-storage=8Ti")
	acknowledged := &submitter{marks: marks}
	current := func() *up {
		mu.Lock()
		defer mu.Unlock()
		return u
	}
	if _, err := api.NewSubmitClient(u.dial(t)).CreateQueue(t.Context(), &api.Queue{Name: "crash", PriorityFactor: 1}); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for client := range 3 {
		clients.Go(func() { acknowledged.work(ctx, t, client, client, current) })
	}
	for range kills {
		moment := time.NewTimer(time.Duration(100+random.IntN(900)) * time.Millisecond)
		<-moment.C
		u.kill()
		if supervisorToo {
			killProcessesOf(dir)
		}
		next := startUp(t, dir, "--capacity", "cpu=64,memory=64Gi,ephemeral-storage=8Ti")
		mu.Lock()
		u = next
		mu.Unlock()
	}
	cancel()
	clients.Wait()
	return acknowledged.check(t, u)
}

// submitter submits jobs and remembers those that were acknowledged.
type submitter struct {
	marks string
	mu    sync.Mutex
	ids   []string
}

// acknowledged is how many jobs were.
func (s *submitter) acknowledged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ids)
}

// work submits a job at a time to one of three job sets. A call that fails is repeated with the same
// client id, as a client does that does not know what became of it.
func (s *submitter) work(ctx context.Context, t *testing.T, set, client int, current func() *up) {
	for n := 0; ctx.Err() == nil; n++ {
		request := &api.JobSubmitRequest{Queue: "crash", JobSetId: fmt.Sprintf("set-%d", set), JobRequestItems: []*api.JobSubmitRequestItem{{
			ClientId: fmt.Sprintf("%d-%d", client, n), PodSpec: markingSpec(s.marks),
		}}}
		for ctx.Err() == nil {
			conn := current().dial(t)
			call, done := context.WithTimeout(ctx, 5*time.Second)
			answer, err := api.NewSubmitClient(conn).SubmitJobs(call, request)
			done()
			_ = conn.Close()
			if err == nil {
				s.mu.Lock()
				s.ids = append(s.ids, answer.GetJobResponseItems()[0].GetJobId())
				s.mu.Unlock()
				break
			}
		}
	}
}

// markingSpec is a pod that leaves a line where it begins and where it ends.
func markingSpec(marks string) *corev1.PodSpec {
	script := `echo start >>"$0/$ARMADA_JOB_ID"; sleep 0.3; echo end >>"$0/$ARMADA_JOB_ID"`
	amounts := map[string]*resource.Quantity{"cpu": {String_: proto.String("100m")}, "memory": {String_: proto.String("16Mi")}}
	return &corev1.PodSpec{Containers: []*corev1.Container{{
		Name: proto.String("marks"), Command: []string{"sh", "-c", script, marks},
		Resources: &corev1.ResourceRequirements{Requests: amounts, Limits: amounts},
	}}}
}

// check waits until every acknowledged job has ended, and compares what the
// events say with what the jobs left behind.
func (s *submitter) check(t *testing.T, u *up) crashed {
	t.Helper()
	if len(s.ids) == 0 {
		t.Fatal("no job was acknowledged: the test shows nothing")
	}
	events := api.NewEventClient(u.dial(t))
	ends := map[string]*api.EventMessage{}
	deadline := time.Now().Add(2 * patience)
	for client := range 3 {
		for {
			ended, active := endsOf(t, events, "crash", fmt.Sprintf("set-%d", client))
			if active == 0 {
				for job, end := range ended {
					ends[job] = end
				}
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d jobs of set-%d do not end:\n%s", active, client, u.output)
			}
			wait := time.NewTimer(100 * time.Millisecond)
			<-wait.C
		}
	}
	seen := map[string]bool{}
	for _, id := range s.ids {
		if seen[id] {
			t.Errorf("job %s was acknowledged twice", id)
		}
		seen[id] = true
		if ends[id] == nil {
			t.Errorf("job %s was acknowledged and is lost", id)
		}
	}
	for id, end := range ends {
		text, err := os.ReadFile(filepath.Join(s.marks, id))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		starts, finishes := strings.Count(string(text), "start"), strings.Count(string(text), "end")
		if starts > 1 {
			t.Errorf("job %s was started %d times", id, starts)
		}
		if end.GetSucceeded() != nil && finishes != 1 {
			t.Errorf("job %s succeeded and ended %d times", id, finishes)
		}
	}
	t.Logf("%d jobs acknowledged, %d known", len(s.ids), len(ends))
	return crashed{ends: ends}
}

// endsOf reads all events of a job set, checks their numbers, and returns the
// terminal event of each job and how many jobs have none.
func endsOf(t *testing.T, events api.EventClient, queue, set string) (ends map[string]*api.EventMessage, active int) {
	t.Helper()
	stream, err := events.GetJobSetEvents(t.Context(), &api.JobSetRequest{Queue: queue, Id: set}, grpc.WaitForReady(true))
	if err != nil {
		t.Fatal(err)
	}
	ends = map[string]*api.EventMessage{}
	submitted := map[string]bool{}
	for n := 1; ; n++ {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return ends, len(submitted) - len(ends)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, number, _ := strings.Cut(m.GetId(), "-"); number != strconv.Itoa(n) {
			t.Fatalf("event %d of %s has the id %s", n, set, m.GetId())
		}
		switch e := m.GetMessage().GetEvents().(type) {
		case *api.EventMessage_Submitted:
			submitted[e.Submitted.GetJobId()] = true
		case *api.EventMessage_Succeeded:
			end(t, ends, e.Succeeded.GetJobId(), m.GetMessage())
		case *api.EventMessage_Failed:
			end(t, ends, e.Failed.GetJobId(), m.GetMessage())
		case *api.EventMessage_Cancelled:
			end(t, ends, e.Cancelled.GetJobId(), m.GetMessage())
		}
	}
}

func end(t *testing.T, ends map[string]*api.EventMessage, job string, m *api.EventMessage) {
	t.Helper()
	if ends[job] != nil {
		t.Errorf("job %s ended twice: %v and %v", job, ends[job], m)
	}
	ends[job] = m
}

// killProcessesOf kills what armada left behind for a data folder: its
// supervisor, which names the folder on its command line.
func killProcessesOf(dir string) {
	for _, pid := range supervisorsOf(dir) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func supervisorsOf(dir string) (pids []int) {
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range commands {
		text, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(text), dir) || !strings.Contains(string(text), "supervis") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
