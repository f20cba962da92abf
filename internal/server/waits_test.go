package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"armada/internal/server"
	"armada/pkg/api"
)

// say opens a connection to the REST interface and says something in it.
func (w *world) say(text string) net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.HTTPAddr())
	ok(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, text)
	ok(w.t, err)
	return conn
}

func TestAClientWhoseBodyDoesNotEndIsCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{config: func(c *server.Config) { c.ClientPatience = time.Second / 2 }})
	for _, text := range []string{
		"POST /v1/job/submit HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
		"POST /v1/job/submit HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
		"", // nor does it begin a call
	} {
		conn := w.say("GET /health HTTP/1.1\r\nHost: x\r\n\r\n" + text)
		answer, err := io.ReadAll(conn) // to the end of the connection
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 204") || strings.Contains(string(answer), " 200 OK") {
			t.Errorf("after %q the connection ends with %v, after %s", text, err, answer)
		}
	}
	// Whoever is quick is served, and a stream in which nothing happens goes on.
	w.submitted("set", items(1))
	conn := w.say("POST /v1/job-set/q/set HTTP/1.1\r\nHost: x\r\nContent-Length: 14\r\n\r\n{\"watch\":true}")
	seen := ""
	for piece := make([]byte, 1<<10); !strings.Contains(seen, "queued"); {
		n, err := conn.Read(piece)
		ok(t, err)
		seen += string(piece[:n])
	}
	slow := w.say("") // which is cut off while the stream is silent
	_, err := io.ReadAll(slow)
	ok(t, err)
	w.submitted("set", items(1))
	for piece := make([]byte, 1<<10); strings.Count(seen, "queued") < 2; {
		n, err := conn.Read(piece)
		ok(t, err)
		seen += string(piece[:n])
	}
}

func TestAClientThatDoesNotReadItsAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{
		config: func(c *server.Config) { c.ClientPatience, c.Limits = time.Second/2, server.Limits{Streams: 1} },
		deps:   func(d *server.Deps) { d.Authenticator = named{} },
	})
	list := items(100)
	for i := range list { // more than all buffers between here and there take
		list[i].Annotations = map[string]string{"large": strings.Repeat(fmt.Sprint(i%10), 150<<10)}
	}
	w.submitted("set", list)
	conn, err := net.Dial("tcp", w.server.HTTPAddr())
	ok(t, err)
	defer func() { _ = conn.Close() }()
	ok(t, conn.(*net.TCPConn).SetReadBuffer(4<<10)) //nolint:forcetypeassert // it is one
	_, err = io.WriteString(conn, "POST /v1/job-set/q/set HTTP/1.1\r\nHost: x\r\nAuthorization: ada\r\nContent-Length: 2\r\n\r\n{}")
	ok(t, err)
	_, err = conn.Read(make([]byte, 1)) // the stream is open, and is not read on
	ok(t, err)
	for {
		ctx, leave := context.WithCancel(as(t, "ada"))
		stream, err := w.event.GetJobSetEvents(ctx, &api.JobSetRequest{Queue: "q", Id: "none"})
		ok(t, err)
		_, err = stream.Recv()
		leave()
		if status.Code(err) != codes.ResourceExhausted {
			return // the place of the stream is free again
		}
	}
}
