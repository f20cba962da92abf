package house_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// module is how imports of this repository begin.
const module = "armada"

// A house is what the source files of the repository say.
type house struct {
	packages map[string]*pkg // by path in the repository, "." for the root
}

// A pkg is the Go files of one folder.
type pkg struct {
	path       string
	files      []file
	introduced bool // has a package comment
	generated  bool // all files but doc.go are generated
	// Imports of the files that are not tests: packages of this repository by
	// path, the standard library and others by name. Sorted, each once.
	imports, standard, foreign []string
}

type file struct {
	path      string
	lines     int
	generated bool
	test      bool
	sleeps    bool // names time.Sleep
	bubbles   bool // imports testing/synctest
}

// root is the repository, seen from this package.
const root = "../.."

// skipped are folders without sources of ours.
var skipped = []string{".git", "bin", "data", "node_modules", "testdata", "tools", "third_party"}

var readOnce = sync.OnceValues(readHouse)

func read(t *testing.T) *house {
	t.Helper()
	h, err := readOnce()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func readHouse() (*house, error) {
	h := &house{packages: map[string]*pkg{}}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains(skipped, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		return h.readFile(name)
	})
	for _, p := range h.packages {
		p.generated = !slices.ContainsFunc(p.files, func(f file) bool {
			return !f.generated && !f.test && path.Base(f.path) != "doc.go"
		})
		for _, list := range []*[]string{&p.imports, &p.standard, &p.foreign} {
			slices.Sort(*list)
			*list = slices.Compact(*list)
		}
	}
	return h, err
}

func (h *house) readFile(name string) error {
	source, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	relative, err := filepath.Rel(root, name)
	if err != nil {
		return err
	}
	f := file{
		path:      filepath.ToSlash(relative),
		lines:     bytes.Count(source, []byte("\n")),
		generated: ast.IsGenerated(parsed),
		test:      strings.HasSuffix(name, "_test.go"),
		sleeps:    sleeps(parsed),
	}
	p := h.packages[path.Dir(f.path)]
	if p == nil {
		p = &pkg{path: path.Dir(f.path)}
		h.packages[p.path] = p
	}
	p.introduced = p.introduced || parsed.Doc != nil
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		f.bubbles = f.bubbles || imported == "testing/synctest"
		if !f.test {
			p.add(imported)
		}
	}
	p.files = append(p.files, f)
	return nil
}

// add sorts an import to where it belongs. What has no dot in its first part
// and is not of this module is the standard library.
func (p *pkg) add(imported string) {
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case imported == module:
		p.imports = append(p.imports, ".")
	case first == module:
		p.imports = append(p.imports, strings.TrimPrefix(imported, module+"/"))
	case strings.Contains(first, "."):
		p.foreign = append(p.foreign, imported)
	default:
		p.standard = append(p.standard, imported)
	}
}

func sleeps(parsed *ast.File) bool {
	found := false
	ast.Inspect(parsed, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			x, named := selector.X.(*ast.Ident)
			found = found || named && x.Name == "time" && selector.Sel.Name == "Sleep"
		}
		return !found
	})
	return found
}

// sorted returns the packages by path.
func (h *house) sorted() []*pkg {
	return slices.SortedFunc(maps.Values(h.packages), func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
}

// reach returns the packages of this repository that one uses, directly and
// through others, itself included, each with a shortest way to it.
func (h *house) reach(from string) map[string][]string {
	ways := map[string][]string{}
	if h.packages[from] == nil {
		return ways
	}
	ways[from] = []string{from}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		for _, next := range h.packages[queue[0]].imports {
			if ways[next] == nil && h.packages[next] != nil {
				ways[next] = append(slices.Clone(ways[queue[0]]), next)
				queue = append(queue, next)
			}
		}
	}
	return ways
}

// texts returns the content of every text file of the repository by path.
func texts(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() != "testdata" && entry.Name() != "tools" && slices.Contains(skipped, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !entry.Type().IsRegular() || path.Base(name) == ".git" {
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if utf8.Valid(content) {
			found[strings.TrimPrefix(filepath.ToSlash(name), root+"/")] = string(content)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
