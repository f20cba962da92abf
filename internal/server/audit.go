package server

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/internal/auth"
	"armada/pkg/api"
)

// audit writes down who asked for which change, and who was refused: a line of JSON
// for each.
type audit struct{ log *slog.Logger } // nil when nothing is written down

func newAudit(to io.Writer) *audit {
	if to == nil {
		return &audit{}
	}
	return &audit{slog.New(slog.NewJSONHandler(to, nil))}
}

// record writes a call down if it is worth it: a change that a user asked for,
// whatever became of it, and any call of a caller that may not make it.
func (a *audit) record(ctx context.Context, method string, request, answer any, err error) {
	if a.log == nil {
		return
	}
	code := status.Code(err)
	kind := methods[method].kind
	if kind != callSubmit && kind != callChange && code != codes.PermissionDenied && code != codes.Unauthenticated {
		return
	}
	p, _ := auth.From(ctx)
	attrs := []slog.Attr{
		slog.String("user", p.Name), slog.String("by", p.Method), slog.String("from", addressOf(ctx)),
		slog.String("method", strings.TrimPrefix(method, "/")), slog.String("code", code.String()),
	}
	attrs = append(append(attrs, concerning(request, answer)...), notesOf(ctx)...)
	if err != nil {
		attrs = append(attrs, slog.String("why", clip(status.Convert(err).Message(), 500)))
	}
	a.log.LogAttrs(ctx, slog.LevelInfo, "call", attrs...)
}

// notes are what a call with a stream has to say for its line, since its messages
// are not there any more when it ends.
type notes struct {
	mu  sync.Mutex
	all []slog.Attr
}

type notesKey struct{}

func withNotes(ctx context.Context) context.Context {
	return context.WithValue(ctx, notesKey{}, &notes{})
}

// note adds to the audited line of a call with a stream; what is empty is left out.
func note(ctx context.Context, attrs ...slog.Attr) {
	n, there := ctx.Value(notesKey{}).(*notes)
	if !there {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range attrs {
		if a.Value.Kind() != slog.KindString || a.Value.String() != "" {
			n.all = append(n.all, a)
		}
	}
}

func notesOf(ctx context.Context) []slog.Attr {
	n, there := ctx.Value(notesKey{}).(*notes)
	if !there {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all
}

// maxAudited bounds the ids of one line.
const maxAudited = 100

// concerning tells what a request is about, as far as messages of the wire say it.
func concerning(request, answer any) []slog.Attr {
	var attrs []slog.Attr
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, clip(value, 200)))
		}
	}
	ids := func(key string, all []string) {
		if len(all) > 0 {
			attrs = append(attrs, slog.Int(key+"_count", len(all)), slog.Any(key+"s", all[:min(len(all), maxAudited)]))
		}
	}
	if r, is := request.(interface{ GetQueue() string }); is {
		add("queue", r.GetQueue())
	}
	if r, is := request.(interface{ GetName() string }); is {
		add("name", r.GetName())
	}
	if r, is := request.(interface{ GetJobSetId() string }); is {
		add("job_set", r.GetJobSetId())
	}
	if r, is := request.(interface{ GetReason() string }); is {
		add("reason", r.GetReason())
	}
	if r, is := request.(interface{ GetJobIds() []string }); is {
		ids("job", r.GetJobIds())
	}
	if r, is := request.(interface{ GetJobId() string }); is && r.GetJobId() != "" {
		ids("job", []string{r.GetJobId()})
	}
	if r, is := request.(*api.QueueList); is {
		var names []string
		for _, q := range r.GetQueues() {
			names = append(names, clip(q.GetName(), 200))
		}
		ids("queue", names)
	}
	if r, is := answer.(*api.JobSubmitResponse); is {
		var submitted []string
		for _, item := range r.GetJobResponseItems() {
			submitted = append(submitted, item.GetJobId())
		}
		ids("submitted_job", submitted)
	}
	if r, is := answer.(interface{ GetCancelledIds() []string }); is {
		ids("cancelled_job", r.GetCancelledIds())
	}
	return attrs
}
