package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"armada"
	"armada/internal/auth"
	"armada/internal/lifecycle"
	"armada/internal/server"
	"armada/internal/settings"
	"armada/internal/wire"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
)

// commanding are peers whose executors run commands as the test says.
type commanding struct {
	full

	run func(ctx context.Context, executor armada.ExecutorID, e wire.Exec, stream wire.ExecStream) error
}

func (c commanding) RunCommand(ctx context.Context, executor armada.ExecutorID, e wire.Exec, stream wire.ExecStream) error {
	return c.run(ctx, executor, e, stream)
}

// echoes says who runs what where, and ends with the exit code 3.
func echoes(_ context.Context, executor armada.ExecutorID, e wire.Exec, stream wire.ExecStream) error {
	said := fmt.Sprintf("%s: %s %s %q for %s", executor, e.Run, e.Command.Container, e.Command.Args, e.User)
	if err := stream.Send(&lookout.ExecResponse{Message: &lookout.ExecResponse_Stdout{Stdout: []byte(said)}}); err != nil {
		return err
	}
	return stream.Send(&lookout.ExecResponse{Message: &lookout.ExecResponse_ExitCode{ExitCode: 3}})
}

// waits says that it has begun, and goes on until its caller leaves.
func waits(ctx context.Context, _ armada.ExecutorID, _ wire.Exec, stream wire.ExecStream) error {
	if err := stream.Send(&lookout.ExecResponse{Message: &lookout.ExecResponse_Stdout{Stdout: []byte("begun")}}); err != nil {
		return err
	}
	heard := make(chan error, 1)
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				heard <- err
				return
			}
		}
	}()
	select {
	case err := <-heard:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

type execStream = grpc.BidiStreamingClient[lookout.ExecRequest, lookout.ExecResponse]

// executed begins a command; its stream ends with the test.
func executed(t *testing.T, conn *grpc.ClientConn, start *lookout.ExecStart) execStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	stream, err := lookout.NewLookoutClient(conn).Exec(ctx)
	ok(t, err)
	ok(t, stream.Send(&lookout.ExecRequest{Message: &lookout.ExecRequest_Start{Start: start}}))
	return stream
}

// told is what a command wrote, and its exit code as a line of its own.
func told(stream execStream) (string, error) {
	var text strings.Builder
	for {
		answer, err := stream.Recv()
		if err == io.EOF { //nolint:errorlint // io.EOF is the end of a stream that went well
			return text.String(), nil
		}
		if err != nil {
			return text.String(), err
		}
		switch m := answer.GetMessage().(type) {
		case *lookout.ExecResponse_ExitCode:
			fmt.Fprintf(&text, "\n%d", m.ExitCode)
		default:
			text.Write(answer.GetStdout())
			text.Write(answer.GetStderr())
		}
	}
}

// plain is what a client says where nothing is encrypted.
type plain struct{ header }

func (plain) RequireTransportSecurity() bool { return false }

// users is a server whose users ann, who makes queues, and bob, who may do anything
// else, run commands that echo; and what it audits.
func users(t *testing.T) (*world, *locked) {
	t.Helper()
	config, audited := auth.DefaultConfig(), &locked{}
	config.BasicAuth.Users = map[string]auth.User{}
	for _, name := range []string{"ann", "bob"} {
		config.BasicAuth.Users[name] = auth.User{Password: settings.NewSecret(password), Groups: []string{"of " + name}}
	}
	config.PermissionGroupMapping = map[string][]string{"create_queue": {"of ann"}}
	for _, p := range auth.Permissions() {
		if p != auth.ExecAnyJobs && p != auth.CreateQueue {
			config.PermissionGroupMapping[string(p)] = []string{"of bob"}
		}
	}
	ok(t, config.Validate())
	methods, err := config.Methods(slog.New(slog.DiscardHandler), time.Now)
	ok(t, err)
	return newWorld(t, options{
		deps: func(d *server.Deps) {
			d.Authenticator, d.Authorizer, d.Audit, d.Peers = methods, config.Authorizer(d.Store), audited, commanding{run: echoes}
		},
		dial: []grpc.DialOption{grpc.WithPerRPCCredentials(plain{passwordOf("ann")})},
	}), audited
}

