package kubernetes

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs"
)

// Subcategories of failures that this runtime finds.
const (
	subcategoryDeleted     = "externally-deleted"
	subcategoryTerminating = "stuck-terminating"
	subcategoryStartingUp  = "stuck-starting-up"
	subcategoryNodeLost    = "node-lost"
	subcategoryMissing     = "pod-missing"
)

// statusOf tells the status of a run from its pod. Kubernetes writes times in
// whole seconds; seen, the present time, makes them as exact as they can be.
func statusOf(pod *corev1.Pod, seen time.Time) runs.Status {
	s := runs.Status{
		Run: runOf(pod), Job: armada.JobID(pod.Labels[LabelJob]), Queue: pod.Labels[LabelQueue],
		JobSet: armada.JobSet(pod.Annotations[AnnotationJobSet]), Node: pod.Spec.NodeName,
		Pod:     armada.Pod{Name: pod.Name, Namespace: pod.Namespace, KubernetesID: string(pod.UID)},
		Phase:   runs.Pending,
		Pending: exact(pod.CreationTimestamp, seen),
	}
	if running(pod) || started(pod) && over(pod) {
		s.Phase, s.Running = runs.Running, later(exact(firstStart(pod), seen), s.Pending)
	}
	v := verdictOn(pod)
	if !over(pod) {
		s.Stopping = v != nil && v.Phase == runs.Stopped
		if s.Phase == runs.Pending && pod.DeletionTimestamp == nil {
			s.Stuck = stuck(pod)
		}
		return s
	}
	s.Ended = later(later(exact(lastEnd(pod), seen), s.Running), s.Pending)
	s.Phase, s.End, s.GiveBack = outcome(pod, v)
	return s
}

// over tells whether a pod has ended: its phase says so, or it was deleted before
// it had a node, or it was deleted and all its containers have ended.
func over(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return true
	}
	if v := verdictOn(pod); v != nil && v.Phase == runs.Unknown {
		return true // given up
	}
	if pod.DeletionTimestamp == nil {
		return false
	}
	if pod.Spec.NodeName == "" {
		return true
	}
	if len(pod.Status.ContainerStatuses) < len(pod.Spec.Containers) {
		return false
	}
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].State.Terminated == nil {
			return false
		}
	}
	return true
}

// outcome tells how a pod that is over has ended: as its containers say if they
// all succeeded or if one failed before the verdict; otherwise as the verdict
// says, or what the cluster did to it.
func outcome(pod *corev1.Pod, v *verdict) (runs.Phase, armada.RunEnd, bool) {
	end := armada.RunEnd{Containers: containersOf(pod)}
	succeeded := pod.Status.Phase == corev1.PodSucceeded || allSucceeded(pod) && !endedByKubelet(pod)
	failure := firstFailure(pod)
	asked, deleted := deletionAsked(pod)
	own := failure != nil && (v == nil || endedBefore(failure, v.At.Truncate(time.Second))) &&
		(!deleted || v != nil || endedBefore(failure, asked))
	switch {
	case succeeded:
		return runs.Succeeded, end, false
	case v != nil && !own:
		end.Reason, end.Cause, end.Category, end.Subcategory = v.Reason, v.Cause, v.Category, v.Subcategory
		return v.Phase, end, v.GiveBack
	}
	if evicted(pod) {
		end.Cause, end.Reason = armada.CauseEvicted, cmp.Or(pod.Status.Message, disruption(pod), "the pod was evicted")
		return runs.Failed, end, false
	}
	switch reason := pod.Status.Reason; {
	case reason == "DeadlineExceeded":
		end.Cause, end.Reason = armada.CauseDeadlineExceeded, cmp.Or(pod.Status.Message, "the job ran longer than its activeDeadlineSeconds")
	case refusedByNode(pod):
		end.Reason = "the node refused the pod: " + words(reason, pod.Status.Message)
		return runs.Failed, end, true
	case deleted && !own:
		end.Reason = "the pod was deleted by somebody else"
		end.Category, end.Subcategory = armada.CategoryInternal, subcategoryDeleted
	case failure != nil:
		end.Reason = failureText(pod)
		for _, c := range end.Containers {
			if c.Cause == armada.CauseOutOfMemory {
				end.Cause = armada.CauseOutOfMemory
			}
		}
	case unseen(pod):
		end.Reason = "the end of the pod was seen by nobody: " + words(reason, cmp.Or(pod.Status.Message, disruption(pod)))
		end.Category, end.Subcategory = armada.CategoryInternal, armada.SubcategoryOutcomeUnknown
		return runs.Unknown, end, false
	default:
		end.Reason = "the pod failed: " + words(reason, cmp.Or(pod.Status.Message, disruption(pod), "Kubernetes says nothing of why"))
	}
	return runs.Failed, end, false
}

