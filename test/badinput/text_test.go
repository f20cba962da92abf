package badinput

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
)

// A field that no message knows is not a mistake over gRPC, where it is how
// newer clients speak to older servers.
func TestUnknownFieldsAreRefusedByArmadactlAndByStrictREST(t *testing.T) {
	t.Parallel()
	jobs := func(job, path, line string) mistake {
		m := mistake{sent: toSubmit(t, submission("demo", "set", job)), code: codes.InvalidArgument, wrong: []violation{{path, "unknown field", line}}}
		m.sent.path += "?fieldValidation=Strict"
		return m
	}
	queue := mistake{sent: creating(t, `{"name":"x","colour":"red"}`), code: codes.InvalidArgument, wrong: []violation{{"colour", "unknown field", "colour: red"}}}
	queue.sent.method = ""
	queue.sent.path += "?fieldValidation=Strict"
	refuse(t, map[string]mistake{
		"in a job":       jobs(item(`"priorty":1`), first+"priorty", "priorty: 1"),
		"in a pod spec":  jobs(spec(pod(`"nodeSelektor":{}`)), first+"pod_spec.nodeSelektor", "nodeSelektor"),
		"in a container": jobs(spec(`{"containers":[{"name":"main","imagePull":"x",`+goodResources+`}]}`), first+"pod_spec.containers[0].imagePull", "imagePull: x"),
		"in a queue":     queue,
		"a twice given":  twice(t),
	})
}

// twice is a file, and a body, with a key that stands in it two times.
func twice(t *testing.T) mistake {
	t.Helper()
	m := mistake{sent: toSubmit(t, submission("demo", "set", item(`"priority":1`))), code: codes.InvalidArgument}
	m.sent.path += "?fieldValidation=Strict"
	m.sent.body = strings.Replace(m.sent.body, `"priority":1`, `"priority":1,"priority":2`, 1)
	m.sent.file = strings.Replace(m.sent.file, "  priority: 1", "  priority: 1\n  priority: 2", 1)
	m.says = []string{"priority"}
	m.wrong = []violation{{first + "priority", "given twice", "priority: 2"}}
	return m
}

func TestUnknownFieldsAreNamedInWarningsOverREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := submission("demo", "set", spec(pod(`"nodeSelektor":{}`), `"priorty":1`))
	answer, text := w.rest(http.MethodPost, "/api/v1/job/submit", body)
	want := []string{
		`299 - "unknown field \"jobRequestItems[0].podSpec.nodeSelektor\""`,
		`299 - "unknown field \"jobRequestItems[0].priorty\""`,
	}
	if got := answer.Header.Values("Warning"); answer.StatusCode != http.StatusOK || !slices.Equal(got, want) {
		t.Errorf("%d %s, the warnings are %q, want %q", answer.StatusCode, text, got, want)
	}
}

func TestValuesOfTheWrongFormAreRefused(t *testing.T) {
	t.Parallel()
	// gRPC has no words for these: its messages have their types.
	wrong := func(body string, v violation) mistake {
		return mistake{sent: toSubmit(t, body), code: codes.InvalidArgument, wrong: []violation{v}}
	}
	refuse(t, map[string]mistake{
		"a priority in words":        wrong(submission("demo", "set", item(`"priority":"high"`)), violation{first + "priority", `"high" is not a number`, "priority: high"}),
		"a priority out of range":    wrong(submission("demo", "set", item(`"priority":1e400`)), violation{first + "priority", "out of range", "priority"}),
		"a label that is a number":   wrong(submission("demo", "set", item(`"labels":{"team":7}`)), violation{first + "labels[team]", "must be a string, not the number 7", "team: 7"}),
		"jobs that are no list":      wrong(`{"queue":"demo","jobSetId":"set","jobRequestItems":7}`, violation{"job_request_items", "must be a list", "jobs: 7"}),
		"a queue that is a number":   wrong(`{"queue":7,"jobSetId":"set","jobRequestItems":[`+item()+`]}`, violation{"queue", "must be a string, not", "queue: 7"}),
		"an affinity that is a word": wrong(submission("demo", "set", spec(pod(`"affinity":"close"`))), violation{first + "pod_spec.affinity", "must be an object", "affinity: close"}),
	})
}

