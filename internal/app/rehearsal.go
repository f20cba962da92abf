package app

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"armada"
	"armada/internal/runs"
)

// Rehearsal sets what only those need who try out what happens when things go
// wrong, as test/chaos does.
type Rehearsal struct {
	// ClockOffset sets this process's clock wrong by so much. The clock of a
	// PostgreSQL database, which decides about leases, is not this process's.
	ClockOffset time.Duration
	// PodTrace is a file that the pods of made-up clusters are written to as they
	// come and go, a line of JSON for each step: what really ran where, whatever
	// is told of it.
	PodTrace string
}

func (r Rehearsal) validate(e Executor) error {
	if r.PodTrace != "" && e.Simulate == "" {
		return errors.New("rehearsal.podTrace: goes with executor.simulate, which is empty")
	}
	return nil
}

// now is this process's clock.
func (r Rehearsal) now() time.Time { return time.Now().Add(r.ClockOffset) }

// trace writes what pods do, each line at once: a process that is killed has
// told of everything that it knew.
type trace struct {
	file *os.File
	log  *slog.Logger
}

// openTrace continues a file; there is none when the name is empty.
func openTrace(name string, log *slog.Logger) (*trace, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // a nil trace writes nothing
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return &trace{file, log}, err
}

// step is a line. At is the machine's time since its start, in nanoseconds,
// which is the same for all processes and which nobody sets.
type step struct {
	At    int64        `json:"at"`
	Run   armada.RunID `json:"run"`
	Job   armada.JobID `json:"job"`
	Node  string       `json:"node"`
	Phase string       `json:"phase"`
}

func (t *trace) status(s runs.Status) {
	if t == nil {
		return
	}
	var at unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &at)
	line, encoding := json.Marshal(step{At: at.Nano(), Run: s.Run, Job: s.Job, Node: s.Node, Phase: s.Phase.String()})
	if err = errors.Join(err, encoding); err == nil {
		_, err = t.file.Write(append(line, '\n'))
	}
	if err != nil {
		t.log.Error("the pods' trace is not whole any more: it must not be believed", "error", err)
	}
}

func (t *trace) close() error {
	if t == nil {
		return nil
	}
	return t.file.Close()
}
