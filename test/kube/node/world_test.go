//go:build linux

package node_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/pkg/api"
	"armada/pkg/api/lookout"
	"armada/pkg/client"
	"armada/test/kube/node"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

// patience is how long a test waits for what must happen; it bounds failures
// and is no measure of speed.
const patience = 2 * time.Minute

// house is `armada up` with this machine as a cluster, and the executor of the real
// node beside it, both as they are built.
type house struct {
	*testing.T
	node     *node.Node
	server   string
	client   *client.Client
	executor *process
	settings string // file of the executor
}

// newHouse takes lines of settings below executor.kubernetes.
func newHouse(t *testing.T, settings ...string) *house {
	t.Helper()
	t.Parallel()
	h := &house{T: t, node: node.Shared(t), settings: filepath.Join(t.TempDir(), "executor.yaml")}
	// A machine of one core has room for jobs too.
	text := "executor:\n  kubernetes:\n    reservedPerNode: {cpu: \"0\", memory: \"0\"}\n"
	for _, line := range settings {
		text += "    " + line + "\n"
	}
	if err := os.WriteFile(h.settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	up := begin(t, "up", "--data-dir", t.TempDir(), "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--metrics-addr", "",
		"--capacity", "cpu=2,memory=2Gi,ephemeral-storage=8Gi")
	h.server = regexp.MustCompile(`(?m)^\s+gRPC\s+(\S+)$`).FindStringSubmatch(up.output.String())[1]
	c, err := client.New(client.Config{ArmadaURL: h.server, ForceNoTLS: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	h.client = c
	h.ctl("create", "queue", "q")
	h.beginExecutor()
	return h
}

// beginExecutor begins the executor of the node, and waits until the server knows
// the node.
func (h *house) beginExecutor() {
	h.Helper()
	h.executor = begin(h.T, "executor", "--id", h.cluster(), "--servers", h.server, "--runtime", "kubernetes", "--kubeconfig", h.node.Kubeconfig,
		"--config", h.settings, "--data-dir", h.TempDir(), "--metrics-addr", "")
	h.await("the server to know the node", func() bool {
		list, err := h.client.Lookout.ListExecutors(h.Context(), &lookout.ListExecutorsRequest{})
		if err != nil {
			h.Fatal(err)
		}
		return slices.ContainsFunc(list.GetExecutors(), func(e *lookout.ExecutorSummary) bool {
			return e.GetExecutor() == h.cluster() && len(e.GetNodes()) == 1
		})
	})
}

// cluster is the name of the node's executor, this test's alone.
func (h *house) cluster() string {
	return "cluster-" + strings.ToLower(h.Name()[len("Test"):min(len(h.Name()), 30)])
}

// process is a program that runs beside the test.
type process struct {
	cmd    *exec.Cmd
	output *output
	gone   chan struct{}
}

// output gathers what a process prints and may be read meanwhile.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// binary is the path of a built binary.
func binary(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("ARMADA_BIN")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not built: run `make node`, or `make build` first: %v", name, err)
	}
	return path
}

// begin begins armada and waits until it says that it is up.
func begin(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(binary(t, "armada"), args...), output: &output{}, gone: make(chan struct{})}
	p.cmd.Stderr, p.cmd.SysProcAttr = p.output, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	up := make(chan struct{})
	go func() {
		said := false
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			fmt.Fprintln(p.output, lines.Text())
			if !said && strings.Contains(lines.Text(), "Ctrl-C stops") {
				said = true
				close(up)
			}
		}
		_ = p.cmd.Wait()
		close(p.gone)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.gone:
		case <-time.After(patience):
			t.Errorf("armada %s does not stop", args[0])
			p.kill()
		}
		if t.Failed() {
			t.Logf("armada %s said:\n%s", args[0], p.output)
		}
	})
	select {
	case <-up:
	case <-p.gone:
		t.Fatalf("armada %s ended:\n%s", args[0], p.output)
	case <-time.After(patience):
		t.Fatalf("armada %s does not say that it is up:\n%s", args[0], p.output)
	}
	return p
}

// kill ends a process without any chance to tidy up.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.gone
}

