//go:build linux

package process

import (
	"errors"
	"fmt"
	"os"
	"time"

	"armada"
	"armada/internal/podspec"
	"armada/internal/runs"
)

// errLeaving is answered to who comes too late; the client tries the next one.
var errLeaving = errors.New("the supervisor ends")

// start begins a run, if nobody ever has. It returns when the run's folder is
// on the disk, also when another call has made it.
func (s *supervisor) start(o *runs.Order) error {
	if !runName.MatchString(string(o.Run)) {
		return fmt.Errorf("%q cannot be the name of a run", o.Run)
	}
	r, err := s.enter(o)
	if err != nil {
		return err
	}
	if err := s.folders.do(nil); err != nil {
		// The folder may be there after a power loss or not; in neither case does
		// another start of the run come from here.
		s.log.Error("a run folder could not be synced", "run", o.Run, "error", err)
	}
	if r != nil {
		go s.attend(r)
	}
	return nil
}

// enter makes the folder and the entry of a run; nil when it was there.
func (s *supervisor) enter(o *runs.Order) (*run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return nil, errLeaving
	}
	if s.known.forgotten[o.Run] || s.known.pruned[o.Run] {
		return nil, runs.ErrSpent
	}
	if s.live[o.Run] != nil || s.found[o.Run] || s.known.over(o.Run) {
		return nil, nil
	}
	r := &run{
		sup: s, order: *o, folder: s.layout.run(o.Run), grace: defaultGrace,
		live: make(map[*instance]bool), begun: make(map[*podspec.Container]bool), halting: make(chan struct{}),
		status: newStatus(o, time.Now()),
	}
	if err := r.folder.create(o); errors.Is(err, errKnown) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := r.open(s.settings.LogLimit); err != nil {
		return nil, errors.Join(err, os.RemoveAll(r.folder.path))
	}
	s.live[o.Run] = r
	s.lifetimes.Add(1)
	s.ledger.Put(r.status)
	return r, nil
}

func newStatus(o *runs.Order, now time.Time) runs.Status {
	return runs.Status{
		Run: o.Run, Job: o.Job, Queue: o.Queue, JobSet: o.JobSet,
		Phase: runs.Pending, Pending: now, Node: o.Node,
		Pod: armada.Pod{Name: podName(o), Namespace: o.Namespace},
	}
}

// open opens what a run needs as long as it lives.
func (r *run) open(logLimit int64) error {
	var err error
	if r.lifeline, err = r.folder.openLifeline(); err != nil {
		return err
	}
	if r.lifeline == nil {
		return errors.New("the lifeline of a new run is held")
	}
	file, err := os.OpenFile(r.folder.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return errors.Join(fmt.Errorf("open the log: %w", err), r.lifeline.Close())
	}
	r.log = &logWriter{file: file, limit: logLimit}
	return nil
}

// attend sees a run to its end.
func (s *supervisor) attend(r *run) {
	defer s.lifetimes.Done()
	status := r.execute()
	if err := errors.Join(r.log.close(), r.lifeline.Close()); err != nil {
		s.log.Warn("closing the files of a run failed", "run", status.Run, "error", err)
	}
	status.Ended = time.Now()
	s.ended(status)
}

// ended writes an end down and then tells of it. What cannot be written is not
// told: it is tried again until the disk takes it.
func (s *supervisor) ended(status runs.Status) {
	for {
		err := s.journal.append(record{End: &status})
		if err == nil {
			break
		}
		s.log.Error("the end of a run cannot be written down", "run", status.Run, "error", err)
		select {
		case <-time.After(retryPause):
		case <-s.leave:
			return
		}
	}
	s.mu.Lock()
	delete(s.live, status.Run)
	delete(s.found, status.Run)
	s.known.add(record{End: &status})
	s.mu.Unlock()
	s.ledger.Put(status)
	s.nudge()
}

// stop halts a run.
func (s *supervisor) stop(run armada.RunID, grace time.Duration) error {
	s.mu.Lock()
	r, over := s.live[run], s.found[run]
	s.mu.Unlock()
	if r != nil {
		r.halt(haltStop, grace)
		return nil
	}
	if _, known := s.ledger.Get(run); known || over {
		return nil
	}
	return runs.ErrUnknownRun
}

// forget drops an ended run.
func (s *supervisor) forget(run armada.RunID) error {
	status, known := s.ledger.Get(run)
	if !known {
		return nil
	}
	if !status.Phase.Ended() {
		return errors.New("the run has not ended")
	}
	if err := s.journal.append(record{Forget: run}); err != nil {
		return err
	}
	s.mu.Lock()
	s.known.add(record{Forget: run})
	s.mu.Unlock()
	s.ledger.Drop(run)
	return nil
}
