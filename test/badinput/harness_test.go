package badinput

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"sigs.k8s.io/yaml"

	"armada/internal/wire/restjson"
	"armada/pkg/api"
)

// mistake is a request that must be refused, and how.
type mistake struct {
	sent sending
	// code is that of gRPC; REST has the status that belongs to it.
	code codes.Code
	// status is that of REST where it is another.
	status int
	// wrong are all violations, no more and no less.
	wrong []violation
	// says are phrases that must be in the text of the answer.
	says []string
	// config changes the installation's.
	config func(*installation)
}

// violation is one place that is wrong.
type violation struct {
	path   string // in the request, by its proto names
	phrase string // in what is said of it
	line   string // what stands in the line that armadactl names; "" for any
}

// sending is one request in three forms. A part that is empty is not sent: a
// comment at the mistake says why.
type sending struct {
	method  string
	message proto.Message
	verb    string
	path    string
	body    string
	args    []string // FILE stands for the file
	file    string
}

// notUTF8 becomes as many bytes that are no UTF-8, in all three forms.
const notUTF8 = "not-UTF-8-text"

func mangle(data []byte) []byte {
	return bytes.ReplaceAll(data, []byte(notUTF8), bytes.Repeat([]byte{0xff}, len(notUTF8)))
}

// refuse sends each mistake three ways and looks at the answers.
func refuse(t *testing.T, mistakes map[string]mistake) {
	t.Helper()
	for name, m := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var edit []func(*installation)
			if m.config != nil {
				edit = append(edit, m.config)
			}
			w := newWorld(t, edit...)
			before := w.version()
			check := func(way string, send func(*mistake)) {
				send(&m)
				if now := w.version(); now != before {
					t.Errorf("%s: something was stored", way)
					before = now
				}
			}
			if m.sent.method != "" {
				check("gRPC", w.overGRPC)
			}
			if m.sent.verb != "" {
				check("REST", w.overREST)
			}
			if m.sent.args != nil {
				check("armadactl", w.throughArmadactl)
			}
		})
	}
}

// encoded is a codec for messages that are encoded already: the library refuses
// to encode what is not valid UTF-8.
type encoded struct{}

func (encoded) Marshal(v any) ([]byte, error)      { return v.([]byte), nil }
func (encoded) Unmarshal(data []byte, v any) error { return proto.Unmarshal(data, v.(proto.Message)) }
func (encoded) Name() string                       { return "proto" }

func (w *world) overGRPC(m *mistake) {
	w.t.Helper()
	raw, err := proto.Marshal(m.sent.message)
	ok(w.t, err)
	err = w.conn.Invoke(w.t.Context(), m.sent.method, mangle(raw), &emptypb.Empty{}, grpc.ForceCodec(encoded{}))
	got := status.Convert(err)
	if got.Code() != m.code {
		w.t.Errorf("gRPC: the code is %s (%v), want %s", got.Code(), err, m.code)
	}
	var found []violation
	for _, detail := range got.Details() {
		if bad, is := detail.(*errdetails.BadRequest); is {
			for _, v := range bad.GetFieldViolations() {
				found = append(found, violation{path: v.GetField(), phrase: v.GetDescription()})
			}
		}
	}
	m.compare(w.t, "gRPC", found)
	m.listen(w.t, "gRPC", got.Message())
}

func (w *world) overREST(m *mistake) {
	w.t.Helper()
	answer, body := w.rest(m.sent.verb, m.sent.path, string(mangle([]byte(m.sent.body))))
	var got struct {
		Code    codes.Code
		Message string
		Details []struct {
			FieldViolations []struct{ Field, Description string }
		}
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		w.t.Fatalf("REST: the answer is no JSON: %v: %s", err, body)
	}
	if got.Code != m.code || answer.StatusCode != cmp.Or(m.status, runtime.HTTPStatusFromCode(m.code)) {
		w.t.Errorf("REST: the answer is %s %s, want %s", answer.Status, body, m.code)
	}
	var found []violation
	for _, detail := range got.Details {
		for _, v := range detail.FieldViolations {
			found = append(found, violation{path: v.Field, phrase: v.Description})
		}
	}
	m.compare(w.t, "REST", found)
	m.listen(w.t, "REST", got.Message)
}

// lineOfFile is what armadactl says of a place in a file.
var lineOfFile = regexp.MustCompile(`(?m)(?:^  |: )line (\d+): (?:([^:\s]+(?:\[[^\]]*\][^:\s]*)*): )?(.*)$`)

// fieldOfRequest is what it says of a place in a request that came from no file.
var fieldOfRequest = regexp.MustCompile(`(?m)^  ([^:\s]+): (.*)$`)

