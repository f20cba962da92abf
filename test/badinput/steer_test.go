package badinput

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"armada/internal/store"
	"armada/pkg/api"
)

// never is the id of a job that there is not.
const never = "01h00000000000000000000000"

func TestPrioritiesThatAreNoNumbersChangeNothing(t *testing.T) {
	t.Parallel()
	mistakes := map[string]mistake{}
	for _, text := range []string{"NaN", "Infinity", "-Infinity"} {
		body := fmt.Sprintf(`{"queue":"demo","jobSetId":"set","newPriority":%q}`, text)
		message := &api.JobReprioritizeRequest{}
		decode(t, body, message)
		mistakes[text] = mistake{
			sent: sending{
				method: api.Submit_ReprioritizeJobs_FullMethodName, message: message,
				verb: http.MethodPost, path: "/api/v1/job/reprioritize", body: body,
			},
			code: codes.InvalidArgument, wrong: []violation{{"new_priority", "must be a number", ""}},
		}
		// armadactl knows it before there is a request, and has no path for it.
		mistakes[text+" through armadactl"] = mistake{
			sent: sending{args: []string{"reprioritize", "job-set", "demo", "set", "--", text}},
			says: []string{"PRIORITY is", "must be a number"},
		}
	}
	refuse(t, mistakes)
}

func TestHugePrioritiesBecomeTheNearestThatThereIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	answer, err := api.NewSubmitClient(w.conn).SubmitJobs(t.Context(), request(t, submission("demo", "set", item(`"priority":1e300`))))
	ok(t, err)
	_, text := w.rest(http.MethodPost, "/api/v1/job/submit", submission("demo", "set", item(`"priority":1e300`)))
	output, code := w.ctl("submit", w.file(toSubmit(t, submission("demo", "set", item(`"priority":1e300`))).file))
	if code != 0 || !strings.Contains(text, "jobId") || len(answer.GetJobResponseItems()) != 1 {
		t.Errorf("REST says %s, armadactl %s", text, output)
	}
	priorities := 0
	for _, m := range w.events("demo", "set", "") {
		if p := m.GetMessage().GetSubmitted().GetJob().GetPriority(); p == 1<<32-1 {
			priorities++
		}
	}
	if priorities != 3 {
		t.Errorf("%d of 3 jobs have the largest priority", priorities)
	}
}

// A cancel is a wish about jobs that may have ended meanwhile: an id that is not
// known is left out of the answer, and the others are cancelled.
func TestUnknownJobIDsInACancelAreLeftOutOfTheAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ids := w.submitted("set", 2)
	got, err := api.NewSubmitClient(w.conn).CancelJobs(t.Context(), &api.JobCancelRequest{JobIds: []string{never, ids[0], "no id at all"}})
	ok(t, err)
	if list := got.GetCancelledIds(); len(list) != 1 || list[0] != ids[0] {
		t.Errorf("gRPC: cancelled are %q, want %q", list, ids[0])
	}
	answer, body := w.rest(http.MethodPost, "/api/v1/job/cancel", fmt.Sprintf(`{"jobIds":[%q,%q]}`, never, ids[1]))
	if want := fmt.Sprintf(`{"cancelledIds":[%q]}`, ids[1]); answer.StatusCode != http.StatusOK || body != want {
		t.Errorf("REST: %d %s, want %s", answer.StatusCode, body, want)
	}
	before := w.version()
	for _, id := range []string{never, "no id at all"} {
		got, err := api.NewSubmitClient(w.conn).CancelJobs(t.Context(), &api.JobCancelRequest{JobId: id})
		if err != nil || len(got.GetCancelledIds()) != 0 {
			t.Errorf("gRPC: %q: %v, %v", id, got, err)
		}
		if answer, body := w.rest(http.MethodPost, "/api/v1/job/cancel", fmt.Sprintf(`{"jobId":%q}`, id)); answer.StatusCode != http.StatusOK || body != `{"cancelledIds":[]}` {
			t.Errorf("REST: %q: %d %s", id, answer.StatusCode, body)
		}
		output, code := w.ctl("cancel", "job", id)
		if code != 1 || !strings.Contains(output, "was not cancelled") || !strings.Contains(output, "job "+id) {
			t.Errorf("armadactl ends with %d: %s", code, output)
		}
	}
	if w.version() != before {
		t.Error("something was stored")
	}
}

func TestUnknownJobIDsInAReprioritizeAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submitted("set", 1)
	before := w.version()
	const says = "there is no such job"
	got, err := api.NewSubmitClient(w.conn).ReprioritizeJobs(t.Context(), &api.JobReprioritizeRequest{Queue: "demo", JobSetId: "set", JobIds: []string{never}, NewPriority: 1})
	if err != nil || got.GetReprioritizationResults()[never] != says {
		t.Errorf("gRPC: %v, %v", got, err)
	}
	body := fmt.Sprintf(`{"queue":"demo","jobSetId":"set","jobIds":[%q],"newPriority":1}`, never)
	if answer, text := w.rest(http.MethodPost, "/api/v1/job/reprioritize", body); answer.StatusCode != http.StatusOK || !strings.Contains(text, fmt.Sprintf("%q:%q", never, says)) {
		t.Errorf("REST: %d %s", answer.StatusCode, text)
	}
	if output, code := w.ctl("reprioritize", "job", "demo", "set", never, "1"); code != 1 || !strings.Contains(output, never+": "+says) {
		t.Errorf("armadactl ends with %d: %s", code, output)
	}
	if w.version() != before {
		t.Error("something was stored")
	}
}