// deletionAsked is when the pod was deleted: the cluster writes down when its grace
// ends.
func deletionAsked(pod *corev1.Pod) (time.Time, bool) {
	if pod.DeletionTimestamp == nil {
		return time.Time{}, false
	}
	var grace time.Duration
	if s := pod.DeletionGracePeriodSeconds; s != nil {
		grace = time.Duration(*s) * time.Second
	}
	return pod.DeletionTimestamp.Add(-grace), true
}

// words joins what there is of a reason and a message.
func words(reason, message string) string {
	switch {
	case reason == "":
		return message
	case message == "":
		return reason
	}
	return reason + ": " + message
}

// refusedByNode tells whether the pod was refused by its node before anything
// ran, because the node is not what the scheduler thought it was.
func refusedByNode(pod *corev1.Pod) bool {
	reason := pod.Status.Reason
	refused := strings.HasPrefix(reason, "OutOf") || reason == "NodeAffinity" || reason == "NodeShutdown" || reason == "NodeName" ||
		reason == "UnexpectedAdmissionError" || reason == "TaintToleration" || reason == "NodeUnschedulable"
	return refused && !started(pod)
}

// evicted tells whether the cluster took the pod's place away.
func evicted(pod *corev1.Pod) bool {
	if pod.Status.Reason == "Evicted" || pod.Status.Reason == "Preempting" {
		return true
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue && c.Reason != "DeletionByPodGC" {
			return true
		}
	}
	return false
}

// disruption is what the cluster says of having ended the pod.
func disruption(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return words(c.Reason, c.Message)
		}
	}
	return ""
}

// unseen tells whether a pod is called failed although some container of it was
// last seen running: its node is gone.
func unseen(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].State.Running != nil {
			return true
		}
	}
	return false
}

// allSucceeded tells whether every container ended with exit code 0.
func allSucceeded(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		if t := pod.Status.ContainerStatuses[i].State.Terminated; t == nil || t.ExitCode != 0 {
			return false
		}
	}
	return len(pod.Status.ContainerStatuses) > 0 && len(pod.Status.ContainerStatuses) == len(pod.Spec.Containers)
}

// endedByKubelet tells whether the kubelet calls a pod failed for a reason of its
// own, such as a deadline, whatever its containers ended with when they were told to.
func endedByKubelet(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodFailed && pod.Status.Reason != ""
}

// endedBefore tells whether a container is known to have ended before a time. That
// of an end which the kubelet made up is not known.
func endedBefore(t *corev1.ContainerStateTerminated, at time.Time) bool {
	return !t.FinishedAt.IsZero() && t.FinishedAt.Time.Before(at)
}

// madeUp tells whether the kubelet saw no end of a container: it writes one down for
// those of pods that were deleted before they began.
func madeUp(t *corev1.ContainerStateTerminated) bool {
	return t.Reason == "ContainerStatusUnknown" && t.FinishedAt.IsZero()
}

// firstFailure is the end of the container that failed first; nil when none did.
// A sidecar's end is no failure: it ends because the others have.
func firstFailure(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	var first *corev1.ContainerStateTerminated
	for _, status := range append(initStatuses(pod), pod.Status.ContainerStatuses...) {
		t := status.State.Terminated
		if t != nil && t.ExitCode != 0 && (first == nil || t.FinishedAt.Before(&first.FinishedAt)) {
			first = t
		}
	}
	return first
}

// allStatuses are those of the containers in the order of their beginning.
func allStatuses(pod *corev1.Pod) []corev1.ContainerStatus {
	return slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses)
}

