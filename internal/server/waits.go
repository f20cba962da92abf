package server

import (
	"io"
	"net/http"
	"time"
)

// waits cuts off who lets a REST call wait: for the rest of its body, or by not
// reading what it is sent. Nothing is done to a stream in which nothing happens.
// The deadlines of http.Server would end such a stream too.
type waits struct {
	limit   time.Duration
	control *http.ResponseController
}

// longAgo is a deadline that ends a read or a write which goes on.
var longAgo = time.Unix(1, 0)

// writing begins to wait for the reader of an answer; stop ends that.
func (p waits) writing() (stop func() bool) {
	return time.AfterFunc(p.limit, func() { _ = p.control.SetWriteDeadline(longAgo) }).Stop // fails when the connection is gone
}

// body makes a body that ends with an error when it takes too long as a whole.
func (p waits) body(of io.ReadCloser) *patientBody {
	late := time.AfterFunc(p.limit, func() { _ = p.control.SetReadDeadline(longAgo) }) // fails when the connection is gone
	return &patientBody{of, late}
}

// patientBody is a body that is waited for.
type patientBody struct {
	io.ReadCloser
	late *time.Timer
}

// Read reads, and ends the waiting with the body.
func (b *patientBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	if err != nil {
		b.late.Stop()
	}
	return n, err //nolint:wrapcheck // a reader passes errors on
}
