package login

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"armada/internal/app"
	"armada/pkg/api"
	"armada/pkg/client"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.Cleanup(func(code int) {
			if err := everything.check(); err != nil && code == 0 {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
			os.Exit(code)
		}),
		// The memory of replays of the Kerberos library, which lives as long as its process.
		goleak.IgnoreTopFunction("github.com/jcmturner/gokrb5/v8/service.GetReplayCache.func1.1"),
		goleak.IgnoreAnyFunction("github.com/patrickmn/go-cache.(*janitor).Run"),
	)
}

// everything is what the systems of all tests logged, wrote down, printed and
// answered.
var everything = &overheard{secrets: map[string]bool{}}

// overheard is what was said, and what must not have been.
type overheard struct {
	mu      sync.Mutex
	said    bytes.Buffer
	secrets map[string]bool
}

func (o *overheard) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.Write(b)
}

// secret notes what must not be said.
func (o *overheard) secret(texts ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, text := range texts {
		o.secrets[text] = true
	}
}

// header notes what stands behind the scheme of a header authorization.
func (o *overheard) header(text string) {
	if _, given, _ := strings.Cut(text, " "); given != "" {
		o.secret(given)
	}
}

// check looks through what was said when all tests have run.
func (o *overheard) check() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for secret := range o.secrets {
		if at := bytes.Index(o.said.Bytes(), []byte(secret)); at >= 0 {
			around := o.said.Bytes()[max(0, at-200):min(o.said.Len(), at+len(secret)+50)]
			return fmt.Errorf("a secret of the tests was logged, written down, printed or answered:\n…%s…", around)
		}
	}
	return nil
}

// examples are the blocks of a language in the howto below a heading.
func examples(t testing.TB, heading, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/howto/authentication.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("the howto has no section %q", heading)
	}
	for _, next := range []string{"\n## ", "\n### "} {
		section, _, _ = strings.Cut(section, next)
	}
	var all []string
	for _, block := range strings.Split(section, "```"+language+"\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		all = append(all, block)
	}
	return all
}

// write puts a text into a file.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// served is an installation that runs with the config of an example.
type served struct{ grpc, http string }

// serve runs the server of an example. What stands there for a real installation
// is replaced by pairs: what it says, what is here.
func serve(t *testing.T, example string, pairs ...string) *served {
	t.Helper()
	file := write(t, "armada.yaml", strings.NewReplacer(pairs...).Replace(example))
	audit := filepath.Join(t.TempDir(), "audit")
	config, effective, err := app.LoadConfig(file, nil, map[string]string{
		"dataDir": t.TempDir(), "server.grpcAddr": "127.0.0.1:0", "server.httpAddr": "127.0.0.1:0", "telemetry.metricsAddr": "",
		"executor.simulate": "1x1", "auth.auditFile": audit,
	})
	if err != nil {
		t.Fatalf("the example %s\n%v", example, err)
	}
	if err := effective.WriteYAML(everything); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(everything, &slog.HandlerOptions{Level: slog.LevelDebug}))
	system, err := app.Open(context.Background(), config, app.RoleUp, "test", log)
	if err != nil {
		t.Fatal(err)
	}
	failed := system.Start(context.Background())
	t.Cleanup(func() {
		hurry, cancel := context.WithCancel(context.Background())
		cancel()
		if err := system.Stop(context.Background(), hurry); err != nil {
			t.Error(err)
		}
		if err := system.Close(); err != nil {
			t.Error(err)
		}
		written, err := os.ReadFile(audit)
		if err != nil {
			t.Error(err)
		}
		_, _ = everything.Write(written)
		select {
		case err := <-failed:
			t.Error(err)
		default:
		}
	})
	return &served{grpc: system.GRPCAddr(), http: system.HTTPAddr()}
}

// clientOf reads the client's config of an example.
func clientOf(t testing.TB, example string, pairs ...string) client.Config {
	t.Helper()
	config, err := client.Load(write(t, "armadactl.yaml", strings.NewReplacer(pairs...).Replace(example)), "")
	if err != nil {
		t.Fatalf("the example %s\n%v", example, err)
	}
	return config
}

// jobsOfQ are the jobs of the queue that calls makes.
var jobsOfQ = client.JobQuery{Queue: "q"}

// calls connects, and fails the test unless the server knows the caller as a user
// who may create queues.
func calls(t testing.TB, config client.Config, user string) *client.Client {
	t.Helper()
	c, err := client.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if config.ExecAuth == nil { // which counts how often it is asked
		source, err := config.Source()
		if err != nil {
			t.Fatal(err)
		}
		if source != nil {
			header, err := source.Authorization(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			everything.header(header)
			_ = source.Close()
		}
	}
	who, err := c.WhoAmI(t.Context())
	if err != nil || who.Name != user {
		t.Fatalf("to the server it is %+v, %v; want %s", who, err, user)
	}
	if err := c.CreateQueue(t.Context(), &api.Queue{Name: "q", PriorityFactor: 1}); err != nil {
		t.Errorf("%s cannot create a queue: %v", user, err)
	}
	return c
}

// get asks over REST with a header, and returns the status.
func get(t testing.TB, addr, header string) (int, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/api/v1/queue/q", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		request.Header.Set("Authorization", header)
		everything.header(header)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(everything, answer.Body)
	return answer.StatusCode, answer.Header
}