func TestTextThatIsNeitherJSONNorYAMLIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, text := w.rest(http.MethodPost, "/api/v1/job/submit", `{"queue":"demo","jobRequestItems":[`); !strings.Contains(text, "not valid JSON at byte 35") {
		t.Errorf("the place is missing: %s", text)
	}
	if output, _ := w.ctl("submit", w.file("queue: demo\njobs: [\n")); !strings.Contains(output, "line ") {
		t.Errorf("the line is missing: %s", output)
	}
}

func TestNumbersThatOnlyYAMLHasAreNamedWithTheirLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := toSubmit(t, submission("demo", "set", item(`"priority":1`))).file
	for _, number := range []string{".nan", ".inf", "-.inf"} {
		before := w.version()
		output, code := w.ctl("submit", w.file(strings.Replace(good, "priority: 1", "priority: "+number, 1)))
		if code != 1 || !strings.Contains(output, "line 16: jobs[0].priority: ") || !strings.Contains(output, "is "+number+", must be a number") {
			t.Errorf("priority: %s ends with %d: %s", number, code, output)
		}
		if w.version() != before {
			t.Errorf("priority: %s was stored", number)
		}
	}
}

func TestTextThatIsNotUTF8IsRefused(t *testing.T) {
	t.Parallel()
	bad := func(s sending, path string) mistake {
		return mistake{sent: s, code: codes.InvalidArgument, says: []string{"UTF-8"}, wrong: []violation{{path, "is not valid UTF-8", notUTF8}}}
	}
	refuse(t, map[string]mistake{
		"in the queue's name": bad(submitting(t, notUTF8, "set", item()), "queue"),
		"in a job set id":     bad(submitting(t, "demo", notUTF8, item()), "job_set_id"),
		"in a label":          bad(submitting(t, "demo", "set", item(`"labels":{"team":"`+notUTF8+`"}`)), first+"labels[team]"),
		"in a pod spec":       bad(submitting(t, "demo", "set", spec(pod(`"hostname":"`+notUTF8+`"`))), first+"pod_spec.hostname"),
		"in a new queue":      bad(creating(t, `{"name":"`+notUTF8+`"}`), "name"),
	})
}

func TestBodiesOfTenMebibytesAreRefusedAsTheyDeserve(t *testing.T) {
	t.Parallel()
	huge := item(`"annotations":{"note":"` + strings.Repeat("x", 10<<20) + `"}`)
	small := func(i *installation) { i.server.MaxMessageBytes, i.server.MaxBodyBytes = 1<<20, 1<<20 }
	refuse(t, map[string]mistake{
		"one that is read": {
			sent: submitting(t, "demo", "set", huge), code: codes.InvalidArgument,
			wrong: []violation{{first + "annotations", "at most 262144 are taken", "annotations"}},
		},
		"one over the server's limit": {
			sent: submitting(t, "demo", "set", huge), config: small,
			code: codes.InvalidArgument, status: http.StatusRequestEntityTooLarge, says: []string{"1048576"},
		},
	})
}

// There is no limit to what jobs take together: a request may be as large as the
// server reads, and armadactl cuts a file into requests.
func TestAFileOfTenMebibytesOfGoodJobsIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	big := item(`"annotations":{"note":"` + strings.Repeat("x", 200<<10) + `"}`)
	var body struct {
		Items []struct{ JobID string } `json:"jobResponseItems"`
	}
	answer, text := w.rest(http.MethodPost, "/api/v1/job/submit", submission("demo", "rest", slices.Repeat([]string{big}, 51)...))
	if err := json.Unmarshal([]byte(text), &body); err != nil || answer.StatusCode != http.StatusOK || len(body.Items) != 51 {
		t.Errorf("REST: %d %.300s", answer.StatusCode, text)
	}
	file := toSubmit(t, submission("demo", "file", slices.Repeat([]string{big}, 51)...)).file
	if output, code := w.ctl("submit", w.file(file)); code != 0 || strings.Count(output, "Submitted job") != 51 {
		t.Errorf("armadactl ends with %d: %.300s", code, output)
	}
}
