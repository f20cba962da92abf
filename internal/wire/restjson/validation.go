package restjson

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
)

// Parameter is the query parameter that says what becomes of names in a body
// that no message knows.
const Parameter = "fieldValidation"

// mostWarnings bounds the headers of one answer.
const (
	mostWarnings     = 50
	longestWarning   = 256
	warningHeader    = "Warning"
	warningPrefix    = "299 - "
	tooManyWarnings  = "and more fields"
	parameterProblem = Parameter + " must be Ignore, Warn or Strict"
)

// FieldValidation stands before a gateway that uses Marshaler. It reads the
// parameter fieldValidation and takes it away: Warn, which is the default,
// names unknown and repeated members of the body in Warning headers; Strict
// refuses the request with INVALID_ARGUMENT; Ignore says nothing. Streams are
// passed on as they are flushed.
//
// It must be the last handler before the gateway: Marshaler finds what was
// prepared here by the body itself, which another handler would wrap once more.
func FieldValidation(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		how := "Warn"
		if query := r.URL.Query(); query.Has(Parameter) {
			how = query.Get(Parameter)
			query.Del(Parameter)
			shorter := *r.URL
			shorter.RawQuery = query.Encode()
			r = r.Clone(r.Context())
			r.URL = &shorter
		}
		body := &checkedBody{ReadCloser: r.Body}
		switch strings.ToLower(how) {
		case "ignore":
			body.ignore = true
		case "strict":
			body.strict = true
		case "warn", "":
		default:
			refuse(w, parameterProblem)
			return
		}
		if r.Body != nil && r.Body != http.NoBody {
			r = r.Clone(r.Context())
			r.Body = body
		}
		next.ServeHTTP(&warner{ResponseWriter: w, body: body}, r)
	})
}

func refuse(w http.ResponseWriter, message string) {
	encoded, err := Encode(&status.Status{Code: int32(codes.InvalidArgument), Message: message})
	if err != nil {
		http.Error(w, message, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", ContentType)
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write(encoded) // The caller may be gone; nobody else wants to know.
}

// checkedBody is a request's body that remembers what decoding it found. It is
// used by the goroutine of its request only.
type checkedBody struct {
	io.ReadCloser
	strict   bool
	ignore   bool
	warnings []Warning
	failed   error // why the message could not be read
}

// note takes the findings of one message.
func (b *checkedBody) note(warnings []Warning) error {
	if b.strict && len(warnings) > 0 {
		return &StrictError{Warnings: warnings}
	}
	if !b.ignore {
		b.warnings = append(b.warnings, warnings...)
	}
	return nil
}

// warner adds the findings to the headers before they are sent, which happens
// once: the gateway also tries when an error ends a stream without events.
type warner struct {
	http.ResponseWriter
	body *checkedBody
	sent bool
}

func (w *warner) warn() {
	if w.sent {
		return
	}
	w.sent = true
	for i, found := range w.body.warnings {
		text := found.String()
		if i == mostWarnings {
			text = tooManyWarnings
		}
		w.Header().Add(warningHeader, warningPrefix+strconv.QuoteToASCII(shorten(text)))
		if i == mostWarnings {
			return
		}
	}
}

func shorten(text string) string {
	if len(text) <= longestWarning {
		return text
	}
	return strings.ToValidUTF8(text[:longestWarning], "") + "…"
}

func (w *warner) WriteHeader(code int) {
	if w.sent {
		return
	}
	if code >= http.StatusOK {
		w.warn()
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *warner) Write(b []byte) (int, error) {
	w.warn()
	return w.ResponseWriter.Write(b)
}

// FlushError is what http.ResponseController calls.
func (w *warner) FlushError() error {
	w.warn()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush makes the writer an http.Flusher.
func (w *warner) Flush() { _ = w.FlushError() } // An http.Flusher cannot say that it failed.

// Unwrap lets http.ResponseController reach what is underneath.
func (w *warner) Unwrap() http.ResponseWriter { return w.ResponseWriter }
