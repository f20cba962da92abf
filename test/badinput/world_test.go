package badinput

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"armada"
	"armada/internal/auth"
	"armada/internal/podspec"
	"armada/internal/server"
	"armada/internal/store"
	"armada/internal/store/sqlite"
	"armada/pkg/api"
)

// patience is how long armadactl may take; it bounds failures.
const patience = 60 * time.Second

// world is a server with a store of its own. No leader and no executor is there,
// so that nothing but requests changes anything.
type world struct {
	t      *testing.T
	store  store.Store
	server *server.Server
	conn   *grpc.ClientConn
	db     *sql.Conn // looks at the database from outside
}

// installation is what a server is told about itself and about jobs.
type installation struct {
	server server.Config
	jobs   podspec.Config
}

// newWorld starts a server with the queues demo and research.
func newWorld(t *testing.T, edit ...func(*installation)) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "armada.db")
	kept, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	ok(t, err)
	t.Cleanup(func() { ok(t, kept.Close()) })
	here := installation{server.DefaultConfig(), podspec.DefaultConfig()}
	here.server.GRPCAddr, here.server.HTTPAddr = "127.0.0.1:0", "127.0.0.1:0"
	for _, e := range edit {
		e(&here)
	}
	rules, err := here.jobs.Rules(armada.DefaultResourceTable())
	ok(t, err)
	at, err := server.Bind(t.Context(), here.server)
	ok(t, err)
	s, err := server.New(here.server, at, server.Deps{
		Store: kept, Rules: rules,
		Authenticator: auth.Anonymous{}, Authorizer: auth.NewAuthorizer(kept), Log: slog.New(slog.DiscardHandler),
	})
	ok(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		ok(t, <-served)
	})
	conn, err := grpc.NewClient(s.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	ok(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	w := &world{t: t, store: kept, server: s, conn: conn}
	for _, name := range []string{"demo", "research"} {
		_, err := api.NewSubmitClient(conn).CreateQueue(t.Context(), &api.Queue{Name: name, PriorityFactor: 1})
		ok(t, err)
	}
	db, err := sql.Open("sqlite", path) // the driver that the store brings
	ok(t, err)
	t.Cleanup(func() { _ = db.Close() })
	w.db, err = db.Conn(t.Context())
	ok(t, err)
	t.Cleanup(func() { _ = w.db.Close() })
	return w
}

// version is a number that every commit of another connection changes.
func (w *world) version() int64 {
	w.t.Helper()
	var n int64
	ok(w.t, w.db.QueryRowContext(w.t.Context(), "PRAGMA data_version").Scan(&n))
	return n
}

// post sends a REST call and returns the answer with its body.
func (w *world) rest(verb, path, body string) (*http.Response, string) {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), verb, "http://"+w.server.HTTPAddr()+path, strings.NewReader(body))
	ok(w.t, err)
	answer, err := http.DefaultClient.Do(request)
	ok(w.t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	ok(w.t, err)
	return answer, string(text)
}

// ctl runs armadactl and returns what it prints, and its exit code.
func (w *world) ctl(args ...string) (output string, code int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, armadactl(w.t), append([]string{"--armadaUrl", w.server.GRPCAddr()}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+w.t.TempDir())
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		w.t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// armadactl is the path of the built binary.
func armadactl(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("ARMADA_BIN")
	if dir == "" {
		dir = filepath.Join("..", "..", "bin")
	}
	path, err := filepath.Abs(filepath.Join(dir, "armadactl"))
	ok(t, err)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("armadactl is not built: run `make e2e`, or `make build` first: %v", err)
	}
	return path
}

// file writes a file for armadactl.
func (w *world) file(content string) string {
	w.t.Helper()
	path := filepath.Join(w.t.TempDir(), "file.yaml")
	ok(w.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// submitted submits n good jobs to the queue demo and returns their ids.
func (w *world) submitted(set string, n int) []string {
	w.t.Helper()
	answer, err := api.NewSubmitClient(w.conn).SubmitJobs(w.t.Context(), request(w.t, submission("demo", set, slices.Repeat([]string{item()}, n)...)))
	ok(w.t, err)
	var ids []string
	for _, each := range answer.GetJobResponseItems() {
		ids = append(ids, each.GetJobId())
	}
	return ids
}

// ok fails the test at once on an error.
func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// quote is a text as JSON.
func quote(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // never for a string
	}
	return string(quoted)
}