func (w *world) throughArmadactl(m *mistake) {
	w.t.Helper()
	args := slices.Clone(m.sent.args)
	if i := slices.Index(args, "FILE"); i >= 0 {
		args[i] = w.file(string(mangle([]byte(m.sent.file))))
	}
	output, code := w.ctl(args...)
	allowed := []int{1, 2}
	if m.code == codes.NotFound {
		allowed = []int{3}
	}
	if !slices.Contains(allowed, code) {
		w.t.Errorf("armadactl: the exit code is %d, it says\n%s", code, output)
	}
	var found []violation
	if m.sent.file == "" {
		for _, part := range fieldOfRequest.FindAllStringSubmatch(output, -1) {
			found = append(found, violation{path: part[1], phrase: part[2]})
		}
	} else {
		lines := strings.Split(m.sent.file, "\n")
		for _, part := range lineOfFile.FindAllStringSubmatch(output, -1) {
			n, err := strconv.Atoi(part[1])
			ok(w.t, err)
			found = append(found, violation{path: part[2], phrase: part[3], line: lines[n-1]})
		}
	}
	if !m.compare(w.t, "armadactl", found) {
		w.t.Logf("armadactl %s says\n%s\nof\n%.5000s", strings.Join(args, " "), output, m.sent.file)
	}
	m.listen(w.t, "armadactl", output)
}

// compare tells whether the violations found are those that are to be found.
func (m *mistake) compare(t *testing.T, way string, found []violation) bool {
	t.Helper()
	good := true
	rest := slices.Clone(found)
	for _, want := range m.wrong {
		i := slices.IndexFunc(rest, func(v violation) bool {
			located := plain(v.path) == plain(want.path) || v.path == "" && way == "armadactl" && want.line != "" // a file that cannot be read has lines only
			return located && strings.Contains(v.phrase, want.phrase) && strings.Contains(v.line, want.lineIn(way))
		})
		if i < 0 {
			t.Errorf("%s: %s is not said to be wrong: %q (line %q); said is %q", way, want.path, want.phrase, want.line, found)
			good = false
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
	if len(rest) > 0 {
		t.Errorf("%s: said to be wrong is also %q", way, rest)
		good = false
	}
	return good
}

func (v violation) lineIn(way string) string {
	if way == "armadactl" {
		return v.line
	}
	return ""
}

// plain is a path without what differs between its spellings: that of a request
// in proto, of the same in JSON, and of a file of jobs; and in JSON that cannot be
// read nobody knows which of its objects are maps.
func plain(path string) string {
	path = strings.ToLower(strings.NewReplacer("_", "", "[", ".", "]", "").Replace(path))
	return strings.Replace(path, "jobrequestitems", "jobs", 1)
}

func (m *mistake) listen(t *testing.T, way, text string) {
	t.Helper()
	for _, phrase := range m.says {
		if !strings.Contains(text, phrase) {
			t.Errorf("%s: %q is missing in: %.3000s", way, phrase, text)
		}
	}
}

// goodResources and goodContainer are what a mistake stands in.
const (
	goodResources = `"resources":{"requests":{"cpu":"1","memory":"1Gi"},"limits":{"cpu":"1","memory":"1Gi"}}`
	goodContainer = `{"name":"main","image":"busybox","args":["true"],` + goodResources + `}`
)

// members puts members of an object together.
func members(list ...string) string { return "{" + strings.Join(list, ",") + "}" }

// pod is a pod spec with a good container and more.
func pod(more ...string) string {
	return members(append([]string{`"containers":[` + goodContainer + `]`}, more...)...)
}

// resources is a pod spec whose only container asks for these.
func resources(requests, limits string) string {
	return fmt.Sprintf(`{"containers":[{"name":"main","image":"busybox","resources":{"requests":%s,"limits":%s}}]}`, requests, limits)
}

// item is a good job with more.
func item(more ...string) string { return spec(pod(), more...) }

// spec is a job with this pod spec, and more.
func spec(podSpec string, more ...string) string {
	return members(append([]string{`"podSpec":` + podSpec}, more...)...)
}

// submission is the body of a request to submit jobs.
func submission(queue, set string, jobs ...string) string {
	return members(`"queue":`+quote(queue), `"jobSetId":`+quote(set), `"jobRequestItems":[`+strings.Join(jobs, ",")+`]`)
}

// request is the message that a body stands for.
func request(t *testing.T, body string) *api.JobSubmitRequest {
	t.Helper()
	message := &api.JobSubmitRequest{}
	decode(t, body, message)
	return message
}

// decode reads a message as REST does.
func decode(t *testing.T, body string, into proto.Message) {
	t.Helper()
	_, err := restjson.Decode([]byte(body), into)
	ok(t, err)
}

// submitting is a request to submit jobs, in all forms.
func submitting(t *testing.T, queue, set string, jobs ...string) sending {
	t.Helper()
	body := submission(queue, set, jobs...)
	s := toSubmit(t, body)
	s.method, s.message = api.Submit_SubmitJobs_FullMethodName, request(t, body)
	return s
}

// toSubmit is a body that only JSON can say, for REST and armadactl.
func toSubmit(t *testing.T, body string) sending {
	t.Helper()
	return sending{
		verb: http.MethodPost, path: "/api/v1/job/submit", body: body,
		args: []string{"submit", "FILE"}, file: toYAML(t, strings.Replace(body, `"jobRequestItems":`, `"jobs":`, 1)),
	}
}

// toYAML is JSON as people write files.
func toYAML(t *testing.T, text string) string {
	t.Helper()
	file, err := yaml.JSONToYAML([]byte(text))
	ok(t, err)
	return string(file)
}
