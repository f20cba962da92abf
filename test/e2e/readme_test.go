package e2e

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// said is a command of the README and what it prints there.
type said struct {
	command string
	prints  []string
}

// readmeCommands are the commands of the README's console blocks, in order.
func readmeCommands(t *testing.T) []said {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var commands []said
	for _, block := range strings.Split(string(text), "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			last := len(commands) - 1
			command, begins := strings.CutPrefix(line, "$ ")
			switch {
			case begins:
				commands = append(commands, said{command: command})
			case strings.Count(commands[last].command, "'")%2 == 1: // a quote goes on
				commands[last].command += "\n" + line
			case line != "":
				commands[last].prints = append(commands[last].prints, line)
			}
		}
	}
	return commands
}

// tour is a reader who types what stands in the README.
type tour struct {
	*up
	dir string // with bin and examples, as in a clone
	ids *strings.Replacer
}

func TestTheTourOfTheReadmeIsReal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	r := &tour{up: startUp(t, filepath.Join(dir, "data"), "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi"), dir: dir, ids: strings.NewReplacer()}
	examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"bin": filepath.Dir(binary(t, "armadactl")), "examples": examples} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	typed := 0
	for _, c := range readmeCommands(t) {
		switch {
		case strings.HasPrefix(c.command, "make "): // make test runs this test
		case strings.HasPrefix(c.command, "bin/armada up"):
			if out := r.output.String(); !alike(c.prints, strings.Split(out, "\n")) {
				t.Errorf("armada up prints\n%s\nwhere the README has\n%s", out, strings.Join(c.prints, "\n"))
			}
		default:
			typed++
			r.follow(t, c)
		}
	}
	if typed < 8 {
		t.Errorf("the README has only %d commands to try", typed)
	}
}

// follow types a command until it prints what the README shows. What changes
// something is typed once.
func (r *tour) follow(t *testing.T, c said) {
	t.Helper()
	command := r.ids.Replace(c.command)
	out := r.typeIn(t, command)
	if strings.Contains(command, " get ") || strings.Contains(command, " logs ") || strings.Contains(command, " watch ") {
		defer func() {
			if t.Failed() {
				t.Logf("%s prints\n%s\nwhere the README has\n%s", command, out, strings.Join(c.prints, "\n"))
			}
		}()
		until(t, command+" prints what the README shows", func() bool {
			out = r.typeIn(t, command)
			return alike(c.prints, strings.Split(out, "\n"))
		})
	} else if len(c.prints) > 0 && !alike(c.prints, strings.Split(out, "\n")) {
		t.Errorf("%s prints\n%s\nwhere the README has\n%s", command, out, strings.Join(c.prints, "\n"))
	}
	written, real := jobIDs.FindAllString(strings.Join(c.prints, "\n"), -1), jobIDs.FindAllString(out, -1)
	if strings.Contains(command, " submit ") && len(written) == len(real) {
		var pairs []string
		for i := range written {
			pairs = append(pairs, written[i], real[i])
		}
		r.ids = strings.NewReplacer(pairs...)
	}
}

// typeIn runs a command as bash would. It makes the HTTP calls of curl itself,
// so that curl need not be installed.
func (r *tour) typeIn(t *testing.T, command string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", `curl() { printf '%s\0' "$@"; }; `+command)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "HOME="+r.dir, "ARMADAURL="+r.grpc)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	if !strings.HasPrefix(command, "curl ") {
		return string(out)
	}
	return r.curl(t, strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"))
}

func (r *tour) curl(t *testing.T, args []string) string {
	t.Helper()
	method, url, body := http.MethodGet, "", ""
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-s":
		case "-X":
			i++
			method = args[i]
		case "-d":
			i++
			body = args[i]
		default:
			url = strings.Replace(args[i], "127.0.0.1:8080", r.http, 1)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s (%v)", strings.Join(args, " "), answer.Status, text, err)
	}
	return string(text)
}

var jobIDs = regexp.MustCompile(`\b01[0-9a-z]{24}\b`)

// different is what differs each time: ids, times, how many jobs are in which
// state at a moment, addresses, folders, ages, and the machine's name.
var different = []struct {
	what *regexp.Regexp
	word string
}{
	{jobIDs, "ID"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d\.\d\d\d`), "TIME"},
	{regexp.MustCompile(`( +\d+){7} `), " COUNTS "},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`data is in \S+`), "data is in FOLDER"},
	{regexp.MustCompile(`\b\d+m?s\b`), "AGE"},
	{regexp.MustCompile(`\bvm\b`), "NODE"},
	{regexp.MustCompile(`\s+`), " "},
}

// alike tells whether the README's lines are what a command printed: all of
// them in their order, and no others unless the README has a line with an
// ellipsis or is about armada up, which goes on.
func alike(readme, printed []string) bool {
	short := slices.Contains(readme, "…") || slices.ContainsFunc(readme, func(line string) bool { return strings.HasPrefix(line, "Armada is up") })
	host, _ := os.Hostname() // an error leaves no name to mask
	mask := func(lines []string) []string {
		var masked []string
		for _, line := range lines {
			if host != "" {
				line = regexp.MustCompile(`\b`+regexp.QuoteMeta(host)+`\b`).ReplaceAllString(line, "NODE")
			}
			for _, d := range different {
				line = d.what.ReplaceAllString(line, d.word)
			}
			if line = strings.TrimSpace(line); line != "" && line != "…" && line != "metrics http://ADDRESS/metrics" {
				masked = append(masked, line)
			}
		}
		return masked
	}
	want, got := mask(readme), mask(printed)
	if !short {
		return slices.Equal(want, got)
	}
	for _, line := range want {
		at := slices.Index(got, line)
		if at < 0 {
			return false
		}
		got = got[at+1:]
	}
	return true
}

func TestTheExampleOfTheGoClientWorks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Cleanup(func() { killProcessesOf(dir) })
	u := startUp(t, filepath.Join(dir, "data"), "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "goclient"), "armada/examples/goclient")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "goclient"), "-armadaUrl", u.grpc).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"Ada", "Grace", "Edsger"} {
		if !strings.Contains(string(out), "hello, "+name+"\n") {
			t.Errorf("nobody greets %s:\n%s", name, out)
		}
	}
}
