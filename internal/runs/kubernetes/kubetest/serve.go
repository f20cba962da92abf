package kubetest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// serve plays the part of a kubelet that gives logs out and runs commands, for all
// nodes.
func (n *Nodes) serve(t testing.TB) (at net.Addr, stop func()) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{*n.Cluster.kubelet}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.logs)
	mux.HandleFunc("POST /exec/{namespace}/{pod}/{container}", n.exec)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("playing a kubelet: %v", err)
		}
	}()
	return listener.Addr(), func() {
		server.Close()
		<-done
	}
}

// logs writes what a pod printed, as a kubelet does.
func (n *Nodes) logs(w http.ResponseWriter, r *http.Request) {
	l := n.latest(r.PathValue("pod"))
	if l == nil || !l.begun() {
		http.Error(w, "container is waiting to start", http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	lines := l.lines
	l.mu.Unlock()
	query := r.URL.Query()
	if query.Get("previous") == "true" {
		if lines = l.earlier; len(lines) == 0 {
			http.Error(w, fmt.Sprintf("previous terminated container %q in pod %q not found", r.PathValue("container"), l.name), http.StatusBadRequest)
			return
		}
	}
	if since, err := time.Parse(time.RFC3339, query.Get("sinceTime")); err == nil {
		for len(lines) > 0 {
			if at, _, _ := strings.Cut(lines[0], " "); !before(at, since) {
				break
			}
			lines = lines[1:]
		}
	}
	if tail, err := strconv.Atoi(query.Get("tailLines")); err == nil && tail < len(lines) {
		lines = lines[len(lines)-tail:]
	}
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	if query.Get("follow") != "true" {
		return
	}
	if flusher, can := w.(http.Flusher); can {
		flusher.Flush()
	}
	select {
	case <-l.ended:
	case <-r.Context().Done():
	case <-n.ctx.Done():
	}
}

func before(text string, since time.Time) bool {
	at, err := time.Parse(time.RFC3339Nano, text)
	return err == nil && at.Before(since)
}

// latest finds the latest life of a pod.
func (n *Nodes) latest(pod string) *life {
	n.mu.Lock()
	defer n.mu.Unlock()
	if all := n.named[pod]; len(all) > 0 {
		return all[len(all)-1]
	}
	return nil
}

func (l *life) begun() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.span.Began.IsZero()
}
