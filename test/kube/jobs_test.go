package kube_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/internal/app"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/pkg/api"
	podspecv1 "armada/pkg/api/k8s/core/v1"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
	"armada/test/kube/witness"
)

func TestAJobSetRunsInAClusterFromItsSubmissionToItsLogs(t *testing.T) {
	t.Parallel()
	h, nodes := newHouse(t), kubetest.NewNodes(t, 2)
	h.executor(nodes)
	jobs := h.submit("set",
		item(nodes.Namespace, map[string]string{kubetest.Print: "hello"}),
		item(nodes.Namespace, map[string]string{kubetest.ExitCode: "3"}),
		item(nodes.Namespace, map[string]string{kubetest.ExitCode: "137", kubetest.Reason: "OOMKilled"}),
	)
	s, states := h.ended("set", jobs...)
	if states[jobs[0]] != armada.JobSucceeded || states[jobs[1]] != armada.JobFailed || states[jobs[2]] != armada.JobFailed {
		t.Errorf("they ended as %v", states)
	}
	if running := s.Last(t, jobs[0], armada.EventRunning).GetRunning(); running.GetPodName() != "armada-"+jobs[0]+"-0" || running.GetPodNamespace() != nodes.Namespace {
		t.Errorf("it is told to run as %v", running)
	}
	if failed := s.Last(t, jobs[1], armada.EventFailed).GetFailed(); failed.GetReason() != "container main ended with exit code 3" || failed.GetContainerStatuses()[0].GetExitCode() != 3 {
		t.Errorf("exit code 3 is told as %v", failed)
	}
	if failed := s.Last(t, jobs[2], armada.EventFailed).GetFailed(); failed.GetCause() != api.Cause_OOM {
		t.Errorf("out of memory is told as %v", failed)
	}
	var lines []string
	if err := h.client.Logs(t.Context(), client.LogQuery{Job: jobs[0], Follow: true}, func(l *lookout.LogLine) error {
		lines = append(lines, l.GetLine())
		return nil
	}); err != nil || strings.Join(lines, "|") != "hello" {
		t.Errorf("its log is %q, %v", lines, err)
	}
}

