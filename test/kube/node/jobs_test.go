//go:build linux

package node_test

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/pkg/api"
	"armada/test/kube/node"
	"armada/test/kube/witness"
)

func TestJobsTellWhatTheyPrintAndHowTheyEnd(t *testing.T) {
	h := newHouse(t)
	jobs := h.submit(h.job("print=hello, print=world"), h.job("print=before, write=/dev/termination-log, exit=3"), h.job("eat=256"))
	s, states := h.ended(jobs...)
	if states[jobs[0]] != armada.JobSucceeded || states[jobs[1]] != armada.JobFailed || states[jobs[2]] != armada.JobFailed {
		t.Errorf("they ended as %v", states)
	}
	for i, want := range []string{"hello\nworld\n", "before\n"} {
		if said := h.ctl("logs", jobs[i]); said != want {
			t.Errorf("armadactl logs of job %d says %q, want %q", i, said, want)
		}
	}
	failed := s.Last(t, jobs[1], armada.EventFailed).GetFailed()
	if failed.GetReason() != "container main ended with exit code 3: written by an actor" || failed.GetContainerStatuses()[0].GetExitCode() != 3 {
		t.Errorf("exit code 3 is told as %v", failed)
	}
	if failed := s.Last(t, jobs[2], armada.EventFailed).GetFailed(); failed.GetCause() != api.Cause_OOM || failed.GetContainerStatuses()[0].GetExitCode() != 137 {
		t.Errorf("out of memory is told as %v", failed)
	}
}

func TestTheExecutorFindsAllThatItNeedsAndSaysWhereItRunsJobs(t *testing.T) {
	h := newHouse(t)
	check := exec.CommandContext(t.Context(), witness.Binary(t, "armada"), "executor", "--check", "--runtime", "kubernetes", "--kubeconfig", h.node.Kubeconfig)
	if said, err := check.CombinedOutput(); err != nil || !strings.Contains(string(said), "1 node") {
		t.Errorf("the check ends with %v:\n%s", err, said)
	}
	if said := h.executor.output.String(); !strings.Contains(said, "nodes of a Kubernetes cluster, as pods") {
		t.Errorf("it says:\n%s", said)
	}
}

func TestTheLogOfARunningJobIsFollowed(t *testing.T) {
	h := newHouse(t)
	job := h.submit(h.job("print=first, sleep=2s, print=last"))[0]
	if said := h.ctl("logs", "-f", job); said != "first\nlast\n" {
		t.Errorf("it was followed to %q", said)
	}
}

func TestJobsAreCancelledWithinTheirGraceAndByForceAfterIt(t *testing.T) {
	h := newHouse(t)
	const polite, stubborn = "\n      terminationGracePeriodSeconds: 60", "\n      terminationGracePeriodSeconds: 1"
	jobs := h.submit(h.job("print=begun, wait", polite), h.job("print=begun, stay", stubborn))
	h.until(armada.EventRunning, jobs...)
	for _, job := range jobs {
		h.await("it to have begun", func() bool { return h.ctl("logs", job) == "begun\n" })
	}
	asked := time.Now()
	for _, job := range jobs {
		h.ctl("cancel", "job", "q", "set", job)
	}
	s, states := h.ended(jobs...)
	took := time.Since(asked)
	for i, want := range []string{"begun\ntold to stop\n", "begun\ntold to stop, and staying\n"} {
		if states[jobs[i]] != armada.JobCancelled {
			t.Errorf("job %d ended as %s: %v", i, states[jobs[i]], s.Kinds(jobs[i]))
		}
		h.await("its last words", func() bool { return h.ctl("logs", jobs[i]) == want })
	}
	if took > 60*time.Second {
		t.Errorf("it took %s, which is beyond the grace of the one that minds being told", took)
	}
}

func TestAJobIsPreempted(t *testing.T) {
	h := newHouse(t)
	job := h.submit(h.job("wait", preemptible))[0]
	h.until(armada.EventRunning, job)
	h.ctl("preempt", "job", "q", "set", job)
	s, states := h.ended(job)
	if s.Count(job, armada.EventPreempted) != 1 {
		t.Errorf("it ended as %s: %v", states[job], s.Kinds(job))
	}
	h.await("its containers to end", func() bool {
		pod := h.pod(job)
		return pod == nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
	})
}

