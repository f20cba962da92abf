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

// Start makes the pod of an order. While it is not known whether the pod was
// made, it asks again.
func (r *Runtime) Start(ctx context.Context, o runs.Order) error {
	if _, known := r.ledger.Get(o.Run); known {
		return nil
	}
	pod, err := podOf(&r.config, r.executor, &o, r.nodeID(o.Node))
	if err != nil {
		return r.refuse(&o, err)
	}
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		made, err := r.make(ctx, pod, &o, time.Since(began) >= forgetPatience/2)
		switch {
		case err == nil:
			r.note(made)
			return nil
		case errors.Is(err, errNotForgotten) && time.Since(began) < forgetPatience:
			if err := sleep(ctx, pause); err != nil {
				return fmt.Errorf("making pod %s: %w", pod.Name, err)
			}
			continue
		case errors.Is(err, runs.ErrSpent), errors.Is(err, errInTheWay), errors.Is(err, errNotForgotten):
			return err
		case r.fatal(err):
			return r.refuse(&o, err)
		case certain(err):
			return fmt.Errorf("making pod %s: %w", pod.Name, err)
		}
		r.log.Warn("it is not known whether a pod was made; asking again", "run", o.Run, "error", err)
		if err := sleep(ctx, pause); err != nil {
			return fmt.Errorf("making pod %s: %w", pod.Name, err)
		}
	}
}

// How long is waited between attempts.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = 5 * time.Second
	// forgetPatience is for an earlier attempt that has ended: the server knows
	// that, for it has leased the next, but we may be about to forget it only.
	forgetPatience = 5 * time.Second
)

// What is answered when another run's pod has the name.
var (
	errInTheWay     = errors.New("the pod of another attempt of the job is still there")
	errNotForgotten = errors.New("the pod of another attempt of the job has ended and is not forgotten yet")
)

// make makes the pod, or finds that it is there. When it is late, an executor whose
// pod has the name has had its time to make room.
func (r *Runtime) make(ctx context.Context, pod *corev1.Pod, o *runs.Order, late bool) (*corev1.Pod, error) {
	pods := r.clients.of(o.Owner, o.Groups).CoreV1().Pods(pod.Namespace)
	made, err := pods.Create(ctx, pod, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return made, err
	}
	there, err := r.clients.own.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return pods.Create(ctx, pod, metav1.CreateOptions{})
	}
	if err != nil {
		return nil, err
	}
	switch {
	case runOf(there) == o.Run && forgotten(there):
		return nil, fmt.Errorf("run %s: %w", o.Run, runs.ErrSpent)
	case runOf(there) == o.Run:
		return there, nil
	case !over(there):
		return nil, fmt.Errorf("pod %s of run %q: %w", there.Name, runOf(there), errInTheWay)
	case there.Labels[LabelExecutor] != string(r.executor):
		if err := r.takeName(ctx, there, o.Run, late); err != nil {
			return nil, err
		}
	case !forgotten(there):
		return nil, fmt.Errorf("pod %s of run %q: %w", there.Name, runOf(there), errNotForgotten)
	default: // its name is needed, and its logs are kept before it goes
		if err := r.remove(ctx, there); err != nil {
			return nil, err
		}
	}
	if err := r.gone(ctx, there); err != nil {
		return nil, err
	}
	return pods.Create(ctx, pod, metav1.CreateOptions{})
}

// note puts a pod that was just made into what is known.
func (r *Runtime) note(pod *corev1.Pod) {
	run := runOf(pod)
	r.mu.Lock()
	delete(r.dropped, run)
	if r.caches.pod(run) == nil {
		r.made[run] = pod
	}
	r.mu.Unlock()
	if _, known := r.ledger.Get(run); !known {
		r.ledger.Put(statusOf(pod, time.Now()))
	}
	r.queue.Add(run)
}

// refuse ends a run whose pod can never be made.
func (r *Runtime) refuse(o *runs.Order, why error) error {
	now := time.Now()
	r.ledger.Put(runs.Status{
		Run: o.Run, Job: o.Job, Queue: o.Queue, JobSet: o.JobSet, Node: o.Node, Phase: runs.Failed, Pending: now, Ended: now,
		Pod: armada.Pod{Name: podName(o.Job), Namespace: o.Namespace},
		End: armada.RunEnd{
			Reason:   "the pod could not be made: " + why.Error(),
			Category: armada.CategoryInternal, Subcategory: armada.SubcategoryCreateFailed,
		},
	})
	return nil
}

// fatal tells whether an error says that the pod can never be made.
func (r *Runtime) fatal(err error) bool {
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) || apierrors.IsRequestEntityTooLargeError(err) {
		return true
	}
	for _, p := range r.config.FatalSubmissionErrors {
		if p.MatchString(err.Error()) {
			return true
		}
	}
	return false
}

// certain tells whether an error says that nothing was made.
func certain(err error) bool {
	reason := apierrors.ReasonForError(err)
	return reason != metav1.StatusReasonUnknown && reason != metav1.StatusReasonTimeout && reason != metav1.StatusReasonInternalError &&
		reason != metav1.StatusReasonServerTimeout && reason != metav1.StatusReasonServiceUnavailable && reason != metav1.StatusReasonTooManyRequests &&
		reason != metav1.StatusReasonAlreadyExists
}

// nodeID is what a node says under the label that pods select it by.
func (r *Runtime) nodeID(name string) string {
	if n := r.caches.node(name); n != nil {
		return n.Labels[r.config.NodeIDLabel]
	}
	return ""
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
		err := r.patch(ctx, pod, map[string]any{"metadata": map[string]any{
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
		err := r.patch(ctx, pod, map[string]any{"metadata": map[string]any{
			"uid":                                 pod.UID,
			"annotations":                         map[string]string{AnnotationForgotten: time.Now().UTC().Format(time.RFC3339)},
			"$deleteFromPrimitiveList/finalizers": []string{Finalizer},
		}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("forget run %s: %w", run, err)
		}
		if err == nil && r.config.keptFor(pod) == 0 {
			if err := r.remove(ctx, pod); err != nil { // the keeper tries again
				r.log.Warn("a forgotten pod could not be removed yet", "run", run, "error", err)
			}
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
