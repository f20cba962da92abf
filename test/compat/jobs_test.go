package compat

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	corev1 "k8s.io/api/core/v1"

	"armada"
	"armada/test/compat/wiretable"
)

// podOf decodes a pod spec as Kubernetes' own type does.
func podOf(t *testing.T, raw []byte) *corev1.PodSpec {
	t.Helper()
	spec := &corev1.PodSpec{}
	ok(t, spec.Unmarshal(raw))
	return spec
}

// jobState are the names of the states of a job by their numbers.
var jobState = []string{"QUEUED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "UNKNOWN", "SUBMITTED", "LEASED", "PREEMPTED", "CANCELLED", "REJECTED"}

// states are those of jobs, as GetJobStatus tells them.
func (c *client) states(ids ...string) map[string]string {
	c.t.Helper()
	return statesIn(c.must("api.Jobs/GetJobStatus", Fields{"job_ids": ids}))
}

func statesIn(answer proto.Message) map[string]string {
	all := map[string]string{}
	wiretable.At(answer, "job_states").Map().Range(func(id protoreflect.MapKey, state protoreflect.Value) bool {
		all[id.String()] = jobState[state.Enum()]
		return true
	})
	return all
}

func (c *client) state(id string) string {
	c.t.Helper()
	return c.states(id)[id]
}

// Statement 27 of the compatibility notes.
func TestAJobHasOneShapeHoweverItIsWritten(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		selecting := pod()
		selecting.NodeSelector = map[string]string{"zone": "a"}
		forms := []Fields{
			{"pod_specs": []any{selecting}, "namespace": "default"},
			{"pod_spec": selecting, "namespace": "default"},
			{"pod_spec": selecting},
			{"pod_spec": pod(), "required_node_labels": map[string]string{"zone": "a"}},
			{"pod_specs": []any{pod()}, "required_node_labels": map[string]string{"zone": "a"}, "namespace": "default"},
		}
		ids := w.submit("set", forms...)
		old := w.of(wiretable.Year2020())
		ids = append(ids, old.submit("set", forms[2], forms[3])...)
		first, err := w.store.Job(t.Context(), armada.JobID(ids[0]))
		ok(t, err)
		for i, id := range ids {
			job, err := w.store.Job(t.Context(), armada.JobID(id))
			ok(t, err)
			if job.Job.Shape != first.Job.Shape || job.Job.Template != first.Job.Template || job.Details.Namespace != "default" {
				t.Errorf("job %d is %+v in namespace %q, the first one is %+v", i, job.Job, job.Details.Namespace, first.Job)
			}
		}
	})
}

// Statement 28 of the compatibility notes.
func TestTheAnswerToASubmitHasAnIDForEachJobInOrder(t *testing.T) {
	t.Parallel()
	ulid := regexp.MustCompile(`^[0-7][0-9a-hjkmnp-tv-z]{25}$`)
	onEachForm(t, func(t *testing.T, w *world) {
		jobs := items(250)
		for i := range jobs {
			jobs[i]["client_id"] = fmt.Sprintf("c-%d", i)
			jobs[i]["priority"] = float64(i)
		}
		ids := w.submit("set", jobs...)
		if len(ids) != len(jobs) || len(slices.Compact(slices.Sorted(slices.Values(ids)))) != len(jobs) {
			t.Fatalf("%d ids of %d jobs", len(ids), len(jobs))
		}
		i := 0
		for _, e := range w.history("set") {
			if e.kind != "submitted" {
				continue
			}
			if e.text("job_id") != ids[i] || wiretable.At(e.body, "job", "priority").Float() != float64(i) || !ulid.MatchString(ids[i]) {
				t.Errorf("job %d is %q, and the event says %v", i, ids[i], e.body)
			}
			i++
		}
		// The same again, in the other order: the jobs that are there already.
		slices.Reverse(jobs)
		again := w.submit("set", jobs...)
		slices.Reverse(again)
		if !slices.Equal(again, ids) {
			t.Errorf("submitted again the jobs are others: %q, %q", ids[:2], again[:2])
		}
	})
}

