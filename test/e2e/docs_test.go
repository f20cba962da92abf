package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"armada/internal/store/postgres/pgtest"
)

// said is a command of a document and what it prints there.
type said struct {
	command string
	prints  []string
}

// blocks are the fenced blocks of a document that are in a language.
func blocks(t *testing.T, document, language string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", document))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, block := range strings.Split(string(text), "```"+language+"\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		all = append(all, block)
	}
	return all
}

// typed are the commands of a document's console blocks, in order.
func typed(t *testing.T, document string) []said {
	t.Helper()
	var commands []said
	for _, block := range blocks(t, document, "console") {
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

// documents are the README and the howtos.
func documents(t *testing.T) []string {
	t.Helper()
	howtos, err := filepath.Glob(filepath.Join("..", "..", "docs", "howto", "*.md"))
	if err != nil || len(howtos) == 0 {
		t.Fatalf("no howtos: %v", err)
	}
	all := []string{"README.md"}
	for _, path := range howtos {
		all = append(all, filepath.Join("docs", "howto", filepath.Base(path)))
	}
	return all
}

// tour is a reader who types what stands in a document.
type tour struct {
	*up
	dir   string   // with bin and examples, as in a clone
	ids   []string // pairs: what the document has, what was real
	data  string   // the data folder of every armada up; empty for one each
	ended bool     // armada up was stopped
}

// movedTo is the database of the documents.
const movedTo = "postgres://armada@db.example/armada"

// moves prepares for a document that moves its store: one data folder, where the
// document has it, and a database.
func (r *tour) moves(t *testing.T) {
	t.Helper()
	r.data = filepath.Join(r.dir, ".local", "share", "armada")
	r.ids = append(r.ids, movedTo, pgtest.Start(t).URL("postgres"))
}

func TestWhatTheDocsTypePrintsWhatTheyShow(t *testing.T) {
	t.Parallel()
	least := map[string]int{"README.md": 8, filepath.Join("docs", "howto", "first-hour.md"): 15, filepath.Join("docs", "howto", "simulate.md"): 1}
	for _, document := range documents(t) {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			commands := typed(t, document)
			if len(commands) < least[document] {
				t.Errorf("there are only %d commands to try", len(commands))
			}
			r := newTour(t)
			if slices.ContainsFunc(commands, func(c said) bool { return strings.Contains(c.command, movedTo) }) {
				r.moves(t)
			}
			for _, c := range commands {
				switch {
				case strings.HasPrefix(c.command, "bin/armada migrate --from "): // after Ctrl-C
					r.interrupt(t)
					r.ended = true
					r.follow(t, c)
				case strings.HasPrefix(c.command, "make "): // make test runs this test
				case strings.HasPrefix(c.command, "bin/armada up"):
					r.start(t, c)
				default:
					r.follow(t, c)
				}
			}
			for _, block := range blocks(t, document, "sh") {
				if strings.HasPrefix(block, "curl ") {
					r.asks(t, block)
				}
			}
		})
	}
}

func newTour(t *testing.T) *tour {
	t.Helper()
	r := &tour{dir: t.TempDir()}
	t.Cleanup(func() { killProcessesOf(r.dir) })
	examples, err := filepath.Abs(filepath.Join("..", "..", "examples"))
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.dir, "path"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"bin": filepath.Dir(binary(t, "armadactl")), "examples": examples, "path/curl": self} {
		if err := os.Symlink(target, filepath.Join(r.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// start starts armada with the flags of the document, but for where it keeps its
// data; one that runs already is stopped.
func (r *tour) start(t *testing.T, c said) {
	t.Helper()
	if r.up != nil && !r.ended {
		r.interrupt(t)
	}
	flags := strings.Fields(strings.NewReplacer(r.ids...).Replace(strings.TrimPrefix(c.command, "bin/armada up")))
	if at := slices.Index(flags, "--data-dir"); at >= 0 {
		flags = slices.Delete(flags, at, at+2)
	}
	if at := slices.Index(flags, "--config"); at >= 0 {
		flags[at+1] = filepath.Join(r.dir, flags[at+1])
	}
	if !slices.Contains(flags, "--simulate") {
		flags = append(flags, "--capacity", "cpu=8,memory=8Gi,ephemeral-storage=512Gi")
	}
	data, err := r.data, error(nil)
	if data == "" {
		data, err = os.MkdirTemp(r.dir, "data")
	}
	if err != nil {
		t.Fatal(err)
	}
	r.up, r.ended = startUp(t, data, flags...), false
	if out := r.output.String(); len(c.prints) > 0 && !alike(c.prints, strings.Split(out, "\n")) {
		t.Errorf("%s prints\n%s\nand is shown with\n%s", c.command, out, strings.Join(c.prints, "\n"))
	}
}

// follow types a command and compares what it prints; what only looks is typed
// until it prints what the document shows.
func (r *tour) follow(t *testing.T, c said) {
	t.Helper()
	command := strings.NewReplacer(r.ids...).Replace(c.command)
	out := r.typeIn(t, command)
	same := func() bool { return alike(c.prints, strings.Split(out, "\n")) }
	defer func() {
		if t.Failed() {
			t.Logf("%s prints\n%s\nand is shown with\n%s", command, out, strings.Join(c.prints, "\n"))
		}
	}()
	if regexp.MustCompile(` (get|logs|watch|describe) `).MatchString(command) {
		until(t, command+" prints what is shown", func() bool {
			out = r.typeIn(t, command)
			return same()
		})
	} else if len(c.prints) > 0 && !same() {
		t.Errorf("%s prints something else", command)
	}
	written, real := submittedLine.FindAllStringSubmatch(strings.Join(c.prints, "\n"), -1), submittedLine.FindAllStringSubmatch(out, -1)
	if len(written) != len(real) {
		t.Fatalf("%s is shown with %d jobs, and submits %d", command, len(written), len(real))
	}
	for i := range written {
		r.ids = append(r.ids, written[i][1], real[i][1])
	}
}

// asks types a call that is shown without its answer, which may go on for ever: the
// first line is an answer, and no refusal.
func (r *tour) asks(t *testing.T, call string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := r.bash(ctx, call)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil && len(line) == 0 {
		t.Errorf("%s answers nothing: %v", call, err)
	}
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(line, &answer); err != nil || len(answer) == 0 || answer["error"] != nil || answer["code"] != nil {
		t.Errorf("%s answers %s, %v", call, line, err)
	}
	cancel()
	_ = cmd.Wait() // it was ended
}

// bash is a command in the reader's folder, with what the docs call in its path.
func (r *tour) bash(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(r.dir, "path")+":"+os.Getenv("PATH"))
	if r.up != nil { // what needs no server may be typed before there is one
		cmd.Env = append(cmd.Env, "ARMADAURL="+r.grpc, "ARMADA_REST=http://"+r.http)
	}
	return cmd
}

// typeIn runs a command as bash would.
func (r *tour) typeIn(t *testing.T, command string) string {
	t.Helper()
	cmd := r.bash(t.Context(), command)
	if strings.HasPrefix(command, "go run ") {
		cmd.Dir = filepath.Join("..", "..")
		cmd.Args[2] += " -armadaUrl " + r.grpc
	} else {
		cmd.Env = append(cmd.Env, "HOME="+r.dir)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// TestEveryArmadactlLineOfTheDocsIsACommandWithThoseFlags looks at the lines that
// are shown without what they print.
func TestEveryArmadactlLineOfTheDocsIsACommandWithThoseFlags(t *testing.T) {
	t.Parallel()
	calls := regexp.MustCompile(`\barmadactl( [^|#&<>()\n]*)`)
	usage := regexp.MustCompile(`(?m)^  armadactl ([a-z -]*[a-z])`)
	tried := 0
	for _, document := range documents(t) {
		for _, call := range calls.FindAllStringSubmatch(strings.Join(blocks(t, document, "sh"), ""), -1) {
			tried++
			own, _, _ := strings.Cut(call[1], " -- ") // what follows is another program's
			out, err := exec.CommandContext(t.Context(), binary(t, "armadactl"), append(strings.Fields(own), "--help")...).CombinedOutput()
			if err != nil {
				t.Errorf("%s: %s: %v\n%s", document, call[0], err, out)
				continue
			}
			_, after, _ := strings.Cut(string(out), "Usage:\n")
			if path := usage.FindStringSubmatch(after); path == nil || !strings.HasPrefix(strings.TrimSpace(call[1]), path[1]) {
				t.Errorf("%s: %s is no command, its help is\n%s", document, call[0], out)
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d lines were tried", tried)
	}
}

var jobIDs = regexp.MustCompile(`\b01[0-9a-z]{24}\b`)

// different is what differs each time: ids, times, how many jobs are in which
// state at a moment, addresses, folders, ages, and the machine's name.
var different = []struct {
	what *regexp.Regexp
	word string
}{
	{jobIDs, "ID"},
	{regexp.MustCompile(`Moving \S+`), "Moving FILE"},
	{regexp.MustCompile(`PostgreSQL at \S+`), "DATABASE"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`\d\d:\d\d:\d\d\.\d\d\d`), "TIME"},
	{regexp.MustCompile(`run-\d{8}-\d{6}\.\d{3}`), "run-TIME"},
	{regexp.MustCompile(`% +\d+ +`), "% QUEUED "},
	{regexp.MustCompile(`( +\d+){7} `), " COUNTS "},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`data is in \S+`), "data is in FOLDER"},
	{regexp.MustCompile(`\b\d+m?s\b`), "AGE"},
	{regexp.MustCompile(`\bvm\b`), "NODE"},
	{regexp.MustCompile(`\s+`), " "},
}

// alike tells whether a document's lines are what a command printed: all of
// them in their order, and no others unless there is a line with an
// ellipsis or is about armada up, which goes on.
func alike(shown, printed []string) bool {
	short := slices.Contains(shown, "…") || slices.ContainsFunc(shown, func(line string) bool { return strings.HasPrefix(line, "Armada is up") })
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
	want, got := mask(shown), mask(printed)
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
