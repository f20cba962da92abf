//go:build linux

package process

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"armada"
	"armada/internal/runs"
)

// strayPause is between two looks for processes that an earlier supervisor left:
// they are nobody's children here, so nothing tells of their end.
const strayPause = 20 * time.Millisecond

// recoverRuns finds the runs whose end no supervisor saw, and begins to end
// what lives of them.
func (s *supervisor) recoverRuns() {
	entries, err := os.ReadDir(s.layout.runs())
	if err != nil {
		s.log.Error("the run folders cannot be listed", "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	present := make(map[armada.RunID]bool, len(entries))
	for _, entry := range entries {
		run := armada.RunID(entry.Name())
		if !entry.IsDir() || !runName.MatchString(entry.Name()) {
			continue
		}
		present[run] = true
		if !s.known.over(run) {
			s.found[run] = true
			s.ledger.Put(s.remembered(run))
		}
	}
	for run := range s.known.forgotten { // who pruned it died before writing so
		if !present[run] {
			s.known.add(record{Prune: run})
		}
	}
	s.litter.Store(true)
	s.nudge()
	if len(s.found) > 0 {
		s.log.Warn("an earlier supervisor was killed; what lives of its runs is ended", "runs", len(s.found))
		s.lifetimes.Go(s.endFound)
	}
}

// remembered is the status of a run of which there is only the folder.
func (s *supervisor) remembered(run armada.RunID) runs.Status {
	folder := s.layout.run(run)
	made := time.Now()
	if info, err := os.Stat(folder.path); err == nil {
		made = info.ModTime()
	}
	order, err := folder.readOrder()
	if err != nil || order.Run != run {
		job, _ := run.Job()
		order = runs.Order{Run: run, Job: job}
	}
	status := newStatus(&order, made)
	status.Stopping = true
	return status
}

// endFound kills what lives of the found runs, and reports each as Unknown when
// nothing of it does.
func (s *supervisor) endFound() {
	for {
		left := s.foundRuns()
		if len(left) == 0 {
			return
		}
		strays := s.layout.strays()
		for _, run := range left {
			if s.killFound(run, strays[run]) {
				continue
			}
			status, _ := s.ledger.Get(run)
			status.Phase, status.Ended, status.Stopping = runs.Unknown, time.Now(), false
			status.End = armada.RunEnd{
				Reason:   "outcome unknown: the supervisor of this machine was killed while it ran",
				Category: armada.CategoryInternal, Subcategory: armada.SubcategoryOutcomeUnknown,
			}
			s.ended(status)
		}
		select {
		case <-time.After(strayPause):
		case <-s.leave:
			return
		}
	}
}

func (s *supervisor) foundRuns() []armada.RunID {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := make([]armada.RunID, 0, len(s.found))
	for run := range s.found {
		left = append(left, run)
	}
	return left
}

// killFound kills what is known to live of a run and tells whether there was
// anything, or somebody who could not be found holds the lifeline.
func (s *supervisor) killFound(run armada.RunID, strays []int) bool {
	cages := s.cages.of(run)
	alive := len(strays) > 0
	for _, pid := range strays {
		s.layout.killStray(pid, run)
	}
	for _, g := range cages {
		alive = g.kill() || g.killMemory() || alive
	}
	lifeline, err := s.layout.run(run).openLifeline()
	if err != nil {
		s.log.Error("the lifeline of a run cannot be tried", "run", run, "error", err)
	}
	if lifeline == nil {
		return true
	}
	_ = lifeline.Close()
	if !alive {
		s.discard(cages...)
	}
	return alive
}

// discard takes cages away; those that the kernel still holds are swept up later.
func (s *supervisor) discard(cages ...cage) {
	for _, g := range cages {
		if !g.remove() {
			s.litter.Store(true)
		}
	}
}

// sweep takes away the groups that are left of runs which have ended. That nobody
// needs them is certain: groups are made for runs that live or are found.
func (s *supervisor) sweep() {
	s.litter.Store(!s.cages.sweep(func(run armada.RunID) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.live[run] != nil || s.found[run]
	}))
}

// killMemory is kill for a cage of version 1, which has no order for it: its
// processes are killed by handles, and looked up again by the caller.
func (g cage) killMemory() bool {
	pids := g.members()
	for _, pid := range pids {
		handle, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue
		}
		if g.has(pid) {
			_ = unix.PidfdSendSignal(handle, unix.SIGKILL, nil, 0)
		}
		_ = unix.Close(handle)
	}
	return len(pids) > 0
}
