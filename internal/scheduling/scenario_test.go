package scheduling

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

// The scenarios in testdata are commands and the answers that they give; see
// testdata/README.md.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios were found: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			before, err := os.ReadFile(file)
			if err != nil {
				t.Fatalf("reading the scenario: %v", err)
			}
			after := replay(t, string(before))
			if *update {
				if err := os.WriteFile(file, []byte(after), 0o644); err != nil {
					t.Fatalf("rewriting the scenario: %v", err)
				}
				return
			}
			if diff := gocmp.Diff(strings.Split(string(before), "\n"), strings.Split(after, "\n")); diff != "" {
				t.Errorf("the answers differ (-file +now); go test -update rewrites them:\n%s", diff)
			}
		})
	}
}

// replay runs a scenario and returns it with the answers given now. A block is
// lines up to an empty one; what follows ---- in it are the answers.
func replay(t *testing.T, text string) string {
	s := newScript()
	blocks := strings.Split(strings.TrimRight(text, "\n"), "\n\n")
	for i, block := range blocks {
		commands, _, _ := strings.Cut(block, "\n----")
		var answers strings.Builder
		for _, line := range strings.Split(commands, "\n") {
			line, _, _ = strings.Cut(line, "#")
			if words := strings.Fields(line); len(words) > 0 {
				answer, err := s.run(words)
				if err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				answers.WriteString(answer)
			}
		}
		if blocks[i] = commands; answers.Len() > 0 {
			blocks[i] = commands + "\n----\n" + strings.TrimSuffix(answers.String(), "\n")
		}
	}
	return strings.Join(blocks, "\n\n") + "\n"
}
