package wire_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"armada"
	"armada/internal/store"
	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/api/armadaevents"
	"armada/pkg/api/executorapi"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
)

func TestNoEventHasAKindThatClientsOf2026DoNotKnow(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds() {
		message := wire.Event(key, event(kind), wire.Job(full(), spec, 3))
		set := message.ProtoReflect().WhichOneof(message.ProtoReflect().Descriptor().Oneofs().ByName("events"))
		if set == nil || set.Number() == 8 || set.Number() == 14 {
			t.Errorf("%s became %v", kind, set)
		}
	}
	if got := wire.Event(key, event(99), nil); got != nil {
		t.Errorf("an unknown kind became %v", got)
	}
}

func TestASubmittedJobHasItsSpecInTheFieldThatAllYearsRead(t *testing.T) {
	t.Parallel()
	for _, job := range []*api.Job{wire.Job(full(), spec, 3), wire.ForgottenJob(key, event(armada.EventSubmitted))} {
		if job.GetPodSpec() == nil || len(job.GetPodSpecs()) != 0 {
			t.Errorf("the spec of %v is not in field 5 alone", job)
		}
	}
}

func TestEveryEventIsBelowWhatClientsTake(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10*wire.MaxText)
	failure := &armadaevents.PodError{Message: long, DebugMessage: long}
	for range 200 {
		failure.ContainerErrors = append(failure.ContainerErrors, &armadaevents.ContainerError{Message: long, Reason: long})
	}
	change, _ := wire.Report(&armadaevents.EventSequence_Event{Event: &armadaevents.EventSequence_Event_JobRunErrors{
		JobRunErrors: &armadaevents.JobRunErrors{Errors: []*armadaevents.Error{{Reason: &armadaevents.Error_PodError{PodError: failure}}}},
	}})
	e := &armada.Event{Kind: armada.EventFailed, Reason: change.End.Reason, End: &change.End}
	if size := proto.Size(wire.Event(key, e, nil)); size > 4<<20-1000 {
		t.Errorf("a failed event has %d bytes", size)
	}
}

func TestTextsFromExecutorsAreCutAndValid(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "plain", "cut \xe2\x82", strings.Repeat("€", wire.MaxText), strings.Repeat("\xff", 2*wire.MaxText)} {
		got := wire.Text(text)
		if !utf8.ValidString(got) || len(got) > wire.MaxText {
			t.Errorf("%.20q became %d bytes, valid: %v", text, len(got), utf8.ValidString(got))
		}
		if utf8.ValidString(text) && len(text) <= wire.MaxText && got != text {
			t.Errorf("%.20q became %.20q", text, got)
		}
	}
}

func TestTheListsExecutorStandsBeforeThatOfThePod(t *testing.T) {
	t.Parallel()
	list := &executorapi.EventList{ExecutorId: "mine", Events: []*armadaevents.EventSequence{{Events: reports()}}}
	for _, c := range wire.Reports(list) {
		if c.Executor != "mine" {
			t.Errorf("%s is by %q", c.Kind, c.Executor)
		}
	}
}

func TestAReportWithoutAValidTimeHappensNow(t *testing.T) {
	t.Parallel()
	for _, created := range []*timestamppb.Timestamp{nil, {Seconds: 1 << 60}, {Nanos: -5}} {
		e := reports()[0]
		e.Created = created
		if c, _ := wire.Report(e); !c.At.IsZero() {
			t.Errorf("%v became %v", created, c.At)
		}
	}
	e := reports()[0]
	e.Created = timestamppb.New(noon)
	if c, _ := wire.Report(e); !c.At.Equal(noon) {
		t.Errorf("noon became %v", c.At)
	}
}

