package kubernetes

import (
	"cmp"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"armada"
	"armada/internal/runs"
)

// cure is what is to be done with a pod that does not get on.
type cure struct {
	verdict *verdict // nil: its verdict stands
	grace   time.Duration
}

// byForce is the grace of a deletion that does not ask.
const byForce = -time.Second

// troubleWith tells what is to be done with a pod that has not ended; nil when it
// gets on. node is nil when its node is gone. events is called when they matter.
func troubleWith(c *Config, pod *corev1.Pod, node *corev1.Node, events func() []corev1.Event, now time.Time) *cure {
	if found := nodeTrouble(c, pod, node, now); found != nil {
		return found
	}
	if pod.DeletionTimestamp != nil {
		return endTrouble(c, pod, now)
	}
	if found := runTrouble(c, pod, now); found != nil || running(pod) {
		return found
	}
	return startTrouble(c, pod, events, now)
}

// nodeTrouble gives up the runs of nodes that are gone or silent for long: nobody
// will tell how they ended.
func nodeTrouble(c *Config, pod *corev1.Pod, node *corev1.Node, now time.Time) *cure {
	if pod.Spec.NodeName == "" {
		return nil
	}
	why := ""
	if node == nil {
		why = fmt.Sprintf("node %s is gone", pod.Spec.NodeName)
	} else if since, quiet := silent(node); quiet && now.Sub(since) > c.NodeLost {
		why = fmt.Sprintf("node %s is silent since %s", pod.Spec.NodeName, since.UTC().Format(time.RFC3339))
	}
	if why == "" {
		return nil
	}
	return &cure{grace: byForce, verdict: &verdict{At: now, Phase: runs.Unknown, Reason: why, Category: armada.CategoryInternal, Subcategory: subcategoryNodeLost}}
}

// endTrouble ends by force what was deleted and does not go, and gives it up when
// that does not help.
func endTrouble(c *Config, pod *corev1.Pod, now time.Time) *cure {
	late := now.Sub(pod.DeletionTimestamp.Time) // the end of the grace period
	forced := pod.DeletionGracePeriodSeconds != nil && *pod.DeletionGracePeriodSeconds == 0
	switch {
	case forced && late > 2*c.StuckTerminating:
		return &cure{grace: byForce, verdict: &verdict{
			At: now, Phase: runs.Unknown, Category: armada.CategoryInternal, Subcategory: subcategoryTerminating,
			Reason: "the pod was deleted by force, and its node does not say that it ended",
		}}
	case !forced && late > c.StuckTerminating:
		return &cure{grace: byForce}
	}
	return nil
}

// runTrouble ends what runs on past its deadline although its node should have
// ended it.
func runTrouble(c *Config, pod *corev1.Pod, now time.Time) *cure {
	if pod.Spec.ActiveDeadlineSeconds == nil || pod.Status.StartTime == nil {
		return nil
	}
	deadline := time.Duration(*pod.Spec.ActiveDeadlineSeconds) * time.Second
	var grace time.Duration
	if pod.Spec.TerminationGracePeriodSeconds != nil {
		grace = time.Duration(*pod.Spec.TerminationGracePeriodSeconds) * time.Second
	}
	if now.Sub(pod.Status.StartTime.Time) <= deadline+grace+c.StuckTerminating {
		return nil
	}
	return &cure{verdict: &verdict{
		At: now, Phase: runs.Failed, Cause: armada.CauseDeadlineExceeded,
		Reason: fmt.Sprintf("the job ran longer than its activeDeadlineSeconds, %d", *pod.Spec.ActiveDeadlineSeconds),
	}}
}

// startTrouble finds pods that do not begin.
func startTrouble(c *Config, pod *corev1.Pod, events func() []corev1.Event, now time.Time) *cure {
	age := now.Sub(pod.CreationTimestamp.Time)
	scheduled, placed := scheduledAt(pod)
	if !placed {
		if exceeds(age, c.Pending.NodeAssignment) {
			return giveUp(ActionRetry, now, "the cluster did not place the pod on its node: "+cmp.Or(unplaced(pod), "its scheduler says nothing of why"))
		}
		return nil
	}
	waited := now.Sub(later(scheduled, initsEnded(pod)))
	initialising := initRuns(pod)
	for _, status := range allStatuses(pod) {
		w := status.State.Waiting
		if w == nil || w.Reason == "" || initialising && w.Reason == reasonInitialising {
			continue
		}
		for _, rule := range c.Pending.ContainerStatuses {
			if !rule.ReasonRegexp.MatchString(w.Reason) {
				continue
			}
			if waited > rule.Grace {
				return giveUp(rule.Action, now, notBegins(&status))
			}
			break
		}
	}
	if initialising {
		if exceeds(now.Sub(scheduled), c.Pending.InitContainers) {
			return giveUp(ActionRetry, now, "the init containers did not end in time")
		}
		return nil
	}
	if found := eventTrouble(c, events, waited, now); found != nil {
		return found
	}
	if len(pod.Status.ContainerStatuses) == 0 && exceeds(waited, c.Pending.Deadline) {
		return giveUp(ActionRetry, now, fmt.Sprintf("nothing was heard of the pod since it was placed on node %s", pod.Spec.NodeName))
	}
	return nil
}

