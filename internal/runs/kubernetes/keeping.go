package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keptFile is one file of an archive, in its folder or its bucket.
type keptFile struct {
	name    string
	size    int64
	written time.Time
}

// expendable picks the files that were written before a time, and then the oldest
// until the rest is no larger than size (0: any size).
func expendable(files []keptFile, before time.Time, size int64) []keptFile {
	var total int64
	for i := range files {
		total += files[i].size
	}
	slices.SortFunc(files, func(x, y keptFile) int { return x.written.Compare(y.written) })
	n := 0
	for n < len(files) && (files[n].written.Before(before) || size > 0 && total > size) {
		total -= files[n].size
		n++
	}
	return files[:n]
}

// shelfPruneInterval is how often the bucket is listed: that is not free.
const shelfPruneInterval = time.Hour

// prune is [Runtime.Prune]. Folder and bucket are looked at each for itself.
func (a *archive) prune(ctx context.Context, before time.Time, size int64) (int, error) {
	files, err := a.list()
	if err != nil {
		return 0, fmt.Errorf("prune logs: %w", err)
	}
	gone := 0
	for _, f := range expendable(files, before, size) {
		if err := os.Remove(filepath.Join(a.dir, f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return gone, fmt.Errorf("prune logs: %w", err)
		}
		gone++
	}
	if a.shelf == nil || time.Since(time.Unix(a.pruned.Load(), 0)) < shelfPruneInterval {
		return gone, nil
	}
	n, err := a.pruneShelf(ctx, before, size)
	return gone + n, err
}

// pruneShelf removes what is old or too much from the bucket.
func (a *archive) pruneShelf(ctx context.Context, before time.Time, size int64) (int, error) {
	a.pruned.Store(time.Now().Unix())
	files, err := a.shelf.list(ctx)
	if err != nil {
		return 0, fmt.Errorf("prune logs of bucket %s: %w", a.shelf.bucket, err)
	}
	old := expendable(files, before, size)
	for i, f := range old {
		if err := a.shelf.remove(ctx, f.name); err != nil {
			return i, fmt.Errorf("prune logs of bucket %s: %w", a.shelf.bucket, err)
		}
	}
	return len(old), nil
}

// list tells of the files in the folder, half written ones too.
func (a *archive) list() ([]keptFile, error) {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return nil, err
	}
	var files []keptFile
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			files = append(files, keptFile{name: e.Name(), size: info.Size(), written: info.ModTime()})
		}
	}
	return files, nil
}

// shipInterval is how long is waited after the bucket did not take a file.
const shipInterval = 30 * time.Second

// keepShipping takes what is in the folder to the bucket until the context ends.
func (a *archive) keepShipping(ctx context.Context) {
	tick := time.NewTicker(shipInterval)
	defer tick.Stop()
	for {
		if err := a.ship(ctx); err != nil && ctx.Err() == nil {
			a.log.Warn("kept logs could not be taken to their bucket; they stay in the folder until they can", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-a.news:
		case <-tick.C:
		}
	}
}

// ship takes the whole files of the folder to the bucket, oldest first, up to the
// first that it does not take.
func (a *archive) ship(ctx context.Context) error {
	files, err := a.list()
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(x, y keptFile) int { return x.written.Compare(y.written) })
	for _, f := range files {
		if !strings.HasSuffix(f.name, logFile) {
			continue
		}
		if err := a.shipFile(ctx, f.name); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// shipFile takes one file, which leaves the folder when the bucket has it.
func (a *archive) shipFile(ctx context.Context, name string) error {
	path := filepath.Join(a.dir, name)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // pruned
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storagePatience)
	defer cancel()
	if err := a.shelf.put(ctx, name, content); err != nil {
		return err
	}
	return os.Remove(path)
}
