package storetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"armada"
	"armada/internal/store"
)

var durability = []scenario{
	{"what was answered survives a restart", whatWasAnsweredSurvives},
	{"calls after Close answer Unavailable", closedAnswersUnavailable},
	{"a second opening of the database sees and adds to the first's work", twoReplicasAgree},
}

func whatWasAnsweredSurvives(t *testing.T, form Form) {
	w := open(t, form)
	ids := w.submit("a", "set", 3)
	w.must(lease(ids[0]))
	w.finish(ids[1])
	before, events := w.job(ids[0]), w.events("a", "set")
	w.reopen()
	if diff := cmp.Diff(before, w.job(ids[0])); diff != "" {
		t.Error("the leased job changed (-before +after):\n", diff)
	}
	if diff := cmp.Diff(events, w.events("a", "set")); diff != "" {
		t.Error("the events changed (-before +after):\n", diff)
	}
	more := w.submit("a", "set", 1)
	if w.job(more[0]).Number <= w.job(ids[2]).Number {
		t.Error("submit numbers do not grow over a restart")
	}
	if wrong := whole(w.events("a", "set")); wrong != "" {
		t.Error(wrong)
	}
}

func closedAnswersUnavailable(t *testing.T, form Form) {
	w := open(t, form)
	w.ok(w.Close())
	w.ok(w.Close())
	w.code(w.PutQueue(w.ctx, armada.Queue{Name: "c"}), armada.CodeUnavailable)
	_, err := w.Queues(w.ctx)
	w.code(err, armada.CodeUnavailable)
	_, err = w.Submit(w.ctx, submission("a", "set", 1))
	w.code(err, armada.CodeUnavailable)
}

func twoReplicasAgree(t *testing.T, form Form) {
	w := open(t, form)
	other := &world{Store: w.replica(), t: t, ctx: w.ctx, clock: w.clock}
	first := w.submit("a", "set", 2)
	if got := other.job(first[1]); got.State != armada.JobQueued {
		t.Errorf("the other replica reads state %v", got.State)
	}
	second := other.submit("a", "set", 2)
	w.must(lease(second[0]))
	other.must(lease(first[0]))
	w.ok(other.PutQueue(w.ctx, armada.Queue{Name: "late", PriorityFactor: 1}))
	w.submit("late", "set", 1)
	if got, want := kinds(w.events("a", "set"), ""), 4*2+2; len(got) != want {
		t.Errorf("%d events, want %d", len(got), want)
	}
	if wrong := whole(w.events("a", "set")); wrong != "" {
		t.Error(wrong)
	}
}

var submissions = []scenario{
	{"a submitted job reads as it was given", aSubmittedJobReadsAsGiven},
	{"jobs are numbered in the order of submission", jobsAreNumbered},
	{"a submission to an unknown queue is refused", unknownQueue},
	{"a submission is taken whole or not at all", submissionIsWhole},
	{"a submission that fails does not fail others", failsAlone},
	{"a submission without jobs is answered", emptySubmission},
	{"a client id is taken once", clientIDOnce},
	{"a client id is taken once within one submission", clientIDOnceWithin},
	{"many client ids of one submission are told apart", manyClientIDs},
	{"a client id belongs to its queue", clientIDOfQueue},
	{"of many that race with one client id one is taken", clientIDRace},
	{"a client id may be used again after its retention", clientIDExpires},
	{"a client id outlives a restart", clientIDSurvives},
	{"queued jobs of a queue are bounded", queuedJobsAreBounded},
	{"one copy of a template and of a shape is kept", oneCopyOfATemplate},
}

func aSubmittedJobReadsAsGiven(t *testing.T, form Form) {
	w := open(t, form)
	s := submission("a", "set", 1)
	job := &s.Jobs[0]
	job.Job.ClientID, job.Job.Gang = "mine", armada.Gang{ID: "g", Cardinality: 2, UniformityLabel: "rack", FailFast: true}
	job.Job.Band = 3
	job.Details.ExternalURI, job.Details.Scheduler = "http://x", "s"
	job.Details.Ingresses = []armada.IngressRequest{{Ports: []uint32{80}, Annotations: map[string]string{"a": "b"}, TLS: true, CertName: "c"}}
	job.Details.Services = []armada.ServiceRequest{{Headless: true, Ports: []uint32{1, 2}, Name: "n"}}
	_, err := w.Submit(w.ctx, s)
	w.ok(err)
	got, err := w.Job(w.ctx, job.Job.ID)
	w.ok(err)
	want := store.FullJob{Job: job.Job, Details: job.Details, Needs: s.Shapes[job.Job.Shape]}
	want.Job.Number, want.Job.Queue, want.Job.JobSet = got.Job.Number, "a", "set"
	want.Job.State, want.Job.Version = armada.JobQueued, 1
	want.Job.Submitted, want.Job.Transitioned = w.clock.Now(), w.clock.Now()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("the job differs (-given +read):\n", diff)
	}
	if got.Job.Number < 1 {
		t.Errorf("the submit number is %d", got.Job.Number)
	}
	if diff := cmp.Diff([]armada.EventKind{armada.EventSubmitted, armada.EventQueued}, kinds(w.events("a", "set"), "")); diff != "" {
		t.Error("events (-want +got):\n", diff)
	}
}

