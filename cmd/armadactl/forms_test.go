package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"armada/internal/app"
	"armada/pkg/client"
)

// living is an armada up, in this process.
type living struct {
	dir    string
	config string // file of armadactl
	made   int    // names that had to be new
}

// startUp starts armada up with a queue demo, and a queue held that starts no job.
func startUp(t *testing.T) *living {
	t.Helper()
	l := &living{dir: t.TempDir()}
	config := app.DefaultConfig()
	config.DataDir = filepath.Join(l.dir, "data")
	config.Executor.Capacity = "cpu=8,memory=8Gi,ephemeral-storage=8Gi"
	config.Server.GRPCAddr, config.Server.HTTPAddr, config.Telemetry.MetricsAddr = "127.0.0.1:0", "127.0.0.1:0", ""
	ctx := context.WithoutCancel(t.Context())
	up, err := app.Open(ctx, config, app.RoleUp, "live", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	failed := up.Start(ctx)
	t.Cleanup(func() {
		select {
		case err := <-failed:
			t.Errorf("a part failed: %v", err)
		default:
		}
		hurry, cancel := context.WithCancel(ctx)
		cancel()
		if err := errors.Join(up.Stop(ctx, hurry), up.Close()); err != nil {
			t.Error(err)
		}
	})
	l.config = l.file(t, "config.yaml", "currentContext: here\ncontexts:\n  here: {armadaUrl: "+up.GRPCAddr()+"}\n")
	l.must(t, "create queue demo")
	l.must(t, "create queue held --cordon")
	return l
}

func (l *living) file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// jobs is a file of two jobs, each of which writes a line.
func (l *living) jobs(t *testing.T, queue, set string) string {
	t.Helper()
	const job = "  - podSpec: {containers: [{name: main, command: [echo, hello], resources: {requests: &a {cpu: 100m, memory: 32Mi}, limits: *a}}]}\n"
	return l.file(t, queue+"-"+set+".yaml", "queue: "+queue+"\njobSetId: "+set+"\njobs:\n"+strings.Repeat(job, 2))
}

// must runs a command line that has to succeed, and returns what it writes.
func (l *living) must(t *testing.T, line string) string {
	t.Helper()
	args := append([]string{"--config", l.config}, strings.Fields(line)...)
	r := runWith(t, func(config client.Config) (*client.Client, error) { return client.New(config) }, args...)
	if r.code != exitOK {
		t.Fatalf("armadactl %s: exit code %d\n%s%s", line, r.code, r.out, r.errors)
	}
	return r.out
}

// commandLines are a command line for every command that answers. A word in
// capitals is made before: see fill.
var commandLines = map[string]string{
	"armadactl submit":                 "submit FILE",
	"armadactl watch":                  "watch demo done --exit-if-inactive",
	"armadactl logs":                   "logs ENDED",
	"armadactl version":                "version",
	"armadactl get queue":              "get queue demo",
	"armadactl get queues":             "get queues",
	"armadactl get jobs":               "get jobs --job-set done",
	"armadactl get job":                "get job ENDED",
	"armadactl get scheduling-report":  "get scheduling-report",
	"armadactl get queue-report":       "get queue-report demo",
	"armadactl get job-report":         "get job-report WAITING",
	"armadactl explain job":            "explain job ENDED",
	"armadactl top nodes":              "top nodes",
	"armadactl get job-sets":           "get job-sets",
	"armadactl get job-spec":           "get job-spec ENDED",
	"armadactl get executors":          "get executors",
	"armadactl get nodes":              "get nodes",
	"armadactl top queues":             "top queues",
	"armadactl describe job":           "describe job ENDED",
	"armadactl describe queue":         "describe queue demo",
	"armadactl create":                 "create -f testdata/queue.yaml",
	"armadactl create queue":           "create queue NEW",
	"armadactl update queue":           "update queue demo",
	"armadactl delete queue":           "delete queue QUEUE",
	"armadactl get retry-policy":       "get retry-policy POLICY",
	"armadactl get retry-policies":     "get retry-policies",
	"armadactl create retry-policy":    "create retry-policy -f testdata/policy.yaml",
	"armadactl update retry-policy":    "update retry-policy -f RULES",
	"armadactl delete retry-policy":    "delete retry-policy POLICY",
	"armadactl cordon queues":          "cordon queues QUEUE",
	"armadactl cancel executor":        "cancel executor local --queues held -a",
	"armadactl cancel node":            "cancel node NODE -e local -q held -a",
	"armadactl cancel queues":          "cancel queues QUEUE -s queued,running -a",
	"armadactl cordon executor":        "cordon executor local broken",
	"armadactl cordon node":            "cordon node NODE",
	"armadactl preempt executor":       "preempt executor local --queues held -p armada-preemptible",
	"armadactl preempt node":           "preempt node NODE -e local -q held -a",
	"armadactl preempt queues":         "preempt queues QUEUE -a",
	"armadactl uncordon executor":      "uncordon executor local",
	"armadactl uncordon node":          "uncordon node NODE",
	"armadactl uncordon queues":        "uncordon queues QUEUE",
	"armadactl cancel job":             "cancel job WAITING",
	"armadactl cancel job-set":         "cancel job-set held SET",
	"armadactl reprioritize job":       "reprioritize job WAITING 5",
	"armadactl reprioritize job-set":   "reprioritize job-set held SET 5",
	"armadactl auth whoami":            "auth whoami",
	"armadactl auth login":             "", // words for people
	"armadactl auth logout":            "", // words for people
	"armadactl config get-contexts":    "config get-contexts",
	"armadactl config current-context": "", // a name
	"armadactl config use-context":     "", // silence
	"armadactl docs":                   "", // files
	"armadactl exec":                   "", // what its command writes
}

// fakeLines are those of the commands that armada up has no use for: they are run
// against the server of the golden files.
var fakeLines = map[string]string{
	"armadactl delete executor": "delete executor local", // the living one is not deleted
	"armadactl preempt job":     "preempt job " + job(2), // what runs there is over at once
}

// fill replaces the words in capitals by what they say: the first of the ended
// jobs, and new things.
func (l *living) fill(t *testing.T, line string) string {
	t.Helper()
	l.made++
	name := fmt.Sprintf("new-%d", l.made)
	waiting := func() string {
		id, _, _ := strings.Cut(l.must(t, "submit -o name "+l.jobs(t, "held", name)), "\n")
		return id
	}
	rules := func() string {
		file := l.file(t, name+"-rules.yaml", "kind: RetryPolicy\nname: "+name+"\ndefaultAction: Fail\n")
		l.must(t, "create retry-policy -f "+file)
		return file
	}
	for word, is := range map[string]func() string{
		"ENDED":   func() string { return strings.Fields(l.must(t, "get jobs --job-set done --reverse -o name"))[0] },
		"NODE":    func() string { return strings.Fields(l.must(t, "get nodes -o name"))[0] },
		"FILE":    func() string { return l.jobs(t, "demo", name) },
		"NEW":     func() string { return name },
		"POLICY":  func() string { rules(); return name },
		"RULES":   rules,
		"QUEUE":   func() string { l.must(t, "create queue "+name); return name },
		"SET":     func() string { waiting(); return name },
		"WAITING": waiting,
	} {
		if strings.Contains(line, word) {
			line = strings.ReplaceAll(line, word, is())
		}
	}
	return line
}

// TestEveryCommandThatAnswersTakesEveryForm runs every command there is against
// armada up, in every form, and reads what it writes.
func TestEveryCommandThatAnswersTakesEveryForm(t *testing.T) {
	t.Parallel()
	l := startUp(t)
	l.must(t, "submit --wait "+l.jobs(t, "demo", "done"))
	tried := 0
	for _, path := range answering((&cli{}).root()) {
		line, known := commandLines[path]
		in := func(form string) string { return l.must(t, l.fill(t, line)+" -o "+form) }
		if faked, is := fakeLines[path]; is {
			line, known = faked, true
			in = func(form string) string { return run(t, strings.Fields(line+" -o "+form)...).out }
		}
		if !known {
			t.Errorf("%s is not tried: give it a line", path)
		}
		if line == "" {
			continue
		}
		tried++
		things := map[string]int{}
		for form, read := range map[string]func(string) (int, error){formJSON: readJSON, formYAML: readYAML, formName: readNames} {
			out := in(form)
			var err error
			if things[form], err = read(out); err != nil {
				t.Errorf("%s -o %s: %v in\n%s", line, form, err, out)
			}
		}
		if n := things[formName]; n == 0 || things[formJSON] != n || things[formYAML] != n {
			t.Errorf("%s tells of so many things in each form: %v", line, things)
		}
		if err := readWide(in(formWide)); err != nil {
			t.Errorf("%s -o wide: %v", line, err)
		}
	}
	if tried < 20 {
		t.Errorf("only %d commands were tried", tried)
	}
}

// TestWatchGoesOnAfterTheEventThatWasSeen begins after each event of a job set of
// which all jobs have ended, the last one too. That it waits for jobs without an
// event since, the golden file of watch shows.
func TestWatchGoesOnAfterTheEventThatWasSeen(t *testing.T) {
	t.Parallel()
	l := startUp(t)
	l.must(t, "submit --wait "+l.jobs(t, "demo", "done"))
	const watch = "watch demo done --exit-if-inactive -o name"
	all := strings.Fields(l.must(t, watch))
	for i, id := range all {
		if rest := strings.Fields(l.must(t, watch+" --from "+id)); !slices.Equal(rest, all[i+1:]) {
			t.Errorf("after %s come %q, not %q", id, rest, all[i+1:])
		}
	}
	if len(all) < 8 {
		t.Errorf("there are only %d events", len(all))
	}
}

// answering are the paths of the commands that do something, and do not only
// name others; those of 2020 answer as they did.
func answering(cmd *cobra.Command) []string {
	var paths []string
	if cmd.Hidden {
		return nil
	}
	if !cmd.HasSubCommands() && cmd.Runnable() || cmd.Flags().Lookup("file") != nil {
		paths = append(paths, cmd.CommandPath())
	}
	for _, below := range cmd.Commands() {
		paths = append(paths, answering(below)...)
	}
	return paths
}

// readJSON counts objects, of which each has a line.
func readJSON(out string) (int, error) {
	n := 0
	for line := range strings.Lines(out) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// readYAML counts documents.
func readYAML(out string) (int, error) {
	documents := yaml.NewDecoder(strings.NewReader(out))
	for n := 0; ; n++ {
		var document map[string]any
		switch err := documents.Decode(&document); {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		case len(document) == 0:
			return n, errors.New("an empty document")
		}
	}
}

// readNames counts names, of which each has a line.
func readNames(out string) (int, error) {
	n := 0
	for line := range strings.Lines(out) {
		if name := strings.TrimSuffix(line, "\n"); name == "" || strings.ContainsAny(name, " {}:") {
			return n, fmt.Errorf("%q is no name", name)
		}
		n++
	}
	return n, nil
}

// readWide reads what is for people: text, or a table of which every line is as
// wide as the columns need.
func readWide(out string) error {
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if lines[0] == "" || strings.HasPrefix(lines[0], "{") {
		return fmt.Errorf("nobody can read %q", out)
	}
	heading := lines[0]
	if heading != strings.ToUpper(heading) {
		return nil
	}
	for at := range heading {
		if at < 2 || heading[at] == ' ' || heading[at-2:at] != "  " {
			continue // no column begins here
		}
		for _, line := range lines[1:] {
			if line == "" {
				break // what follows is another one
			}
			if len(line) > at && line[at-1] != ' ' {
				return fmt.Errorf("the column at %d is not kept by %q", at, line)
			}
		}
	}
	return nil
}
