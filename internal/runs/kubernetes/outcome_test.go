package kubernetes

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"armada"
	"armada/internal/runs"
)

// ofPhase is a pod with an init container, a sidecar and a container, which is as its
// phase and its containers say.
func ofPhase(phase corev1.PodPhase, reason, message string, statuses ...corev1.ContainerStatus) *corev1.Pod {
	pod := placed(time.Hour, statuses...)
	pod.Status.Phase, pod.Status.Reason, pod.Status.Message = phase, reason, message
	return pod
}

func disrupted(pod *corev1.Pod, reason, message string) *corev1.Pod {
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: message})
	return pod
}

func saying(status corev1.ContainerStatus, reason, message string) corev1.ContainerStatus {
	status.State.Terminated.Reason, status.State.Terminated.Message = reason, message
	return status
}

func judged(pod *corev1.Pod, v verdict) *corev1.Pod {
	pod.Annotations = map[string]string{AnnotationVerdict: v.text()}
	return pod
}

func TestEachEndOfAPodIsToldWithItsCauseAndItsContainers(t *testing.T) {
	t.Parallel()
	minuteAgo := ago(time.Minute)
	ended := func(name string, code int32) corev1.ContainerStatus { return endedAtWith(name, minuteAgo, code) }
	failed := func(statuses ...corev1.ContainerStatus) *corev1.Pod {
		return ofPhase(corev1.PodFailed, "", "", statuses...)
	}
	neverMade := corev1.ContainerStatus{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "ContainerStatusUnknown"}}}
	notStarted := saying(ended("main", 128), "StartError", "no such file: /run")
	stop := verdict{Phase: runs.Stopped, Reason: "stopped", At: minuteAgo.Time}
	for _, c := range []struct {
		name string
		pod  *corev1.Pod
		want runs.Status // of it Phase, GiveBack and End; Reason is a part of the reason
	}{
		{"all succeed", ofPhase(corev1.PodSucceeded, "", "", saying(ended("main", 0), "Completed", "")), runs.Status{
			Phase: runs.Succeeded, End: armada.RunEnd{Containers: []armada.ContainerEnd{{Name: "main", Reason: "Completed"}}},
		}},
		{"one fails, with a message", failed(saying(ended("main", 3), "Error", "no table\n"), ended("second", 0)), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Reason: "container main ended with exit code 3: no table", Containers: []armada.ContainerEnd{
				{Name: "main", ExitCode: 3, Reason: "Error", Message: "no table\n"}, {Name: "second"},
			}},
		}},
		{"two fail", failed(ended("main", 3), ended("second", 4)), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Reason: "container main ended with exit code 3; container second ended with exit code 4", Containers: []armada.ContainerEnd{
				{Name: "main", ExitCode: 3}, {Name: "second", ExitCode: 4},
			}},
		}},
		{"an init container fails", withInits(failed(waiting("main", "PodInitializing")), saying(ended("first", 7), "Error", "no data")), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Reason: "init container first ended with exit code 7: no data", Containers: []armada.ContainerEnd{
				{Name: "first", ExitCode: 7, Reason: "Error", Message: "no data"},
			}},
		}},
		{"an init container is out of memory", withInits(failed(waiting("main", "PodInitializing")), saying(ended("first", 137), "OOMKilled", "")), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Cause: armada.CauseOutOfMemory, Reason: "init container first ended with exit code 137 (OOMKilled)", Containers: []armada.ContainerEnd{
				{Name: "first", ExitCode: 137, Reason: "OOMKilled", Cause: armada.CauseOutOfMemory},
			}},
		}},
		{"a sidecar is killed at the end of a success", withInits(ofPhase(corev1.PodSucceeded, "", "", ended("main", 0)), ended("first", 0), ended("beside", 137)), runs.Status{
			Phase: runs.Succeeded, End: armada.RunEnd{Containers: []armada.ContainerEnd{{Name: "main"}}},
		}},
		{"a sidecar is killed at the end of a failure", withInits(failed(ended("main", 3)), ended("first", 0), ended("beside", 137)), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Reason: "container main ended with exit code 3", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 3}}},
		}},
		{"it is past its deadline, whatever its containers end with", ofPhase(corev1.PodFailed, "DeadlineExceeded", "Pod was active longer", ended("main", 0)), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Cause: armada.CauseDeadlineExceeded, Reason: "Pod was active longer", Containers: []armada.ContainerEnd{{Name: "main"}}},
		}},
		{"it is evicted by its kubelet", ofPhase(corev1.PodFailed, "Evicted", "low on memory", ended("main", 137)), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Cause: armada.CauseEvicted, Reason: "low on memory", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 137}}},
		}},
		{"a critical pod takes its place", ofPhase(corev1.PodFailed, "Preempting", "", ended("main", 137)), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Cause: armada.CauseEvicted, Reason: "the pod was evicted", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 137}}},
		}},
		{"the cluster's scheduler takes its place", disrupted(deletedWith(failed(ended("main", 143)), 30, time.Minute), "PreemptionByScheduler", "for another"), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Cause: armada.CauseEvicted, Reason: "PreemptionByScheduler: for another", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 143}}},
		}},
		{"its node was gone when it was collected", disrupted(failed(runningSince("main", minuteAgo)), "DeletionByPodGC", "node not found"), runs.Status{
			Phase: runs.Unknown, End: armada.RunEnd{Category: armada.CategoryInternal, Subcategory: armada.SubcategoryOutcomeUnknown, Reason: "seen by nobody: DeletionByPodGC: node not found"},
		}},
		{"its node refuses it", ofPhase(corev1.PodFailed, "OutOfcpu", "no room"), runs.Status{Phase: runs.Failed, GiveBack: true, End: armada.RunEnd{Reason: "the node refused the pod: OutOfcpu: no room"}}},
		{"its node has other labels now", ofPhase(corev1.PodFailed, "NodeAffinity", ""), runs.Status{Phase: runs.Failed, GiveBack: true, End: armada.RunEnd{Reason: "the node refused the pod: NodeAffinity"}}},
		{"its node goes down while it runs", ofPhase(corev1.PodFailed, "NodeShutdown", "", ended("main", 143)), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Reason: "container main ended with exit code 143", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 143}}},
		}},
		{"its program cannot be started", failed(notStarted), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Reason: "container main ended with exit code 128 (StartError): no such file: /run", Containers: []armada.ContainerEnd{
				{Name: "main", ExitCode: 128, Reason: "StartError", Message: "no such file: /run"},
			}},
		}},
		{"it fails and nobody says why", failed(), runs.Status{Phase: runs.Failed, End: armada.RunEnd{Reason: "the pod failed: Kubernetes says nothing of why"}}},
		{"somebody deletes it while it runs", deletedWith(failed(ended("main", 143)), 30, 40*time.Second), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{
				Category: armada.CategoryInternal, Subcategory: subcategoryDeleted, Reason: "the pod was deleted by somebody else", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 143}},
			},
		}},
		{"somebody deletes it after its failure", deletedWith(failed(ended("main", 3)), 5, -time.Second), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Reason: "container main ended with exit code 3", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 3}}},
		}},
		{"somebody deletes it before it begins", deletedWith(failed(neverMade), 30, time.Minute), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Category: armada.CategoryInternal, Subcategory: subcategoryDeleted, Reason: "deleted by somebody else"},
		}},
		{"somebody deletes it before it has a node", deletedWith(unscheduled(time.Minute, "no room"), 0, time.Second), runs.Status{Phase: runs.Failed, End: armada.RunEnd{Category: armada.CategoryInternal, Subcategory: subcategoryDeleted, Reason: "deleted by somebody else"}}},
		{"it is stopped", judged(deletedWith(failed(endedAtWith("main", ago(50*time.Second), 143)), 30, time.Minute), stop), runs.Status{
			Phase: runs.Stopped, End: armada.RunEnd{Reason: "stopped", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 143}}},
		}},
		{"it had failed when it is stopped", judged(deletedWith(failed(endedAtWith("main", ago(70*time.Second), 3)), 30, time.Minute), stop), runs.Status{
			Phase: runs.Failed, End: armada.RunEnd{Reason: "container main ended with exit code 3", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 3}}},
		}},
		{"it succeeds after it was stopped", judged(deletedWith(placed(time.Hour, endedAtWith("main", ago(50*time.Second), 0)), 30, time.Minute), stop), runs.Status{
			Phase: runs.Succeeded, End: armada.RunEnd{Containers: []armada.ContainerEnd{{Name: "main"}}},
		}},
		{"it is given up", judged(placed(time.Hour, runningSince("main", minuteAgo)), verdict{Phase: runs.Unknown, Reason: "node gone", Category: "c", Subcategory: "s", At: now}), runs.Status{
			Phase: runs.Unknown, End: armada.RunEnd{Reason: "node gone", Category: "c", Subcategory: "s"},
		}},
		{"it is given back", judged(deletedWith(failed(neverMade), 0, time.Minute), verdict{Phase: runs.Failed, Reason: "no image", GiveBack: true, At: minuteAgo.Time}), runs.Status{
			Phase: runs.Failed, GiveBack: true, End: armada.RunEnd{Reason: "no image"},
		}},
		{"somebody has spoiled its verdict", func() *corev1.Pod {
			pod := deletedWith(failed(ended("main", 143)), 0, time.Minute)
			pod.Annotations = map[string]string{AnnotationVerdict: "{"}
			return pod
		}(), runs.Status{Phase: runs.Stopped, End: armada.RunEnd{Reason: "stopped", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 143}}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := statusOf(c.pod, now)
			reason := s.End.Reason
			if !strings.Contains(reason, c.want.End.Reason) || (reason == "") != (c.want.End.Reason == "") {
				t.Errorf("the reason is %q, want %q", reason, c.want.End.Reason)
			}
			if s.Phase != c.want.Phase || s.GiveBack != c.want.GiveBack || s.End.Cause != c.want.End.Cause || s.End.Category != c.want.End.Category ||
				s.End.Subcategory != c.want.End.Subcategory || !slices.Equal(s.End.Containers, c.want.End.Containers) {
				t.Errorf("it ended as %v, give back %v: %+v", s.Phase, s.GiveBack, s.End)
			}
		})
	}
}