func jobsAreNumbered(t *testing.T, form Form) {
	w := open(t, form)
	ids := append(w.submit("a", "x", 3), append(w.submit("b", "y", 2), w.submit("a", "x", 2)...)...)
	last := int64(0)
	for _, id := range ids {
		n := w.job(id).Number
		if n <= last {
			t.Fatalf("number %d follows %d", n, last)
		}
		last = n
	}
}

func unknownQueue(t *testing.T, form Form) {
	w := open(t, form)
	_, err := w.Submit(w.ctx, submission("nobody", "set", 1))
	w.code(err, armada.CodeNotFound)
}

func submissionIsWhole(t *testing.T, form Form) {
	w := open(t, form)
	s := submission("a", "set", 3)
	s.Jobs[2].Job.Template = "beef" // not given
	_, err := w.Submit(w.ctx, s)
	w.code(err, armada.CodeInvalid)
	if jobs, err := w.JobsByID(w.ctx, []armada.JobID{s.Jobs[0].Job.ID}); err != nil || len(jobs) > 0 {
		t.Errorf("a job of a refused submission is there: %v %v", jobs, err)
	}
	if events := w.events("a", "set"); len(events) > 0 {
		t.Errorf("a refused submission left events: %v", events)
	}
}

// failsAlone uses an id twice, which a form may only find out when it writes,
// while others submit.
func failsAlone(t *testing.T, form Form) {
	w := open(t, form)
	taken := w.submit("a", "set", 1)[0]
	var group sync.WaitGroup
	for i := range 40 {
		group.Go(func() {
			s := submission("a", "set", 2)
			if i%4 == 0 {
				s.Jobs[1].Job.ID = taken
			}
			_, err := w.Submit(w.ctx, s)
			if i%4 == 0 && armada.CodeOf(err) != armada.CodePrecondition {
				t.Errorf("the id of another job was answered with %v", err)
			}
			if i%4 != 0 && err != nil {
				t.Errorf("a good submission was answered with %v", err)
			}
		})
	}
	group.Wait()
	events := w.events("a", "set")
	if wrong := whole(events); wrong != "" || len(events) != 2*(1+30*2) {
		t.Errorf("%d events: %s", len(events), wrong)
	}
}

func emptySubmission(t *testing.T, form Form) {
	w := open(t, form)
	answers, err := w.Submit(w.ctx, store.Submission{Queue: "a", JobSet: "set"})
	w.ok(err)
	if len(answers) != 0 {
		t.Errorf("answers: %v", answers)
	}
}

func clientIDOnce(t *testing.T, form Form) {
	w := open(t, form)
	s := submission("a", "set", 2)
	s.Jobs[0].Job.ClientID = "mine"
	first, err := w.Submit(w.ctx, s)
	w.ok(err)
	again := submission("a", "other", 2)
	again.Jobs[0].Job.ClientID = "mine"
	second, err := w.Submit(w.ctx, again)
	w.ok(err)
	want := []store.Submitted{{ID: first[0].ID, Duplicate: true}, {ID: again.Jobs[1].Job.ID}}
	if diff := cmp.Diff(want, second); diff != "" {
		t.Error("answers (-want +got):\n", diff)
	}
	if got := kinds(w.events("a", "other"), ""); len(got) != 2 {
		t.Errorf("the duplicate left events: %v", got)
	}
}