// ctl runs armadactl, which must succeed, and returns its standard output.
func (h *house) ctl(args ...string) string {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	_, port, _ := strings.Cut(h.server, ":")
	cmd := exec.CommandContext(ctx, binary(h.T, "armadactl"), append([]string{"--armadaUrl", "localhost:" + port}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+h.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		h.Fatalf("armadactl %s: %v\n%s%s", strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}

// await asks again until something holds.
func (h *house) await(what string, holds func() bool) {
	h.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			h.Fatalf("waited for %s", what)
		}
	}
}

// onTheNode are the lines of a pod spec that only the real node satisfies.
const onTheNode = "\n      nodeSelector: {kubernetes.io/hostname: " + node.Name + "}"

// preemptible is the line of a pod spec whose place may be taken.
const preemptible = "\n      priorityClassName: armada-preemptible"

// job is a job of a file, on the real node, with one container that does the steps;
// more lines of its pod spec may follow.
func (h *house) job(steps string, more ...string) string {
	return h.anywhere(steps, append([]string{onTheNode}, more...)...)
}

// anywhere is job on any cluster.
func (h *house) anywhere(steps string, more ...string) string {
	return fmt.Sprintf(`
  - podSpec:
      containers:
        - name: main
          image: %s
          command: [%s]
          args: [%s]
          ports: [{containerPort: 8080}, {containerPort: 9090}]
          resources:
            requests: &small {cpu: 100m, memory: 64Mi, ephemeral-storage: 64Mi}
            limits: *small%s`, node.Image, h.node.Actor, steps, strings.Join(more, ""))
}

var submittedLine = regexp.MustCompile(`Submitted job with id (\S+) to job set`)

// submit submits a file with the jobs to the job set "set" and returns their ids.
func (h *house) submit(jobs ...string) []string {
	h.Helper()
	file := filepath.Join(h.TempDir(), "jobs.yaml")
	if err := os.WriteFile(file, []byte("queue: q\njobSetId: set\njobs:"+strings.Join(jobs, "")+"\n"), 0o600); err != nil {
		h.Fatal(err)
	}
	var ids []string
	for _, line := range submittedLine.FindAllStringSubmatch(h.ctl("submit", file), -1) {
		ids = append(ids, line[1])
	}
	if len(ids) != len(jobs) {
		h.Fatalf("%d jobs were submitted, want %d", len(ids), len(jobs))
	}
	return ids
}

// pod is the pod of a job, nil when there is none.
func (h *house) pod(job string) *corev1.Pod {
	h.Helper()
	pods, err := h.node.Client.CoreV1().Pods(metav1.NamespaceDefault).List(h.Context(), metav1.ListOptions{LabelSelector: "armada_job_id=" + job})
	if err != nil {
		h.Fatal(err)
	}
	if len(pods.Items) == 0 {
		return nil
	}
	return &pods.Items[0]
}

// story is what was told of each job, in order.
type story map[string][]*api.EventMessage

// kinds are the kinds of a job's events.
func (s story) kinds(job string) []armada.EventKind {
	var kinds []armada.EventKind
	for _, m := range s[job] {
		kinds = append(kinds, client.Head(m).Kind)
	}
	return kinds
}

func (s story) count(job string, kind armada.EventKind) int {
	n := 0
	for _, k := range s.kinds(job) {
		if k == kind {
			n++
		}
	}
	return n
}

// last is the last event of a kind; it must be there.
func (h *house) last(s story, job string, kind armada.EventKind) *api.EventMessage {
	h.Helper()
	for _, m := range slices.Backward(s[job]) {
		if client.Head(m).Kind == kind {
			return m
		}
	}
	h.Fatalf("job %s has no event %s: %v", job, kind, s.kinds(job))
	return nil
}

// until watches the job set from its beginning until each of the jobs has an event
// of the kind.
func (h *house) until(kind armada.EventKind, jobs ...string) story {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	s := story{}
	err := h.client.Watch(ctx, client.Stream{Queue: "q", JobSet: "set"}, func(m *api.EventStreamMessage) error {
		job := client.Head(m.GetMessage()).Job
		s[job] = append(s[job], m.GetMessage())
		for _, job := range jobs {
			if s.count(job, kind) == 0 {
				return nil
			}
		}
		return client.ErrStop
	})
	if err != nil {
		for _, job := range jobs {
			h.Logf("job %s: %v", job, s.kinds(job))
		}
		h.Fatalf("waited for %s of %v: %v", kind, jobs, err)
	}
	return s
}

// ended waits until the jobs have ended.
func (h *house) ended(jobs ...string) (story, map[string]armada.JobState) {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	s := story{}
	states, err := h.client.Await(ctx, client.Stream{Queue: "q", JobSet: "set"}, jobs, func(m *api.EventStreamMessage) error {
		job := client.Head(m.GetMessage()).Job
		s[job] = append(s[job], m.GetMessage())
		return nil
	})
	if err != nil {
		for _, job := range jobs {
			h.Logf("job %s: %v", job, s.kinds(job))
		}
		h.Fatalf("%d of %d jobs have ended: %v", len(states), len(jobs), err)
	}
	return s, states
}