func TestPodsAreToldAsPendingUntilAllTheirContainersHaveBegun(t *testing.T) {
	t.Parallel()
	two := func(statuses ...corev1.ContainerStatus) *corev1.Pod {
		pod := placed(time.Minute, statuses...)
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: "second"})
		return pod
	}
	at := ago(10 * time.Second)
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want runs.Phase
	}{
		"without a node":             {unscheduled(time.Minute, ""), runs.Pending},
		"nothing is heard":           {two(), runs.Pending},
		"one runs":                   {two(runningSince("main", at), waiting("second", "ErrImagePull")), runs.Pending},
		"of the other nothing heard": {two(runningSince("main", at)), runs.Pending},
		"one has ended already":      {two(endedAtWith("main", at, 0), waiting("second", "ErrImagePull")), runs.Pending},
		"both run":                   {two(runningSince("main", at), runningSince("second", at)), runs.Running},
		"one has ended, one runs":    {two(endedAtWith("main", at, 1), runningSince("second", at)), runs.Running},
		"an init container runs":     {withInits(placed(time.Minute, waiting("main", "PodInitializing")), runningSince("first", at)), runs.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s := statusOf(c.pod, now); s.Phase != c.want || (s.Phase == runs.Running) == s.Running.IsZero() {
				t.Errorf("it is told as %v, want %v", s.Phase, c.want)
			}
		})
	}
}