func TestJobsOfAClusterAreCancelledWithinTheirGraceAndPreempted(t *testing.T) {
	t.Parallel()
	h, nodes := newHouse(t), kubetest.NewNodes(t, 1)
	h.executor(nodes)
	forever := map[string]string{kubetest.Forever: "yes"}
	loses := item(nodes.Namespace, forever)
	loses.PodSpec.PriorityClassName = proto.String("armada-preemptible")
	jobs := h.submit("set", item(nodes.Namespace, forever), loses)
	h.until("set", "both to run", func(s witness.Story) bool {
		return s.Count(jobs[0], armada.EventRunning) > 0 && s.Count(jobs[1], armada.EventRunning) > 0
	})
	asked := time.Now()
	if _, err := h.client.Cancel(t.Context(), "q", "set", jobs[:1], "no more"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.client.Preempt(t.Context(), "q", "set", jobs[1:], "something better"); err != nil {
		t.Fatal(err)
	}
	s, states := h.ended("set", jobs...)
	if states[jobs[0]] != armada.JobCancelled || s.Count(jobs[1], armada.EventPreempted) != 1 {
		t.Errorf("they ended as %v: %v", states, s.Kinds(jobs[1]))
	}
	if took := time.Since(asked); took > 30*time.Second {
		t.Errorf("they ended after %s, which is beyond their grace", took)
	}
}

// The victim minds no SIGTERM, so for the whole of its grace both would run.
func TestAPodIsMadeWhenThePodWhosePlaceItTakesHasEnded(t *testing.T) {
	t.Parallel()
	h, nodes := newHouse(t, func(c *app.Config) {
		c.Jobs.PriorityClasses = append(slices.Clone(c.Jobs.PriorityClasses), armada.PriorityClass{Name: "urgent", Priority: 2000})
	}), kubetest.NewNodes(t, 1)
	h.executor(nodes, func(c *app.Config) { c.Executor.Kubernetes.PriorityClass = "none" })
	loses := cores(item(nodes.Namespace, map[string]string{kubetest.Forever: "yes", kubetest.Deaf: "yes"}), "30")
	loses.PodSpec.PriorityClassName, loses.PodSpec.TerminationGracePeriodSeconds = proto.String("armada-preemptible"), proto.Int64(3)
	victim := h.submit("set", loses)[0]
	h.running("set", []string{victim})
	takes := cores(item(nodes.Namespace, nil), "30")
	takes.PodSpec.PriorityClassName = proto.String("urgent")
	urgent := h.submit("set", takes)[0]
	s, states := h.ended("set", victim, urgent)
	if states[urgent] != armada.JobSucceeded || s.Count(victim, armada.EventPreempted) != 1 {
		t.Errorf("they ended as %v: %v, %v", states, s.Kinds(victim), s.Kinds(urgent))
	}
	h.await("the victim's pod to end", func() bool {
		before := nodes.Spans("armada-" + victim + "-0")
		return len(before) == 1 && !before[0].Ended.IsZero()
	})
	before, after := nodes.Spans("armada-"+victim+"-0"), nodes.Spans("armada-"+urgent+"-0")
	if len(after) != 1 || after[0].Began.Before(before[0].Ended) {
		t.Errorf("one ran at %v, and the other at %v, in its place", before, after)
	}
}

func TestWhatNeverRanRunsElsewhereAsAPodOfTheSameName(t *testing.T) {
	t.Parallel()
	h, nodes := newHouse(t), kubetest.NewNodes(t, 2)
	h.executor(nodes)
	jobs := h.submit("set", item(nodes.Namespace, map[string]string{kubetest.RefusedOnce: "OutOfcpu"}))
	s, states := h.ended("set", jobs...)
	if states[jobs[0]] != armada.JobSucceeded || s.Count(jobs[0], armada.EventLeaseReturned) != 1 || s.Count(jobs[0], armada.EventLeased) != 2 {
		t.Errorf("it ended as %v: %v", states, s.Kinds(jobs[0]))
	}
	if back := s.Last(t, jobs[0], armada.EventLeaseReturned).GetLeaseReturned(); !strings.Contains(back.GetReason(), "OutOfcpu") || back.GetRunAttempted() {
		t.Errorf("the lease is given back as %v", back)
	}
}

func TestAJobWhosePodDoesNotBeginSaysWhyMeanwhile(t *testing.T) {
	t.Parallel()
	h, nodes := newHouse(t), kubetest.NewNodes(t, 1)
	h.executor(nodes)
	jobs := h.submit("set", item(nodes.Namespace, map[string]string{kubetest.Waits: "ErrImagePull"}))
	var last string
	h.await("the job to say why it does not begin", func() bool {
		job, err := h.client.Job(t.Context(), jobs[0])
		if err != nil {
			t.Fatal(err)
		}
		last = fmt.Sprintf("%v: %s", job.GetState(), job.GetReason())
		return job.GetState() == api.JobState_PENDING && job.GetReason() != ""
	})
	if want := "PENDING: container main does not begin: ErrImagePull: told to"; last != want {
		t.Errorf("it says %q, want %q", last, want)
	}
	if _, err := h.client.Cancel(t.Context(), "q", "set", jobs, "seen"); err != nil {
		t.Fatal(err)
	}
	h.ended("set", jobs...)
}

func TestAFailedJobTellsTheEventsOfItsPod(t *testing.T) {
	t.Parallel()
	h, nodes := newHouse(t), kubetest.NewNodes(t, 1)
	h.executor(nodes)
	jobs := h.submit("set", item(nodes.Namespace, map[string]string{kubetest.Forever: "yes"}))
	h.until("set", "it to run", func(s witness.Story) bool { return s.Count(jobs[0], armada.EventRunning) > 0 })
	api := nodes.Cluster.Client.CoreV1()
	pod, err := api.Pods(nodes.Namespace).Get(t.Context(), "armada-"+jobs[0]+"-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Events(nodes.Namespace).Create(t.Context(), &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "why"}, Type: corev1.EventTypeWarning, Reason: "Unwell", Message: "told by the node", LastTimestamp: metav1.Now(),
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := api.Pods(nodes.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s, _ := h.ended("set", jobs...)
	failed := s.Last(t, jobs[0], armada.EventFailed).GetFailed()
	if !strings.Contains(failed.GetReason(), "deleted by somebody else") || failed.GetFailureSubcategory() != "externally-deleted" {
		t.Errorf("it is told as %v", failed)
	}
	job, err := h.client.Job(t.Context(), jobs[0])
	if err != nil || len(job.GetRuns()) != 1 || !strings.Contains(job.GetRuns()[0].GetDebug(), "Unwell: told by the node") {
		t.Errorf("its run is %v, %v", job.GetRuns(), err)
	}
}

func TestServicesAndIngressesOfAJobAreTold(t *testing.T) {
	t.Parallel()
	h, nodes := newHouse(t), kubetest.NewNodes(t, 1)
	h.executor(nodes)
	with := item(nodes.Namespace, map[string]string{kubetest.Forever: "yes"})
	with.Services = []*api.ServiceConfig{{Type: api.ServiceType_NodePort, Ports: []uint32{8080}}}
	with.Ingress = []*api.IngressConfig{{Ports: []uint32{9090}, TlsEnabled: true}}
	main := with.GetPodSpec().GetContainers()[0]
	main.Ports = append(main.Ports, &podspecv1.ContainerPort{ContainerPort: proto.Int32(9090)})
	jobs := h.submit("set", with)
	s := h.until("set", "its addresses", func(s witness.Story) bool { return s.Count(jobs[0], armada.EventIngressInfo) > 0 })
	told := s.Last(t, jobs[0], armada.EventIngressInfo).GetIngressInfo().GetIngressAddresses()
	pod := "armada-" + jobs[0] + "-0"
	if want := "main-9090-" + pod + "." + nodes.Namespace + ".svc"; !strings.HasPrefix(told[8080], "127.0.0.1:") || told[9090] != want {
		t.Errorf("its addresses are %v, want a port of the node and %s", told, want)
	}
	ingress, err := nodes.Cluster.Client.NetworkingV1().Ingresses(nodes.Namespace).Get(t.Context(), pod+"-ingress-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if secret := ingress.Spec.TLS[0].SecretName; secret != nodes.Namespace+"-ingress-tls-certificate" {
		t.Errorf("its certificate is %q", secret)
	}
	own := ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name
	if service, err := nodes.Cluster.Client.CoreV1().Services(nodes.Namespace).Get(t.Context(), own, metav1.GetOptions{}); err != nil || service.Spec.ClusterIP != "None" {
		t.Errorf("it leads to %v, %v; want a headless service", service, err)
	}
}

// Two clusters share a pool while their executors are closed and opened again:
// every job ends once, and none has two pods.
func TestExecutorsOfTwoClustersComeAndGoAndNoJobIsLostOrRunTwice(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	east := kubetest.NewNodes(t, 4)
	clusters := []*kubetest.Nodes{east, east.Sisters(t, 4)}
	ends := make([]func(), len(clusters))
	for i, nodes := range clusters {
		ends[i] = h.executor(nodes)
	}
	const count = 200
	items := make([]*api.JobSubmitRequestItem, count)
	for i := range items {
		items[i] = wholeCore(item(east.Namespace, map[string]string{kubetest.Lasts: "1s"})) // one cluster has room for 124 of them
	}
	jobs := h.submit("set", items...)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	for round := range 6 {
		some := dice.IntN(count * (round + 1) / 8)
		h.until("set", "jobs to run", func(s witness.Story) bool {
			n := 0
			for _, job := range jobs {
				n += s.Count(job, armada.EventRunning)
			}
			return n > some
		})
		i := dice.IntN(len(clusters))
		ends[i]()
		ends[i] = h.executor(clusters[i])
	}
	s, states := h.ended("set", jobs...)
	used := map[string]bool{}
	for _, job := range jobs {
		if states[job] != armada.JobSucceeded || s.Count(job, armada.EventSucceeded) != 1 || s.Count(job, armada.EventRunning) != 1 {
			t.Errorf("job %s ended as %v: %v", job, states[job], s.Kinds(job))
		}
		used[s.Last(t, job, armada.EventSucceeded).GetSucceeded().GetClusterId()] = true
		if n := clusters[0].Lives("armada-"+job+"-0") + clusters[1].Lives("armada-"+job+"-0"); n != 1 {
			t.Errorf("job %s had %d pods", job, n)
		}
	}
	if len(used) != len(clusters) {
		t.Errorf("jobs ran in %v only", used)
	}
}
