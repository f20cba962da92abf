package settings_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada/internal/settings"
)

// config is a tree with a key of every sort.
type config struct {
	Server    serverConfig
	Scheduler schedulerConfig
	DataDir   string
}

type serverConfig struct {
	GRPCAddr  string
	Lease     time.Duration
	MaxJobs   int
	Debug     bool
	Ratio     float64
	Bind      netip.AddrPort
	Password  settings.Secret
	Origins   []string
	Retention *time.Duration
}

func (c serverConfig) Validate() error {
	var errs []error
	if c.Lease <= 0 {
		errs = append(errs, errors.New("lease must be positive"))
	}
	if c.MaxJobs > 1_000_000 {
		errs = append(errs, errors.New("maxJobs must be at most 1000000"))
	}
	return errors.Join(errs...)
}

type schedulerConfig struct {
	Pools           []poolConfig
	PriorityClasses map[string]classConfig `yaml:"classes"`
	Weights         map[string]uint
}

type poolConfig struct {
	Name string
	Size int
}

type classConfig struct {
	Rank        int
	Preemptible bool
}

func (c *classConfig) SetDefaults() { c.Preemptible = true }

func defaults() config {
	return config{
		Server: serverConfig{
			GRPCAddr: "127.0.0.1:50051",
			Lease:    30 * time.Second,
			MaxJobs:  100,
			Ratio:    0.5,
			Bind:     netip.MustParseAddrPort("127.0.0.1:8080"),
			Origins:  []string{"here"},
		},
		Scheduler: schedulerConfig{
			PriorityClasses: map[string]classConfig{"usual": {Rank: 1000}},
		},
		DataDir: "data",
	}
}

var equal = cmp.Options{
	cmp.Comparer(func(a, b settings.Secret) bool { return a.Reveal() == b.Reveal() }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
}

// write makes a file for one test and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, from settings.Sources) (config, *settings.Effective) {
	t.Helper()
	from.Prefix = "ARMADA"
	got, effective, err := settings.Load(defaults(), from)
	if err != nil {
		t.Fatal(err)
	}
	return got, effective
}

func loadError(t *testing.T, from settings.Sources) error {
	t.Helper()
	from.Prefix = "ARMADA"
	_, _, err := settings.Load(defaults(), from)
	if err == nil {
		t.Fatal("no error")
	}
	return err
}

func sourceOf(t *testing.T, effective *settings.Effective, path string) string {
	t.Helper()
	return entryOf(t, effective, path).Source.String()
}

func entryOf(t *testing.T, effective *settings.Effective, path string) settings.Entry {
	t.Helper()
	entries, err := effective.Entries()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Path == path {
			return e
		}
	}
	t.Fatalf("no entry %s", path)
	return settings.Entry{}
}

func TestWithoutSourcesTheDefaultsRemain(t *testing.T) {
	t.Parallel()
	got, effective := load(t, settings.Sources{})
	if diff := cmp.Diff(defaults(), got, equal); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if s := sourceOf(t, effective, "server.grpcAddr"); s != "default" {
		t.Errorf("source is %s", s)
	}
}

func TestAFileSetsKeysOfEverySort(t *testing.T) {
	t.Parallel()
	file := write(t, "armada.yaml", `
dataDir: 1.10
server:
  grpcAddr: "[::1]:1"
  lease: 1m30s
  maxJobs: 7
  debug: true
  ratio: 1e-3
  bind: 0.0.0.0:80
  password: hunter2
  origins: [a, "b,c"]
  retention: 24h
scheduler:
  pools:
    - name: gpu
      size: 3
    - name: cpu
  classes:
    low: {rank: 1}
    high: {rank: 2, preemptible: false}
  weights: {a: 2}
`)
	day := 24 * time.Hour
	want := config{
		DataDir: "1.10",
		Server: serverConfig{
			GRPCAddr: "[::1]:1", Lease: 90 * time.Second, MaxJobs: 7, Debug: true, Ratio: 0.001,
			Bind: netip.MustParseAddrPort("0.0.0.0:80"), Password: settings.NewSecret("hunter2"),
			Origins: []string{"a", "b,c"}, Retention: &day,
		},
		Scheduler: schedulerConfig{
			Pools:           []poolConfig{{Name: "gpu", Size: 3}, {Name: "cpu"}},
			PriorityClasses: map[string]classConfig{"low": {Rank: 1, Preemptible: true}, "high": {Rank: 2}},
			Weights:         map[string]uint{"a": 2},
		},
	}
	got, effective := load(t, settings.Sources{File: file})
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if s := sourceOf(t, effective, "server.maxJobs"); s != file+":6" {
		t.Errorf("source is %s", s)
	}
}

