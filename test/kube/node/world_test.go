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
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"armada"
	"armada/pkg/client"
	"armada/test/kube/node"
	"armada/test/kube/witness"
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
	witness.Knows(h, h.client, patience, h.cluster(), 1)
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

// begin begins armada and waits until it says that it is up.
func begin(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(witness.Binary(t, "armada"), args...), output: &output{}, gone: make(chan struct{})}
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
	cmd := exec.CommandContext(ctx, witness.Binary(h.T, "armadactl"), append([]string{"--armadaUrl", "localhost:" + port}, args...)...)
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
	witness.Await(h, patience, what, holds)
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

// stream is the job set of all tests here.
var stream = client.Stream{Queue: "q", JobSet: "set"}

// until watches the job set from its beginning until each of the jobs has an event
// of the kind.
func (h *house) until(kind armada.EventKind, jobs ...string) witness.Story {
	h.Helper()
	return witness.Until(h, h.client, stream, patience, kind.String()+" of "+strings.Join(jobs, ", "), func(s witness.Story) bool {
		for _, job := range jobs {
			if s.Count(job, kind) == 0 {
				return false
			}
		}
		return true
	})
}

// ended waits until the jobs have ended.
func (h *house) ended(jobs ...string) (witness.Story, map[string]armada.JobState) {
	h.Helper()
	return witness.Ended(h, h.client, stream, patience, jobs...)
}
