package pgtest

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// folderPrefix begins the names of our folders among temporary files.
const folderPrefix = "armada-postgres-"

// ownerFile is locked by the process that a folder belongs to, as long as it
// lives; a folder whose file nobody locks was left behind.
const ownerFile = "owner"

var swept sync.Once

// newFolder makes a folder that belongs to this process, after removing those
// whose processes were killed.
func newFolder() (string, *os.File, error) {
	swept.Do(func() { sweep(os.TempDir()) })
	for {
		folder, err := os.MkdirTemp("", folderPrefix)
		if err != nil {
			return "", nil, err
		}
		lock, err := os.OpenFile(filepath.Join(folder, ownerFile), os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return "", nil, err
		}
		if own(lock) {
			return folder, lock, nil
		}
		_ = lock.Close() // somebody sweeps it
	}
}

// own locks an owner file, and tells whether it is still there and nobody
// else's.
func own(lock *os.File) bool {
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return false
	}
	ours, err := lock.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(lock.Name())
	return err == nil && os.SameFile(ours, there)
}

// sweep removes the folders of processes that are no more. What it may not touch
// is somebody else's.
func sweep(parent string) {
	files, _ := filepath.Glob(filepath.Join(parent, folderPrefix+"*", ownerFile))
	for _, file := range files {
		lock, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if own(lock) {
			_ = os.RemoveAll(filepath.Dir(file))
		}
		_ = lock.Close()
	}
}