// Statement 29 of the compatibility notes.
func TestABareIDIsEnoughToCancelAJob(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		ids := w.submit("set", items(2)...)
		w.do(ids[1], leased, pending, running)
		for i, c := range []*client{w.client, w.of(wiretable.Year2020())} {
			for range 2 {
				answer := c.must("api.Submit/CancelJobs", Fields{"job_id": ids[i]})
				if got := wiretable.Strings(answer, "cancelled_ids"); !slices.Equal(got, ids[i:i+1]) {
					t.Errorf("cancelled are %q, want %q", got, ids[i])
				}
			}
		}
		w.do(ids[1], stopped)
		for id, state := range w.states(ids...) {
			if state != "CANCELLED" {
				t.Errorf("job %s is %s", id, state)
			}
		}
	})
}

// Statement 30 of the compatibility notes.
func TestCancellingAJobSetAnswersTheRealIDs(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		for _, c := range []*client{w.client, w.of(wiretable.Year2020())} {
			ids := w.submit("set", items(3)...)
			w.do(ids[0], leased, pending, running)
			w.do(ids[1], leased, pending, running, succeeded)
			cancel := func() []string {
				return slices.Sorted(slices.Values(wiretable.Strings(c.must("api.Submit/CancelJobs", Fields{"queue": "q", "job_set_id": "set"}), "cancelled_ids")))
			}
			if got := cancel(); !slices.Equal(got, []string{ids[0], ids[2]}) {
				t.Errorf("cancelled are %q of %q", got, ids)
			}
			if got := cancel(); !slices.Equal(got, ids[:1]) {
				t.Errorf("while one is still being cancelled, cancelled are %q", got)
			}
			w.do(ids[0], stopped)
			if got := cancel(); len(got) != 0 {
				t.Errorf("in a set where nothing is active, cancelled are %q", got)
			}
			c.refused(codes.InvalidArgument, "api.Submit/CancelJobs", Fields{"queue": "q"})
			c.refused(codes.NotFound, "api.Submit/CancelJobs", Fields{"queue": "never", "job_set_id": "set"})
		}
	})
}

// Statement 31 of the compatibility notes.
func TestAnEmptyFilterCancelsAllStates(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		const queued, pendingState, runningState, succeededState = 0, 1, 2, 3
		for name, c := range map[string]struct {
			filter any
			want   []string // what becomes of a queued, a leased, a pending and a running job
		}{
			"no filter":           {nil, []string{"CANCELLED", "CANCELLED", "CANCELLED", "CANCELLED"}},
			"an empty filter":     {Fields{}, []string{"CANCELLED", "CANCELLED", "CANCELLED", "CANCELLED"}},
			"queued":              {Fields{"states": []any{queued}}, []string{"CANCELLED", "LEASED", "PENDING", "RUNNING"}},
			"pending and running": {Fields{"states": []any{pendingState, runningState}}, []string{"QUEUED", "CANCELLED", "CANCELLED", "CANCELLED"}},
		} {
			ids := w.submit(name, items(4)...)
			w.do(ids[1], leased)
			w.do(ids[2], leased, pending)
			w.do(ids[3], leased, pending, running)
			w.must("api.Submit/CancelJobSet", Fields{"queue": "q", "job_set_id": name, "filter": c.filter})
			for i, id := range ids {
				if i > 0 && c.want[i] == "CANCELLED" {
					w.do(id, stopped) // as its executor is told to
				}
			}
			states := w.states(ids...)
			for i, id := range ids {
				if states[id] != c.want[i] {
					t.Errorf("%s: job %d is %s, want %s", name, i, states[id], c.want[i])
				}
			}
		}
		w.refused(codes.InvalidArgument, "api.Submit/CancelJobSet", Fields{"queue": "q", "job_set_id": "set", "filter": Fields{"states": []any{succeededState}}})
	})
}

