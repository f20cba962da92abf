package kubernetes

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/runs"
)

// now is the present of these tests.
var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func ago(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }

func waiting(name, reason string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "so it is"}}}
}

func runningSince(name string, at metav1.Time) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}}}
}

func endedAtWith(name string, at metav1.Time, code int32) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at, FinishedAt: at, ExitCode: code}}}
}

// placed is a pod with an init container, a sidecar and a container, that was given
// its node some time ago.
func placed(since time.Duration, statuses ...corev1.ContainerStatus) *corev1.Pod {
	always := corev1.ContainerRestartPolicyAlways
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "armada-job-0", CreationTimestamp: ago(since)},
		Spec: corev1.PodSpec{
			NodeName: "node", InitContainers: []corev1.Container{{Name: "first"}, {Name: "beside", RestartPolicy: &always}},
			Containers: []corev1.Container{{Name: "main"}},
		},
		Status: corev1.PodStatus{
			Phase:             corev1.PodPending,
			Conditions:        []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: ago(since)}},
			ContainerStatuses: statuses,
		},
	}
}

func withInits(pod *corev1.Pod, statuses ...corev1.ContainerStatus) *corev1.Pod {
	pod.Status.InitContainerStatuses = statuses
	return pod
}

func unscheduled(since time.Duration, why string) *corev1.Pod {
	pod := placed(since)
	pod.Spec.NodeName = ""
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: why, LastTransitionTime: ago(since)}}
	return pod
}

func withDeadline(pod *corev1.Pod, seconds, grace int64, began time.Duration) *corev1.Pod {
	at := ago(began)
	pod.Spec.ActiveDeadlineSeconds, pod.Spec.TerminationGracePeriodSeconds, pod.Status.StartTime = &seconds, &grace, &at
	return pod
}

func deletedWith(pod *corev1.Pod, grace int64, graceOver time.Duration) *corev1.Pod {
	at := ago(graceOver)
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &at, &grace
	return pod
}

func happenedOnce(kind, message string) []corev1.Event {
	return []corev1.Event{{Type: kind, Reason: "Said", Message: message}}
}

