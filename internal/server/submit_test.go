package server_test

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"armada"
	"armada/internal/podspec"
	"armada/internal/server"
	"armada/internal/store"
	"armada/pkg/api"
	"armada/pkg/api/k8s/api/resource"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// paths are those of the violations in an error's details.
func paths(err error) []string {
	var list []string
	for _, detail := range status.Convert(err).Details() {
		if bad, is := detail.(*errdetails.BadRequest); is {
			for _, v := range bad.GetFieldViolations() {
				list = append(list, v.GetField())
			}
		}
	}
	return list
}

// wantPaths fails the test unless exactly these fields are said to be wrong, in
// details and text.
func wantPaths(t testing.TB, err error, want ...string) {
	t.Helper()
	got := paths(err)
	slices.Sort(got)
	sorted := slices.Sorted(slices.Values(want))
	if !slices.Equal(slices.Compact(got), sorted) {
		t.Errorf("the violations are at %q, want %q (%v)", got, sorted, err)
	}
	for _, path := range want {
		if !strings.Contains(status.Convert(err).Message(), path) {
			t.Errorf("the message does not name %s: %v", path, err)
		}
	}
}

func TestAllWaysToWriteAJobLeadToTheSameShape(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	selected := pod(func(p *corev1.PodSpec) { p.NodeSelector = map[string]string{"zone": "a"} })
	ids := w.submitted("set", []*api.JobSubmitRequestItem{
		{PodSpec: selected},
		{PodSpecs: []*corev1.PodSpec{selected}},
		{PodSpec: selected, Namespace: "lab"},
		{PodSpec: pod(), RequiredNodeLabels: map[string]string{"zone": "a"}},
	})
	first := w.job(ids[0])
	for _, id := range ids {
		job := w.job(id)
		if job.Job.Shape != first.Job.Shape || job.Job.Template != first.Job.Template {
			t.Errorf("job %s has the shape %s and the template %s, the first %s and %s", id, job.Job.Shape, job.Job.Template, first.Job.Shape, first.Job.Template)
		}
	}
	r, err := w.store.Requirements(t.Context(), first.Job.Shape)
	ok(t, err)
	if len(r.NodeSelector) != 1 || r.NodeSelector[0] != (armada.Label{Key: "zone", Value: "a"}) || r.PriorityClass != "armada-default" {
		t.Errorf("the requirements are %+v", r)
	}
}

// Executors that make pods and nothing else do not get what needs more.
func TestAShapeTellsWhetherAJobIsMoreThanItsPod(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	gang := func(size string) map[string]string {
		return map[string]string{"armadaproject.io/gangId": "g" + size, "armadaproject.io/gangCardinality": size}
	}
	ids := w.submitted("set", []*api.JobSubmitRequestItem{
		{PodSpec: pod()},
		{PodSpec: pod(), Annotations: gang("1")},
		{PodSpec: pod(), Services: []*api.ServiceConfig{{Ports: []uint32{80}}}},
		{PodSpec: pod(), Ingress: []*api.IngressConfig{{Ports: []uint32{80}}}},
		{PodSpec: pod(), Annotations: gang("2")},
	})
	for i, id := range ids {
		r, err := w.store.Requirements(t.Context(), w.job(id).Job.Shape)
		ok(t, err)
		if want := i >= 2; r.MoreThanPod != want {
			t.Errorf("item %d: more than a pod is %t, want %t", i, r.MoreThanPod, want)
		}
	}
}

// job returns what the store knows of a job.
func (w *world) job(id string) store.FullJob {
	w.t.Helper()
	job, err := w.store.Job(w.t.Context(), armada.JobID(id))
	ok(w.t, err)
	return job
}

func TestThereIsOneAnswerPerItemInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	list := items(50)
	for i := range list {
		list[i].Priority = float64(i)
	}
	ids := w.submitted("set", list)
	if len(ids) != 50 || !slices.IsSorted(ids) {
		t.Errorf("the ids are %v", ids)
	}
	form := regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{26}$`)
	for i, id := range ids {
		if !form.MatchString(id) {
			t.Errorf("%q is no lower-case ULID", id)
		}
		if got := w.job(id).Job.Priority; got != uint32(i) {
			t.Errorf("job %d has the priority %d", i, got)
		}
	}
}

func TestOneBadJobRejectsAllAndEveryViolationIsListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	list := items(8)
	list[1] = &api.JobSubmitRequestItem{}
	list[2].PodSpec = pod()
	list[3].PodSpecs[0].Containers[0].Resources.Limits = map[string]*resource.Quantity{"cpu": {String_: proto.String("2")}, "memory": {String_: proto.String("1Gi")}}
	list[4].Priority, list[4].ClientId, list[4].Namespace = math.NaN(), strings.Repeat("é", 101), "No Namespace"
	list[5].Annotations = map[string]string{"armadaproject.io/gangId": "g", "armadaproject.io/gangCardinality": "many", "armadaproject.io/priceBand": "Z"}
	list[6].Ingress = []*api.IngressConfig{{}, {Ports: []uint32{80}}, {Ports: []uint32{80, 70000}}}
	list[7].PodSpecs = []*corev1.PodSpec{pod(), pod()}
	_, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "q", JobRequestItems: list})
	wantCode(t, err, codes.InvalidArgument)
	wantPaths(t, err,
		"job_set_id",
		"job_request_items[1].pod_spec",
		"job_request_items[2].pod_specs",
		"job_request_items[3].pod_specs[0].containers[0].resources.limits[cpu]",
		"job_request_items[4].priority", "job_request_items[4].client_id", "job_request_items[4].namespace",
		"job_request_items[5].annotations[armadaproject.io/gangCardinality]", "job_request_items[5].annotations[armadaproject.io/priceBand]",
		"job_request_items[6].ingress[0].ports", "job_request_items[6].ingress[2].ports",
		"job_request_items[7].pod_specs",
	)
	var perItem *api.JobSubmitResponse
	for _, detail := range status.Convert(err).Details() {
		if r, is := detail.(*api.JobSubmitResponse); is {
			perItem = r
		}
	}
	if got := perItem.GetJobResponseItems(); len(got) != 7 || got[0].GetJobId() != "job_request_items[1]" || !strings.Contains(got[3].GetError(), "priority") {
		t.Errorf("the bad items are %v", perItem)
	}
	if jobs, err := w.store.ActiveJobs(t.Context(), store.JobSetKey{Queue: "q"}, nil); err != nil || len(jobs) != 0 {
		t.Errorf("submitted were %v, %v", jobs, err)
	}
}

func TestAThousandBadJobsAreListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	list := make([]*api.JobSubmitRequestItem, 900)
	for i := range list {
		list[i] = &api.JobSubmitRequestItem{}
	}
	_, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "q", JobSetId: "set", JobRequestItems: list})
	if got := paths(err); len(got) != 900 || got[899] != "job_request_items[899].pod_spec" {
		t.Errorf("%d violations are listed", len(got))
	}
}

func TestMembersOfAGangMustAgree(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	list := items(3)
	for i := range list {
		list[i].Annotations = map[string]string{"armadaproject.io/gangId": "g", "armadaproject.io/gangCardinality": "3", "armadaproject.io/gangNodeUniformityLabel": "zone"}
	}
	ids := w.submitted("good", list)
	w.submitted("later", list) // the same id in another job set
	want := armada.Gang{ID: "g", Cardinality: 3, UniformityLabel: "zone", FailFast: true}
	if got := w.job(ids[2]).Job.Gang; got != want {
		t.Errorf("the gang is %+v, want %+v", got, want)
	}
	list[1].Annotations = maps.Clone(list[1].Annotations)
	list[1].Annotations["armadaproject.io/gangCardinality"] = "2"
	list[2].Annotations = maps.Clone(list[2].Annotations)
	list[2].Annotations["armadaproject.io/gangNodeUniformityLabel"] = "rack"
	list[2].PodSpecs = []*corev1.PodSpec{pod(func(p *corev1.PodSpec) { p.PriorityClassName = proto.String("armada-preemptible") })}
	_, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "q", JobSetId: "bad", JobRequestItems: list})
	wantCode(t, err, codes.InvalidArgument)
	wantPaths(t, err, "job_request_items[1].annotations[armadaproject.io/gangCardinality]",
		"job_request_items[2].annotations[armadaproject.io/gangNodeUniformityLabel]", "job_request_items[2].pod_spec.priorityClassName")
}

func TestAGangHasTheLabelsOfItsInstallation(t *testing.T) {
	t.Parallel()
	config := podspec.DefaultConfig()
	config.DefaultGangNodeUniformityLabel, config.AddGangIDLabel = "zone", true
	rules, err := config.Rules(armada.DefaultResourceTable())
	ok(t, err)
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Rules = rules }})
	list := items(3)
	list[0].Annotations = map[string]string{"armadaproject.io/gangId": "g", "armadaproject.io/gangCardinality": "2"}
	list[0].Labels = map[string]string{"a": "b"}
	list[1].Annotations = list[0].Annotations
	ids := w.submitted("set", list)
	for i, want := range []map[string]string{{"a": "b", "armadaproject.io/gangId": "g"}, {"armadaproject.io/gangId": "g"}, nil} {
		job := w.job(ids[i])
		if got := job.Details.Labels; !maps.Equal(got, want) {
			t.Errorf("job %d has the labels %v, want %v", i, got, want)
		}
		if got := job.Job.Gang.UniformityLabel; (got == "zone") != (i < 2) {
			t.Errorf("the nodes of job %d share %q", i, got)
		}
	}
	list[0].Annotations["armadaproject.io/gangNodeUniformityLabel"] = "rack"
	if got := w.job(w.submitted("own", list)[0]).Job.Gang.UniformityLabel; got != "rack" {
		t.Errorf("a gang that names its own label has %q", got)
	}
	list[0].Annotations["armadaproject.io/gangId"] = "not a label"
	_, err = w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "q", JobSetId: "bad", JobRequestItems: list[:1]})
	wantPaths(t, err, "job_request_items[0].annotations[armadaproject.io/gangId]")
}

func TestLateMembersOfAGangAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	members := func(n int, cardinality string) []*api.JobSubmitRequestItem {
		list := items(n + 1)
		for _, item := range list[1:] { // the first is of no gang
			item.Annotations = map[string]string{"armadaproject.io/gangId": "g", "armadaproject.io/gangCardinality": cardinality}
		}
		return list
	}
	refused := func(list []*api.JobSubmitRequestItem, path, why string) {
		t.Helper()
		_, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "q", JobSetId: "set", JobRequestItems: list})
		wantCode(t, err, codes.FailedPrecondition)
		wantPaths(t, err, path)
		if !strings.Contains(err.Error(), why) {
			t.Errorf("the error is %q, must say %q", err, why)
		}
	}
	w.submitted("set", members(1, "3"))
	refused(members(1, "2"), "job_request_items[1].annotations[armadaproject.io/gangCardinality]", `is 2, but 3 for the members of the gang "g"`)
	refused(members(3, "3"), "job_request_items[3].annotations[armadaproject.io/gangId]", `the gang "g" of the job set has all of its 3 members already`)
	w.submitted("set", members(2, "3"))
	refused(members(1, "3"), "job_request_items[1].annotations[armadaproject.io/gangId]", "choose another gang id, or submit to another job set")
	w.submitted("later", members(3, "3"))
}

func TestAClientIDIsTakenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	list := items(3)
	list[0].ClientId, list[1].ClientId, list[2].ClientId = "a", "a", "b"
	first := w.submitted("set", list)
	again := w.submitted("set", list)
	if first[0] != first[1] || first[0] == first[2] || !slices.Equal(first, again) {
		t.Errorf("the ids are %v, then %v", first, again)
	}
	if got := len(w.events("set")); got != 4 {
		t.Errorf("there are %d events, want those of two jobs", got)
	}
}

func TestSubmittingToAnUnknownQueueIsNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	_, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "never", JobSetId: "set", JobRequestItems: items(1)})
	wantCode(t, err, codes.NotFound)
	if !strings.Contains(err.Error(), "could not find queue") {
		t.Errorf("clients of 2026 look for other words than %v", err)
	}
}

func TestAQueueCanBeUsedAsSoonAsItIsCreated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	for i := range 5 {
		name := fmt.Sprintf("fresh-%d", i)
		_, err := w.queue.CreateQueue(t.Context(), &api.Queue{Name: name, PriorityFactor: 1})
		ok(t, err)
		_, err = w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: name, JobSetId: "set", JobRequestItems: items(1)})
		ok(t, err)
	}
}

func TestPrioritiesAreRoundedAndKeptInRange(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	list := items(5)
	for i, p := range []float64{0.5, 2.4, -7, 1e300, math.MaxUint32} {
		list[i].Priority = p
	}
	want := []uint32{1, 2, 0, math.MaxUint32, math.MaxUint32}
	for i, id := range w.submitted("set", list) {
		if got := w.job(id).Job.Priority; got != want[i] {
			t.Errorf("priority %v became %d, want %d", list[i].GetPriority(), got, want[i])
		}
	}
}

func TestARepeatedSpecIsNotDecodedAgainAndLeadsToTheSameTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	a := w.job(w.submitted("set", items(1))[0])
	b := w.job(w.submitted("set", items(1))[0])
	other := items(1)
	other[0].PodSpecs[0].Containers[0].Args = []string{"false"}
	c := w.job(w.submitted("set", other)[0])
	if a.Job.Template != b.Job.Template || a.Job.Template == c.Job.Template || a.Job.Shape != c.Job.Shape {
		t.Errorf("templates %s, %s, %s; shapes %s, %s", a.Job.Template, b.Job.Template, c.Job.Template, a.Job.Shape, c.Job.Shape)
	}
}

func TestABadSpecIsRefusedEveryTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	bad := items(2)
	bad[0].PodSpecs[0].PriorityClassName = proto.String("never")
	bad[1].PodSpecs[0].PriorityClassName = proto.String("never")
	for range 2 {
		_, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: "q", JobSetId: "set", JobRequestItems: bad})
		wantPaths(t, err, "job_request_items[0].pod_specs[0].priorityClassName", "job_request_items[1].pod_specs[0].priorityClassName")
	}
}
