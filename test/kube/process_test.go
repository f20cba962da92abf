package kube_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"armada/internal/runs/kubernetes/kubetest"
	"armada/test/kube/witness"
)

// process is `armada executor` as a process of its own, which is killed and
// started again.
type process struct {
	testing.TB
	nodes  *kubetest.Nodes
	binary string
	config string // its file
	log    *os.File
	cmd    *exec.Cmd
	lives  int
}

// process starts the executor of the nodes and waits until the server knows them.
// kubernetes are settings under executor.kubernetes.
func (h *house) process(nodes *kubetest.Nodes, kubernetes map[string]any) *process {
	h.Helper()
	p := &process{TB: h.TB, nodes: nodes, binary: witness.Binary(h, "armada")}
	dir := h.TempDir()
	settings := map[string]any{"kubeconfig": nodes.Cluster.Kubeconfig, "nodeSelector": nodes.Selector}
	for key, value := range kubernetes {
		settings[key] = value
	}
	text, err := json.Marshal(map[string]any{ // which is YAML
		"dataDir":   filepath.Join(dir, "data"),
		"telemetry": map[string]any{"metricsAddr": ""},
		"executor": map[string]any{
			"id": nodes.Name, "runtime": "kubernetes", "servers": []string{h.server}, "kubernetes": settings,
		},
	})
	if err != nil {
		h.Fatal(err)
	}
	p.config = filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(p.config, text, 0o600); err != nil {
		h.Fatal(err)
	}
	if p.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		h.Fatal(err)
	}
	p.start()
	h.Cleanup(func() {
		p.kill()
		if h.Failed() {
			said, _ := os.ReadFile(p.log.Name())
			h.Logf("the executor said at last:\n%s", said[max(0, len(said)-8000):])
		}
	})
	h.knows(nodes)
	return p
}

// start begins another life.
func (p *process) start() {
	p.Helper()
	p.lives++
	fmt.Fprintf(p.log, "--- life %d\n", p.lives)
	p.cmd = exec.Command(p.binary, "executor", "--config", p.config)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.Fatal(err)
	}
}

// kill ends the present life without warning.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed
}

// memory tells the memory of the process, in bytes: what it has now, and the most
// that it ever had.
func (p *process) memory() (now, most int64) {
	p.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &now)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &most)
	}
	return now << 10, most << 10
}