func TestPodsThatFailedAndNeverRanAreFoundByTheRules(t *testing.T) {
	t.Parallel()
	pod := withInits(ofPhase(corev1.PodFailed, "Odd", "device lost", saying(endedAtWith("main", ago(time.Minute), 128), "StartError", "no runtime")),
		saying(endedAtWith("first", ago(time.Minute), 1), "Error", "no network"))
	events := happenedOnce("Warning", "sandbox changed")
	for text, c := range map[string]struct {
		checks FailedChecks
		want   bool
	}{
		"no rule":                        {FailedChecks{}, false},
		"the pod's reason":               {FailedChecks{PodStatuses: patterns("^Odd$")}, true},
		"the pod's message":              {FailedChecks{PodStatuses: patterns("no such", "lost")}, true},
		"a container's reason":           {FailedChecks{Containers: patterns("^StartError$")}, true},
		"a container's message":          {FailedChecks{Containers: patterns("no runtime")}, true},
		"an init container's message":    {FailedChecks{Containers: patterns("no network")}, true},
		"an event":                       {FailedChecks{Events: patterns("sandbox")}, true},
		"what another says is not meant": {FailedChecks{Events: patterns("lost"), PodStatuses: patterns("sandbox"), Containers: patterns("Odd")}, false},
	} {
		if got := neverRan(&c.checks, pod, events); got != c.want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func patterns(texts ...string) []runs.Pattern {
	list := make([]runs.Pattern, len(texts))
	for i := range texts {
		list[i] = pattern(texts[i])
	}
	return list
}
