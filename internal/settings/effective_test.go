package settings_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"armada/internal/settings"
)

func TestASecretMayStandInAFile(t *testing.T) {
	t.Parallel()
	secret := write(t, "password", "from a file\n")
	got, effective := load(t, settings.Sources{Environment: []string{"ARMADA_SERVER_PASSWORD=file://" + secret}})
	if got.Server.Password.Reveal() != "from a file" {
		t.Errorf("got %q", got.Server.Password.Reveal())
	}
	if e := entryOf(t, effective, "server.password"); strings.Contains(e.Value, "from a file") || e.Value == `""` {
		t.Errorf("printed as %s", e.Value)
	}
}

func TestNoWayOfPrintingShowsASecret(t *testing.T) {
	t.Parallel()
	got, effective := load(t, settings.Sources{Flags: map[string]string{"server.password": "hunter2"}})
	var out strings.Builder
	if err := effective.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	text, err := got.Server.Password.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%v %+v %#v %s %q %d %x %s", got, got, got, got.Server.Password, got.Server.Password,
		got.Server.Password, got.Server.Password, text)
	if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), "68756e74657232") {
		t.Error(out.String())
	}
}

func TestTheSettingsInForceAreWrittenWithTheirSources(t *testing.T) {
	t.Parallel()
	_, effective := load(t, settings.Sources{
		Environment: []string{"ARMADA_SERVER_PASSWORD=x", "ARMADA_SERVER_LEASE=1h"},
		Flags:       map[string]string{"scheduler.pools": "[{name: '1', size: 2}]"},
	})
	var out strings.Builder
	if err := effective.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	want := `server:
  grpcAddr: 127.0.0.1:50051 # default
  lease: 1h # $ARMADA_SERVER_LEASE
  maxJobs: 100 # default
  debug: false # default
  ratio: 0.5 # default
  bind: 127.0.0.1:8080 # default
  password: '***' # $ARMADA_SERVER_PASSWORD
  origins: [here] # default
  retention: null # default
scheduler:
  # flag scheduler.pools
  pools:
    - name: "1"
      size: 2
  # default
  classes:
    usual:
      rank: 1000
      preemptible: false
  weights: {} # default
dataDir: data # default
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// FuzzAFileIsRefusedOrComesBackTheSame loads any file; what is accepted, written
// and loaded again, is the same tree.
func FuzzAFileIsRefusedOrComesBackTheSame(f *testing.F) {
	for _, seed := range []string{
		"", "dataDir: 'yes'", "server: {lease: 1h, origins: ['1', \"\\t\", '#'], ratio: .inf}",
		"scheduler:\n  pools: [{name: ~, size: 3}]\n  classes: {'': {rank: 1}}\n  weights: {a: 1, '1': 2}",
		"server: &a\n  bind: [::1]:80\nx: *a", "dataDir: \"a\\nb: \\x85\"", "? ? a\n: b", "<<: {a: b}",
		"dataDir: |\n  text\n   more\n", "server: {retention: 1us, password: x}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		if strings.Contains(content, "file:") {
			return // reads files of the machine
		}
		got, effective, err := settings.Load(defaults(), settings.Sources{File: write(t, "a.yaml", content)})
		if err != nil {
			return
		}
		var out strings.Builder
		if err := effective.WriteYAML(&out); err != nil {
			t.Fatal(err)
		}
		again, _, err := settings.Load(defaults(), settings.Sources{File: write(t, "b.yaml", out.String())})
		if err != nil {
			t.Fatalf("%s\nin\n%s", err, out.String())
		}
		again.Server.Password = got.Server.Password // written as a mask
		if diff := cmp.Diff(got, again, equal, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("(-want +got)\n%s\nwritten as\n%s", diff, out.String())
		}
	})
}
