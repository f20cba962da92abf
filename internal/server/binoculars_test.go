package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"armada/internal/runs"
	"armada/internal/server"
	"armada/pkg/api/binoculars"
	corev1 "armada/pkg/api/k8s/core/v1"
)

// logged is a world with a job that runs and has printed the lines, another that
// is queued, and what was asked of the executor.
func logged(t *testing.T, lines ...runs.LogLine) (*world, []string, *fakeExecutors) {
	t.Helper()
	f := &fakeExecutors{lines: lines}
	w := newWorld(t, options{deps: func(d *server.Deps) {
		d.Peers = full{f}
		d.Now = func() time.Time { return time.Unix(1000, 0) }
	}})
	ids := w.submitted("set", items(2))
	w.start(ids[0])
	return w, ids, f
}

func TestLogsAreAnsweredThroughTheExecutors(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 26, 10, 0, 0, 5, time.UTC)
	w, ids, f := logged(t, runs.LogLine{Time: at, Text: []byte("one")}, runs.LogLine{Time: at.Add(time.Second), Text: []byte("two \xff"), Stderr: true})
	const lines = `{"timestamp":"2026-11-26T10:00:00.000000005Z","line":"one"},{"timestamp":"2026-11-26T10:00:01.000000005Z","line":"two ` + "\uFFFD" + `"}`
	one, two, _ := strings.Cut(lines, "},")
	for _, c := range []struct {
		more, want string
		asked      runs.LogQuery
	}{
		{``, lines, runs.LogQuery{}},
		{`,"sinceTime":"","podNamespace":"default","podNumber":0,"logOptions":{"container":"main","follow":true,"timestamps":false,"tailLines":7}`, lines, runs.LogQuery{Container: "main", Tail: 7}},
		{`,"logOptions":{"previous":true}`, lines, runs.LogQuery{Previous: true}},
		{`,"sinceTime":"2026-11-26T10:00:00.5Z"`, lines, runs.LogQuery{Since: time.Date(2026, 11, 26, 10, 0, 0, 5e8, time.UTC)}},
		{`,"logOptions":{"sinceTime":"2026-11-26T10:00:00Z"}`, lines, runs.LogQuery{Since: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)}},
		{`,"logOptions":{"sinceSeconds":10}`, lines, runs.LogQuery{Since: time.Unix(990, 0)}},
		{`,"logOptions":{"limitBytes":4}`, one + "}", runs.LogQuery{}},
		{`,"logOptions":{"limitBytes":2}`, strings.Replace(one, "one", "on", 1) + "}", runs.LogQuery{}},
		{`,"logOptions":{"stream":"Stderr"}`, two, runs.LogQuery{}},
		{`,"logOptions":{"stream":"Stdout"}`, one + "}", runs.LogQuery{}},
	} {
		answer, body := w.call(http.MethodPost, "/api/v1/binoculars/log", fmt.Sprintf(`{"jobId":%q%s}`, ids[0], c.more))
		if want := `{"log":[` + c.want + `]}`; answer.StatusCode != http.StatusOK || body != want {
			t.Errorf("%s: %d %s, want %s", c.more, answer.StatusCode, body, want)
		}
		if !f.asked.Since.Equal(c.asked.Since) {
			t.Errorf("%s: asked for lines since %s, want %s", c.more, f.asked.Since, c.asked.Since)
		}
		if f.asked.Since = c.asked.Since; f.asked != c.asked {
			t.Errorf("%s: asked for %+v, want %+v", c.more, f.asked, c.asked)
		}
	}
}

func TestALogIsNotLongerThanTwoMegabytes(t *testing.T) {
	t.Parallel()
	var lines []runs.LogLine
	for range 50 {
		lines = append(lines, runs.LogLine{Text: []byte(strings.Repeat("x", 60_000))})
	}
	w, ids, _ := logged(t, lines...)
	answer, err := binoculars.NewBinocularsClient(w.conn).Logs(t.Context(), &binoculars.LogRequest{JobId: ids[0]})
	ok(t, err)
	size := len(answer.GetLog()) - 1 // the last is cut before its newline
	for _, l := range answer.GetLog() {
		size += len(l.GetLine())
	}
	if size != 2_000_000 || len(answer.GetLog()) != 34 {
		t.Errorf("%d lines of %d bytes", len(answer.GetLog()), size)
	}
}

func TestWhoAsksForALogIsToldWhatIsWrong(t *testing.T) {
	t.Parallel()
	w, ids, _ := logged(t)
	client := binoculars.NewBinocularsClient(w.conn)
	for _, c := range []struct {
		request *binoculars.LogRequest
		code    codes.Code
	}{
		{&binoculars.LogRequest{JobId: "never"}, codes.NotFound},
		{&binoculars.LogRequest{JobId: ids[0], PodNamespace: "elsewhere"}, codes.NotFound},
		{&binoculars.LogRequest{JobId: ids[1]}, codes.FailedPrecondition},
	} {
		_, err := client.Logs(t.Context(), c.request)
		wantCode(t, err, c.code)
	}
	_, err := client.Logs(t.Context(), &binoculars.LogRequest{JobId: ids[0], PodNumber: 1, SinceTime: "yesterday", LogOptions: &corev1.PodLogOptions{
		SinceSeconds: proto.Int64(-1), LimitBytes: proto.Int64(0), TailLines: proto.Int64(-1), Stream: proto.String("stdin"),
	}})
	wantPaths(t, err, "pod_number", "log_options.tailLines", "log_options.sinceSeconds", "log_options.limitBytes", "log_options.stream", "since_time")
	_, err = client.Logs(t.Context(), &binoculars.LogRequest{JobId: ids[0], SinceTime: "2026-11-26T10:00:00Z", LogOptions: &corev1.PodLogOptions{
		SinceSeconds: proto.Int64(1), TailLines: proto.Int64(1), Stream: proto.String("Stdout"),
	}})
	wantPaths(t, err, "log_options.tailLines", "log_options")
	_, err = client.Logs(t.Context(), &binoculars.LogRequest{JobId: ids[0], LogOptions: &corev1.PodLogOptions{Container: proto.String("nope")}})
	wantCode(t, err, codes.InvalidArgument)
	alone := newWorld(t, options{})
	id := alone.submitted("set", items(1))[0]
	alone.start(id)
	_, err = binoculars.NewBinocularsClient(alone.conn).Logs(t.Context(), &binoculars.LogRequest{JobId: id})
	wantCode(t, err, codes.Unavailable)
}