// initStatuses are those of the init containers that are not sidecars.
func initStatuses(pod *corev1.Pod) []corev1.ContainerStatus {
	sidecars := map[string]bool{}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		sidecars[c.Name] = c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	}
	statuses := make([]corev1.ContainerStatus, 0, len(pod.Status.InitContainerStatuses))
	for _, s := range pod.Status.InitContainerStatuses {
		if !sidecars[s.Name] {
			statuses = append(statuses, s)
		}
	}
	return statuses
}

// containersOf tells how the containers were seen to end: those of the pod, and
// init containers that failed.
func containersOf(pod *corev1.Pod) []armada.ContainerEnd {
	var ends []armada.ContainerEnd
	add := func(s *corev1.ContainerStatus) {
		t := s.State.Terminated
		end := armada.ContainerEnd{Name: s.Name, ExitCode: t.ExitCode, Reason: t.Reason, Message: t.Message}
		if t.Reason == "OOMKilled" {
			end.Cause = armada.CauseOutOfMemory
		}
		ends = append(ends, end)
	}
	for _, s := range initStatuses(pod) {
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 && !madeUp(t) {
			add(&s)
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if t := pod.Status.ContainerStatuses[i].State.Terminated; t != nil && !madeUp(t) {
			add(&pod.Status.ContainerStatuses[i])
		}
	}
	return ends
}

// failureText says in one sentence for each container that failed how it did.
func failureText(pod *corev1.Pod) string {
	var text []string
	add := func(kind string, statuses []corev1.ContainerStatus) {
		for i := range statuses {
			t := statuses[i].State.Terminated
			if t == nil || t.ExitCode == 0 {
				continue
			}
			sentence := fmt.Sprintf("%s %s ended with exit code %d", kind, statuses[i].Name, t.ExitCode)
			if t.Reason != "" && t.Reason != "Error" {
				sentence += " (" + t.Reason + ")"
			}
			if message := strings.TrimSpace(t.Message); message != "" {
				sentence += ": " + message
			}
			text = append(text, sentence)
		}
	}
	add("init container", initStatuses(pod))
	add("container", pod.Status.ContainerStatuses)
	return strings.Join(text, "; ")
}

// started tells whether a container that is no init container has begun.
func started(pod *corev1.Pod) bool {
	first := firstStart(pod)
	return !first.IsZero()
}

// running tells whether all containers that are no init containers have begun. One
// whose image cannot be pulled does not begin although another runs.
func running(pod *corev1.Pod) bool {
	for i := range pod.Status.ContainerStatuses {
		if state := &pod.Status.ContainerStatuses[i].State; state.Running == nil && state.Terminated == nil {
			return false
		}
	}
	return started(pod) && len(pod.Status.ContainerStatuses) >= len(pod.Spec.Containers)
}

// firstStart is when a container that is no init container began; zero when none
// has.
func firstStart(pod *corev1.Pod) metav1.Time {
	var first metav1.Time
	for i := range pod.Status.ContainerStatuses {
		state := &pod.Status.ContainerStatuses[i].State
		var at metav1.Time
		switch {
		case state.Running != nil:
			at = state.Running.StartedAt
		case state.Terminated != nil && state.Terminated.ExitCode != 128: // 128: it could not be started
			at = state.Terminated.StartedAt
		}
		if !at.IsZero() && (first.IsZero() || at.Before(&first)) {
			first = at
		}
	}
	return first
}

// lastEnd is when the pod's last container ended, or the pod was deleted.
func lastEnd(pod *corev1.Pod) metav1.Time {
	var last metav1.Time
	for _, s := range allStatuses(pod) {
		if t := s.State.Terminated; t != nil && last.Before(&t.FinishedAt) {
			last = t.FinishedAt
		}
	}
	if last.IsZero() && pod.DeletionTimestamp != nil {
		return *pod.DeletionTimestamp
	}
	return last
}

// exact is a time that Kubernetes wrote, without its fraction of a second, as
// seen: the true time is within the second that follows, and not after seen. The
// zero value is seen itself.
func exact(written metav1.Time, seen time.Time) time.Time {
	if end := written.Add(time.Second); !written.IsZero() && end.Before(seen) {
		return end
	}
	return seen
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
