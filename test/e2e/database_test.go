package e2e

import (
	"context"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/internal/store/postgres/pgtest"
	"armada/pkg/api"
	"armada/test/chaos/proxy"
)

// beginLoad has clients submit to an installation. Each of them repeats a call
// until it is acknowledged.
func (i *installation) beginLoad(clients int, at func() *up) *running {
	i.Helper()
	r := &running{submitter: &submitter{marks: i.TempDir()}, installation: i}
	ctx, cancel := context.WithCancel(i.Context())
	r.cancel = cancel
	for client := range clients {
		r.group.Go(func() { r.work(ctx, i.T, client%3, client, at) })
	}
	return r
}

// running is load that goes on.
type running struct {
	*submitter
	installation *installation
	cancel       context.CancelFunc
	group        sync.WaitGroup
}

// goesOn returns when some more jobs were acknowledged.
func (r *running) goesOn() {
	i := r.installation
	i.Helper()
	before := r.acknowledged()
	until(i.T, "jobs are acknowledged", func() bool { return r.acknowledged() > before+5 })
}

// end ends the load, and checks that every acknowledged job ran once and that
// the events of the job sets are whole, as a server tells them.
func (r *running) end(u *up) {
	r.installation.Helper()
	r.cancel()
	r.group.Wait()
	for job, end := range r.check(r.installation.T, u).ends {
		if end.GetSucceeded() == nil {
			r.installation.Errorf("job %s ended as %v although its supervisor lived", job, end)
		}
	}
}

// TestALeaderThatIsStoppedInMidCommitDecidesNothingMore stops the leader with
// SIGSTOP while a commit of its decisions is under way, lets another replica lead
// that takes submissions to the same job sets, and lets it go on.
func TestALeaderThatIsStoppedInMidCommitDecidesNothingMore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		when     string
		arrived  bool // the database has the statement, the leader not its answer
		answered string
	}{
		{"before the database has the commit", false, "ZA001"}, // what it hangs on does not hold any more
		{"after the database has done the commit", true, ""},
	} {
		t.Run(c.when, func(t *testing.T) {
			t.Parallel()
			database := pgtest.Start(t)
			between := interpose(t, database.Address())
			i := &installation{T: t, database: strings.Replace(database.URL("postgres"), database.Address(), between.listener.Addr().String(), 1), dir: t.TempDir()}
			t.Cleanup(func() { killProcessesOf(i.dir) })
			i.startServer(0)
			until(t, "the first server leads", func() bool { return leaderOf(t, database).epoch > 0 })
			i.database = database.URL("postgres")
			i.startServer(1)
			i.queue("crash")
			i.executor = i.start("executor", "--id", "machine", "--servers", i.server(1).grpc, "--data-dir", i.dir,
				"--capacity", "cpu=64,memory=64Gi,ephemeral-storage=8Ti", "--keep-running", "--metrics-addr", "")
			load := i.beginLoad(3, func() *up { return i.server(1) })
			load.goesOn()

			stopped, otherLeads, answer := make(chan int64), make(chan struct{}), make(chan string, 1)
			leader := i.server(0).cmd.Process
			between.hold(func(h *heldCommit) {
				if c.arrived {
					h.pass()
					<-h.answered
				}
				_ = leader.Signal(syscall.SIGSTOP)
				stopped <- h.epoch
				<-otherLeads
				h.pass()
				<-h.answered
				answer <- h.answer()
				_ = leader.Signal(syscall.SIGCONT)
			})
			epoch := <-stopped
			until(t, "another server leads", func() bool { l := leaderOf(t, database); return l.epoch > epoch && l.name != "" })
			load.goesOn()
			close(otherLeads)
			if got := <-answer; got != c.answered {
				t.Errorf("the database answered the commit of epoch %d with %q, want %q", epoch, got, c.answered)
			}
			load.goesOn()
			load.end(i.server(0)) // which was stopped
		})
	}
}

// leads is who leads, as the database has it.
type leads struct {
	name  string
	epoch int64
}

func leaderOf(t *testing.T, database *pgtest.Server) (l leads) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.WithoutCancel(t.Context()))
	if err := c.QueryRow(t.Context(), "SELECT replica, epoch FROM armada.leader").Scan(&l.name, &l.epoch); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestServersGoOnWithTheStandbyAfterAFailover kills the database under two
// servers, which know its synchronous standby by their URL.
func TestServersGoOnWithTheStandbyAfterAFailover(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t)
	standby := primary.Standby(t)
	i := installOn(t, primary.URL("postgres", standby))
	i.queue("crash")
	load := i.beginLoad(3, i.anyServer)
	load.goesOn()
	primary.Kill(t)
	standby.Promote(t)
	load.goesOn()
	load.end(i.server(0))
}

// TestASlowDatabaseIsWaitedForOrToldAndNothingIsLost delays what goes to the
// database, lets a stranger hold its lane, and gives the servers too few
// connections, one upon the other.
func TestASlowDatabaseIsWaitedForOrToldAndNothingIsLost(t *testing.T) {
	t.Parallel()
	database := pgtest.Start(t)
	link, err := proxy.Open(database.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = link.Close() })
	i := installOn(t, strings.Replace(database.URL("postgres"), database.Address(), link.Addr(), 1), "--set", "store.connections=2")
	i.queue("crash")
	load := i.beginLoad(12, i.anyServer)
	load.goesOn()
	link.Set(proxy.Fault{Delay: 100 * time.Millisecond})
	load.goesOn()

	stranger, err := pgx.Connect(t.Context(), database.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close(context.WithoutCancel(t.Context()))
	if _, err := stranger.Exec(t.Context(), "BEGIN; UPDATE armada.lane SET seq = seq"); err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithTimeout(t.Context(), patience)
	defer giveUp()
	_, err = api.NewSubmitClient(i.server(0).dial(t)).CreateQueue(ctx, &api.Queue{Name: "other", PriorityFactor: 1})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("while somebody holds the lane a call answers %v", err)
	}
	if _, err := stranger.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	load.goesOn()
	link.Set(proxy.Fault{})
	load.goesOn()
	load.end(i.server(1))
}
