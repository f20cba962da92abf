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
		watch, err := watchFile(path)
		if err != nil {
			return err
		}
		defer watch.close()
		grown = watch.grown
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

// watch tells when a file is written to.
type watch struct {
	events *os.File
	grown  chan struct{} // coalesced
	done   chan struct{}
}

func watchFile(path string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch the log: %w", err)
	}
	if _, err := unix.InotifyAddWatch(fd, path, unix.IN_MODIFY); err != nil {
		return nil, errors.Join(fmt.Errorf("watch the log: %w", err), unix.Close(fd))
	}
	w := &watch{events: os.NewFile(uintptr(fd), "inotify"), grown: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w, nil
}

func (w *watch) run() {
	defer close(w.done)
	buffer := make([]byte, 4096)
	for {
		if _, err := w.events.Read(buffer); err != nil {
			return
		}
		select {
		case w.grown <- struct{}{}:
		default:
		}
	}
}

func (w *watch) close() {
	_ = w.events.Close()
	<-w.done
}