// Statement 32 of the compatibility notes.
func TestReprioritisingAJobSetAnswersAndTellsOfEachJob(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		ids := w.submit("set", items(3)...)
		w.do(ids[0], leased, pending, running)
		w.do(ids[1], leased, pending, running, succeeded)
		request := Fields{"queue": "q", "job_set_id": "set", "new_priority": 5.0}
		got := wiretable.Texts(w.must("api.Submit/ReprioritizeJobs", request), "reprioritization_results")
		if want := map[string]string{ids[0]: "", ids[2]: ""}; !maps.Equal(got, want) {
			t.Errorf("the results are %q, want %q", got, want)
		}
		told := map[string]int{}
		for _, e := range w.history("set") {
			if e.kind == "reprioritized" && wiretable.At(e.body, "new_priority").Float() == 5 {
				told[e.text("job_id")]++
			}
		}
		if want := map[string]int{ids[0]: 1, ids[2]: 1}; !maps.Equal(told, want) {
			t.Errorf("told is %v, want %v", told, want)
		}
		w.must("api.Submit/CancelJobSet", Fields{"queue": "q", "job_set_id": "set"})
		w.do(ids[0], stopped)
		if got := wiretable.Texts(w.must("api.Submit/ReprioritizeJobs", request), "reprioritization_results"); len(got) != 0 {
			t.Errorf("where nothing is active the results are %q", got)
		}
	})
}

// Statement 64 of the compatibility notes, in each state of a job.
func TestTheInfoOfAQueueOf2020CountsActiveJobsOnly(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		ids := w.submit("one", items(6)...)
		w.do(ids[0], leased)
		w.do(ids[1], leased, pending)
		w.do(ids[2], leased, pending, running)
		w.do(ids[3], leased, pending, running, succeeded)
		w.submit("two", items(1)...)
		over := w.submit("over", items(2)...)
		w.do(over[0], leased, pending, running, failed)
		w.must("api.Submit/CancelJobs", Fields{"job_id": over[1]})
		got := map[string][2]int64{}
		answer := w.of(wiretable.Year2020()).must("api.Submit/GetQueueInfo", Fields{"name": "q"})
		for _, set := range wiretable.List(answer, "active_job_sets") {
			got[wiretable.At(set, "name").String()] = [2]int64{wiretable.At(set, "queued_jobs").Int(), wiretable.At(set, "leased_jobs").Int()}
		}
		if want := map[string][2]int64{"one": {2, 3}, "two": {1, 0}}; !maps.Equal(got, want) || wiretable.At(answer, "name").String() != "q" {
			t.Errorf("queued and leased by job set are %v, want %v", got, want)
		}
	})
}

// Statement 33 of the compatibility notes.
func TestTheSameGangInALaterJobSetIsAnother(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		members := items(3)
		for i := range members {
			members[i]["annotations"] = map[string]string{"armadaproject.io/gangId": "my-gang", "armadaproject.io/gangCardinality": "3"}
		}
		for _, set := range []string{"first", "second"} {
			for _, id := range w.submit(set, members...) {
				w.do(id, leased, pending, running, succeeded)
			}
		}
		// While one of the members waits elsewhere, another cardinality is fine too.
		w.submit("waiting", members...)
		two := items(2)
		for i := range two {
			two[i]["annotations"] = map[string]string{"armadaproject.io/gangId": "my-gang", "armadaproject.io/gangCardinality": "2"}
		}
		for _, id := range w.submit("other", two...) {
			if got := w.state(id); got != "QUEUED" {
				t.Errorf("a member is %s", got)
			}
		}
	})
}

// Statement 34 of the compatibility notes.
func TestEveryIDThatIsAskedForHasAState(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		ids := w.submit("set", items(9)...)
		w.do(ids[1], leased)
		w.do(ids[2], leased, pending)
		w.do(ids[3], leased, pending, running)
		w.do(ids[4], leased, pending, running, succeeded)
		w.do(ids[5], leased, pending, running, failed)
		w.do(ids[6], leased, displaced, stopped)
		w.must("api.Submit/CancelJobs", Fields{"job_id": ids[7]})
		w.do(ids[8], rejected)
		want := map[string]string{}
		for i, state := range []string{"QUEUED", "LEASED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "PREEMPTED", "CANCELLED", "REJECTED"} {
			want[ids[i]] = state
		}
		asked := slices.Clone(ids)
		for _, id := range []string{"01h00000000000000000000000", "no id at all", ""} {
			want[id] = "UNKNOWN"
			asked = append(asked, id)
		}
		if got := w.states(asked...); !maps.Equal(got, want) {
			t.Errorf("the states are\n%v, want\n%v", got, want)
		}
		if got := w.states(); len(got) != 0 {
			t.Errorf("of none, the states are %v", got)
		}
	})
}

