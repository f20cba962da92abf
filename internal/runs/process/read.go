//go:build linux

package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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
	read := func(line runs.LogLine) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return visit(line)
	}
	if q.Previous {
		return visitPrevious(file, q, read)
	}
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

// visitPrevious visits the lines of the life before the latest of each container
// that was started again. A log is read twice, for a life is known by the one
// that follows it.
func visitPrevious(file *os.File, q *runs.LogQuery, visit func(runs.LogLine) error) error {
	lives := make(map[string]int) // starts after the first
	count := func(l *runs.LogLine, kind byte) error {
		if kind == kindAgain {
			lives[l.Container]++
		}
		return nil
	}
	if err := eachLine(file, count); err != nil {
		return err
	}
	now := make(map[string]int)
	var tail []runs.LogLine
	choose := func(l *runs.LogLine, kind byte) error {
		if kind == kindAgain {
			now[l.Container]++
			return nil
		}
		if now[l.Container] != lives[l.Container]-1 || !selects(q, l) {
			return nil
		}
		own := *l
		own.Text, own.Stderr = bytes.Clone(l.Text), kind == kindErrors
		if q.Tail == 0 {
			return visit(own)
		}
		if tail = append(tail, own); int64(len(tail)) > q.Tail {
			tail = tail[1:]
		}
		return nil
	}
	if err := eachLine(file, choose); err != nil {
		return err
	}
	for _, l := range tail {
		if err := visit(l); err != nil {
			return err
		}
	}
	return nil
}

// eachLine calls visit for each whole line of a log; the text is valid until it
// returns.
func eachLine(file *os.File, visit func(l *runs.LogLine, kind byte) error) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for reader := bufio.NewReaderSize(file, 2*maxLine); ; {
		line, err := reader.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) { // no line of a log is as long
			return err
		}
		if l, kind, ok := splitLine(bytes.TrimSuffix(line, []byte("\n"))); ok {
			if err := visit(&l, kind); err != nil {
				return err
			}
		}
	}
}
