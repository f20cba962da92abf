package server

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"armada/internal/wire/restjson"
)

// ServeHTTP serves the REST interface below /v1 and /api/v1, its description,
// and the server's health. It compares paths as they are: a path that a cleaner
// would change may name a job set.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.cors.share(w, r) {
		return
	}
	waiting := waits{g.patience, http.NewResponseController(w)}
	w = &onceWriter{ResponseWriter: w, waits: waiting}
	if r.Body != nil && r.Body != http.NoBody {
		body := waiting.body(r.Body)
		defer body.late.Stop()
		r = r.WithContext(r.Context())
		r.Body = body
	}
	if err := g.pages.Check(r); err != nil {
		w.Header().Set("Content-Type", restjson.ContentType)
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"code":7,"message":"a page of another origin may not call; server.corsAllowedOrigins names those that may","details":[]}`) // the caller may be gone
		return
	}
	switch path := r.URL.Path; {
	case path == "/health":
		g.health.ServeHTTP(w, r)
	case g.docs.serve(w, r):
	case strings.HasPrefix(path, "/v1/"):
		g.call(w, r, "")
	case strings.HasPrefix(path, "/api/v1/"):
		g.call(w, r, "/api")
	case g.ui != nil:
		g.ui.ServeHTTP(w, r)
	default:
		notFound(w)
	}
}

// call makes a call of a request below the prefix, unless it has what no call can
// carry.
func (g *gateway) call(w http.ResponseWriter, r *http.Request, prefix string) {
	if where := uncarried(r); where != "" {
		w.Header().Set("Content-Type", restjson.ContentType)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"code":3,"message":"`+where+`","details":[]}`) // the caller may be gone
		return
	}
	g.calls.ServeHTTP(w, below(r, prefix))
}

// uncarried says what of a request cannot be in a call; empty when all can.
func uncarried(r *http.Request) string {
	if !utf8.ValidString(r.URL.Path) {
		return "the path must be UTF-8"
	}
	for name, values := range r.URL.Query() {
		if !utf8.ValidString(name) || slices.ContainsFunc(values, func(v string) bool { return !utf8.ValidString(v) }) {
			return "the query must be UTF-8"
		}
	}
	for name, values := range r.Header {
		key, passed := strings.CutPrefix(name, runtime.MetadataHeaderPrefix)
		if passed && !strings.HasSuffix(strings.ToLower(key), "-bin") && slices.ContainsFunc(values, unprintable) {
			return "headers that begin with " + runtime.MetadataHeaderPrefix + " must be printable ASCII"
		}
	}
	return ""
}

func unprintable(value string) bool {
	return strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c > '~' })
}

// notFound answers a path that means nothing, in the words of the gateway.
func notFound(w http.ResponseWriter) {
	w.Header().Set("Content-Type", restjson.ContentType)
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"code":5,"message":"Not Found: REST is below /api/v1, and /api/docs describes it","details":[]}`) // the caller may be gone
}

// below returns the request with the prefix taken from its path, and with
// slashes inside names kept apart from those between them.
func below(r *http.Request, prefix string) *http.Request {
	shorter := r.WithContext(r.Context())
	shorter.URL = new(url.URL)
	*shorter.URL = *r.URL
	shorter.URL.Path = strings.TrimPrefix(r.URL.Path, prefix)
	shorter.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, prefix)
	shorter.URL.RawPath = escapedSlash.ReplaceAllLiteralString(shorter.URL.RawPath, url.PathEscape(slashInName))
	return shorter
}

// slashInName stands for a slash in a name on its way through the gateway,
// which has no way to carry one: a private character that nobody writes.
const slashInName = "\uE000"

var escapedSlash = regexp.MustCompile(`%2[Ff]`)

// unslash puts the slashes back into a name that came through the gateway.
func unslash(ctx context.Context, name string) string {
	if !throughGateway(ctx) {
		return name
	}
	return strings.ReplaceAll(name, slashInName, "/")
}

// onceWriter takes the first status of an answer and no other: the gateway
// sends a second one when a stream fails before its first line. It does not wait
// for ever until the answer is read.
type onceWriter struct {
	http.ResponseWriter
	waits waits
	sent  bool
}

// WriteHeader sends the first final status.
func (w *onceWriter) WriteHeader(code int) {
	if w.sent {
		return
	}
	w.sent = code >= http.StatusOK
	w.ResponseWriter.WriteHeader(code)
}

// Write sends the status first, if there was none.
func (w *onceWriter) Write(b []byte) (int, error) {
	w.sent = true
	defer w.waits.writing()()
	return w.ResponseWriter.Write(b) //nolint:wrapcheck // a writer passes errors on
}

// FlushError sends what there is, and the status first if there was none.
func (w *onceWriter) FlushError() error {
	w.sent = true
	defer w.waits.writing()()
	return w.waits.control.Flush() //nolint:wrapcheck // a writer passes errors on
}

// Flush makes the writer an http.Flusher.
func (w *onceWriter) Flush() { _ = w.FlushError() } // a flusher cannot say that it failed

// Unwrap lets http.ResponseController reach what is below.
func (w *onceWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