// How long each trouble may last by the default config, a second before and a second
// after its end.
func TestPodsAreGivenUpWhenTheirTimeIsOverAndNotBefore(t *testing.T) {
	t.Parallel()
	ready := &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}}
	silentFor := func(d time.Duration, status corev1.ConditionStatus) *corev1.Node {
		return &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: status, LastTransitionTime: ago(d)}}}}
	}
	const minute = time.Minute
	for _, c := range []struct {
		name   string
		bound  time.Duration
		pod    func(d time.Duration) *corev1.Pod
		node   func(d time.Duration) *corev1.Node // nil: ready
		events []corev1.Event
		phase  runs.Phase // 0: deleted by force, without a verdict
		cause  armada.Cause
		back   bool
		force  bool
		says   string
	}{
		{name: "no node", bound: 5 * minute, phase: runs.Failed, back: true, says: "Unschedulable: no room", pod: func(d time.Duration) *corev1.Pod { return unscheduled(d, "no room") }},
		{name: "nothing heard", bound: 5 * minute, phase: runs.Failed, back: true, says: "nothing was heard", pod: func(d time.Duration) *corev1.Pod { return placed(d) }},
		{name: "a bad image name", bound: 0, phase: runs.Failed, says: "container main does not begin: InvalidImageName: so it is", pod: func(d time.Duration) *corev1.Pod { return placed(d, waiting("main", "InvalidImageName")) }},
		{name: "no image", bound: 15 * minute, phase: runs.Failed, back: true, says: "ErrImagePull", pod: func(d time.Duration) *corev1.Pod { return placed(d, waiting("main", "ErrImagePull")) }},
		{name: "no image after waiting", bound: 15 * minute, phase: runs.Failed, back: true, says: "ImagePullBackOff", pod: func(d time.Duration) *corev1.Pod { return placed(d, waiting("main", "ImagePullBackOff")) }},
		{name: "a container that is not made", bound: 15 * minute, phase: runs.Failed, back: true, says: "ContainerCreating", pod: func(d time.Duration) *corev1.Pod { return placed(d, waiting("main", "ContainerCreating")) }},
		{name: "anything else", bound: 5 * minute, phase: runs.Failed, back: true, says: "CreateContainerConfigError", pod: func(d time.Duration) *corev1.Pod { return placed(d, waiting("main", "CreateContainerConfigError")) }},
		{name: "no image of an init container", bound: 15 * minute, phase: runs.Failed, back: true, says: "container first does not begin: ErrImagePull", pod: func(d time.Duration) *corev1.Pod {
			return withInits(placed(d, waiting("main", "PodInitializing")), waiting("first", "ErrImagePull"))
		}},
		{name: "a sidecar that does not stay", bound: 5 * minute, phase: runs.Failed, back: true, says: "container beside does not begin: CrashLoopBackOff", pod: func(d time.Duration) *corev1.Pod {
			return withInits(placed(d, waiting("main", "PodInitializing")), waiting("beside", "CrashLoopBackOff"))
		}},
		{name: "one of two containers", bound: 5 * minute, phase: runs.Failed, back: true, says: "container second does not begin: CreateContainerError", pod: func(d time.Duration) *corev1.Pod {
			pod := placed(d, runningSince("main", ago(d)), waiting("second", "CreateContainerError"))
			pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "second"})
			return pod
		}},
		{name: "an init container that runs", bound: 5 * minute, phase: runs.Failed, back: true, says: "init containers did not end", pod: func(d time.Duration) *corev1.Pod {
			return withInits(placed(d, waiting("main", "PodInitializing")), runningSince("first", ago(d)))
		}},
		{name: "no image once the init containers have ended", bound: 15 * minute, phase: runs.Failed, back: true, says: "ErrImagePull", pod: func(d time.Duration) *corev1.Pod {
			return withInits(placed(d+time.Hour, waiting("main", "ErrImagePull")), endedAtWith("first", ago(d), 0))
		}},
		{name: "an image that cannot be unpacked", bound: 90 * time.Second, phase: runs.Failed, says: "Said: Failed to pull image", events: happenedOnce("Warning", "Failed to pull image x: failed to unpack it"), pod: func(d time.Duration) *corev1.Pod { return placed(d, waiting("main", "ContainerCreating")) }},
		{name: "a warning", bound: 5 * minute, phase: runs.Failed, back: true, says: "Said: no volume", events: happenedOnce("Warning", "no volume"), pod: func(d time.Duration) *corev1.Pod { return placed(d, waiting("main", "ContainerCreating")) }},
		{name: "a warning that is none", bound: 15 * minute, phase: runs.Failed, back: true, says: "ContainerCreating", events: happenedOnce("Warning", "0/3 nodes are available"), pod: func(d time.Duration) *corev1.Pod { return placed(d, waiting("main", "ContainerCreating")) }},
		{name: "an event that is no warning", bound: 15 * minute, phase: runs.Failed, back: true, says: "ContainerCreating", events: happenedOnce("Normal", "no volume"), pod: func(d time.Duration) *corev1.Pod { return placed(d, waiting("main", "ContainerCreating")) }},
		{name: "a deadline that nobody keeps", bound: 10*minute + 20*time.Second + 30*time.Second, phase: runs.Failed, cause: armada.CauseDeadlineExceeded, says: "activeDeadlineSeconds, 600", pod: func(d time.Duration) *corev1.Pod {
			return withDeadline(placed(2*d, runningSince("main", ago(d))), 600, 20, d)
		}},
		{name: "a deletion that does not end", bound: 30 * time.Second, force: true, pod: func(d time.Duration) *corev1.Pod {
			return deletedWith(placed(time.Hour, runningSince("main", ago(minute))), 20, d)
		}},
		{name: "a deletion by force that does not end", bound: minute, phase: runs.Unknown, force: true, says: "deleted by force", pod: func(d time.Duration) *corev1.Pod {
			return deletedWith(placed(time.Hour, runningSince("main", ago(minute))), 0, d)
		}},
		{name: "a node that says nothing", bound: 5 * minute, phase: runs.Unknown, force: true, says: "is silent since", pod: func(time.Duration) *corev1.Pod { return placed(time.Hour, runningSince("main", ago(minute))) }, node: func(d time.Duration) *corev1.Node { return silentFor(d, corev1.ConditionUnknown) }},
		{name: "a node that says it is not ready", bound: 5 * minute, phase: runs.Unknown, force: true, says: "is silent since", pod: func(time.Duration) *corev1.Pod { return placed(time.Hour, runningSince("main", ago(minute))) }, node: func(d time.Duration) *corev1.Node { return silentFor(d, corev1.ConditionFalse) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			config := DefaultConfig()
			at := func(d time.Duration) *cure {
				node := ready
				if c.node != nil {
					node = c.node(d)
				}
				return troubleWith(&config, c.pod(d), node, func() []corev1.Event { return c.events }, now)
			}
			if found := at(c.bound - time.Second); c.bound > 0 && found != nil {
				t.Errorf("a second before its time is over it is given up: %+v", found.verdict)
			}
			found := at(c.bound + time.Second)
			switch {
			case found == nil:
				t.Fatal("it is not given up")
			case (found.grace < 0) != c.force:
				t.Errorf("it is deleted with grace %s", found.grace)
			case c.phase == 0 && found.verdict == nil:
				return
			case c.phase == 0 || found.verdict == nil:
				t.Fatalf("it is told as %+v", found.verdict)
			}
			if v := found.verdict; v.Phase != c.phase || v.GiveBack != c.back || v.Cause != c.cause || !strings.Contains(v.Reason, c.says) {
				t.Errorf("it is told as %+v", v)
			}
		})
	}
}

