package kubernetes_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/internal/runs/runstest"
)

// mayExec is the rule that the role of the example shows as a comment.
func mayExec(t *testing.T) rbacv1.PolicyRule {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "deploy", "kubernetes", "rbac.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "# Only with executor.exec: true")
	_, after, _ = strings.Cut(after, "\n")
	rule, _, _ := strings.Cut(after, "  # Only")
	var rules []rbacv1.PolicyRule
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(rule, "  # ", "")), &rules); !found || err != nil || len(rules) != 1 {
		t.Fatalf("the example shows no rule for executor.exec: %q, %v", rule, err)
	}
	return rules[0]
}

// said runs a command that prints a line.
func said(t *testing.T, r *kubernetes.Runtime, run armada.RunID) (string, error) {
	t.Helper()
	var out bytes.Buffer
	_, err := r.Exec(t.Context(), run, runs.Command{Args: []string{kubetest.Program, "print=said"}}, runs.Streams{Stdout: &out, Stderr: &out})
	return out.String(), err
}

func TestCommandsNeedARightOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for name, may := range map[string]bool{"plain": false, "commanding": true} {
		user := w.nodes.Namespace + "-" + name
		var more []rbacv1.PolicyRule
		if may {
			more = append(more, mayExec(t))
		}
		w.grant(t, user, more...)
		w.config.Kubeconfig = w.nodes.Cluster.User(t, user)
		if failed := failures(kubernetes.Check(t.Context(), w.config, kubernetes.Expected{Pool: "default"})); len(failed) > 0 {
			t.Errorf("%s: without commands check finds %q", name, failed)
		}
		failed := failures(kubernetes.Check(t.Context(), w.config, kubernetes.Expected{Pool: "default", Commands: true}))
		if want := []string{"rights: pods/exec: may not get, create in all namespaces"}; !may && !slices.Equal(failed, want) || may && len(failed) > 0 {
			t.Errorf("%s: with commands check finds %q", name, failed)
		}
		r := w.open(t)
		o := w.begin(t, r, runstest.Job{Forever: true}, nil)
		runstest.AwaitPhase(t, r, o.Run, runs.Running)
		text, err := said(t, r, o.Run)
		if may && (text != "said\n" || err != nil) || !may && (err == nil || !strings.Contains(err.Error(), "forbidden")) {
			t.Errorf("%s: a command printed %q, %v", name, text, err)
		}
		runstest.StopAll(t, r)
		closed(t, r)
	}
}

// A proxy that lets no WebSockets through stands before many API servers.
func TestCommandsRunWhereNoWebSocketsAreLetThrough(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	config, err := clientcmd.BuildConfigFromFlags("", w.nodes.Cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.NextProtos = []string{"http/1.1"} // no other can be upgraded
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	host, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	var refused, passed atomic.Int32
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(host) },
		Transport: transport, FlushInterval: -1,
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case strings.EqualFold(r.Header.Get("Upgrade"), "websocket"):
			refused.Add(1)
			http.Error(rw, "no WebSockets here", http.StatusBadRequest)
			return
		case r.Header.Get("Upgrade") != "":
			passed.Add(1)
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.config.Kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := kubetest.WriteKubeconfig(w.config.Kubeconfig, &rest.Config{Host: server.URL}); err != nil {
		t.Fatal(err)
	}
	r := w.open(t)
	o := w.begin(t, r, runstest.Job{Forever: true}, nil)
	runstest.AwaitPhase(t, r, o.Run, runs.Running)
	if text, err := said(t, r, o.Run); text != "said\n" || err != nil {
		t.Errorf("a command printed %q, %v", text, err)
	}
	if refused.Load() == 0 || passed.Load() == 0 {
		t.Errorf("%d WebSockets were refused, %d others passed", refused.Load(), passed.Load())
	}
	runstest.StopAll(t, r)
	closed(t, r)
}

func TestACommandForAContainerThatEndsUnseenSaysThatItDoesNotRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	o := w.begin(t, r, runstest.Job{Forever: true}, nil)
	runstest.AwaitPhase(t, r, o.Run, runs.Running)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := r.Stop(ctx, o.Run, -1); err != nil {
		t.Fatal(err)
	}
	// Sooner or later the kubelet knows, and we need not know it already.
	await(t, "the container to run no more", func(context.Context) bool {
		_, err := said(t, r, o.Run)
		return errors.Is(err, runs.ErrNotRunning)
	})
	runstest.AwaitPhase(t, r, o.Run, runs.Stopped)
	closed(t, r)
}