// stuck says why a pod does not begin, as far as the cluster tells; empty when it
// gets on.
func stuck(pod *corev1.Pod) string {
	if _, placed := scheduledAt(pod); !placed {
		if why := unplaced(pod); why != "" {
			return "the cluster does not place the pod on its node: " + why
		}
		return ""
	}
	for _, status := range allStatuses(pod) {
		w := status.State.Waiting
		if w != nil && w.Reason != "" && w.Reason != "ContainerCreating" && w.Reason != reasonInitialising {
			return notBegins(&status)
		}
	}
	return ""
}

// notBegins says of a container that waits why it does.
func notBegins(s *corev1.ContainerStatus) string {
	return fmt.Sprintf("container %s does not begin: %s", s.Name, words(s.State.Waiting.Reason, s.State.Waiting.Message))
}

func eventTrouble(c *Config, events func() []corev1.Event, waited time.Duration, now time.Time) *cure {
	var soonest time.Duration = -1
	for _, rule := range c.Pending.Events {
		if soonest < 0 || rule.Grace < soonest {
			soonest = rule.Grace
		}
	}
	if soonest < 0 || waited <= soonest {
		return nil
	}
	for _, e := range events() {
		for _, rule := range c.Pending.Events {
			if rule.Type != "" && rule.Type != e.Type || rule.Regexp.MatchString(e.Message) == rule.Inverse {
				continue
			}
			if waited > rule.Grace {
				return giveUp(rule.Action, now, "the pod does not begin: "+words(e.Reason, e.Message))
			}
			break
		}
	}
	return nil
}

// giveUp is the cure for a pod that does not begin.
func giveUp(action Action, now time.Time, why string) *cure {
	v := &verdict{At: now, Phase: runs.Failed, Reason: why, Category: armada.CategoryInternal, Subcategory: subcategoryStartingUp}
	v.GiveBack = action == ActionRetry
	return &cure{verdict: v}
}

// exceeds tells whether a time is past a bound; 0 is no bound.
func exceeds(d, bound time.Duration) bool { return bound > 0 && d > bound }

// scheduledAt is when the pod was given its node.
func scheduledAt(pod *corev1.Pod) (time.Time, bool) {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time, true
		}
	}
	return pod.CreationTimestamp.Time, pod.Spec.NodeName != ""
}

// unplaced is why the cluster's scheduler found no place.
func unplaced(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return words(c.Reason, c.Message)
		}
	}
	return ""
}

// reasonInitialising is why containers wait while init containers run.
const reasonInitialising = "PodInitializing"

// initsEnded is when the last of the init containers that have ended did; the zero
// time when none has. What waits waits since then.
func initsEnded(pod *corev1.Pod) time.Time {
	var last time.Time
	for _, s := range initStatuses(pod) {
		if t := s.State.Terminated; t != nil {
			last = later(last, t.FinishedAt.Time)
		}
	}
	return last
}

// initRuns tells whether an init container that is no sidecar runs.
func initRuns(pod *corev1.Pod) bool {
	for _, s := range initStatuses(pod) {
		if s.State.Running != nil {
			return true
		}
	}
	return false
}

// neverRan tells whether a failed pod counts as one that never ran.
func neverRan(c *FailedChecks, pod *corev1.Pod, events []corev1.Event) bool {
	matches := func(patterns []runs.Pattern, texts ...string) bool {
		for _, p := range patterns {
			for _, text := range texts {
				if text != "" && p.MatchString(text) {
					return true
				}
			}
		}
		return false
	}
	if matches(c.PodStatuses, pod.Status.Reason, pod.Status.Message) {
		return true
	}
	for _, s := range allStatuses(pod) {
		if t := s.State.Terminated; t != nil && matches(c.Containers, t.Reason, t.Message) {
			return true
		}
	}
	for i := range events {
		if matches(c.Events, events[i].Message) {
			return true
		}
	}
	return false
}
