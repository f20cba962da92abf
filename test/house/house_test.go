// Package house_test holds the repository to the rules of its house: which
// packages may import which, how packages are named and introduced, how long
// files get, and what must not be named anywhere. It reads source files only.
//
// The linters (.golangci.yml) say the same about single imports, with a reason
// at the line; here stands what they cannot say: layers as a whole, what a
// package reaches through others, and things that are not imports. It must
// never grow exceptions for single files: change the code or change the rule.
// The rules are told in docs/architecture.md.
package house_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// A layer is a row of the house. Imports point to lower layers only; which
// packages of the same layer may know each other is said per layer.
type layer int

const (
	words      layer = iota // the vocabulary
	foundation              // pure packages, contracts and generated code: may know each other
	adapters                // the forms of contracts, and what translates; may know each other
	shells                  // what runs; one does not know another
	wiring                  // puts shells and forms together
	commands                // the binaries
	tests                   // everything in test/
)

// rows says on which layer the packages at and below a path are; the longest
// path that fits counts. A package that fits none has no place in the house:
// give it one here and in docs/architecture.md.
var rows = map[string]layer{
	".":           words,
	"pkg/api":     foundation,
	"pkg/nearest": foundation,
	// Files of others that binaries contain.
	"third_party/swaggerui": foundation,
	"internal/podspec":      foundation,
	"internal/lifecycle":    foundation,
	// What a round of scheduling is made of.
	"internal/scheduling": foundation,
	"internal/store":      foundation,
	"internal/runs":       foundation,
	"internal/settings":   foundation,
	"internal/doctor":     foundation,

	"internal/store/sqlite":    adapters,
	"internal/store/postgres":  adapters,
	"internal/store/codec":     adapters,
	"internal/store/intake":    adapters,
	"internal/store/feed":      adapters,
	"internal/store/listing":   adapters,
	"internal/store/wake":      adapters,
	"internal/store/acks":      adapters,
	"internal/store/storetest": adapters,
	"internal/runs/process":    adapters,
	"internal/runs/kubernetes": adapters,
	"internal/runs/simulated":  adapters,
	"internal/runs/runstest":   adapters,
	"internal/wire":            adapters,
	"internal/auth":            adapters,
	"internal/pricing":         adapters,
	"internal/telemetry":       adapters,
	"internal/ui":              adapters,

	"internal/leader":   shells,
	"internal/server":   shells,
	"internal/executor": shells,
	"pkg/client":        shells,
	// How a client proves who it is; executors do too.
	"pkg/client/credentials": adapters,

	"internal/app":       wiring,
	"internal/simulator": wiring,

	"cmd":      commands,
	"examples": commands,
	"test":     tests,
}

// pure are the packages, with all below them, that decide and do no I/O.
var pure = []string{"internal/podspec", "internal/lifecycle", "internal/scheduling", "internal/doctor"}

// impure are the parts of the standard library that pure packages do without.
var impure = []string{"os", "net", "net/http", "log", "log/slog", "context", "database/sql", "syscall"}

// shapeless are names that say nothing about what a package is for.
var shapeless = []string{"util", "utils", "common", "helper", "helpers", "types", "model", "models", "manager", "base", "misc"}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	house := read(t)
	for _, p := range house.sorted() {
		from := rowOf(t, p.path)
		for _, imported := range p.imports {
			to := rowOf(t, imported)
			if to > from {
				t.Errorf("%s imports %s, which is above it", p.path, imported)
			}
			if to == from && from == shells && rootOf(p.path) != rootOf(imported) {
				t.Errorf("%s imports %s: shells do not know each other; wiring passes what they need", p.path, imported)
			}
		}
	}
}

func TestTheVocabularyImportsTheStandardLibraryOnly(t *testing.T) {
	t.Parallel()
	vocabulary := read(t).packages["."]
	if len(vocabulary.imports)+len(vocabulary.foreign) > 0 {
		t.Errorf("the root package imports %v %v", vocabulary.imports, vocabulary.foreign)
	}
}

func TestPurePackagesReachNothingImpure(t *testing.T) {
	t.Parallel()
	house := read(t)
	for _, p := range house.sorted() {
		if !isPure(p.path) {
			continue
		}
		for reached, through := range house.reach(p.path) {
			if reached != "." && !isPure(reached) {
				t.Errorf("%s reaches %s by %s, and that is not pure", p.path, reached, strings.Join(through, " -> "))
			}
			for _, std := range house.packages[reached].standard {
				if slices.Contains(impure, std) {
					t.Errorf("%s reaches %s by %s", p.path, std, strings.Join(through, " -> "))
				}
			}
		}
	}
}

func TestContractsDoNotKnowTheirForms(t *testing.T) {
	t.Parallel()
	house := read(t)
	for _, contract := range []string{"internal/store", "internal/runs"} {
		for reached := range house.reach(contract) {
			if strings.HasPrefix(reached, contract+"/") {
				t.Errorf("%s reaches %s", contract, reached)
			}
		}
	}
}