func TestAJobsServiceLeadsToItsPodAndGoesWithIt(t *testing.T) {
	h := newHouse(t)
	job := h.submit(h.job("wait") + `
    services: [{type: NodePort, ports: [8080]}]
    ingress: [{ports: [9090]}]`)[0]
	s := h.until(armada.EventIngressInfo, job)
	var pod *corev1.Pod
	h.await("its pod to have an address", func() bool { pod = h.pod(job); return pod.Status.PodIP != "" })
	client := h.node.Client
	told := s.Last(t, job, armada.EventIngressInfo).GetIngressInfo().GetIngressAddresses()
	if want := fmt.Sprintf("main-9090-%s.default.svc", pod.Name); !strings.HasPrefix(told[8080], pod.Status.HostIP+":") || told[9090] != want {
		t.Errorf("its addresses are %v, want a port of the node %s and %s", told, pod.Status.HostIP, want)
	}
	services, err := client.CoreV1().Services(pod.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "armada_job_id=" + job})
	if err != nil {
		t.Fatal(err)
	}
	if len(services.Items) != 2 {
		t.Fatalf("it has %d services, want one of its own and one behind its ingress", len(services.Items))
	}
	for i := range services.Items {
		name := services.Items[i].Name
		h.await("service "+name+" to lead to the pod", func() bool {
			slices, err := client.DiscoveryV1().EndpointSlices(pod.Namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + name})
			if err != nil {
				t.Fatal(err)
			}
			return len(slices.Items) == 1 && len(slices.Items[0].Endpoints) == 1 && slices.Items[0].Endpoints[0].Addresses[0] == pod.Status.PodIP
		})
	}
	h.ctl("cancel", "job", "q", "set", job)
	h.ended(job)
	for i := range services.Items {
		name := services.Items[i].Name
		h.await("service "+name+" to go", func() bool {
			_, err := client.CoreV1().Services(pod.Namespace).Get(t.Context(), name, metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
	}
}

func TestTheSameJobFileRunsInAClusterAndOnAMachine(t *testing.T) {
	h := newHouse(t)
	file := h.anywhere("print=hello, exit=3")
	const machine = "local"
	for closed, open := range map[string]string{h.cluster(): machine, machine: h.cluster()} {
		h.ctl("cordon", "executor", closed, "the other one is wanted")
		job := h.submit(file)[0]
		s, _ := h.ended(job)
		failed := s.Last(t, job, armada.EventFailed).GetFailed()
		if failed.GetClusterId() != open || failed.GetContainerStatuses()[0].GetExitCode() != 3 {
			t.Errorf("with %s closed it ended as %v, want exit code 3 on %s", closed, failed, open)
		}
		if said := h.ctl("logs", job); said != "hello\n" {
			t.Errorf("on %s it said %q", open, said)
		}
		h.ctl("uncordon", "executor", closed)
	}
}

// The same jobs run as pods and as processes: the actor is at the same place in the
// image and on this machine.
func TestOneJobSetRunsInAClusterAndOnAMachine(t *testing.T) {
	h := newHouse(t)
	// Together they need more than either has.
	var items []string
	for range runtime.NumCPU() + 2 {
		items = append(items, strings.ReplaceAll(h.anywhere("print=hello, sleep=1s"), "cpu: 100m", "cpu: 900m"))
	}
	jobs := h.submit(items...)
	s, states := h.ended(jobs...)
	used := map[string]int{}
	for _, job := range jobs {
		if states[job] != armada.JobSucceeded {
			t.Fatalf("it ended as %s: %v", states[job], s.Kinds(job))
		}
		used[s.Last(t, job, armada.EventSucceeded).GetSucceeded().GetClusterId()]++
		if said := h.ctl("logs", job); said != "hello\n" {
			t.Errorf("it said %q", said)
		}
	}
	if len(used) != 2 || used[h.cluster()] == 0 {
		t.Errorf("they ran on %v, want both executors", used)
	}
}

func TestAnInitContainerRunsFirstAndASidecarBeside(t *testing.T) {
	h := newHouse(t)
	const mounts = "[{name: shared, mountPath: /shared}]"
	job := h.submit(strings.Replace(h.job("say=/shared/file"), "\n          ports:", "\n          volumeMounts: "+mounts+"\n          ports:", 1) + fmt.Sprintf(`
      initContainers:
        - name: first
          image: &image %s
          args: [print=first, write=/shared/file]
          resources: {requests: *small, limits: *small}
          volumeMounts: %s
        - name: beside
          image: *image
          restartPolicy: Always
          args: [print=beside, wait]
          resources: {requests: *small, limits: *small}
      volumes: [{name: shared, emptyDir: {}}]`, node.Image, mounts))[0]
	if s, states := h.ended(job); states[job] != armada.JobSucceeded {
		t.Errorf("it ended as %s: %v", states[job], s.Kinds(job))
	}
	if said := h.ctl("logs", job); said != "first\nbeside\nwritten by an actor\ntold to stop\n" {
		t.Errorf("it said %q", said)
	}
}

func TestAPodThatSomebodyDeletesFailsItsJob(t *testing.T) {
	h := newHouse(t)
	job := h.submit(h.job("wait"))[0]
	h.until(armada.EventRunning, job)
	pod := h.pod(job)
	if err := h.node.Client.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s, _ := h.ended(job)
	failed := s.Last(t, job, armada.EventFailed).GetFailed()
	if !strings.Contains(failed.GetReason(), "deleted by somebody else") || failed.GetFailureSubcategory() != "externally-deleted" {
		t.Errorf("it is told as %v", failed)
	}
}

func TestALogIsKeptWhenItsPodIsGone(t *testing.T) {
	h := newHouse(t, "keepFinished: 0s")
	job := h.submit(h.job("print=kept"))[0]
	h.ended(job)
	h.await("its pod to go", func() bool { return h.pod(job) == nil })
	if said := h.ctl("logs", job); said != "kept\n" {
		t.Errorf("it said %q", said)
	}
}

func TestWhatHappensWhileTheExecutorIsAwayIsToldWhenItIsBack(t *testing.T) {
	h := newHouse(t)
	jobs := h.submit(h.job("print=alone, sleep=2s, exit=3"), h.job("wait"))
	h.until(armada.EventRunning, jobs...)
	h.executor.kill()
	h.await("the first to end with nobody there", func() bool { return h.pod(jobs[0]).Status.Phase == corev1.PodFailed })
	h.beginExecutor()
	h.ctl("cancel", "job", "q", "set", jobs[1])
	s, states := h.ended(jobs...)
	if states[jobs[0]] != armada.JobFailed || s.Count(jobs[0], armada.EventFailed) != 1 || s.Count(jobs[0], armada.EventRunning) != 1 {
		t.Errorf("it ended as %s: %v", states[jobs[0]], s.Kinds(jobs[0]))
	}
	if code := s.Last(t, jobs[0], armada.EventFailed).GetFailed().GetContainerStatuses()[0].GetExitCode(); code != 3 {
		t.Errorf("its exit code is %d, want 3", code)
	}
	if states[jobs[1]] != armada.JobCancelled {
		t.Errorf("the other ended as %s: %v", states[jobs[1]], s.Kinds(jobs[1]))
	}
}

func TestPodsThatCannotBeginSayWhy(t *testing.T) {
	h := newHouse(t, `pending: {containerStatuses: [{reasonRegexp: "^(ImagePullBackOff|ErrImagePull|InvalidImageName)$", grace: 0s, action: fail}]}`)
	jobs := h.submit(
		strings.ReplaceAll(h.job("wait"), node.Image, "armada.test/nothing:1"),
		strings.ReplaceAll(h.job("wait"), node.Image, "armada.test/NOTHING:1"),
		strings.ReplaceAll(h.job("wait"), h.node.Actor+"]", "/no/such/program]"),
		h.job("wait", "\n      activeDeadlineSeconds: 2"),
	)
	s, states := h.ended(jobs...)
	for i, want := range []string{"ImagePull", "InvalidImageName", "no such file", "Pod was active on the node longer than the specified deadline"} {
		if states[jobs[i]] != armada.JobFailed {
			t.Fatalf("job %d ended as %s: %v", i, states[jobs[i]], s.Kinds(jobs[i]))
		}
		if failed := s.Last(t, jobs[i], armada.EventFailed).GetFailed(); !strings.Contains(failed.GetReason(), want) {
			t.Errorf("job %d is told as %v, want a reason with %q", i, failed, want)
		}
	}
	if failed := s.Last(t, jobs[3], armada.EventFailed).GetFailed(); failed.GetCause() != api.Cause_DeadlineExceeded {
		t.Errorf("a deadline is told as %v", failed)
	}
}
