package kubernetes

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"armada"
	"armada/internal/runs"
)

// archive keeps the ends of logs whose pods are gone, one file for each run:
// lines as JSON, compressed. A nil archive keeps nothing.
type archive struct {
	dir  string
	most int64 // bytes of each container's log
}

func openArchive(dir string, most int64) (*archive, error) {
	if dir == "" || most == 0 {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of logs: %w", err)
	}
	return &archive{dir: dir, most: most}, nil
}

func (a *archive) file(run armada.RunID) string { return filepath.Join(a.dir, string(run)+".log.gz") }

// has tells whether lines of a run are kept.
func (a *archive) has(run armada.RunID) bool {
	if a == nil {
		return false
	}
	_, err := os.Stat(a.file(run))
	return err == nil
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
	if a.has(run) {
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
			var own []runs.LogLine
			err = readLines(stream, name, time.Time{}, func(line runs.LogLine) error {
				own = append(own, line)
				return nil
			})
			stream.Close()
			lines = append(lines, lastBytes(own, a.most)...)
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

// lastBytes is the end of a log.
func lastBytes(lines []runs.LogLine, most int64) []runs.LogLine {
	for i := len(lines) - 1; i >= 0; i-- {
		if most -= int64(len(lines[i].Text)) + 1; most < 0 {
			return lines[i+1:]
		}
	}
	return lines
}

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
	return os.Rename(file.Name(), a.file(run))
}

// read visits the kept lines of a run; [runs.ErrUnknownRun] when none are.
func (a *archive) read(run armada.RunID, q runs.LogQuery, visit func(runs.LogLine) error) error {
	if a == nil {
		return fmt.Errorf("logs of run %s: %w", run, runs.ErrUnknownRun)
	}
	file, err := os.Open(a.file(run))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("logs of run %s: %w", run, runs.ErrUnknownRun)
	}
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
		if (q.Container == "" || line.Container == q.Container) && !line.Time.Before(q.Since) {
			lines = append(lines, line)
		}
	}
	return visitAll(lines, q.Tail, visit)
}

// Prune removes kept logs that were written before a time, and then the oldest
// until the rest is no larger than size (0: any size). It tells how many went.
func (r *Runtime) Prune(_ context.Context, before time.Time, size int64) (int, error) {
	if r.archive == nil {
		return 0, nil
	}
	return r.archive.prune(before, size)
}

func (a *archive) prune(before time.Time, size int64) (int, error) {
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		return 0, fmt.Errorf("prune logs: %w", err)
	}
	var files []fs.FileInfo
	var total int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files, total = append(files, info), total+info.Size()
		}
	}
	slices.SortFunc(files, func(x, y fs.FileInfo) int { return x.ModTime().Compare(y.ModTime()) })
	gone := 0
	for _, f := range files {
		if !f.ModTime().Before(before) && (size == 0 || total <= size) {
			break
		}
		if err := os.Remove(filepath.Join(a.dir, f.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return gone, fmt.Errorf("prune logs: %w", err)
		}
		total, gone = total-f.Size(), gone+1
	}
	return gone, nil
}