func clientIDOnceWithin(t *testing.T, form Form) {
	w := open(t, form)
	s := submission("a", "set", 3)
	s.Jobs[0].Job.ClientID, s.Jobs[2].Job.ClientID = "mine", "mine"
	got, err := w.Submit(w.ctx, s)
	w.ok(err)
	want := []store.Submitted{{ID: s.Jobs[0].Job.ID}, {ID: s.Jobs[1].Job.ID}, {ID: s.Jobs[0].Job.ID, Duplicate: true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("answers (-want +got):\n", diff)
	}
}

func manyClientIDs(t *testing.T, form Form) {
	w := open(t, form)
	const jobs = 103
	named := func(from int) store.Submission {
		s := submission("a", "set", jobs)
		for i := range s.Jobs {
			if i%10 != 9 {
				s.Jobs[i].Job.ClientID = fmt.Sprintf("client-%d", from+i)
			}
		}
		return s
	}
	first, err := w.Submit(w.ctx, named(0))
	w.ok(err)
	second := named(50)
	answers, err := w.Submit(w.ctx, second)
	w.ok(err)
	for i, a := range answers {
		want := store.Submitted{ID: second.Jobs[i].Job.ID}
		if i%10 != 9 && i+50 < jobs {
			want = store.Submitted{ID: first[i+50].ID, Duplicate: true}
		}
		if a != want {
			t.Errorf("job %d: %v, want %v", i, a, want)
		}
	}
}

func clientIDOfQueue(t *testing.T, form Form) {
	w := open(t, form)
	for _, queue := range []string{"a", "b"} {
		s := submission(queue, "set", 1)
		s.Jobs[0].Job.ClientID = "mine"
		got, err := w.Submit(w.ctx, s)
		w.ok(err)
		if got[0].Duplicate {
			t.Errorf("queue %s finds another queue's client id", queue)
		}
	}
}

func clientIDRace(t *testing.T, form Form) {
	w := open(t, form)
	other := w.replica()
	const racers, rounds = 8, 10
	for round := range rounds {
		answers := make([]store.Submitted, racers)
		var group sync.WaitGroup
		for i := range racers {
			group.Go(func() {
				s := submission("a", armada.JobSet(fmt.Sprintf("set-%d", i%3)), 1)
				s.Jobs[0].Job.ClientID = fmt.Sprintf("race-%d", round)
				where := w.Store
				if i%2 == 1 {
					where = other
				}
				got, err := where.Submit(w.ctx, s)
				if err != nil {
					t.Error(err)
					return
				}
				answers[i] = got[0]
			})
		}
		group.Wait()
		winners := 0
		for _, a := range answers {
			if !a.Duplicate {
				winners++
			}
			if a.ID != answers[0].ID {
				t.Errorf("round %d: two ids for one client id: %v", round, answers)
			}
		}
		if winners != 1 {
			t.Errorf("round %d: %d jobs were taken", round, winners)
		}
	}
}

func clientIDExpires(t *testing.T, form Form) {
	w := open(t, form)
	submit := func() store.Submitted {
		s := submission("a", "set", 1)
		s.Jobs[0].Job.ClientID = "mine"
		got, err := w.Submit(w.ctx, s)
		w.ok(err)
		return got[0]
	}
	first := submit()
	w.clock.Advance(w.config.ClientIDRetention - time.Second)
	if got := submit(); got != (store.Submitted{ID: first.ID, Duplicate: true}) {
		t.Errorf("within the retention: %v", got)
	}
	w.clock.Advance(time.Second)
	second := submit()
	if second.Duplicate {
		t.Errorf("after the retention: %v", second)
	}
	if got := submit(); got != (store.Submitted{ID: second.ID, Duplicate: true}) {
		t.Errorf("the retention begins anew: %v", got)
	}
}

func clientIDSurvives(t *testing.T, form Form) {
	w := open(t, form)
	s := submission("a", "set", 1)
	s.Jobs[0].Job.ClientID = "mine"
	_, err := w.Submit(w.ctx, s)
	w.ok(err)
	w.reopen()
	got, err := w.Submit(w.ctx, s)
	w.ok(err)
	if !got[0].Duplicate {
		t.Error("the client id was forgotten")
	}
}

func queuedJobsAreBounded(t *testing.T, form Form) {
	w := open(t, form, func(c *Config) { c.MaxQueuedPerQueue = 5 })
	ids := w.submit("a", "set", 4)
	_, err := w.Submit(w.ctx, submission("a", "set", 2))
	w.code(err, armada.CodePrecondition)
	w.submit("b", "set", 5)
	w.must(lease(ids[0]))
	w.submit("a", "set", 2)
	_, err = w.Submit(w.ctx, submission("a", "set", 1))
	w.code(err, armada.CodePrecondition)
	w.reopen()
	_, err = w.Submit(w.ctx, submission("a", "set", 1))
	w.code(err, armada.CodePrecondition)
	s := submission("a", "set", 1)
	s.Jobs = slices.Repeat(s.Jobs, 0)
	_, err = w.Submit(w.ctx, s)
	w.ok(err)
}

func oneCopyOfATemplate(t *testing.T, form Form) {
	w := open(t, form)
	w.submit("a", "set", 2)
	s := submission("b", "set", 1)
	s.Templates["cafe"] = []byte("a pod spec") // the same content hash is the same content
	_, err := w.Submit(w.ctx, s)
	w.ok(err)
	body, err := w.Template(w.ctx, "cafe")
	w.ok(err)
	if string(body) != "a pod spec" {
		t.Errorf("template: %q", body)
	}
	q, err := w.Requirements(w.ctx, s.Jobs[0].Job.Shape)
	w.ok(err)
	if diff := cmp.Diff(requirements(1), q); diff != "" {
		t.Error("requirements (-want +got):\n", diff)
	}
	_, err = w.Template(w.ctx, "none")
	w.code(err, armada.CodeNotFound)
	_, err = w.Requirements(w.ctx, "none")
	w.code(err, armada.CodeNotFound)
}
