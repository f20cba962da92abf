package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"armada/internal/store/postgres/pgtest"
	"armada/pkg/api"
)

// installation is PostgreSQL, two servers and an executor of this machine.
type installation struct {
	*testing.T
	database string
	dir      string   // of the executor
	flags    []string // of every process besides its own

	mu       sync.Mutex
	servers  [2]*up
	executor *up
}

func install(t *testing.T) *installation {
	t.Helper()
	return installOn(t, pgtest.Start(t).URL("postgres"))
}

// installOn is install on a database.
func installOn(t *testing.T, database string, flags ...string) *installation {
	t.Helper()
	i := &installation{T: t, database: database, dir: t.TempDir(), flags: flags}
	t.Cleanup(func() { killProcessesOf(i.dir) })
	for n := range i.servers {
		i.startServer(n)
	}
	i.startExecutor()
	return i
}

func (i *installation) start(args ...string) *up {
	i.Helper()
	u, err := begin(i.T, append(args, i.flags...)...)
	if err != nil {
		i.Fatalf("armada %s: %v\n%s", strings.Join(args, " "), err, u.output)
	}
	return u
}

// startServer starts a server where it was before.
func (i *installation) startServer(n int) {
	i.Helper()
	at := "127.0.0.1:0"
	if before := i.server(n); before != nil {
		at = before.grpc
	}
	u := i.start("server", "--database", i.database, "--replica", fmt.Sprintf("replica-%d", n), "--grpc-addr", at,
		"--http-addr", "127.0.0.1:0", "--metrics-addr", "", "--log-level", "info")
	i.mu.Lock()
	defer i.mu.Unlock()
	i.servers[n] = u
}

func (i *installation) server(n int) *up {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.servers[n]
}

// anyServer is one or the other.
func (i *installation) anyServer() *up { return i.server(rand.IntN(2)) }

func (i *installation) startExecutor() {
	i.Helper()
	i.executor = i.start("executor", "--id", "machine", "--servers", i.server(0).grpc+","+i.server(1).grpc, "--data-dir", i.dir,
		"--capacity", "cpu=64,memory=64Gi,ephemeral-storage=8Ti", "--keep-running", "--metrics-addr", "", "--log-level", "info")
}

func (i *installation) queue(name string) {
	i.Helper()
	if _, err := api.NewSubmitClient(i.server(0).dial(i.T)).CreateQueue(i.Context(), &api.Queue{Name: name, PriorityFactor: 1}); err != nil {
		i.Fatal(err)
	}
}

func TestJobsOfOneReplicaAreSeenAtTheOther(t *testing.T) {
	t.Parallel()
	i := install(t)
	a, b := i.server(0), i.server(1)
	ids := submitDemo(t, a)
	until(t, "the job that computes has succeeded, at the other replica", func() bool {
		out, err := b.ctl(t, "describe", "job", ids[0])
		return err == nil && strings.Contains(out, "succeeded")
	})
	// The executor is connected to one of them.
	for _, u := range []*up{a, b} {
		if out := u.mustCtl(t, "logs", ids[0]); out != "the first 500 primes add up to 824693\n" {
			t.Errorf("at %s the log is %q", u.grpc, out)
		}
	}
	a.mustCtl(t, "create", "queue", "told")
	member := "{podSpec: {containers: [" + container("a", "command: [echo]", "1") + "]}, annotations: {armadaproject.io/gangId: g, armadaproject.io/gangCardinality: \"2\"}}"
	waits := submittedLine.FindStringSubmatch(b.mustCtl(t, "submit", jobsFile(t, "gang", member)))[1]
	for _, u := range []*up{a, b} {
		until(t, "why the job waits is told at "+u.grpc, func() bool {
			out, err := u.ctl(t, "describe", "job", waits)
			return err == nil && strings.Contains(out, "waits for its other members")
		})
	}
	b.mustCtl(t, "cancel", "job-set", "demo", "first-steps")
	a.mustCtl(t, "watch", "demo", "first-steps", "--exit-if-inactive")
	i.executor.interrupt(t)
	a.interrupt(t)
	b.interrupt(t)
}

// TestAnyProcessMayDieOrBeReplacedUnderLoad stops, in order or by force, one
// server or the executor after the other while jobs are submitted.
func TestAnyProcessMayDieOrBeReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	i := install(t)
	i.queue("crash")
	acknowledged := &submitter{marks: t.TempDir()}
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for client := range 3 {
		clients.Go(func() {
			acknowledged.work(ctx, t, client, client, i.anyServer)
		})
	}
	for round := range kills {
		moment := time.NewTimer(time.Duration(100+random.IntN(900)) * time.Millisecond)
		<-moment.C
		who, inOrder := round%3, random.IntN(2) == 0
		end := func(u *up) {
			if inOrder {
				u.interrupt(t)
			} else {
				u.kill()
			}
		}
		if who == 2 {
			end(i.executor)
			i.startExecutor()
		} else {
			end(i.server(who))
			i.startServer(who)
		}
	}
	cancel()
	clients.Wait()
	for job, end := range acknowledged.check(t, i.server(0)).ends {
		if end.GetSucceeded() == nil {
			t.Errorf("job %s ended as %v although its supervisor lived", job, end)
		}
	}
}

func TestArmadaUpKeepsItsJobsInADatabase(t *testing.T) {
	t.Parallel()
	database, dir := pgtest.Start(t).URL("postgres"), t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, dir, "--database", database)
	ids := submitDemo(t, u)
	until(t, "the job that computes has succeeded", func() bool {
		out, err := u.ctl(t, "describe", "job", ids[0])
		return err == nil && strings.Contains(out, "succeeded")
	})
	u.interrupt(t)
	other := startUp(t, t.TempDir(), "--database", database) // a folder that knows nothing
	if out := other.mustCtl(t, "describe", "job", ids[0]); !strings.Contains(out, "succeeded") {
		t.Errorf("another armada up on the database tells of the job:\n%s", out)
	}
	other.mustCtl(t, "cancel", "job-set", "demo", "first-steps")
	other.interrupt(t)
}