func TestALaterSourceWins(t *testing.T) {
	t.Parallel()
	file := write(t, "armada.yaml", "server: {maxJobs: 1, lease: 1s, grpcAddr: file}\n")
	got, effective := load(t, settings.Sources{
		File:        file,
		Environment: []string{"ARMADA_SERVER_LEASE=2s", "ARMADA_SERVER_GRPC_ADDR=env", "ARMADA_DATA_DIR="},
		Flags:       map[string]string{"server.grpcAddr": "flag"},
	})
	if got.Server.MaxJobs != 1 || got.Server.Lease != 2*time.Second || got.Server.GRPCAddr != "flag" {
		t.Errorf("got %+v", got.Server)
	}
	if got.DataDir != "data" {
		t.Errorf("an empty variable set dataDir to %q", got.DataDir)
	}
	for path, want := range map[string]string{
		"dataDir": "default", "server.maxJobs": file + ":1",
		"server.lease": "$ARMADA_SERVER_LEASE", "server.grpcAddr": "flag server.grpcAddr",
	} {
		if s := sourceOf(t, effective, path); s != want {
			t.Errorf("%s comes from %s, want %s", path, s, want)
		}
	}
}

func TestListsAndMapsHaveShortFormsInTheEnvironment(t *testing.T) {
	t.Parallel()
	got, _ := load(t, settings.Sources{
		Environment: []string{
			"ARMADA_SERVER_ORIGINS=a, b",
			"ARMADA_SCHEDULER_WEIGHTS={x: 1}",
			"ARMADA_SCHEDULER_CLASSES={low: {rank: 3}}",
		},
		Flags: map[string]string{"scheduler.pools": "[{name: p, size: 2}]"},
	})
	want := defaults()
	want.Server.Origins = []string{"a", "b"}
	want.Scheduler = schedulerConfig{
		Pools:           []poolConfig{{Name: "p", Size: 2}},
		PriorityClasses: map[string]classConfig{"low": {Rank: 3, Preemptible: true}},
		Weights:         map[string]uint{"x": 1},
	}
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestVariablesThatNobodyClaimsAreListedNotRefused(t *testing.T) {
	t.Parallel()
	_, effective := load(t, settings.Sources{Environment: []string{
		"ARMADA_SERVER_SERVICE_HOST=10.0.0.1", "HOME=x", "ARMADAX=1",
	}})
	if diff := cmp.Diff([]string{"ARMADA_SERVER_SERVICE_HOST"}, effective.UnusedEnvironment); diff != "" {
		t.Error(diff)
	}
}

func TestAnUnknownKeyNamesItsLineAndTheNearestKnownOne(t *testing.T) {
	t.Parallel()
	file := write(t, "armada.yaml", `
dataDri: x
server:
  # a comment
  grpcAdr: x
  LEASE: 1s
grpcAddr: y
scheduler:
  pools: [{nname: x}]
`)
	err := loadError(t, settings.Sources{File: file, Flags: map[string]string{"server.leese": "1s"}})
	want := strings.ReplaceAll(`F:2: dataDri: unknown key; the nearest known key is dataDir
F:5: server.grpcAdr: unknown key; the nearest known key is server.grpcAddr
F:6: server.LEASE: unknown key; the nearest known key is server.lease
F:7: grpcAddr: unknown key; the nearest known key is server.grpcAddr
F:9: scheduler.pools[0].nname: unknown key; the nearest known key is scheduler.pools[0].name
flag server.leese: unknown key; the nearest known key is server.lease`, "F", file)
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var key *settings.KeyError
	if !errors.As(err, &key) || key.Source.Line != 2 || key.Nearest != "dataDir" {
		t.Errorf("first error is %+v", key)
	}
}

func TestAValueOfTheWrongKindIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"server: 3":                               `:1: server: must be a mapping of keys, not a single value`,
		"[a]":                                     `:1: must be a mapping of keys, not a list`,
		"server: {lease: 5}":                      `:1: server.lease: "5" is not a duration such as 250ms, 5s or 1h30m`,
		"server: {maxJobs: 1.5}":                  `:1: server.maxJobs: "1.5" is not a whole number of 64 bits`,
		"server:\n  debug: maybe":                 `:2: server.debug: "maybe" is neither true nor false`,
		"server:\n  ratio: x":                     `:2: server.ratio: "x" is not a number of 64 bits`,
		"server:\n  bind: x":                      `:2: server.bind: `,
		"server:\n  grpcAddr: [a]":                `:2: server.grpcAddr: must be a single value, not a list`,
		"server:\n  origins: a":                   `:2: server.origins: must be a list, not a single value`,
		"server:\n  origins:\n  - a\n  -":         `:4: server.origins[1]: has no value`,
		"scheduler: {weights: {a: -1}}":           `:1: scheduler.weights.a: "-1" is not a whole number from 0 of 64 bits`,
		"scheduler: {weights: {a: 1, a: 2}}":      `:1: scheduler.weights.a: given twice, first on line 1`,
		"dataDir: a\ndataDir: b":                  `:2: dataDir: given twice, first on line 1`,
		"dataDir: &a x\nserver: {grpcAddr: *a}":   `:2: server.grpcAddr: must be a single value, not an alias (aliases are not supported)`,
		"server: &s {debug: true}\n<<: *s":        `:2: <<: merge keys are not supported`,
		"? [a]\n: b":                              `:1: a key must be a single value, not a list`,
		"dataDir: a\n---\ndataDir: b":             `:2: a second YAML document begins here; one is allowed`,
		"dataDir: [":                              `yaml: line 1: did not find expected node content`,
		"server: {password: file://relative}":     `:1: server.password: a secret's file is named as file:///absolute/path`,
		"server: {password: file:///no/such/one}": `:1: server.password: reading the secret's file: `,
	} {
		t.Run(content, func(t *testing.T) {
			t.Parallel()
			err := loadError(t, settings.Sources{File: write(t, "armada.yaml", content)})
			if !strings.Contains(err.Error(), want) {
				t.Errorf("got  %s\nwant %s", err, want)
			}
		})
	}
}

