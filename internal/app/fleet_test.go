package app

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/settings"
	"armada/internal/store"
	"armada/internal/store/postgres"
	"armada/internal/store/postgres/pgtest"
	"armada/internal/store/sqlite"
	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
	"armada/pkg/client"
)

// patience is how long a test waits for what must happen; it bounds failures
// and is no measure of speed.
const patience = time.Minute

// fleet is replicas of the server on one store, and executors, in one process.
type fleet struct {
	*testing.T
	kept     store.Store
	database string // PostgreSQL, opened by each replica; empty: they share kept
	log      *slog.Logger
}

// held is a store that outlives the replicas that close it.
type held struct{ store.Store }

func (held) Close() error { return nil }

// onEachForm runs a test with replicas that share a SQLite store, and with
// replicas that have nothing in common but a PostgreSQL database.
func onEachForm(t *testing.T, test func(f *fleet)) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		kept, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "armada.db"), Resources: DefaultConfig().resources()})
		if err != nil {
			t.Fatal(err)
		}
		test(aFleet(t, kept, ""))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		database := pgtest.Start(t).URL("postgres")
		kept, err := postgres.Open(t.Context(), postgres.Config{URL: database})
		if err != nil {
			t.Fatal(err)
		}
		test(aFleet(t, kept, database))
	})
}

func aFleet(t *testing.T, kept store.Store, database string) *fleet {
	t.Helper()
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fleet{T: t, kept: held{kept}, database: database, log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))}
}

// member is a living system.
type member struct {
	*System
	end func() // in order; may be called twice
}

func (f *fleet) begin(roles Roles, config Config) *member {
	f.Helper()
	config.DataDir, config.Telemetry.MetricsAddr = f.TempDir(), ""
	config.Executor.SimulatedRuntime = 20 * time.Millisecond
	name := config.Replica.Name + config.Executor.ID
	kept := f.kept
	if config.Store.Database = settings.NewSecret(f.database); f.database != "" || !roles.has(RoleServer) {
		kept = nil
	}
	s, err := openOn(f.Context(), kept, config, roles, "test", f.log.With("process", name))
	if err != nil {
		f.Fatal(err)
	}
	failed := s.Start(f.Context())
	m := &member{System: s, end: sync.OnceFunc(func() {
		hurry, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Stop(context.Background(), hurry); err != nil {
			f.Errorf("stopping %s: %v", name, err)
		}
		if err := s.Close(); err != nil {
			f.Errorf("closing %s: %v", name, err)
		}
		select {
		case err := <-failed:
			f.Errorf("%s failed: %v", name, err)
		default:
		}
	})}
	f.Cleanup(m.end)
	return m
}

// replica begins a replica of the server, at an address if one is given.
func (f *fleet) replica(name, addr string) *member {
	f.Helper()
	config := DefaultConfig()
	config.Replica.Name = name
	config.Server.GRPCAddr, config.Server.HTTPAddr = addr, "127.0.0.1:0"
	return f.begin(RoleServer, config)
}

// executor begins the executor <name>-1 of a made-up cluster with one node.
func (f *fleet) executor(name string, servers ...string) *member {
	f.Helper()
	config := DefaultConfig()
	config.Executor.ID, config.Executor.Simulate, config.Executor.Servers = name, "1x1", servers
	return f.begin(RoleExecutor, config)
}

// client calls any of the servers.
func (f *fleet) client(servers ...string) *client.Client {
	f.Helper()
	list := manual.NewBuilderWithScheme("fleet")
	var state resolver.State
	for _, addr := range servers {
		state.Addresses = append(state.Addresses, resolver.Address{Addr: addr})
	}
	list.InitialState(state)
	c, err := client.New(client.Config{ArmadaURL: "fleet:///all", ForceNoTLS: true, Timeout: patience}, grpc.WithResolvers(list))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	return c
}

// until waits for a condition.
func (f *fleet) until(what string, holds func() bool) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.Fatalf("never: %s", what)
		}
	}
}

// leads waits until a replica leads.
func (f *fleet) leads(m *member) {
	f.Helper()
	f.until(m.replica.Name+" leads", m.leader.Explanations().Leading)
}

// item is a job that runs where the executor <name>-1 is and prints a line.
func item(name, says string) *api.JobSubmitRequestItem {
	amounts := map[string]*resource.Quantity{}
	for name, text := range map[string]string{"cpu": "1m", "memory": "1Mi", "ephemeral-storage": "1Mi"} {
		amounts[name] = &resource.Quantity{String_: proto.String(text)}
	}
	return &api.JobSubmitRequestItem{
		Annotations: map[string]string{"armadaproject.io/simulate-log": says},
		PodSpec: &corev1.PodSpec{
			NodeSelector: map[string]string{"kubernetes.io/hostname": name + "-1-node-1"},
			Containers: []*corev1.Container{{
				Name: proto.String("main"), Image: proto.String("none"),
				Resources: &corev1.ResourceRequirements{Requests: amounts, Limits: amounts},
			}},
		},
	}
}

// watcher follows a job set and checks that its events are 1, 2, 3 and so on.
type watcher struct {
	*fleet
	mu    sync.Mutex
	seen  int
	ended map[string]armada.EventKind
	again int // how often it had to connect again
}

func (f *fleet) watch(c *client.Client, set string) *watcher {
	w := &watcher{fleet: f, ended: map[string]armada.EventKind{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	stream := client.Stream{Queue: "q", JobSet: set, Interrupted: func(error, time.Duration) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.again++
	}}
	go func() {
		defer close(done)
		err := c.Watch(ctx, stream, w.event)
		if ctx.Err() == nil {
			f.Errorf("watching %s ended: %v", set, err)
		}
	}()
	f.Cleanup(func() { cancel(); <-done })
	return w
}

func (w *watcher) event(m *api.EventStreamMessage) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, number, _ := strings.Cut(m.GetId(), "-")
	if n, err := strconv.Atoi(number); err != nil || n != w.seen+1 {
		w.Errorf("after event %d comes %q", w.seen, m.GetId())
	}
	w.seen++
	head := client.Head(m.GetMessage())
	if m.GetMessage().GetSucceeded() != nil || m.GetMessage().GetFailed() != nil || m.GetMessage().GetCancelled() != nil {
		if was, twice := w.ended[head.Job]; twice {
			w.Errorf("job %s ended twice: %s and %s", head.Job, was, head.Kind)
		}
		w.ended[head.Job] = head.Kind
	}
	return nil
}

// succeed waits until all jobs have ended well.
func (w *watcher) succeed(jobs []string) {
	w.Helper()
	w.until(fmt.Sprintf("%d jobs end", len(jobs)), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.ended) >= len(jobs)
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range jobs {
		if w.ended[id] != armada.EventSucceeded {
			w.Errorf("job %s ended as %q, want succeeded", id, w.ended[id])
		}
	}
}

func (f *fleet) submit(c *client.Client, set string, items ...*api.JobSubmitRequestItem) []string {
	f.Helper()
	ids, err := c.Submit(f.Context(), "q", set, items)
	if err != nil {
		f.Fatal(err)
	}
	return ids
}
