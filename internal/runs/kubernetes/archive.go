package kubernetes

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"armada"
	"armada/internal/runs"
)

// archive keeps the ends of logs whose pods are gone, one file for each run:
// lines as JSON, compressed. They are written to a folder; where there is a
// bucket, a loop takes them there ([archive.ship]), so that nothing waits for the
// storage and nothing is lost while it is away. A nil archive keeps nothing.
type archive struct {
	dir   string
	most  int64  // bytes of each container's log
	shelf *shelf // nil without a bucket
	log   *slog.Logger

	news   chan struct{} // receives when there may be something to ship
	pruned atomic.Int64  // when the shelf was last pruned, in seconds of Unix
}

func openArchive(config *Config, at *Place) (*archive, error) {
	dir := cmp.Or(config.KeepLogsIn.Folder, at.Dir)
	if dir == "" || config.KeepLogBytes == 0 {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of logs: %w", err)
	}
	shelf, err := newShelf(&config.KeepLogsIn, at.Executor)
	if err != nil {
		return nil, fmt.Errorf("keepLogsIn: %w", err)
	}
	return &archive{dir: dir, most: config.KeepLogBytes, shelf: shelf, log: at.Log, news: make(chan struct{}, 1)}, nil
}

// logFile is how the names of whole files end.
const logFile = ".log.gz"

func fileOf(run armada.RunID) string { return string(run) + logFile }

func (a *archive) path(run armada.RunID) string { return filepath.Join(a.dir, fileOf(run)) }

// has tells whether lines of a run are kept. A bucket that does not answer has
// none.
func (a *archive) has(ctx context.Context, run armada.RunID) bool {
	if a == nil {
		return false
	}
	if _, err := os.Stat(a.path(run)); err == nil {
		return true
	}
	if a.shelf == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, archivePatience)
	defer cancel()
	there, err := a.shelf.has(ctx, fileOf(run))
	if err != nil {
		a.log.Warn("the storage of kept logs does not answer", "run", run, "error", err)
	}
	return there
}

// archivePatience is how long a node may take to give a pod's logs out.
const archivePatience = 10 * time.Second

// keepLogs keeps the ends of a pod's logs, unless they are kept. What cannot be
// read is not kept: a node that is gone must not hold anything up.
func (r *Runtime) keepLogs(ctx context.Context, pod *corev1.Pod) {
	a, run := r.archive, runOf(pod)
	if a == nil || pod.Spec.NodeName == "" {
		return
	}
	if a.has(ctx, run) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, archivePatience)
	defer cancel()
	var lines []runs.LogLine
	for _, name := range containersNamed(pod, "") {
		stream, err := r.clients.own.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
			Container: name, Timestamps: true, TailLines: tailLines(a.most),
		}).Stream(ctx)
		if err == nil {
			own := lastLines{most: a.most}
			err = readLines(stream, name, time.Time{}, own.add)
			stream.Close()
			lines = append(lines, own.lines...)
		}
		if err != nil && !notBegun(err) {
			r.log.Warn("the log of a pod that goes could not be kept", "run", run, "container", name, "error", err)
		}
	}
	if err := a.write(run, lines); err != nil {
		r.log.Error("the log of a pod that goes could not be kept", "run", run, "error", err)
	}
}

// tailLines bounds what a node sends of a log: lines are rarely shorter than
// this.
func tailLines(most int64) *int64 {
	n := most/16 + 1
	return &n
}

// lastLines is the end of a log: the last lines that make up no more than most
// bytes. However long the log is, it holds little more than that.
type lastLines struct {
	most, size int64
	lines      []runs.LogLine
}

func (l *lastLines) add(line runs.LogLine) error {
	l.lines = append(l.lines, line)
	l.size += sizeOf(&line)
	n := 0
	for ; l.size > l.most; n++ {
		l.size -= sizeOf(&l.lines[n])
		l.lines[n] = runs.LogLine{} // what it had is let go, though its place is not yet
	}
	l.lines = l.lines[n:]
	return nil
}

// sizeOf counts a line with its end.
func sizeOf(line *runs.LogLine) int64 { return int64(len(line.Text)) + 1 }

// write keeps lines under the run's name, whole or not at all.
func (a *archive) write(run armada.RunID, lines []runs.LogLine) (err error) {
	file, err := os.CreateTemp(a.dir, "*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	zip := gzip.NewWriter(file)
	to := json.NewEncoder(zip)
	for i := range lines {
		if err := to.Encode(&lines[i]); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	if err := errors.Join(zip.Close(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), a.path(run)); err != nil {
		return err
	}
	select {
	case a.news <- struct{}{}:
	default:
	}
	return nil
}

// read visits the kept lines of a run; [runs.ErrUnknownRun] when none are.
func (a *archive) read(ctx context.Context, run armada.RunID, q runs.LogQuery, visit func(runs.LogLine) error) error {
	if a == nil {
		return fmt.Errorf("logs of run %s: %w", run, runs.ErrUnknownRun)
	}
	file, err := a.open(ctx, run)
	if err != nil {
		return fmt.Errorf("logs of run %s: %w", run, err)
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("logs of run %s: %w", run, err)
	}
	var lines []runs.LogLine
	for from := json.NewDecoder(zip); ; {
		var line runs.LogLine
		if err := from.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("logs of run %s: %w", run, err)
		}
		if !q.Previous && (q.Container == "" || line.Container == q.Container) && !line.Time.Before(q.Since) {
			lines = append(lines, line)
		}
	}
	sortByTime(lines)
	return visitAll(lines, q.Tail, visit)
}

// open opens the file of a run, in the folder or, since it may have been taken
// there, in the bucket.
func (a *archive) open(ctx context.Context, run armada.RunID) (io.ReadCloser, error) {
	file, err := os.Open(a.path(run))
	switch {
	case err == nil:
		return file, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case a.shelf == nil:
		return nil, runs.ErrUnknownRun
	}
	return a.shelf.open(ctx, fileOf(run))
}

// Prune removes kept logs that were written before a time, and then the oldest
// until the rest is no larger than size (0: any size). It tells how many went.
func (r *Runtime) Prune(ctx context.Context, before time.Time, size int64) (int, error) {
	if r.archive == nil {
		return 0, nil
	}
	return r.archive.prune(ctx, before, size)
}
