package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs"
)

// maxLine is the longest piece of a line that is told.
const maxLine = 64 << 10

// Logs reads from the node of the run's pod, and from what was kept when the pod
// is gone. Lines of several containers are in the order of their times, or with
// Follow as they come. Kubernetes does not tell stdout and stderr apart.
func (r *Runtime) Logs(ctx context.Context, run armada.RunID, q runs.LogQuery, visit func(runs.LogLine) error) error {
	pod := r.pod(run)
	if pod == nil || forgotten(pod) && r.archive.has(ctx, run) { // it goes, or the cache does not know yet that it went
		return r.archive.read(ctx, run, q, visit)
	}
	if q.Follow && !q.Previous {
		return r.followLogs(ctx, pod, q, visit)
	}
	lines, err := r.lines(ctx, pod, q)
	if err != nil {
		return fmt.Errorf("logs of run %s: %w", run, err)
	}
	return visitAll(lines, q.Tail, visit)
}

// visitAll visits the last lines of a list, all when tail is 0.
func visitAll(lines []runs.LogLine, tail int64, visit func(runs.LogLine) error) error {
	if tail > 0 && int64(len(lines)) > tail {
		lines = lines[int64(len(lines))-tail:]
	}
	for _, line := range lines {
		if err := visit(line); err != nil {
			return err
		}
	}
	return nil
}

// lines reads what there is of a pod's logs, in the order of time.
func (r *Runtime) lines(ctx context.Context, pod *corev1.Pod, q runs.LogQuery) ([]runs.LogLine, error) {
	var all []runs.LogLine
	for _, name := range containersNamed(pod, q.Container) {
		err := r.container(ctx, pod, name, q, func(line runs.LogLine) error {
			all = append(all, line)
			return nil
		})
		if err != nil && !notBegun(err) {
			return nil, err
		}
	}
	sortByTime(all)
	return all, nil
}

// sortByTime puts the lines of several containers in order.
func sortByTime(lines []runs.LogLine) {
	slices.SortStableFunc(lines, func(a, b runs.LogLine) int { return a.Time.Compare(b.Time) })
}

// containersNamed lists the containers of a pod that a query asks for, in the
// order of their beginning.
func containersNamed(pod *corev1.Pod, name string) []string {
	var list []string
	for _, containers := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			if name == "" || containers[i].Name == name {
				list = append(list, containers[i].Name)
			}
		}
	}
	return list
}

// notBegun tells whether a container has no log because it has not begun, or will
// never.
func notBegun(err error) bool { return apierrors.IsBadRequest(err) || apierrors.IsNotFound(err) }

// followLogs follows each container from its beginning to its end.
func (r *Runtime) followLogs(ctx context.Context, pod *corev1.Pod, q runs.LogQuery, visit func(runs.LogLine) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	lines := make(chan runs.LogLine)
	var reading sync.WaitGroup
	for _, name := range containersNamed(pod, q.Container) {
		reading.Go(func() {
			if err := r.followContainer(ctx, pod, name, q, lines); err != nil {
				cancel(err)
			}
		})
	}
	go func() {
		reading.Wait()
		close(lines)
	}()
	for line := range lines {
		if err := visit(line); err != nil {
			cancel(err)
			for range lines { // until all have noticed
			}
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("follow the logs of run %s: %w", runOf(pod), err)
	}
	select {
	case <-r.ledger.Over(runOf(pod)):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("follow the logs of run %s: %w", runOf(pod), context.Cause(ctx))
	}
}

// followContainer sends the lines of a container until it has ended, or its run
// has without it. A log that ends before is read on from its last line: a pod
// without a node has an empty one, and connections are cut.
func (r *Runtime) followContainer(ctx context.Context, pod *corev1.Pod, name string, q runs.LogQuery, lines chan<- runs.LogLine) error {
	over := r.ledger.Over(runOf(pod))
	var last time.Time
	for pause := firstPause; ; pause = min(2*pause, time.Second) {
		ended := r.containerEnded(runOf(pod), name)
		from := last
		if !from.IsZero() {
			q.Since, q.Tail = from, 0
		}
		err := r.container(ctx, pod, name, q, func(line runs.LogLine) error {
			if !from.IsZero() && !line.Time.After(from) {
				return nil
			}
			select {
			case lines <- line:
				last, pause = line.Time, firstPause
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		if ctx.Err() != nil {
			return nil
		}
		if ended || apierrors.IsForbidden(err) {
			if err != nil && !notBegun(err) {
				return err
			}
			return nil
		}
		select {
		case <-over: // whatever it still had to say is read once more
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// containerEnded tells whether nothing more can come from a container.
func (r *Runtime) containerEnded(run armada.RunID, name string) bool {
	if s, known := r.ledger.Get(run); !known || s.Phase.Ended() {
		return true
	}
	pod := r.pod(run)
	if pod == nil {
		return true
	}
	for _, s := range allStatuses(pod) {
		if s.Name == name {
			return s.State.Terminated != nil
		}
	}
	return false
}

// container reads the log of one container.
func (r *Runtime) container(ctx context.Context, pod *corev1.Pod, name string, q runs.LogQuery, visit func(runs.LogLine) error) error {
	options := &corev1.PodLogOptions{Container: name, Follow: q.Follow && !q.Previous, Previous: q.Previous, Timestamps: true}
	if q.Tail > 0 {
		options.TailLines = &q.Tail
	}
	if !q.Since.IsZero() {
		since := metav1.NewTime(q.Since)
		options.SinceTime = &since
	}
	stream, err := r.clients.own.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).Stream(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	return readLines(stream, name, q.Since, visit)
}

// lostLog is how a kubelet tells, in the place of a log and without a time, that it
// has removed it: that of a sidecar's life before the latest, when that has ended.
var lostLog = []byte("unable to retrieve container logs for ")

// readLines reads lines that begin with their time, as Kubernetes writes them.
// Longer ones than maxLine come in pieces.
func readLines(from io.Reader, container string, since time.Time, visit func(runs.LogLine) error) error {
	reader := bufio.NewReaderSize(from, maxLine+64)
	var at time.Time
	for begins := true; ; {
		piece, err := reader.ReadSlice('\n')
		whole := err == nil
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return err
		}
		if len(piece) > 0 {
			text := bytes.TrimSuffix(piece, []byte("\n"))
			if begins {
				at, text = splitTime(text)
			}
			if !at.Before(since) && (!at.IsZero() || !bytes.HasPrefix(text, lostLog)) {
				if err := visit(runs.LogLine{Time: at, Container: container, Text: bytes.Clone(text)}); err != nil {
					return err
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		begins = whole
	}
}

// splitTime takes the time off the beginning of a line.
func splitTime(line []byte) (time.Time, []byte) {
	first, rest, found := bytes.Cut(line, []byte(" "))
	at, err := time.Parse(time.RFC3339Nano, string(first))
	if err != nil {
		return time.Time{}, line
	}
	if !found {
		return at, nil
	}
	return at, rest
}