func TestAWrongTextNamesTheVariableOrFlag(t *testing.T) {
	t.Parallel()
	err := loadError(t, settings.Sources{
		Environment: []string{"ARMADA_SERVER_LEASE=x", "ARMADA_SCHEDULER_WEIGHTS={a: [}"},
		Flags:       map[string]string{"server.maxJobs": ""},
	})
	for _, want := range []string{
		"$ARMADA_SCHEDULER_WEIGHTS: scheduler.weights: not YAML: ",
		`$ARMADA_SERVER_LEASE: server.lease: "x" is not a duration`,
		`flag server.maxJobs: "" is not a whole number`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%s", want, err)
		}
	}
}

func TestEmptyFilesSectionsAndValuesKeepTheDefaults(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "# nothing\n", "---\n", "server:\ndataDir:\n", "server:\n  lease: ~\n"} {
		got, _ := load(t, settings.Sources{File: write(t, "armada.yaml", content)})
		if diff := cmp.Diff(defaults(), got, equal); diff != "" {
			t.Errorf("%q (-want +got)\n%s", content, diff)
		}
	}
}

func TestAFileThatIsNamedMustExist(t *testing.T) {
	t.Parallel()
	err := loadError(t, settings.Sources{File: filepath.Join(t.TempDir(), "none.yaml")})
	if !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestValidateIsCalledWithThePathOfItsSection(t *testing.T) {
	t.Parallel()
	err := loadError(t, settings.Sources{Flags: map[string]string{"server.lease": "-1s", "server.maxJobs": "9999999"}})
	want := "server: lease must be positive\nserver: maxJobs must be at most 1000000"
	if err.Error() != want {
		t.Errorf("got %s", err)
	}
}

func TestATreeThatCannotBeReadIsRefused(t *testing.T) {
	t.Parallel()
	type twins struct {
		A int `yaml:"x"`
		B int `yaml:"x"`
	}
	type sameVariable struct {
		GrpcAddr int
		Grpc     struct{ Addr int }
	}
	type function struct{ Section struct{ F func() } }
	type numberedMap struct{ M map[int]string }
	type list struct{ Below []list }
	for _, c := range []struct {
		load func() error
		want string
	}{
		{refused(twins{}), "x: two fields have this key"},
		{refused(sameVariable{}), "grpcAddr and grpc.addr are both $A_GRPC_ADDR"},
		{refused(function{}), "section: f: a value of type func() cannot be read from text"},
		{refused(numberedMap{}), "m: the keys of map[int]string are not strings"},
		{refused(list{}), "contains itself"},
		{refused(3), "int is not a struct of settings"},
	} {
		if err := c.load(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func refused[T any](tree T) func() error {
	return func() error {
		_, _, err := settings.Load(tree, settings.Sources{Prefix: "A"})
		return err
	}
}

func TestFieldNamesBecomeKeysAndVariables(t *testing.T) {
	t.Parallel()
	type embedded struct{ HTTPAddr string }
	type tree struct {
		embedded  // not exported: no key
		ID        string
		MaxJobsV2 string
		TLSCert   string `yaml:"tls-cert"`
		Ignored   func() `yaml:"-"`
		Inline    struct {
			URL string
		} `yaml:",inline"`
	}
	_, effective, err := settings.Load(tree{}, settings.Sources{Prefix: "X"})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := effective.Entries()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Path+" "+e.Variable)
	}
	want := []string{"id X_ID", "maxJobsV2 X_MAX_JOBS_V2", "tls-cert X_TLS_CERT", "url X_URL"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
