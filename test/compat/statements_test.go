package compat

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// statements is how many promises there are to clients and executors of others.
const statements = 71

// named is how a test says which of them it holds, beside its name or in it.
var named = regexp.MustCompile(`Statements? ?([0-9]+(?:\.[0-9]+)?)(?: ?[Aa]nd ?([0-9]+))?`)

// TestEveryStatementHasATest looks for the numbers of all statements in the tests
// of the repository.
func TestEveryStatementHasATest(t *testing.T) {
	t.Parallel()
	held := map[int]bool{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".") && path != root):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range named.FindAllStringSubmatch(string(text), -1) {
			for _, number := range found[1:] {
				if n, err := strconv.Atoi(number); err == nil { // 3.3 is a section
					held[n] = true
				}
			}
		}
		return nil
	})
	ok(t, err)
	for n := 1; n <= statements; n++ {
		if !held[n] {
			t.Errorf("no test says that it holds statement %d", n)
		}
	}
}