// events reads a job set over gRPC, after the event with an id.
func (w *world) events(queue, set, after string) []*api.EventStreamMessage {
	w.t.Helper()
	stream, err := api.NewEventClient(w.conn).GetJobSetEvents(w.t.Context(), &api.JobSetRequest{Queue: queue, Id: set, FromMessageId: after})
	ok(w.t, err)
	var list []*api.EventStreamMessage
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return list
		}
		ok(w.t, err)
		list = append(list, m)
	}
}

// Watchers repeat a call that fails for ever. One that names an event which is
// not of this job set, or not kept any more, gets all that there is: it may hear
// something twice but misses nothing. armadactl never sends such an id by
// itself: it begins at the first event and goes on from what it has read.
func TestAResumeIDThatIsNoGoodLeadsToTheFirstEventThatIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submitted("set", 1)
	w.submitted("other", 3)
	all, other := w.events("demo", "set", ""), w.events("demo", "other", "")
	// Those of a set that is forgotten, and begins again under its name.
	gone := w.submitted("forgotten", 1)
	old := w.events("demo", "forgotten", "")
	_, err := api.NewSubmitClient(w.conn).CancelJobs(t.Context(), &api.JobCancelRequest{JobId: gone[0]})
	ok(t, err)
	w.forget()
	w.submitted("forgotten", 1)
	for _, c := range []struct{ name, set, id string }{
		{"of another job set", "set", other[len(other)-1].GetId()},
		{"beyond the last", "set", strings.Split(all[0].GetId(), "-")[0] + "-999999"},
		{"of another server", "set", "1700000000000-0"},
		{"that is no id", "set", "yesterday"},
		{"below the oldest kept", "forgotten", old[0].GetId()},
	} {
		want := w.events("demo", c.set, "")
		got := w.events("demo", c.set, c.id)
		if len(want) == 0 || len(got) != len(want) || got[0].GetId() != want[0].GetId() {
			t.Errorf("an id %s: gRPC sends %d events, want %d from the first on", c.name, len(got), len(want))
		}
		answer, body := w.rest(http.MethodPost, "/api/v1/job-set/demo/"+c.set, fmt.Sprintf(`{"fromMessageId":%q}`, c.id))
		if answer.StatusCode != http.StatusOK || strings.Count(body, "\n") != len(want) || !strings.Contains(body, want[0].GetId()) {
			t.Errorf("an id %s: REST sends %d %s, want %d events", c.name, answer.StatusCode, body, len(want))
		}
	}
	if rest := w.events("demo", "set", all[0].GetId()); len(rest) != len(all)-1 {
		t.Errorf("after the first of %d events there are %d", len(all), len(rest))
	}
}

// forget prunes all jobs that have ended.
func (w *world) forget() {
	w.t.Helper()
	for more := true; more; {
		done, err := w.store.Prune(w.t.Context(), store.Keep{Since: time.Now().Add(time.Hour)}, 1000)
		ok(w.t, err)
		more = done.More
	}
}

func TestJobSetIDsMayHaveSlashesSpacesAndPercentSigns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, set := range []string{"a/b//c/", "two words ", "100%", "%2F", "%", "a+b&c=d?e#f", "Ümläüte/日本", `back\slash "quoted"`, "../..", "."} {
		job := submission("demo", set, item())
		_, err := api.NewSubmitClient(w.conn).SubmitJobs(t.Context(), request(t, job))
		ok(t, err)
		if answer, body := w.rest(http.MethodPost, "/api/v1/job/submit", job); answer.StatusCode != http.StatusOK {
			t.Errorf("%q: REST does not submit: %d %s", set, answer.StatusCode, body)
		}
		if output, code := w.ctl("submit", w.file(toSubmit(t, job).file)); code != 0 {
			t.Errorf("%q: armadactl does not submit: %d %s", set, code, output)
		}
		if got := len(w.events("demo", set, "")); got != 6 {
			t.Errorf("%q: gRPC sends %d events, want 6", set, got)
		}
		answer, body := w.rest(http.MethodPost, "/api/v1/job-set/demo/"+url.PathEscape(set), `{}`)
		if got := strings.Count(body, "\n"); answer.StatusCode != http.StatusOK || got != 6 {
			t.Errorf("%q: REST sends %d events, want 6: %d %s", set, got, answer.StatusCode, body)
		}
		if output, code := w.ctl("cancel", "job-set", "demo", "--", set); code != 0 {
			t.Errorf("%q: armadactl does not cancel: %d %s", set, code, output)
		}
		if output, code := w.ctl("watch", "--exit-if-inactive", "demo", "--", set); code != 0 || strings.Count(output, "cancelled ") < 3 {
			t.Errorf("%q: armadactl does not watch: %d %s", set, code, output)
		}
	}
}
