package kubernetes_test

import (
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"

	"armada"
	"armada/internal/podspec"
	"armada/internal/runs"
	"armada/internal/runs/kubernetes"
	"armada/internal/runs/kubernetes/kubetest"
	"armada/internal/runs/runstest"
)

func TestMain(m *testing.M) { os.Exit(kubetest.Main(m)) }

// world is an executor with nodes of its own.
type world struct {
	nodes  *kubetest.Nodes
	config kubernetes.Config
	place  kubernetes.Place
	runs   int
}

func newWorld(t testing.TB, count int) *world {
	t.Helper()
	nodes := kubetest.NewNodes(t, count)
	config := kubernetes.DefaultConfig()
	config.Kubeconfig, config.NodeSelector = nodes.Cluster.Kubeconfig, nodes.Selector
	return &world{nodes: nodes, config: config, place: kubernetes.Place{
		Executor: armada.ExecutorID(nodes.Namespace), Pool: "default", Table: armada.DefaultResourceTable(),
		Dir: t.TempDir(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}}
}

func (w *world) open(t testing.TB) *kubernetes.Runtime {
	t.Helper()
	r, err := kubernetes.Open(t.Context(), w.config, w.place)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// spec makes an order do a job.
func (w *world) spec(o *runs.Order, job runstest.Job) {
	o.Namespace = w.nodes.Namespace
	if o.Annotations == nil {
		o.Annotations = map[string]string{}
	}
	set := func(key string, is bool) {
		if is {
			o.Annotations[key] = "yes"
		}
	}
	set(kubetest.Forever, job.Forever)
	set(kubetest.Deaf, job.Deaf)
	set(kubetest.Finishes, job.Finishes)
	o.Annotations[kubetest.Print] = strings.Join(job.Print, "\n")
	o.Annotations[kubetest.Earlier] = strings.Join(job.Earlier, "\n")
	o.Annotations[kubetest.ExitCode] = strconv.Itoa(int(job.ExitCode))
	spec, err := podspec.DecodeJSON([]byte(`{"containers":[{"name":"main","image":"none"}],"terminationGracePeriodSeconds":30}`))
	if err != nil {
		panic(err)
	}
	o.Spec = spec.Canonical()
}

func TestKubernetesIsARuntime(t *testing.T) {
	t.Parallel()
	runstest.Run(t, suiteWorld)
}

// suiteWorld is a world for the suite.
func suiteWorld(t *testing.T) runstest.World {
	w := newWorld(t, 2)
	return runstest.World{
		Open:     func(t testing.TB) runs.Runtime { return w.open(t) },
		Spec:     w.spec,
		Outlives: true, StartsAgain: true,
		Command: func(d runstest.Deed) []string { return append([]string{kubetest.Program}, runstest.Steps(d)...) },
	}
}
