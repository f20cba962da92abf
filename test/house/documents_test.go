package house_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// source returns the content of a file of the repository.
func source(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestEveryDirectDependencyHasItsReason(t *testing.T) {
	t.Parallel()
	reasons := map[string]bool{}
	for line := range strings.Lines(source(t, "docs/adr/0002-dependencies.md")) {
		if cells := strings.Split(line, " | "); len(cells) == 3 {
			reasons[strings.TrimPrefix(cells[0], "| ")] = true
		}
	}
	direct := map[string]bool{}
	for line := range strings.Lines(source(t, "go.mod")) {
		words := strings.Fields(line)
		if len(words) == 2 && strings.HasPrefix(words[1], "v") {
			direct[words[0]] = true
		}
	}
	if len(direct) == 0 {
		t.Fatal("go.mod was not read")
	}
	for module := range direct {
		if !reasons[module] {
			t.Errorf("go.mod requires %s; docs/adr/0002-dependencies.md does not say why", module)
		}
	}
	for module := range reasons {
		if strings.Contains(module, ".") && !direct[module] {
			t.Errorf("docs/adr/0002-dependencies.md explains %s, which go.mod does not require directly", module)
		}
	}
}

func TestEveryDecisionIsInTheIndex(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(filepath.Join(root, "docs/adr/[0-9]*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	index := source(t, "docs/adr/0000-how-we-decide.md")
	numbers := map[string]string{}
	for _, page := range pages {
		name := filepath.Base(page)
		if !strings.Contains(index, "("+name+")") {
			t.Errorf("%s is not in the index of 0000-how-we-decide.md", name)
		}
		number, _, _ := strings.Cut(name, "-")
		if other, taken := numbers[number]; taken {
			t.Errorf("%s and %s have the same number", other, name)
		}
		numbers[number] = name
	}
}

func TestEveryTargetOfTheMakefileIsExplained(t *testing.T) {
	t.Parallel()
	for line := range strings.Lines(source(t, "Makefile")) {
		target, isPhony := strings.CutPrefix(strings.TrimSpace(line), ".PHONY: ")
		if isPhony && !strings.Contains(source(t, "Makefile"), "\n"+target+":") {
			t.Errorf("target %s is declared and missing", target)
		}
		if isPhony && !explained(source(t, "Makefile"), target) {
			t.Errorf("make help does not explain %s: put ## and a sentence behind it", target)
		}
	}
}

func explained(makefile, target string) bool {
	for line := range strings.Lines(makefile) {
		_, sentence, found := strings.Cut(line, " ## ")
		if strings.HasPrefix(line, target+":") && found {
			return strings.HasSuffix(strings.TrimSpace(sentence), ".")
		}
	}
	return false
}

// TestLinksInDocumentsLeadSomewhere follows the relative links of all Markdown.
func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	for name, content := range texts(t) {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		for _, part := range strings.Split(content, "](")[1:] {
			target, _, closed := strings.Cut(part, ")")
			if !closed || strings.Contains(target, "://") || strings.ContainsAny(target, " \n") {
				continue
			}
			target, _, _ = strings.Cut(target, "#")
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, target)
			}
		}
	}
}