func TestPodsThatGetOnAreLeftAlone(t *testing.T) {
	t.Parallel()
	ready := &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}}
	warned := happenedOnce("Warning", "unhealthy")
	long := DefaultConfig()
	long.Pending.InitContainers = 0 // no bound
	unbound := DefaultConfig()
	unbound.Pending = PendingChecks{}
	for name, c := range map[string]struct {
		config Config
		pod    *corev1.Pod
	}{
		"it runs, whatever was said of it":                  {DefaultConfig(), placed(time.Hour, runningSince("main", ago(time.Hour)))},
		"it runs, and a sidecar does not stay":              {DefaultConfig(), withInits(placed(time.Hour, runningSince("main", ago(time.Hour))), waiting("beside", "CrashLoopBackOff"))},
		"its init containers may take as long as they like": {long, withInits(placed(time.Hour, waiting("main", "PodInitializing")), runningSince("first", ago(time.Hour)))},
		"its container comes after a long init container":   {long, withInits(placed(time.Hour, waiting("main", "ContainerCreating")), endedAtWith("first", ago(time.Second), 0))},
		"nothing has a bound":                               {unbound, unscheduled(time.Hour, "no room")},
		"nothing heard has no bound":                        {unbound, placed(time.Hour)},
		"its deadline is kept by its node":                  {DefaultConfig(), withDeadline(placed(time.Hour, runningSince("main", ago(time.Minute))), 60, 30, 90*time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if found := troubleWith(&c.config, c.pod, ready, func() []corev1.Event { return warned }, now); found != nil {
				t.Errorf("it is given up: %+v", found.verdict)
			}
		})
	}
}

// The first rule that matches counts, also when its time is not over.
func TestTheFirstRuleThatMatchesCounts(t *testing.T) {
	t.Parallel()
	config := DefaultConfig()
	config.Pending.ContainerStatuses = []ContainerRule{
		{ReasonRegexp: pattern("^Err"), Grace: time.Hour, Action: ActionFail}, {ReasonRegexp: pattern(".*"), Action: ActionRetry},
	}
	config.Pending.Events = []EventRule{{Regexp: pattern("volume"), Grace: time.Hour, Action: ActionFail}, {Regexp: pattern(""), Action: ActionRetry}}
	ready := &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}}
	for _, c := range []struct {
		waits, said string
		back        bool
		found       bool
	}{
		{waits: "ErrImagePull", said: "the volume is not there"},
		{waits: "Other", said: "the volume is not there", found: true, back: true},
		{waits: "ErrImagePull", said: "anything", found: true, back: true},
	} {
		found := troubleWith(&config, placed(time.Minute, waiting("main", c.waits)), ready, func() []corev1.Event { return happenedOnce("Normal", c.said) }, now)
		if (found != nil) != c.found || found != nil && found.verdict.GiveBack != c.back {
			t.Errorf("%s, %s: it is told as %+v", c.waits, c.said, found)
		}
	}
}

// MakeObjects makes what is to be beside a pod, as when it is looked at.
func (r *Runtime) MakeObjects(ctx context.Context, pod *corev1.Pod) error {
	return r.makeObjects(ctx, pod)
}
