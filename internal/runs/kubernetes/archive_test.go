package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"armada"
	"armada/internal/runs"
	"armada/internal/settings"
)

// storage is a server of S3's protocol with the bucket "logs".
type storage struct {
	url string

	mu   sync.Mutex
	away bool
	now  time.Time
	said []string // the authorizations of the requests
}

func newStorage(t testing.TB) *storage {
	t.Helper()
	s := &storage{now: time.Now()}
	backend := s3mem.New(s3mem.WithTimeSource(s))
	if err := backend.CreateBucket("logs"); err != nil {
		t.Fatal(err)
	}
	serve := gofakes3.New(backend, gofakes3.WithTimeSource(s), gofakes3.WithTimeSkewLimit(0)).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		away := s.away
		s.said = append(s.said, r.Header.Get("Authorization"))
		s.mu.Unlock()
		if away {
			http.Error(w, "come back later", http.StatusServiceUnavailable)
			return
		}
		serve.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// Now and Since are the clock of the storage.
func (s *storage) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *storage) Since(t time.Time) time.Duration { return s.Now().Sub(t) }

func (s *storage) at(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

func (s *storage) isAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// LogsIn is the config of a bucket of a new storage.
func LogsIn(t testing.TB) LogStorage { return newStorage(t).config() }

func (s *storage) config() LogStorage {
	return LogStorage{
		Bucket: "logs", Prefix: "ends/", Endpoint: s.url, Region: "us-east-1",
		AccessKey: settings.NewSecret("the-key"), SecretKey: settings.NewSecret("the-secret-of-it"),
	}
}

// archiveIn opens an archive with a folder of its own.
func archiveIn(t testing.TB, storage LogStorage) *archive {
	t.Helper()
	config := Config{KeepLogBytes: 1 << 20, KeepLogsIn: storage}
	a, err := openArchive(&config, &Place{Executor: "east", Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func written(t testing.TB, a *archive, run armada.RunID, text string) {
	t.Helper()
	if err := a.write(run, []runs.LogLine{{Container: "main", Text: []byte(text)}}); err != nil {
		t.Fatal(err)
	}
}

// kept reads what is kept of a run, line by line.
func kept(ctx context.Context, a *archive, run armada.RunID) (string, error) {
	var text []string
	err := a.read(ctx, run, runs.LogQuery{}, func(l runs.LogLine) error {
		text = append(text, string(l.Text))
		return nil
	})
	return strings.Join(text, "\n"), err
}

func isKept(t testing.TB, a *archive, run armada.RunID, want string) {
	t.Helper()
	if got, err := kept(t.Context(), a, run); err != nil || got != want || !a.has(t.Context(), run) {
		t.Errorf("of run %s %q is kept, want %q; %v", run, got, want, err)
	}
}

func isGone(t testing.TB, a *archive, run armada.RunID) {
	t.Helper()
	if got, err := kept(t.Context(), a, run); !errors.Is(err, runs.ErrUnknownRun) || a.has(t.Context(), run) {
		t.Errorf("of run %s %q is kept; %v", run, got, err)
	}
}

func inFolder(t testing.TB, a *archive) int {
	t.Helper()
	files, err := os.ReadDir(a.dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func TestKeptLogsGoToTheBucketAndAnotherExecutorsFolderNeedNotHaveThem(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	a := archiveIn(t, s.config())
	isGone(t, a, "a-1")
	written(t, a, "a-1", "hello")
	isKept(t, a, "a-1", "hello")
	if err := a.ship(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := inFolder(t, a); n != 0 {
		t.Errorf("%d files are left in the folder", n)
	}
	isKept(t, a, "a-1", "hello")
	isKept(t, archiveIn(t, s.config()), "a-1", "hello")
	if auth := s.said[len(s.said)-1]; !strings.Contains(auth, "Credential=the-key/") || strings.Contains(auth, "the-secret-of-it") {
		t.Errorf("the requests are signed so: %q", auth)
	}
}

func TestLogsStayInTheFolderWhileTheBucketIsAway(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	a := archiveIn(t, s.config())
	s.isAway(true)
	written(t, a, "a-1", "hello")
	if err := a.ship(t.Context()); err == nil {
		t.Fatal("a file was taken to a storage that is away")
	}
	isKept(t, a, "a-1", "hello")
	if a.has(t.Context(), "b-1") {
		t.Error("a storage that is away has a log")
	}
	if _, err := kept(t.Context(), a, "b-1"); err == nil || errors.Is(err, runs.ErrUnknownRun) {
		t.Errorf("a log that may be there is said not to be: %v", err)
	}
	s.isAway(false)
	if err := a.ship(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := inFolder(t, a); n != 0 {
		t.Errorf("%d files are left in the folder", n)
	}
	isKept(t, a, "a-1", "hello")
}

func TestOldLogsAndThoseThatAreTooMuchLeaveFolderAndBucket(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	for name, config := range map[string]LogStorage{"folder": {}, "bucket": s.config()} {
		t.Run(name, func(t *testing.T) {
			a := archiveIn(t, config)
			begin := time.Now().Add(-10 * time.Hour)
			for i := range 5 {
				run, at := armada.RunID(fmt.Sprintf("a-%d", i)), begin.Add(time.Duration(i)*time.Hour)
				written(t, a, run, "hello")
				if err := os.Chtimes(a.path(run), at, at); err != nil {
					t.Fatal(err)
				}
				if a.shelf != nil {
					s.at(at)
					if err := a.ship(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			all, err := a.list()
			if a.shelf != nil {
				all, err = a.shelf.list(t.Context())
			}
			if err != nil || len(all) != 5 {
				t.Fatalf("%d files are kept, want 5; %v", len(all), err)
			}
			n, err := a.prune(t.Context(), begin.Add(90*time.Minute), 2*all[0].size)
			if err != nil || n != 3 {
				t.Errorf("%d logs went, want 3; %v", n, err)
			}
			for i, is := range []bool{false, false, false, true, true} {
				if run := armada.RunID(fmt.Sprintf("a-%d", i)); is {
					isKept(t, a, run, "hello")
				} else {
					isGone(t, a, run)
				}
			}
		})
	}
}

func TestAnExecutorPrunesNoLogsOfAnother(t *testing.T) {
	t.Parallel()
	s := newStorage(t)
	a, other := archiveIn(t, s.config()), archiveIn(t, s.config())
	other.shelf.prefix = "ends/east-2/"
	written(t, other, "b-1", "hello")
	if err := other.ship(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := a.prune(t.Context(), time.Now().Add(time.Hour), 0); n != 0 || err != nil {
		t.Errorf("%d logs went; %v", n, err)
	}
	isKept(t, other, "b-1", "hello")
}

func TestHalfWrittenFilesAreNotTakenToTheBucket(t *testing.T) {
	t.Parallel()
	a := archiveIn(t, LogsIn(t))
	if err := os.WriteFile(filepath.Join(a.dir, "1234.tmp"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := a.ship(t.Context()); err != nil {
		t.Fatal(err)
	}
	if files, err := a.shelf.list(t.Context()); err != nil || len(files) != 0 {
		t.Errorf("the bucket has %v; %v", files, err)
	}
}

func TestABucketThatIsNotThereIsFoundByTheCheck(t *testing.T) {
	t.Parallel()
	there := Config{KeepLogsIn: LogsIn(t)}
	missing, refused := there, there
	missing.KeepLogsIn.Bucket = "nowhere"
	refused.KeepLogsIn.Endpoint = "http://127.0.0.1:1"
	for want, config := range map[string]Config{"answers": there, "there is no bucket nowhere": missing, "does not answer": refused} {
		checks := storageCheck(t.Context(), &config)
		if len(checks) != 1 || !strings.Contains(fmt.Sprint(checks[0]), want) || strings.Contains(fmt.Sprint(checks[0]), "secret-of-it") {
			t.Errorf("the check says %v, want %q", checks, want)
		}
	}
	if checks := storageCheck(t.Context(), &Config{}); checks != nil {
		t.Errorf("without a bucket it says %v", checks)
	}
}

func TestStorageThatCannotBeIsRefusedByKey(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*LogStorage){
		"keepLogsIn.bucket: must name one":                                           func(s *LogStorage) { s.Bucket = "" },
		"keepLogsIn.endpoint: must be a URL":                                         func(s *LogStorage) { s.Endpoint = "minio:9000" },
		"keepLogsIn.accessKey, keepLogsIn.secretKey: must both be given, or neither": func(s *LogStorage) { s.SecretKey = settings.Secret{} },
	} {
		c := DefaultConfig()
		c.KeepLogsIn = LogStorage{Bucket: "logs", Endpoint: "http://minio:9000", AccessKey: settings.NewSecret("a"), SecretKey: settings.NewSecret("b")}
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c.KeepLogsIn)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
