package wire_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/lifecycle"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/internal/wire/restjson"
	"armada/pkg/api/armadaevents"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run the test with -update and look at the change. Now it is:\n%s", path, got)
	}
}

// line writes a message on one line.
func line(t *testing.T, m proto.Message) string {
	t.Helper()
	text, err := restjson.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

var (
	noon = time.Date(2026, 11, 23, 12, 0, 0, 5, time.UTC)
	key  = store.JobSetKey{Queue: "team-a", JobSet: "set/1"}
	spec = &corev1.PodSpec{Containers: []*corev1.Container{{Name: proto.String("main"), Image: proto.String("busybox")}}}
)

const (
	jobID = armada.JobID("01kaz5w0000000000000000001")
	runID = armada.RunID("01kaz5w0000000000000000001-2")
)

// full is a job with everything that a job can have.
func full() *store.FullJob {
	return &store.FullJob{
		Job: armada.Job{
			ID: jobID, Queue: "team-a", JobSet: "set/1", Owner: "ada", Groups: []string{"science"}, ClientID: "c1", Priority: 9,
			State: armada.JobCancelled, Attempts: 2, Reason: "enough", Submitted: noon, Transitioned: noon.Add(time.Minute),
			Wish: armada.Wish{Kind: armada.WishCancel, By: "bob", Why: "enough", At: noon.Add(30 * time.Second)},
		},
		Details: armada.JobDetails{
			Namespace: "lab", Labels: map[string]string{"l": "1"}, Annotations: map[string]string{"a": "2"}, ExternalURI: "x://1", Scheduler: "s",
			Ingresses: []armada.IngressRequest{{Ports: []uint32{80}, Annotations: map[string]string{"i": "3"}, TLS: true, CertName: "cert", UseClusterIP: true}},
			Services:  []armada.ServiceRequest{{Ports: []uint32{81}, Name: "svc"}, {Headless: true, Ports: []uint32{82}}},
		},
		Runs: []armada.Run{
			{ID: "01kaz5w0000000000000000001-1", Job: jobID, Attempt: 1, Executor: "e1", Node: "n1", Pool: "default", State: armada.RunReturned, Leased: noon, Finished: noon.Add(time.Second)},
			{
				ID: runID, Job: jobID, Attempt: 2, Executor: "e2", Node: "n2", Pool: "gpu", State: armada.RunCancelled,
				Leased: noon, Pending: noon.Add(time.Second), Started: noon.Add(2 * time.Second), Finished: noon.Add(3 * time.Second),
				Addresses: map[int32]string{80: "h:1"},
				End:       armada.RunEnd{Reason: "stopped", Category: "user", Subcategory: "cancel", Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 143, Reason: "Error", Message: "bye"}}},
			},
		},
	}
}

// event is an event of a kind with every field set that any kind may have.
func event(kind armada.EventKind) *armada.Event {
	return &armada.Event{
		Number: 7, Kind: kind, Job: jobID, Created: noon, Run: runID, Executor: "e2", Pool: "gpu", Node: "n2",
		Pod: armada.Pod{Name: "armada-x-0", Namespace: "lab", KubernetesID: "uid", Number: 0},
		By:  "bob", Reason: "why", Priority: 3, For: "01kaz5w0000000000000000002",
		End: &armada.RunEnd{
			Cause: armada.CauseOutOfMemory, Category: "user", Subcategory: "oom",
			Containers: []armada.ContainerEnd{{Name: "main", ExitCode: 137, Cause: armada.CauseOutOfMemory, Reason: "OOMKilled", Message: "too much"}, {Name: "side"}},
		},
		Attempted: true, Addresses: map[int32]string{80: "h:1"},
		Usage: &armada.Usage{Max: map[string]string{"cpu": "2"}, Average: map[string]string{"cpu": "1500m"}, Cumulative: map[string]string{"cpu": "9"}},
	}
}

func kinds() []armada.EventKind {
	var all []armada.EventKind
	for k := armada.EventSubmitted; k <= armada.EventIngressInfo; k++ {
		all = append(all, k)
	}
	return all
}

func TestEveryKindOfEventIsWrittenAsWatchersKnowIt(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, kind := range kinds() {
		got.WriteString(line(t, wire.Event(key, event(kind), wire.Job(full(), spec, 3))))
	}
	golden(t, "events.jsonl", got.String())
}

func TestAJobIsWrittenForEveryAsker(t *testing.T) {
	t.Parallel()
	table := armada.DefaultResourceTable()
	needing := full()
	needing.Needs = &armada.Requirements{PriorityClass: "armada-default", Resources: armada.Resources{1500, 2 << 30, 0, 1}}
	got := line(t, wire.Job(full(), spec, 3)) +
		line(t, wire.ForgottenJob(key, event(armada.EventSubmitted))) +
		line(t, wire.JobDetails(full(), nil, false)) +
		line(t, wire.JobDetails(full(), spec, true)) +
		line(t, wire.LookoutJob(needing, table, "", true)) +
		line(t, wire.LookoutJob(full(), table, "it waits", false))
	golden(t, "jobs.jsonl", got)
}

func TestALeaseHoldsWhatExecutorsOf2026DoNotCheckFor(t *testing.T) {
	t.Parallel()
	bare := &store.Order{Job: armada.Job{ID: jobID, Queue: "q", JobSet: "s"}, Run: armada.Run{ID: runID, Pool: "p"}, Details: armada.JobDetails{Namespace: "default"}}
	rich := &store.Order{Job: full().Job, Run: full().Runs[1], Details: full().Details}
	rich.Run.After = []armada.RunID{"v-1"}
	golden(t, "leases.jsonl", line(t, wire.Lease(bare, &corev1.PodSpec{}, false))+line(t, wire.Lease(rich, spec, true)))
	if len(rich.Details.Labels) != 1 || len(rich.Details.Annotations) != 1 {
		t.Error("writing a lease changed the job's labels or annotations")
	}
}

