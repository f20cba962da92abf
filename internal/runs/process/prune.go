//go:build linux

package process

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"armada"
)

// prune removes the folders of forgotten runs that were last written to before
// the time, and then the oldest until the rest is not larger than size; neither
// counts when it is zero. It is written down first, so that a run without a folder is never taken
// for one that was not started.
func (s *supervisor) prune(before time.Time, size int64) (int, error) {
	type candidate struct {
		run  armada.RunID
		made time.Time
		size int64
	}
	s.mu.Lock()
	candidates := make([]candidate, 0, len(s.known.forgotten))
	for run := range s.known.forgotten {
		candidates = append(candidates, candidate{run: run})
	}
	s.mu.Unlock()
	var total int64
	for i := range candidates {
		c := &candidates[i]
		c.made, c.size = measure(s.layout.run(c.run).path)
		total += c.size
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(a.made.Compare(b.made), cmp.Compare(a.run, b.run))
	})
	pruned := 0
	var kept []error
	for _, c := range candidates {
		if !c.made.Before(before) && (size <= 0 || total <= size) {
			continue
		}
		if err := s.journal.append(record{Prune: c.run}); err != nil {
			return pruned, err
		}
		s.mu.Lock()
		s.known.add(record{Prune: c.run})
		s.mu.Unlock()
		if err := os.RemoveAll(s.layout.run(c.run).path); err != nil {
			kept = append(kept, fmt.Errorf("remove the folder of run %s: %w", c.run, err))
		}
		total -= c.size
		pruned++
	}
	return pruned, errors.Join(kept...)
}

// measure tells when a folder was last written to and how much is in it.
func measure(path string) (time.Time, int64) {
	var latest time.Time
	var size int64
	_ = filepath.WalkDir(path, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is gone or closed to us, and counts nothing
		}
		info, err := entry.Info()
		if err != nil {
			return nil
		}
		if info.ModTime().After(latest) {
			latest = info.ModTime()
		}
		size += info.Size()
		return nil
	})
	return latest, size
}