// What Airflow does after its restart: it finds the job by the URI that it gave,
// and the cluster of its latest run.
func TestAJobIsFoundAgainByItsExternalURI(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		const uri = "airflow://task/1"
		jobs := items(4)
		jobs[0]["external_job_uri"] = uri
		jobs[1]["annotations"] = map[string]string{"armadaproject.io/externalJobUri": uri}
		jobs[2]["external_job_uri"] = uri + "0"
		ids := w.submit("set", jobs...)
		w.submit("other", jobs[0])
		w.do(ids[0], leased, pending, returned, leased, pending, running, reachable)
		ask := func(queue, set, uri string) map[string]string {
			return statesIn(w.must("api.Jobs/GetJobStatusUsingExternalJobUri", Fields{"queue": queue, "jobset": set, "external_job_uri": uri}))
		}
		if got, want := ask("q", "set", uri), map[string]string{ids[0]: "RUNNING", ids[1]: "QUEUED"}; !maps.Equal(got, want) {
			t.Errorf("the states are %v, want %v", got, want)
		}
		for _, nobody := range []map[string]string{ask("q", "set", "airflow://task"), ask("q", "never", uri), ask("never", "set", uri)} {
			if len(nobody) != 0 {
				t.Errorf("without a match the states are %v", nobody)
			}
		}
		w.refused(codes.InvalidArgument, "api.Jobs/GetJobStatusUsingExternalJobUri", Fields{"queue": "q", "jobset": "set"})

		details := wiretable.At(w.must("api.Jobs/GetJobDetails", Fields{"job_ids": []string{ids[0], "never"}, "expand_job_run": true, "expand_job_spec": true}), "job_details").Map()
		if details.Len() != 1 {
			t.Fatalf("details are there of %d jobs", details.Len())
		}
		job := details.Get(protoreflect.ValueOfString(ids[0]).MapKey()).Message().Interface()
		latest := wiretable.At(job, "latest_run_id").String()
		runs := wiretable.List(job, "job_runs")
		if address := wiretable.At(runs[0], "ingress_addresses").Map().Get(protoreflect.ValueOfInt32(80).MapKey()); !address.IsValid() || address.String() != "h:1" {
			t.Errorf("the latest run can be reached at %v", runs[0])
		}
		if len(runs) != 2 || wiretable.At(runs[0], "run_id").String() != latest || wiretable.At(runs[0], "cluster").String() != "e1" || wiretable.At(runs[0], "node").String() != "n1" {
			t.Errorf("the runs are %v, the latest is %q", runs, latest)
		}
		if wiretable.Time(job, "submitted_ts").IsZero() || len(podOf(t, wiretable.At(job, "job_spec", "pod_spec").Bytes()).Containers) != 1 {
			t.Errorf("the job is %v", job)
		}
		one := wiretable.At(w.must("api.Jobs/GetJobRunDetails", Fields{"run_ids": []string{latest, "never"}}), "job_run_details").Map()
		if one.Len() != 1 || wiretable.At(one.Get(protoreflect.ValueOfString(latest).MapKey()).Message().Interface(), "job_id").String() != ids[0] {
			t.Errorf("the run is %v", one)
		}
	})
}

func TestTheErrorsOfJobsAreToldByID(t *testing.T) {
	t.Parallel()
	onEachForm(t, func(t *testing.T, w *world) {
		ids := w.submit("set", items(3)...)
		w.do(ids[0], leased, pending, running, failed)
		w.do(ids[1], rejected)
		got := wiretable.Texts(w.must("api.Jobs/GetJobErrors", Fields{"job_ids": append(ids, "never")}), "job_errors")
		if want := map[string]string{ids[0]: "it failed", ids[1]: "too large", ids[2]: ""}; !maps.Equal(got, want) {
			t.Errorf("the errors are %q, want %q", got, want)
		}
		many := make([]string, 10_001)
		for i := range many {
			many[i] = fmt.Sprint(i)
		}
		w.refused(codes.InvalidArgument, "api.Jobs/GetJobErrors", Fields{"job_ids": many})
	})
}
