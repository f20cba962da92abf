//go:build linux

// Package node makes a Kubernetes of one real node on this machine: etcd, API
// server, controller manager, scheduler and kubelet as `make kube` builds them,
// containerd and runc as the distribution has them. Pods truly run. Nothing is
// downloaded: the only image, of [actor], is made here.
//
// All of it lives in a [room], so nothing is left on the machine when the tests
// end or are killed. Services have addresses, but nothing leads to them: there is
// no kube-proxy, and no DNS.
//
// Root is needed. What else is missing is told by the error; CONTRIBUTING.md says
// what a machine must allow, docs/adr/0035 why it is made so.
package node

import (
	"context"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"armada/internal/runs/kubernetes/kubetest"
	"armada/test/kube/node/room"
)

const (
	// Image is the image of the actor, whose program is also at [Node.Actor].
	Image = "armada.test/actor:1"
	// Name is the node's.
	Name = "real"

	address  = "10.88.0.1" // of the node, in its own network
	podRange = "10.88.1.0/24"
)

// startPatience is how long it may take until the node takes pods, on a busy
// machine.
const startPatience = 4 * time.Minute

// Node is a cluster of one node.
type Node struct {
	Kubeconfig string // of an administrator
	Client     kubernetes.Interface
	Actor      string // the path of the actor, in its image and outside

	folder string
	room   *room.Room
}

var shared *Node

// Main runs the tests of a binary with one node and returns the exit code:
// os.Exit(node.Main(m)).
func Main(m *testing.M) int {
	if code, was := room.Main(); was {
		return code
	}
	n, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting a real node:", err)
		return 1
	}
	shared = n
	code := m.Run()
	if code != 0 {
		n.keepLogs()
	}
	if err := n.room.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the real node:", err)
		return 1
	}
	return code
}

// Up makes a node, says on standard output how it is reached, and takes it away at
// Ctrl-C or SIGTERM. It returns the exit code of a program that does nothing else.
func Up() int {
	if code, was := room.Main(); was {
		return code
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	n, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting a real node:", err)
		return 1
	}
	fmt.Printf("The node %s takes pods. Its kubeconfig:\n\n  %s\n\nThe one image that it has is %s, of the program\n\n  %s\n\nCtrl-C takes it away.\n",
		Name, n.Kubeconfig, Image, n.Actor)
	code := 0
	select {
	case <-told:
	case <-n.room.Gone():
		fmt.Fprintln(os.Stderr, "the programs of the node have ended")
		n.keepLogs()
		code = 1
	}
	if err := n.room.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the real node:", err)
		return 1
	}
	return code
}

// Shared is the node that Main started.
func Shared(t testing.TB) *Node {
	t.Helper()
	if shared == nil {
		t.Fatal("node: call node.Main from TestMain")
	}
	return shared
}

func start() (_ *Node, err error) {
	if os.Getuid() != 0 {
		return nil, errors.New("a node that runs containers needs root: run these tests as root, or leave them out (SKIP=node make test)")
	}
	folder, err := os.MkdirTemp("", "armada-node-")
	if err != nil {
		return nil, err
	}
	n := &Node{folder: folder, Actor: filepath.Join(folder, "actor"), Kubeconfig: filepath.Join(folder, "kubeconfig")}
	programs, err := n.prepare()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	n.room, err = room.Open(n.plan(programs))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.room.Close())
		}
	}()
	config := &rest.Config{
		Host: "https://" + n.room.Addr, QPS: 1e3, Burst: 1e3,
		TLSClientConfig: rest.TLSClientConfig{CAFile: n.file("ca.crt"), CertFile: n.file("admin.crt"), KeyFile: n.file("admin.key")},
	}
	if n.Client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if err := kubetest.WriteKubeconfig(n.Kubeconfig, config); err != nil {
		return nil, err
	}
	if err := n.ready(); err != nil {
		return nil, err
	}
	return n, kubetest.CreatePriorityClasses(context.Background(), n.Client)
}

func (n *Node) file(name string) string { return filepath.Join(n.folder, name) }

// prepare makes everything that the programs read, and finds them.
func (n *Node) prepare() (*programs, error) {
	p, err := findPrograms()
	if err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-o", n.Actor, "armada/test/kube/node/actor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the actor: %w\n%s", err, said)
	}
	if err := writeImage(n.file("actor.tar"), Image, n.Actor); err != nil {
		return nil, err
	}
	authority, err := kubetest.NewAuthority(n.folder, net.IPv4(127, 0, 0, 1), net.ParseIP(address))
	if err != nil {
		return nil, err
	}
	for name, subject := range map[string]pkix.Name{
		"apiserver": {CommonName: "kube-apiserver"},
		"admin":     {CommonName: "admin", Organization: []string{"system:masters"}},
		"manager":   {CommonName: "system:kube-controller-manager"},
		"scheduler": {CommonName: "system:kube-scheduler"},
		"kubelet":   {CommonName: "system:node:" + Name, Organization: []string{"system:nodes"}},
	} {
		if err := authority.Sign(name, subject); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"manager", "scheduler", "kubelet"} {
		if err := kubetest.WriteKubeconfig(n.file(name+".kubeconfig"), &rest.Config{
			Host:            "https://" + apiServer,
			TLSClientConfig: rest.TLSClientConfig{CAFile: n.file("ca.crt"), CertFile: n.file(name + ".crt"), KeyFile: n.file(name + ".key")},
		}); err != nil {
			return nil, err
		}
	}
	return p, n.writeConfigs(p)
}

// ready waits until the node takes pods.
func (n *Node) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		why := n.unready(ctx)
		if why == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-n.room.Gone():
			return errors.New("its programs have ended") // Close says why
		case <-ctx.Done():
			n.keepLogs()
			return fmt.Errorf("it takes no pods after %s: %w", startPatience, why)
		}
	}
}

// unready is why the node takes no pods yet.
func (n *Node) unready(ctx context.Context) error {
	node, err := n.Client.CoreV1().Nodes().Get(ctx, Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
			return errors.New(c.Message)
		}
	}
	if len(node.Spec.Taints) > 0 {
		return fmt.Errorf("it has the taint %s", node.Spec.Taints[0].Key)
	}
	// Pods are refused until their service account is there.
	_, err = n.Client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err
}

// keepLogs copies the logs of the programs to where they stay.
func (n *Node) keepLogs() {
	kept, err := os.MkdirTemp("", "armada-node-logs-")
	if err != nil {
		return
	}
	logs, _ := filepath.Glob(n.file("*.log"))
	for _, log := range logs {
		if text, err := os.ReadFile(log); err == nil {
			_ = os.WriteFile(filepath.Join(kept, filepath.Base(log)), text, 0o600)
		}
	}
	fmt.Fprintln(os.Stderr, "the logs of the node's programs are in", kept)
}