// by is a connection of another user.
func (w *world) by(user string) *grpc.ClientConn {
	w.t.Helper()
	conn, err := grpc.NewClient(w.server.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(plain{passwordOf(user)}))
	ok(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func verbs(user string, all ...armada.Verb) *api.Queue_Permissions {
	p := &api.Queue_Permissions{Subjects: []*api.Queue_Permissions_Subject{{Kind: armada.SubjectUser, Name: user}}}
	for _, v := range all {
		p.Verbs = append(p.Verbs, string(v))
	}
	return p
}

func TestWhoOwnsAQueueMayExecOnlyWhenTheQueueSaysSo(t *testing.T) {
	t.Parallel()
	w, _ := users(t)
	for name, c := range map[string]struct {
		queue *api.Queue
		may   bool
	}{
		"who-created-it":       {&api.Queue{}, false},
		"a-user-owner":         {&api.Queue{UserOwners: []string{"ann"}}, false},
		"a-group-owner":        {&api.Queue{GroupOwners: []string{"of ann"}}, false},
		"with-the-other-verbs": {&api.Queue{Permissions: []*api.Queue_Permissions{verbs("ann", armada.OwnerVerbs()...)}}, false},
		"with-the-verb":        {&api.Queue{Permissions: []*api.Queue_Permissions{verbs("ann", armada.OwnerVerbs()...), verbs("ann", armada.VerbExec)}}, true},
		"given-to-another":     {&api.Queue{Permissions: []*api.Queue_Permissions{verbs("ann", armada.OwnerVerbs()...), verbs("bob", armada.VerbExec)}}, false},
	} {
		c.queue.Name, c.queue.PriorityFactor = name, 1
		_, err := w.submit.CreateQueue(t.Context(), c.queue)
		ok(t, err)
		answer, err := w.submit.SubmitJobs(t.Context(), &api.JobSubmitRequest{Queue: name, JobSetId: "s", JobRequestItems: items(1)})
		ok(t, err)
		id := answer.GetJobResponseItems()[0].GetJobId()
		w.start(id)
		text, err := told(executed(t, w.conn, &lookout.ExecStart{JobId: id, Args: []string{"ls", "-l"}}))
		if want := fmt.Sprintf("e1: %s  %q for ann\n3", armada.NewRunID(armada.JobID(id), 1), []string{"ls", "-l"}); c.may {
			if err != nil || text != want {
				t.Errorf("%s: %q, %v; want %q", name, text, err, want)
			}
			continue
		}
		wantCode(t, err, codes.PermissionDenied)
		if err == nil || !strings.Contains(err.Error(), "the verb exec on the queue, or the permission exec_any_jobs") {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

func TestEveryCommandIsAuditedOnce(t *testing.T) {
	t.Parallel()
	w, audited := users(t)
	_, err := w.submit.UpdateQueue(t.Context(), &api.Queue{Name: "q", PriorityFactor: 1, Permissions: []*api.Queue_Permissions{verbs("ann", armada.Verbs()...)}})
	ok(t, err)
	job := w.submitted("s", items(1))[0]
	w.start(job)
	start := &lookout.ExecStart{JobId: job, Container: "main", Args: []string{"sh", "-c", "exit 3"}, Terminal: &lookout.TerminalSize{Width: 80, Height: 24}}
	if _, err := told(executed(t, w.conn, start)); err != nil {
		t.Error(err)
	}
	_, err = told(executed(t, w.by("bob"), start)) // who may do all the rest
	wantCode(t, err, codes.PermissionDenied)
	w.stop() // by then all is written down
	var all []string
	for line := range strings.Lines(audited.String()) {
		if strings.Contains(line, "Lookout/Exec") {
			all = append(all, line)
		}
	}
	if len(all) != 2 {
		t.Fatalf("there are %d lines:\n%s", len(all), strings.Join(all, ""))
	}
	for i, want := range []map[string]any{
		{"user": "ann", "code": "OK", "granted": true, "exit_code": 3.0, "queue": "q"},
		{"user": "bob", "code": "PermissionDenied", "granted": false, "exit_code": nil, "queue": nil},
	} {
		var got map[string]any
		ok(t, json.Unmarshal([]byte(all[i]), &got))
		want["job"], want["container"], want["terminal"] = job, "main", true
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s is %v, want %v: %s", key, got[key], value, all[i])
			}
		}
		if got := fmt.Sprint(got["command"]); got != "[sh -c exit 3]" {
			t.Errorf("the command is %s: %s", got, all[i])
		}
	}
}

func TestACommandEndsWhenItsCallerMayRunNoneAnyMore(t *testing.T) {
	t.Parallel()
	w, minutes := owned(t)
	queue, err := w.store.Queue(t.Context(), "q")
	ok(t, err)
	queue.Permissions[0].Verbs = armada.Verbs()
	ok(t, w.store.UpdateQueue(t.Context(), queue))
	id := w.submitted("set", items(1))[0]
	w.start(id)
	stream := executed(t, w.conn, &lookout.ExecStart{JobId: id, Args: []string{"sh"}, Input: true})
	_, err = stream.Recv()
	ok(t, err)
	queue.Permissions[0].Verbs = armada.OwnerVerbs()
	ok(t, w.store.UpdateQueue(t.Context(), queue))
	minutes.Add(1)
	ok(t, stream.Send(&lookout.ExecRequest{Message: &lookout.ExecRequest_Input{Input: []byte("rm -r /\n")}}))
	_, err = told(stream)
	wantCode(t, err, codes.PermissionDenied)
}

func TestASilentCommandEndsToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		taken := errors.New("the right was taken away")
		err := server.Guard(t.Context(), func(context.Context) error {
			if time.Since(began) > 10*time.Minute {
				return taken
			}
			return nil
		})
		if took := time.Since(began); !errors.Is(err, taken) || took > 11*time.Minute {
			t.Errorf("after %s it was ended by %v", took, err)
		}
	})
}

func TestACommandEndsWhenTheServerStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Peers = commanding{run: waits} }})
	id := w.submitted("set", items(1))[0]
	w.start(id)
	stream := executed(t, w.conn, &lookout.ExecStart{JobId: id, Args: []string{"sh"}})
	_, err := stream.Recv()
	ok(t, err)
	w.stop()
	_, err = told(stream)
	wantCode(t, err, codes.Unavailable)
	if err == nil || !strings.Contains(err.Error(), "the server stops") {
		t.Errorf("the error is %v", err)
	}
}

func TestACommandThatMakesNoSenseIsRefusedByItsField(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Peers = commanding{run: waits} }})
	id := w.submitted("set", items(1))[0]
	w.start(id)
	input := func(b []byte) *lookout.ExecRequest {
		return &lookout.ExecRequest{Message: &lookout.ExecRequest_Input{Input: b}}
	}
	resize := func(width, height uint32) *lookout.ExecRequest {
		return &lookout.ExecRequest{Message: &lookout.ExecRequest_Resize{Resize: &lookout.TerminalSize{Width: width, Height: height}}}
	}
	begin := func(s *lookout.ExecStart) *lookout.ExecRequest {
		s.JobId = id
		return &lookout.ExecRequest{Message: &lookout.ExecRequest_Start{Start: s}}
	}
	sh := func() *lookout.ExecStart { return &lookout.ExecStart{Args: []string{"sh"}} }
	typing := func() *lookout.ExecStart { return &lookout.ExecStart{Args: []string{"sh"}, Input: true} }
	onTerminal := func() *lookout.ExecStart {
		return &lookout.ExecStart{Args: []string{"sh"}, Terminal: &lookout.TerminalSize{Width: 1, Height: 1}}
	}
	for want, messages := range map[string][]*lookout.ExecRequest{
		"start: must be the first":                          {input([]byte("x"))},
		"start.args: must begin":                            {begin(&lookout.ExecStart{})},
		"start.args[1]: must not contain the character NUL": {begin(&lookout.ExecStart{Args: []string{"sh", "a\x00b"}})},
		"start.args: have 65540 bytes":                      {begin(&lookout.ExecStart{Args: []string{"sh", strings.Repeat("x", 65536)}})},
		"start.terminal: is 0 x 24":                         {begin(&lookout.ExecStart{Args: []string{"sh"}, Terminal: &lookout.TerminalSize{Height: 24}})},
		"start.terminal: is 80 x 65536":                     {begin(&lookout.ExecStart{Args: []string{"sh"}, Terminal: &lookout.TerminalSize{Width: 80, Height: 65536}})},
		`container: the job has no container "nope"; it`:    {begin(&lookout.ExecStart{Args: []string{"sh"}, Container: "nope"})},
		"start: must be the first message and no other":     {begin(sh()), begin(sh())},
		"input: there must be none unless start.input":      {begin(sh()), input([]byte("x"))},
		"input: has 1048577 bytes":                          {begin(typing()), input(make([]byte, 1<<20+1))},
		"resize: there must be none unless":                 {begin(sh()), resize(80, 24)},
		"resize: is 80 x 0":                                 {begin(onTerminal()), resize(80, 0)},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		stream, err := lookout.NewLookoutClient(w.conn).Exec(ctx)
		ok(t, err)
		for _, m := range messages {
			ok(t, stream.Send(m))
		}
		_, err = told(stream)
		wantCode(t, err, codes.InvalidArgument)
		violations := client.Violations(err)
		if !slices.ContainsFunc(violations, func(v armada.Violation) bool { return strings.Contains(v.Path+": "+v.Message, want) }) {
			t.Errorf("the violations are %v, want %s", violations, want)
		}
	}
}

func TestACommandForAJobThatDoesNotRunIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{deps: func(d *server.Deps) { d.Peers = commanding{run: echoes} }})
	ids := w.submitted("set", items(3))
	leased, ended := ids[1], ids[2]
	w.change(leased, lifecycle.Change{Kind: lifecycle.Lease, Lease: lifecycle.Terms{Executor: "e1", Node: "n1", Pool: "default"}})
	w.start(ended)
	run := armada.NewRunID(armada.JobID(ended), 1)
	w.change(ended, lifecycle.Change{Kind: lifecycle.ReportSucceeded, Run: run})
	for name, c := range map[string]struct {
		start *lookout.ExecStart
		code  codes.Code
		says  string
	}{
		"queued":      {&lookout.ExecStart{JobId: ids[0]}, codes.FailedPrecondition, "the job is queued and was never started: no command can be run"},
		"leased":      {&lookout.ExecStart{JobId: leased}, codes.FailedPrecondition, "has not begun yet"},
		"ended":       {&lookout.ExecStart{JobId: ended}, codes.FailedPrecondition, "has ended (succeeded)"},
		"no such run": {&lookout.ExecStart{JobId: ended, RunId: "other"}, codes.NotFound, `the job has no run "other"`},
		"no such job": {&lookout.ExecStart{JobId: "01f3j0g1md4qx7z5qb148qnaaa"}, codes.NotFound, ""},
		"no id":       {&lookout.ExecStart{}, codes.InvalidArgument, "job_id"},
	} {
		c.start.Args = []string{"sh"}
		_, err := told(executed(t, w.conn, c.start))
		wantCode(t, err, c.code)
		if err == nil || !strings.Contains(err.Error()+fmt.Sprint(client.Violations(err)), c.says) {
			t.Errorf("%s: the error is %v, want %s", name, err, c.says)
		}
	}
}