func TestOneOddNodeDoesNotSpoilTheOthers(t *testing.T) {
	t.Parallel()
	table := armada.DefaultResourceTable()
	quantities := func(pairs ...string) map[string]*resource.Quantity {
		out := map[string]*resource.Quantity{}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = &resource.Quantity{String_: &pairs[i+1]}
		}
		return out
	}
	request := &executorapi.LeaseRequest{ExecutorId: "e", Pool: "p", Nodes: []*executorapi.NodeInfo{
		{TotalResources: quantities("cpu", "1")},
		{Name: "odd", TotalResources: quantities("cpu", "many", "memory", "1Gi", "pods", "110")},
		{
			Name: "good", Pool: "gpu", NodeType: "big", Labels: map[string]string{"a": "b"}, Unschedulable: true,
			TotalResources: quantities("cpu", "1500m"), AllocatableResources: quantities("cpu", "9"),
			Taints:                      []*corev1.Taint{{Key: proto.String("k"), Value: proto.String("v"), Effect: proto.String("NoSchedule")}},
			NonArmadaAllocatedResources: map[int32]*executorapi.ComputeResource{5: {Resources: quantities("cpu", "100m")}, -1: {Resources: quantities("cpu", "1")}, 7: {}},
		},
		{Name: "old", AllocatableResources: quantities("cpu", "2"), TotalResources: nil},
	}}
	want := []armada.Node{
		{Name: "odd", Executor: "e", Pool: "p", Allocatable: armada.Resources{0, 1 << 30}},
		{
			Name: "good", Executor: "e", Pool: "gpu", Type: "big", Labels: map[string]string{"a": "b"}, Unschedulable: true,
			Taints: []armada.Taint{{Key: "k", Value: "v", Effect: armada.NoSchedule}}, Allocatable: armada.Resources{1500},
			Others: []armada.PriorityUsage{{Priority: -1, Used: armada.Resources{1000}}, {Priority: 5, Used: armada.Resources{100}}},
		},
		{Name: "old", Executor: "e", Pool: "p", Allocatable: armada.Resources{2000}},
	}
	if diff := cmp.Diff(want, wire.Nodes(request, table)); diff != "" {
		t.Errorf("the nodes differ (-want +got):\n%s", diff)
	}
	request.Pool = ""
	if got := wire.Nodes(request, table)[0].Pool; got != armada.DefaultPool {
		t.Errorf("a node without a pool is in %q", got)
	}
}

func TestAQueueIsTheSameAfterTheWire(t *testing.T) {
	t.Parallel()
	queue := armada.Queue{
		Name: "q", PriorityFactor: 2.5, Cordoned: true, Labels: map[string]string{"a": "b"}, RetryPolicies: []string{"r"},
		Permissions: []armada.Permission{{Subjects: []armada.Subject{{Kind: armada.SubjectGroup, Name: "g"}}, Verbs: []armada.Verb{armada.VerbWatch}}},
		Limits: map[string]armada.ResourceFractions{"c": {
			Maximum: map[string]float64{"cpu": 0.5}, MaximumByPool: map[string]map[string]float64{"p": {"cpu": 0.25}},
		}},
	}
	if diff := cmp.Diff(queue, wire.Queue(wire.QueueMessage(queue), "armada-default")); diff != "" {
		t.Errorf("the queue differs (-want +got):\n%s", diff)
	}
}

