//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"armada"
	"armada/internal/runs"
)

// Logs reads the log of a run, which stays until Prune removes it.
func (r *Runtime) Logs(ctx context.Context, run armada.RunID, q runs.LogQuery, visit func(runs.LogLine) error) error {
	err := r.logs(ctx, run, &q, visit)
	if err != nil {
		return fmt.Errorf("logs of run %s: %w", run, err)
	}
	return nil
}

func (r *Runtime) logs(ctx context.Context, run armada.RunID, q *runs.LogQuery, visit func(runs.LogLine) error) error {
	if !runName.MatchString(string(run)) {
		return runs.ErrUnknownRun
	}
	path := r.layout.run(run).log()
	over := r.ledger.Over(run) // before the file is read: what is there when it has ended is all
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return runs.ErrUnknownRun
	} else if err != nil {
		return err
	}
	defer file.Close()
	reader := &logReader{file: file}
	var grown <-chan struct{}
	if q.Follow {
		changes, err := watchFile(path, unix.IN_MODIFY)
		if err != nil {
			return err
		}
		defer changes.close()
		grown = changes.changed
	}
	if q.Tail > 0 {
		if err := reader.seekTail(q); err != nil {
			return err
		}
	}
	read := func(line runs.LogLine) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return visit(line)
	}
	for ended := !q.Follow; ; {
		if err := reader.visit(q, read); err != nil {
			return err
		}
		if ended {
			return nil
		}
		select {
		case <-grown:
		case <-over:
			ended = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