// reports are one of each kind that executors send.
func reports() []*armadaevents.EventSequence_Event {
	meta := &armadaevents.ObjectMeta{ExecutorId: "e9", Namespace: "lab", Name: "armada-x-0", KubernetesId: "uid"}
	info := &armadaevents.KubernetesResourceInfo{ObjectMeta: meta, Info: &armadaevents.KubernetesResourceInfo_PodInfo{PodInfo: &armadaevents.PodInfo{NodeName: "n2"}}}
	infos := []*armadaevents.KubernetesResourceInfo{info}
	j, r := string(jobID), string(runID)
	cpu := func(amount string) map[string]*resource.Quantity {
		return map[string]*resource.Quantity{"cpu": {String_: &amount}}
	}
	ended := func(e *armadaevents.Error) *armadaevents.EventSequence_Event {
		return &armadaevents.EventSequence_Event{Event: &armadaevents.EventSequence_Event_JobRunErrors{
			JobRunErrors: &armadaevents.JobRunErrors{JobId: j, RunId: r, Errors: []*armadaevents.Error{e}},
		}}
	}
	return []*armadaevents.EventSequence_Event{
		{Event: &armadaevents.EventSequence_Event_JobRunAssigned{JobRunAssigned: &armadaevents.JobRunAssigned{JobId: j, RunId: r, ResourceInfos: infos}}},
		{Event: &armadaevents.EventSequence_Event_JobRunRunning{JobRunRunning: &armadaevents.JobRunRunning{JobId: j, RunId: r, ResourceInfos: infos}}},
		{Event: &armadaevents.EventSequence_Event_JobRunSucceeded{JobRunSucceeded: &armadaevents.JobRunSucceeded{JobId: j, RunId: r, ResourceInfos: infos}}},
		ended(&armadaevents.Error{Terminal: true, FailureCategory: "user", FailureSubcategory: "oom", Reason: &armadaevents.Error_PodError{PodError: &armadaevents.PodError{
			ObjectMeta: meta, Message: "cut at \xe2\x82", NodeName: "n2", KubernetesReason: armadaevents.KubernetesReason_OOM, DebugMessage: "debug",
			ContainerErrors: []*armadaevents.ContainerError{{ObjectMeta: &armadaevents.ObjectMeta{Name: "main"}, ExitCode: 137, Message: "m", Reason: "r"}},
		}}}),
		ended(&armadaevents.Error{Terminal: true, Reason: &armadaevents.Error_PodLeaseReturned{PodLeaseReturned: &armadaevents.PodLeaseReturned{
			ObjectMeta: meta, Message: "no room", RunAttempted: true, DebugMessage: "debug",
		}}}),
		ended(&armadaevents.Error{}),
		{Event: &armadaevents.EventSequence_Event_JobRunErrors{JobRunErrors: &armadaevents.JobRunErrors{JobId: j, RunId: r}}},
		{Event: &armadaevents.EventSequence_Event_JobRunCancelled{JobRunCancelled: &armadaevents.JobRunCancelled{JobId: j, RunId: r, Reason: "asked to"}}},
		{Event: &armadaevents.EventSequence_Event_JobRunOutcomeUnknown{JobRunOutcomeUnknown: &armadaevents.JobRunOutcomeUnknown{JobId: j, RunId: r, Message: "gone"}}},
		{Event: &armadaevents.EventSequence_Event_JobRunStuck{JobRunStuck: &armadaevents.JobRunStuck{JobId: j, RunId: r, Message: "no such image"}}},
		{Event: &armadaevents.EventSequence_Event_StandaloneIngressInfo{StandaloneIngressInfo: &armadaevents.StandaloneIngressInfo{
			JobId: j, RunId: r, ObjectMeta: meta, NodeName: "n2", PodName: "armada-x-0", PodNamespace: "lab", IngressAddresses: map[int32]string{80: "h:1"},
		}}},
		{Event: &armadaevents.EventSequence_Event_ResourceUtilisation{ResourceUtilisation: &armadaevents.ResourceUtilisation{
			JobId: j, RunId: r, ResourceInfo: info, MaxResourcesForPeriod: cpu("2"), AvgResourcesForPeriod: cpu("1"), TotalCumulativeUsage: cpu("9"),
		}}},
		// These change nothing.
		{Event: &armadaevents.EventSequence_Event_JobRunTerminatedDebugInfo{JobRunTerminatedDebugInfo: &armadaevents.JobRunTerminatedDebugInfo{JobId: j, RunId: r, DebugMessage: "d"}}},
		{Event: &armadaevents.EventSequence_Event_PartitionMarker{PartitionMarker: &armadaevents.PartitionMarker{}}},
		{},
	}
}

func TestEveryKindOfReportIsOneChange(t *testing.T) {
	t.Parallel()
	list := &executorapi.EventList{Events: []*armadaevents.EventSequence{{}, {Events: reports()}}}
	var got strings.Builder
	for _, c := range wire.Reports(list) {
		got.WriteString(describe(&c) + "\n")
	}
	golden(t, "reports.txt", got.String())
}

func describe(c *lifecycle.Change) string {
	text := fmt.Sprintf("%s of %s by %q on %q: pod %+v, end %+v", c.Kind, c.Run, c.Executor, c.Node, c.Pod, c.End)
	if c.Attempted {
		text += ", attempted"
	}
	if c.Usage != nil {
		text += fmt.Sprintf(", usage %v", *c.Usage)
	}
	if c.Addresses != nil {
		text += fmt.Sprintf(", addresses %v", c.Addresses)
	}
	return text
}