func TestOwnersAndLimitsOf2020BecomePermissionsAndLimitsByClass(t *testing.T) {
	t.Parallel()
	got := wire.Queue(&api.Queue{
		Name: "q", PriorityFactor: 1, UserOwners: []string{"ada"}, GroupOwners: []string{"lab"}, ResourceLimits: map[string]float64{"cpu": 0.5},
	}, "armada-default")
	want := armada.Queue{
		Name: "q", PriorityFactor: 1,
		Permissions: []armada.Permission{{
			Subjects: []armada.Subject{{Kind: armada.SubjectUser, Name: "ada"}, {Kind: armada.SubjectGroup, Name: "lab"}}, Verbs: armada.OwnerVerbs(),
		}},
		Limits: map[string]armada.ResourceFractions{"armada-default": {Maximum: map[string]float64{"cpu": 0.5}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the queue differs (-want +got):\n%s", diff)
	}
}

func TestEveryStateHasItsOwnNameOnTheWire(t *testing.T) {
	t.Parallel()
	for _, s := range armada.JobStates() {
		if back, ok := wire.StateOf(wire.JobState(s)); !ok || back != s {
			t.Errorf("%s became %s and then %s", s, wire.JobState(s), back)
		}
	}
	if _, ok := wire.StateOf(api.JobState_UNKNOWN); ok {
		t.Error("UNKNOWN is a state")
	}
	for _, s := range armada.RunStates() {
		if got := wire.RunState(&armada.Run{State: s}); got == api.JobRunState_RUN_STATE_UNKNOWN {
			t.Errorf("a run that is %s has no name", s)
		}
	}
}

func TestIDsOfOtherServersAreNoCursors(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "1", "1603273948012-0:0", "1603273948012:0:0:1", "-1", "1-", "01-2", "1-02", "+1-2", "0-1", "1--1", "9223372036854775808-1"} {
		if c, ok := wire.Cursor(id); ok {
			t.Errorf("%q was read as %v", id, c)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add("1-1")
	f.Add("9223372036854775807-0")
	f.Add("1603273948012-0")
	f.Fuzz(func(t *testing.T, id string) {
		c, ok := wire.Cursor(id)
		if !ok {
			if c != (store.Cursor{}) {
				t.Errorf("%q is no cursor and answers %v", id, c)
			}
			return
		}
		if wire.CursorID(c) != id || c.Incarnation < 1 || c.Number < 0 {
			t.Errorf("%q was read as %v", id, c)
		}
	})
}

func TestAPodDoesNotAskItsClusterForWhatIsNoPartOfNodes(t *testing.T) {
	t.Parallel()
	table, err := armada.NewResourceTable([]armada.Resource{{Name: armada.CPU, Milli: true}, {Name: "licences", Floating: true}})
	if err != nil {
		t.Fatal(err)
	}
	asks := func() *corev1.ResourceRequirements {
		one := func() map[string]*resource.Quantity {
			return map[string]*resource.Quantity{"cpu": {String_: proto.String("1")}, "licences": {String_: proto.String("2")}}
		}
		return &corev1.ResourceRequirements{Requests: one(), Limits: one()}
	}
	spec := &corev1.PodSpec{
		InitContainers: []*corev1.Container{{Resources: asks()}},
		Containers:     []*corev1.Container{{Resources: asks()}, {}},
	}
	wire.WithoutFloating(spec, table)
	for _, c := range []*corev1.Container{spec.InitContainers[0], spec.Containers[0]} {
		for _, left := range []map[string]*resource.Quantity{c.GetResources().GetRequests(), c.GetResources().GetLimits()} {
			if len(left) != 1 || left["cpu"].GetString_() != "1" {
				t.Errorf("a container asks for %v, want its cpu alone", left)
			}
		}
	}
}

func TestNodesWantNoSmallerJobsThanTheirExecutorSays(t *testing.T) {
	t.Parallel()
	nodes := wire.Nodes(&executorapi.LeaseRequest{
		Nodes:          []*executorapi.NodeInfo{{Name: "n1"}, {Name: "n2"}},
		MinimumJobSize: map[string]*resource.Quantity{"cpu": {String_: proto.String("1500m")}, "memory": {String_: proto.String("lots")}, "fpga": {String_: proto.String("1")}},
	}, armada.DefaultResourceTable())
	for _, n := range nodes {
		if n.MinimumJob != (armada.Resources{1500}) {
			t.Errorf("%s is for jobs of at least %v, want 1500m cpu", n.Name, n.MinimumJob)
		}
	}
	if len(nodes) != 2 {
		t.Errorf("there are %d nodes, want 2", len(nodes))
	}
}
