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
