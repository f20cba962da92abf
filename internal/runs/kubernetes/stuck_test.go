package kubernetes

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"armada/internal/runs"
)

func TestAPendingPodSaysWhyItDoesNotBegin(t *testing.T) {
	t.Parallel()
	unplaced := func(conditions ...corev1.PodCondition) *corev1.Pod {
		pod := placed(time.Minute)
		pod.Spec.NodeName, pod.Status.Conditions = "", conditions
		return pod
	}
	deleted := placed(time.Minute, waiting("main", "ErrImagePull"))
	at := ago(time.Second)
	deleted.DeletionTimestamp = &at
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"an image that cannot be pulled":     {placed(time.Minute, waiting("main", "ErrImagePull")), "container main does not begin: ErrImagePull: so it is"},
		"the init container's":               {withInits(placed(time.Minute, waiting("main", "PodInitializing")), waiting("first", "ImagePullBackOff")), "container first does not begin: ImagePullBackOff: so it is"},
		"a container that is being made":     {placed(time.Minute, waiting("main", "ContainerCreating")), ""},
		"no word of the node":                {placed(time.Minute), ""},
		"no place":                           {unplaced(corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/3 nodes"}), "the cluster does not place the pod on its node: Unschedulable: 0/3 nodes"},
		"no word of the cluster's scheduler": {unplaced(), ""},
		"one that is deleted":                {deleted, ""},
	} {
		if s := statusOf(c.pod, time.Now()); s.Phase != runs.Pending || s.Stuck != c.want {
			t.Errorf("%s: it is %v and stuck for %q, want %q", name, s.Phase, s.Stuck, c.want)
		}
	}
}
