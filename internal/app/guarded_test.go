package app

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada"
	"armada/internal/auth"
	"armada/internal/auth/authtest"
	"armada/internal/server"
	"armada/internal/settings"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
)

// guarded makes configs of an installation in which everybody logs in.
type guarded struct {
	*fleet
	authority         *authtest.Authority
	certFile, keyFile string
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	database := pgtest.Start(t).URL("postgres")
	kept, err := postgres.Open(t.Context(), postgres.Config{URL: database})
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{fleet: aFleet(t, kept, database), authority: authtest.NewAuthority(t)}
	g.certFile, g.keyFile = g.authority.Files(t.TempDir(), g.authority.Certify("a server"))
	return g
}

func (g *guarded) replica(name, secret string) *member {
	g.Helper()
	config := DefaultConfig()
	config.Replica.Name = name
	config.Server.GRPCAddr, config.Server.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	config.Server.TLS = server.TLS{CertFile: g.certFile, KeyFile: g.keyFile, PeerCAFile: g.authority.File}
	user := func(group string) auth.User {
		return auth.User{Password: settings.NewSecret("of " + group), Groups: []string{group}}
	}
	config.Auth.BasicAuth.Users = map[string]auth.User{"root": user("admins"), "agent": user("agents"), "stranger": user("strangers")}
	config.Auth.PermissionGroupMapping = map[string][]string{
		"create_queue": {"admins"}, "submit_any_jobs": {"admins"}, "watch_all_events": {"admins"}, "execute_jobs": {"agents", "strangers"},
	}
	config.Auth.Executors = map[string][]string{"agent": {"east-1"}}
	config.Auth.PeerSecret = settings.NewSecret(secret)
	if err := config.Validate(); err != nil {
		g.Fatal(err)
	}
	return g.begin(RoleServer, config)
}

func (g *guarded) executor(name, user, password string, m *member) {
	g.Helper()
	config := DefaultConfig()
	config.Executor.ID, config.Executor.Simulate, config.Executor.Servers = name, "1x1", []string{m.GRPCAddr()}
	config.Executor.TLS, config.Executor.CAFile = true, g.authority.File
	config.Executor.Auth.BasicAuth = ExecutorPassword{Username: user, Password: settings.NewSecret(password)}
	if err := config.Validate(); err != nil {
		g.Fatal(err)
	}
	g.begin(RoleExecutor, config)
}

func (g *guarded) client(m *member) *client.Client {
	g.Helper()
	c, err := client.New(client.Config{
		ArmadaURL: m.GRPCAddr(), TLS: &client.TLS{CAFile: g.authority.File}, Timeout: patience,
		BasicAuth: &client.BasicAuth{Username: "root", Password: "of admins"},
	})
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { _ = c.Close() })
	return c
}

// log reads the log of a job.
func (g *guarded) log(c *client.Client, job string) (string, error) {
	var lines []string
	err := c.Logs(g.Context(), client.LogQuery{Job: job}, func(l *lookout.LogLine) error {
		lines = append(lines, l.GetLine())
		return nil
	})
	return strings.Join(lines, "\n"), err
}

func TestReplicasAndExecutorsWorkTogetherWhereEverybodyLogsIn(t *testing.T) {
	t.Parallel()
	const secret = "a secret of all replicas"
	g := newGuarded(t)
	a := g.replica("a", secret)
	g.leads(a)
	b := g.replica("b", secret)
	g.executor("east", "agent", "of agents", b)
	g.connected("east-1", b)
	atA, atB := g.client(a), g.client(b)
	g.queue(atA)
	w := g.watch(atB, "set")
	jobs := g.submit(atA, "set", item("east", "from the east"))
	w.succeed(jobs)
	for at, c := range map[string]*client.Client{"a": atA, "b": atB} {
		if got, err := g.log(c, jobs[0]); err != nil || got != "from the east" {
			t.Errorf("at %s the log is %q, %v", at, got, err)
		}
	}
	// Another secret is none.
	other := g.replica("other", "a secret of somebody else")
	if got, err := g.log(g.client(other), jobs[0]); err == nil || !strings.Contains(err.Error(), "auth.peerSecret") {
		t.Errorf("with another secret the log is %q, %v", got, err)
	}
}

func TestAnExecutorThatMayNotBeOneGetsNoSession(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	a := g.replica("a", "a secret of all replicas")
	g.leads(a)
	g.executor("west", "stranger", "of strangers", a) // has execute_jobs, and auth.executors does not name it
	g.executor("north", "agent", "of agents", a)      // is east-1 only
	g.executor("south", "agent", "a wrong password", a)
	g.executor("east", "agent", "of agents", a)
	g.connected("east-1", a) // which came last
	for _, id := range []string{"west-1", "north-1", "south-1"} {
		if e, err := g.kept.Executor(t.Context(), armada.ExecutorID(id)); err == nil && e.Replica != "" {
			t.Errorf("%s has a session: %+v", id, e)
		}
	}
	plain := g.fleet.client(a.GRPCAddr())
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := plain.Ready(ctx); status.Code(err) != codes.Unavailable && status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("without TLS it is answered %v", err)
	}
}
