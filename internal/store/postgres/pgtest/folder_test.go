package pgtest

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFoldersWhoseOwnersAreGoneAreSweptAndOthersStay(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	folder := func(name string) string {
		t.Helper()
		path := filepath.Join(parent, name)
		if err := os.MkdirAll(filepath.Join(path, "data", "base"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	lock := func(path string) *os.File {
		t.Helper()
		file, err := os.OpenFile(filepath.Join(path, ownerFile), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if !own(file) {
			t.Fatalf("%s is somebody else's", path)
		}
		return file
	}
	left, ours, strange := folder(folderPrefix+"1"), folder(folderPrefix+"2"), folder(folderPrefix+"3") // the last without an owner file
	if err := lock(left).Close(); err != nil {                                                          // as the end of a process does
		t.Fatal(err)
	}
	held := lock(ours)
	defer func() { _ = held.Close() }()
	sweep(parent)
	for path, want := range map[string]bool{left: false, ours: true, strange: true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", filepath.Base(path), err == nil, want)
		}
	}
}
