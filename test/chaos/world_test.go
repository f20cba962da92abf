package chaos

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"armada/test/chaos/checker"
	"armada/test/chaos/proxy"
)

// The size of the world.
const (
	serverCount   = 3
	executorCount = 3
	nodesEach     = 4
	nodeCores     = 8
)

// link is a proxy that somebody may have broken.
type link struct {
	*proxy.Proxy
	name    string
	trouble sync.Mutex // held by the one that breaks it
}

// world is everything: the database, servers, executors, and the links between
// them, all on the loopback interface. Of each server and executor there is one
// link of its own to what it needs; users share one to all servers.
type world struct {
	*testing.T
	dir       string
	database  *database
	servers   []*process
	addresses []string // of the servers' gRPC
	executors []*process
	links     []*link
	users     *link

	mu    sync.Mutex
	notes []string // what went wrong and when
	begun time.Time
}

// open makes the world and waits until it serves.
func open(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), begun: time.Now(), database: openDatabase(t)}
	for i := range serverCount {
		w.addresses = append(w.addresses, free(t))
		db := w.link(fmt.Sprintf("server-%d to database", i+1), w.database.Address())
		w.servers = append(w.servers, w.program(fmt.Sprintf("server-%d", i+1), "server", map[string]any{
			"replica":   map[string]any{"name": fmt.Sprintf("server-%d", i+1)},
			"server":    map[string]any{"grpcAddr": w.addresses[i], "httpAddr": "127.0.0.1:0"},
			"store":     map[string]any{"database": w.database.url(db.Addr())},
			"executors": map[string]any{"lease": "10s", "lostTimeout": "3s"},
			"telemetry": map[string]any{"metricsAddr": ""},
		}))
	}
	for i := range executorCount {
		name := fmt.Sprintf("east-%d", i+1)
		to := w.link(name+" to servers", w.addresses...)
		w.executors = append(w.executors, w.program(name, "executor", map[string]any{
			"dataDir":   filepath.Join(w.dir, name),
			"executor":  map[string]any{"id": name, "servers": []string{to.Addr()}, "simulate": fmt.Sprintf("1x%d:cpu=%d", nodesEach, nodeCores)},
			"rehearsal": map[string]any{"podTrace": w.trace(name)},
			"executors": map[string]any{"lease": "10s"},
			"telemetry": map[string]any{"metricsAddr": ""},
		}))
	}
	w.users = w.link("users to servers", w.addresses...)
	for _, p := range append(w.servers[:serverCount:serverCount], w.executors...) {
		if err := p.start(); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// link makes a proxy before servers.
func (w *world) link(name string, servers ...string) *link {
	w.Helper()
	p, err := proxy.Open(servers...)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := p.Close(); err != nil {
			w.Error(err)
		}
	})
	l := &link{Proxy: p, name: name}
	w.links = append(w.links, l)
	return l
}

// program prepares a role of armada with a configuration. Its log is shown when
// the test fails.
func (w *world) program(name, role string, config map[string]any) *process {
	w.Helper()
	file := filepath.Join(w.dir, name+".yaml")
	text, err := json.Marshal(config) // JSON is YAML too
	if err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		w.Fatal(err)
	}
	p, err := newProcess(w.dir, name, binary(w.T), role, "--config", file)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(p.kill)
	return p
}

// trace is where an executor writes what its pods really do.
func (w *world) trace(executor string) string { return filepath.Join(w.dir, executor+".trace") }

// note writes down what happens.
func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, fmt.Sprintf("%7.3fs %s", time.Since(w.begun).Seconds(), what))
}

// evidence adds what really ran to what the users wrote down. A made-up cluster
// is named by its executor and a number.
func (w *world) evidence(h *checker.History) {
	w.Helper()
	h.Nodes = map[checker.Node]int64{}
	for _, p := range w.executors {
		for n := range nodesEach {
			h.Nodes[checker.Node{Executor: p.name, Name: fmt.Sprintf("%s-1-node-%d", p.name, n+1)}] = nodeCores * 1000
		}
		ran, err := pods(p.name, w.trace(p.name), p.deaths)
		if err != nil {
			w.Fatal(err)
		}
		h.Pods = append(h.Pods, ran...)
	}
}

// free is an address of the loopback interface that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
