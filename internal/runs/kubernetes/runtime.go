package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"

	"armada"
	"armada/internal/podspec"
	"armada/internal/runs"
)

// ErrClosed is answered after Close.
var ErrClosed = errors.New("the Kubernetes runtime is closed")

// Runtime runs pods in a cluster. It is a [runs.Runtime]; make it with [Open].
type Runtime struct {
	config   Config
	executor armada.ExecutorID
	pool     string
	table    armada.ResourceTable
	reserved armada.Resources
	log      *slog.Logger

	clients *clients
	caches  *caches
	archive *archive
	ledger  *runs.Ledger
	queue   workqueue.TypedRateLimitingInterface[armada.RunID]

	mu   sync.Mutex
	made map[armada.RunID]*corev1.Pod // pods made here that the cache does not have yet
	// dropped are runs that were forgotten here: the cache may still have their
	// pods as they were before.
	dropped map[armada.RunID]bool
	reached map[armada.RunID]map[uint32]string // addresses of the runs' objects

	stop    context.CancelCauseFunc
	stopped sync.WaitGroup
}

var _ runs.Runtime = (*Runtime)(nil)

// Place is what a runtime is told beside its config.
type Place struct {
	Executor armada.ExecutorID
	Pool     string // of nodes that name none
	Table    armada.ResourceTable
	Dir      string // where logs of pods that are gone are kept; nowhere when empty
	Log      *slog.Logger
}

// syncPatience is how long Open waits for the cluster.
const syncPatience = time.Minute

// Open connects to the cluster and adopts the runs whose pods are there. When it
// returns, Statuses tells of every run. It fails when the cluster cannot be read.
func Open(ctx context.Context, config Config, at Place) (*Runtime, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	clients, err := connect(&config)
	if err != nil {
		return nil, err
	}
	reserved, err := parseAmounts(config.ReservedPerNode, at.Table)
	if err != nil {
		return nil, fmt.Errorf("reservedPerNode: %w", err)
	}
	caches, err := newCaches(clients.own, at.Executor, config.NodeSelector)
	if err != nil {
		return nil, err
	}
	archive, err := openArchive(&config, &at)
	if err != nil {
		return nil, err
	}
	r := &Runtime{
		config: config, executor: at.Executor, pool: at.Pool, table: at.Table, reserved: reserved, log: at.Log,
		clients: clients, caches: caches, archive: archive, ledger: runs.NewLedger(),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[armada.RunID]()),
		made:  map[armada.RunID]*corev1.Pod{}, dropped: map[armada.RunID]bool{}, reached: map[armada.RunID]map[uint32]string{},
	}
	if err := r.follow(); err != nil {
		return nil, err
	}
	var life context.Context
	life, r.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	r.stopped.Go(func() { caches.run(life) })
	syncing, cancel := context.WithTimeout(ctx, syncPatience)
	defer cancel()
	if err := caches.sync(syncing); err != nil {
		return nil, errors.Join(fmt.Errorf("connecting to %s: %w", clients.host, err), r.Close())
	}
	for _, pod := range caches.pods() {
		if !forgotten(pod) {
			r.ledger.Put(statusOf(pod, time.Now()))
		}
	}
	for range lookers {
		r.stopped.Go(func() { r.lookAtRuns(life) })
	}
	r.stopped.Go(func() { every(life, troubleInterval, r.lookForTrouble) })
	r.stopped.Go(func() { every(life, keepInterval, r.removeOldPods) })
	if archive != nil && archive.shelf != nil {
		r.stopped.Go(func() { archive.keepShipping(life) })
	}
	return r, nil
}

func parseAmounts(texts map[string]string, table armada.ResourceTable) (armada.Resources, error) {
	var amounts armada.Resources
	for name, text := range texts {
		i, counted := table.Index(name)
		if !counted {
			continue
		}
		amount, err := podspec.ParseQuantity(text, table.At(i), true)
		if err != nil {
			return amounts, fmt.Errorf("%s: %w", name, err)
		}
		amounts[i] = amount
	}
	return amounts, nil
}

// Close stops following the cluster. Pods go on.
func (r *Runtime) Close() error {
	r.stop(ErrClosed)
	r.queue.ShutDown()
	r.stopped.Wait()
	return nil
}

// pod returns the pod of a run, as the cache has it or as it was made.
func (r *Runtime) pod(run armada.RunID) *corev1.Pod {
	if pod := r.caches.pod(run); pod != nil {
		return pod
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.made[run]
}

// Stop writes down that the run was stopped and deletes its pod. Kubernetes
// counts grace in seconds; fractions are rounded up.
func (r *Runtime) Stop(ctx context.Context, run armada.RunID, grace time.Duration) error {
	s, known := r.ledger.Get(run)
	if !known {
		return fmt.Errorf("stop run %s: %w", run, runs.ErrUnknownRun)
	}
	pod := r.pod(run)
	if s.Phase.Ended() || pod == nil {
		return nil
	}
	v := verdict{At: time.Now(), Phase: runs.Stopped, Reason: "stopped"}
	if err := r.condemn(ctx, pod, &v, grace); err != nil {
		return fmt.Errorf("stop run %s: %w", run, err)
	}
	return nil
}

// condemn writes a verdict, unless it is nil or the pod has one, and deletes the
// pod.
func (r *Runtime) condemn(ctx context.Context, pod *corev1.Pod, v *verdict, grace time.Duration) error {
	had := verdictOn(pod)
	if v != nil && (had == nil || v.Phase == runs.Unknown && had.Phase != runs.Unknown) {
		_, err := r.patch(ctx, pod, map[string]any{"metadata": map[string]any{
			"uid": pod.UID, "annotations": map[string]string{AnnotationVerdict: v.text()},
		}})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	options := metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
	switch {
	case grace < 0:
		options.GracePeriodSeconds = new(int64)
	case grace > 0:
		seconds := int64((grace + time.Second - 1) / time.Second)
		options.GracePeriodSeconds = &seconds
	}
	err := r.clients.own.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil // it is gone already
	}
	return err
}

// Forget lets the pod of an ended run go: from now on it is kept for its logs
// only, and not at all when such pods are not to be kept.
func (r *Runtime) Forget(ctx context.Context, run armada.RunID) error {
	s, known := r.ledger.Get(run)
	if !known {
		return nil
	}
	if !s.Phase.Ended() {
		return fmt.Errorf("forget run %s: it has not ended", run)
	}
	if pod := r.pod(run); pod != nil {
		r.mu.Lock()
		r.dropped[run] = true
		r.mu.Unlock()
		if err := r.letGo(ctx, pod); err != nil {
			return fmt.Errorf("forget run %s: %w", run, err)
		}
	}
	r.ledger.Drop(run)
	r.mu.Lock()
	delete(r.reached, run)
	r.mu.Unlock()
	return nil
}

// Statuses returns every run that is known.
func (r *Runtime) Statuses(context.Context) ([]runs.Status, error) { return r.ledger.Statuses(), nil }

// Changed is as promised by [runs.Changer].
func (r *Runtime) Changed(after runs.Cursor) ([]runs.Status, runs.Cursor) {
	return r.ledger.Changed(after)
}

// Updates receives when Statuses or Nodes may answer differently.
func (r *Runtime) Updates() <-chan struct{} { return r.ledger.Updates() }
