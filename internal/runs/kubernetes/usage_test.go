package kubernetes_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"armada"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/internal/runs/runstest"
)

// withMetrics is a way to the cluster on which somebody answers for
// metrics.k8s.io: with what is told, or with its status if nothing is. It returns
// a kubeconfig.
func withMetrics(t testing.TB, cluster *kubetest.Cluster, told *atomic.Pointer[string], status int) string {
	t.Helper()
	return cluster.Front(t, func(rest http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/", rest)
		mux.HandleFunc("GET /apis/metrics.k8s.io/v1beta1/pods", func(w http.ResponseWriter, r *http.Request) {
			text := told.Load()
			if text == nil || r.URL.Query().Get("labelSelector") == "" {
				http.Error(w, "nobody is there", status)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, *text)
		})
		return mux
	})
}

func TestTheUsageOfPodsIsThatOfTheClustersMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var told atomic.Pointer[string]
	w.config.Kubeconfig = withMetrics(t, w.nodes.Cluster, &told, http.StatusServiceUnavailable)
	r := w.open(t)
	defer closed(t, r)
	o := w.begin(t, r, runstest.Job{Forever: true}, nil)
	runstest.AwaitPhase(t, r, o.Run, runs.Running)
	item := func(pod armada.JobID, at time.Time) string {
		return fmt.Sprintf(`{"metadata":{"name":"armada-%s-0","namespace":%q},"timestamp":%q,"window":"15.2s",
			"containers":[{"name":"main","usage":{"cpu":"1500u","memory":"2Mi"}},{"name":"helper","usage":{"cpu":"2m","memory":"100"}}]}`,
			pod, w.nodes.Namespace, at.UTC().Format(time.RFC3339))
	}
	at := time.Now().Add(time.Minute).Truncate(time.Second)
	tell := func(items string) { text := `{"kind":"PodMetricsList","items":[` + items + `]}`; told.Store(&text) }
	tell(item(o.Job, at) + "," + item("another", at))
	samples, err := r.Usage(t.Context())
	want := runs.Sample{At: at, Window: 15200 * time.Millisecond, CPU: 3_500_000, Memory: 2<<20 + 100}
	if got := samples[o.Run]; err != nil || len(samples) != 1 || !got.At.Equal(want.At) || got.Window != want.Window || got.CPU != want.CPU || got.Memory != want.Memory {
		t.Errorf("the usage is %+v, %v, want %+v", samples, err, want)
	}
	tell(item(o.Job, time.Now().Add(-time.Hour))) // of the pod of an attempt before
	if samples, err = r.Usage(t.Context()); err != nil || len(samples) != 0 {
		t.Errorf("an old sample is taken for one of this run: %+v, %v", samples, err)
	}
	tell("not even")
	if _, err = r.Usage(t.Context()); err == nil || errors.Is(err, runs.ErrNotMeasured) {
		t.Errorf("an answer that cannot be read is %v", err)
	}
	told.Store(nil)
	if _, err = r.Usage(t.Context()); !errors.Is(err, runs.ErrNotMeasured) {
		t.Errorf("metrics that are away: %v", err)
	}
}

func TestAClusterWithoutMetricsIsNotMeasured(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	r := w.open(t)
	defer closed(t, r)
	if _, err := r.Usage(t.Context()); !errors.Is(err, runs.ErrNotMeasured) {
		t.Errorf("it is %v", err)
	}
}
