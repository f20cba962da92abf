package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"armada/pkg/client"
)

// pagesIn are the texts of the pages in a folder, by name.
func pagesIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pages[filepath.Base(path)] = string(text)
	}
	return pages
}

func TestTheReferencePagesAreWhatTheCommandsSay(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	stale := filepath.Join(folder, "armadactl_gone.md")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "docs", folder); r.code != exitOK {
		t.Fatal(r.errors)
	}
	kept := pagesIn(t, filepath.Join("..", "..", "docs", "reference", "armadactl"))
	if diff := gocmp.Diff(pagesIn(t, folder), kept); diff != "" || len(kept) < 50 {
		t.Errorf("docs/reference/armadactl has %d pages and differs (make generate, -want +got):\n%s", len(kept), diff)
	}
	var all strings.Builder
	for _, text := range kept {
		all.WriteString(text)
	}
	walk((&cli{}).root(), func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(all.String(), "--"+f.Name) {
				t.Errorf("no page tells of %s --%s", cmd.CommandPath(), f.Name)
			}
			if !f.Hidden && f.Usage == "" {
				t.Errorf("%s --%s does not say what it is for", cmd.CommandPath(), f.Name)
			}
		})
	})
}

func TestThePagesCanBeReadAsManPagesAndAtOnce(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if r := run(t, "docs", "--man", folder); r.code != exitOK {
		t.Fatal(r.errors)
	}
	if page := pagesIn(t, folder)["armadactl-cancel-job.1"]; !strings.Contains(page, ".SH OPTIONS") || !strings.Contains(page, "armadactl cancel job") {
		t.Errorf("armadactl-cancel-job.1 is %q", page)
	}
	r := run(t, "docs", "-p")
	for _, title := range []string{"## armadactl\n", "## armadactl cancel job\n", "## armadactl top nodes\n"} {
		if strings.Count(r.out, title) != 1 {
			t.Errorf("%q is there %d times", title, strings.Count(r.out, title))
		}
	}
	if r := run(t, "docs", "-p", folder); r.code != exitUsage {
		t.Errorf("exit code %d: %s", r.code, r.errors)
	}
}

// written are the command lines of armadactl in the howtos and the README, each with
// the file that has it.
func written(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "howto", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for _, file := range append(files, filepath.Join("..", "..", "README.md")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range strings.Split(string(text), "```") {
			if i%2 == 0 || !strings.HasPrefix(block, "sh\n") && !strings.HasPrefix(block, "console\n") {
				continue
			}
			for line := range strings.Lines(block) {
				line = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(line), "$ "), "bin/")
				if command, is := strings.CutPrefix(line, "armadactl "); is {
					lines[command] = filepath.Base(file)
				}
			}
		}
	}
	return lines
}

// shellWords are the words of a command line up to where another one begins, or
// where a shell sends what it writes.
func shellWords(line string) []string {
	var all []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if strings.ContainsAny(line[:1], "#|&>;") {
			break
		}
		end := strings.IndexByte(line+" ", ' ')
		if quote := line[0]; quote == '"' || quote == '\'' {
			end = strings.IndexByte(line[1:], quote) + 2
		}
		all = append(all, strings.Trim(line[:end], `"'`))
		line = line[end:]
	}
	return all
}

func TestCommandLinesInTheDocumentsMakeSense(t *testing.T) {
	t.Parallel()
	lines := written(t)
	for line, file := range lines {
		root := (&cli{}).root()
		root.InitDefaultCompletionCmd()
		cmd, args, err := root.Find(shellWords(line))
		if err == nil {
			if err = cmd.ParseFlags(args); err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err == nil && cmd.Hidden {
				t.Errorf("%s: armadactl %s: it is in no list", file, line)
			}
		}
		if err != nil {
			t.Errorf("%s: armadactl %s: %v", file, line, err)
		}
	}
	if len(lines) < 60 {
		t.Errorf("there are only %d command lines", len(lines))
	}
}

func TestConfigFilesInTheHowtoCanBeRead(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "howto", "armadactl.md"))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if !strings.Contains(block, "armadaUrl") {
			continue
		}
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := client.ReadFile(path); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
		read++
	}
	if read < 2 {
		t.Errorf("there are only %d", read)
	}
}

// walk visits a command and all below it that are in some list.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	if cmd.Hidden {
		return
	}
	visit(cmd)
	for _, below := range cmd.Commands() {
		walk(below, visit)
	}
}

// flagsOf2026 are the commands that users of 2026 know, with the flags that each has
// and in how many arguments it is called.
var flagsOf2026 = map[string]string{
	"":                           "config context|c armadaUrl",
	"submit F":                   "dry-run",
	"watch Q S":                  "raw exit-if-inactive force-new-events force-legacy-events",
	"cancel job Q S J":           "",
	"cancel job-set Q S":         "",
	"cancel executor E":          "queues|q priority-classes|p all-priority-classes|a pools",
	"cancel node N":              "executor|e queues|q priority-classes|p all-priority-classes|a",
	"cancel queues Q":            "job-states|s priority-classes|p all-priority-classes|a pools selector|l inverse only-cordoned dry-run",
	"cancel queue Q R":           "job-states|s",
	"preempt job Q S J R":        "",
	"preempt executor E":         "queues|q priority-classes|p all-priority-classes|a pools",
	"preempt node N":             "executor|e queues|q priority-classes|p all-priority-classes|a",
	"preempt queues Q":           "priority-classes|p all-priority-classes|a pools selector|l inverse only-cordoned dry-run",
	"create":                     "file|f dry-run",
	"create queue Q":             "priority-factor owners group-owners cordon labels|l retry-policies",
	"create retry-policy":        "file|f",
	"update queue Q":             "priority-factor owners group-owners cordon labels|l retry-policies",
	"update retry-policy":        "file|f",
	"delete queue Q":             "",
	"delete executor E":          "",
	"delete retry-policy P":      "",
	"get queue Q":                "",
	"get queues Q R":             "match-labels|l inverse only-cordoned",
	"get retry-policy P":         "",
	"get retry-policies":         "",
	"get scheduling-report":      "verbose|v queue job-id",
	"get queue-report Q":         "verbose|v",
	"get job-report J":           "",
	"reprioritize job Q S J 5":   "",
	"reprioritize job-set Q S 5": "",
	"cordon queues Q":            "match-labels|l inverse dry-run",
	"cordon queue Q":             "",
	"uncordon queues Q":          "match-labels|l inverse dry-run",
	"cordon executor E R":        "",
	"uncordon executor E":        "",
	"config use-context C":       "",
	"config get-contexts":        "",
	"config current-context":     "",
	"docs":                       "print|p",
	"version":                    "",
}

func TestScriptsOf2026FindTheirCommandsAndFlags(t *testing.T) {
	t.Parallel()
	for line, flags := range flagsOf2026 {
		cmd, args, err := (&cli{}).root().Find(strings.Fields(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if err := cmd.ValidateArgs(args); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		if slices.ContainsFunc(args, func(arg string) bool { return arg == strings.ToLower(arg) && arg != "5" }) {
			t.Errorf("%s: there is only %s", line, cmd.CommandPath())
		}
		for want := range strings.FieldsSeq(flags) {
			name, short, _ := strings.Cut(want, "|")
			if flag := cmd.Flag(name); flag == nil || flag.Shorthand != short && short != "" {
				t.Errorf("%s: --%s is %+v, not with -%s", line, name, flag, short)
			}
		}
	}
}