// TestTheClientIsNoPartOfTheServer keeps what users import small. Reading files is
// the exception that pkg/client/manifest says of itself: it judges a pod spec by
// the server's own rules.
func TestTheClientIsNoPartOfTheServer(t *testing.T) {
	t.Parallel()
	house := read(t)
	seen := 0
	for _, p := range house.sorted() {
		if !strings.HasPrefix(p.path, "pkg/") || p.path == "pkg/client/manifest" {
			continue
		}
		seen++
		for reached, through := range house.reach(p.path) {
			if strings.HasPrefix(reached, "internal/") {
				t.Errorf("%s reaches %s by %s", p.path, reached, strings.Join(through, " -> "))
			}
		}
	}
	if seen == 0 {
		t.Error("there are no packages for users")
	}
}

func TestTestSupportStaysOutOfTheBinaries(t *testing.T) {
	t.Parallel()
	house := read(t)
	for _, p := range house.sorted() {
		if !strings.HasPrefix(p.path, "cmd/") {
			continue
		}
		for reached, through := range house.reach(p.path) {
			if slices.Contains(house.packages[reached].standard, "testing") {
				t.Errorf("%s carries package testing, by %s", p.path, strings.Join(through, " -> "))
			}
		}
	}
}

func TestEveryPackageIsIntroduced(t *testing.T) {
	t.Parallel()
	for _, p := range read(t).sorted() {
		if len(p.files) > 0 && !p.introduced && !p.generated {
			t.Errorf("%s has no package comment", p.path)
		}
	}
}

func TestPackageNamesSaySomething(t *testing.T) {
	t.Parallel()
	for _, p := range read(t).sorted() {
		for part := range strings.SplitSeq(p.path, "/") {
			// Generated packages are named by the files they come from.
			if !p.generated && slices.Contains(shapeless, part) {
				t.Errorf("%s: a package called %s says nothing about what it is for", p.path, part)
			}
		}
	}
}

func TestFilesStayReadable(t *testing.T) {
	t.Parallel()
	const limit = 600
	for _, p := range read(t).sorted() {
		for _, f := range p.files {
			if !f.generated && f.lines >= limit {
				t.Errorf("%s has %d lines, the limit is %d: cut it where its subject changes", f.path, f.lines, limit)
			}
		}
	}
}

func TestTestsWaitForConditionsAndDoNotSleep(t *testing.T) {
	t.Parallel()
	for _, p := range read(t).sorted() {
		for _, f := range p.files {
			// In a bubble of testing/synctest time is made up, and sleeping is how one passes it.
			if f.test && f.sleeps && !f.bubbles {
				t.Errorf("%s calls time.Sleep: wait for a condition, or use testing/synctest", f.path)
			}
		}
	}
}

func TestNothingNamesThePlaceItWasMadeAt(t *testing.T) {
	t.Parallel()
	// Put together, so that this file passes its own test.
	forbidden := []string{
		"/wo" + "rk/main", "/wo" + "rk/shared", "/wo" + "rk/.", "/tmp/w" + "t/", "go" + "sem ",
		"proxy.golang" + ".org", "sum.golang" + ".org", "artifact" + "ory",
	}
	for path, content := range texts(t) {
		for _, word := range forbidden {
			if strings.Contains(content, word) {
				t.Errorf("%s names %s", path, word)
			}
		}
	}
}

// TestTheRulesSeeWhatBreaksThem proves that the rules above are not blind: the
// walk finds the packages it must find.
func TestTheRulesSeeWhatBreaksThem(t *testing.T) {
	t.Parallel()
	house := read(t)
	for _, path := range []string{".", "internal/settings", "internal/telemetry", "test/house"} {
		if p, ok := house.packages[path]; !ok || len(p.files) == 0 {
			t.Errorf("%s was not read", path)
		}
	}
	if !slices.Contains(house.packages["internal/telemetry"].standard, "net/http") {
		t.Error("the imports of internal/telemetry were not read")
	}
	if !slices.Contains(house.packages["internal/settings"].foreign, "gopkg.in/yaml.v3") {
		t.Error("the imports of internal/settings were not read")
	}
	if len(texts(t)) < 50 {
		t.Error("the texts were not read")
	}
}

// rowOf is the layer of a package. A package without one fails the test.
func rowOf(t *testing.T, path string) layer {
	t.Helper()
	root := rootOf(path)
	if root == "" {
		t.Errorf("%s has no place in the house: give it one in rows and in docs/architecture.md", path)
	}
	return rows[root]
}

// rootOf is the longest path of rows that a package is at or below, or "".
func rootOf(path string) string {
	best := ""
	for root := range maps.Keys(rows) {
		if (path == root || strings.HasPrefix(path, root+"/")) && len(root) > len(best) {
			best = root
		}
	}
	return best
}

func isPure(path string) bool {
	return slices.ContainsFunc(pure, func(p string) bool { return path == p || strings.HasPrefix(path, p+"/") })
}
