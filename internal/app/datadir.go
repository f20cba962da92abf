package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dataDir is a data folder that this process holds. The lock is the kernel's
// and ends with the process, however it ends.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the folder if need be and takes it for this process.
func openDataDir(path string) (*dataDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the data folder: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data folder %s is in use by %s; stop it, or choose another folder with --data-dir", path, holder(lock))
		}
		return nil, fmt.Errorf("locking the data folder %s: %w", path, err)
	}
	// Who holds it, for the message above; the lock does not depend on it.
	if err := lock.Truncate(0); err == nil {
		_, _ = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &dataDir{path: path, lock: lock}, nil
}

func holder(lock *os.File) string {
	text := make([]byte, 32)
	n, _ := lock.ReadAt(text, 0)
	if pid := strings.TrimSpace(string(text[:n])); pid != "" {
		return "another armada (process " + pid + ")"
	}
	return "another armada"
}

// movedName is the file that says where the folder's store was moved to.
const movedName = "moved"

// markMoved remembers that the folder's store was moved, and where.
func (d *dataDir) markMoved(place string) error {
	if err := os.WriteFile(d.file(movedName), []byte(place+"\n"), 0o600); err != nil {
		return fmt.Errorf("everything was moved, but not marked as such: %w", err)
	}
	return nil
}

// moved tells where the folder's store was moved to; empty when it is here.
func (d *dataDir) moved() (string, error) {
	text, err := os.ReadFile(d.file(movedName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading whether the store was moved: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

func (d *dataDir) close() error { return d.lock.Close() }
