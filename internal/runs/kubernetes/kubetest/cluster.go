// Package kubetest gives tests a real Kubernetes API of their own: etcd and
// kube-apiserver on free ports of the loopback, with nodes whose kubelets are
// played by the test process ([Nodes]). Pods live as their annotations say;
// what they print is read through the API as from any kubelet, and commands are
// played beside them ([Program]).
//
// A test binary that wants one calls [Main] from TestMain and [NewNodes] in each
// test. The binaries are made by `make kube` (test/kube). A cluster dies with the
// process that started it. There is no controller manager: nothing but the tests
// and the played kubelets changes objects.
package kubetest

import (
	"context"
	"crypto/tls"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// hint says what to do where the binaries are missing.
const hint = "these tests need etcd and kube-apiserver in bin/kube: run make kube"

// startPatience is how long the API server may take to be ready on a busy machine.
const startPatience = 2 * time.Minute

// Cluster is an API server with its etcd.
type Cluster struct {
	// Kubeconfig is a file with the rights of an administrator.
	Kubeconfig string
	Client     kubernetes.Interface

	bin, etcd string // where the programs are, and the address of etcd
	prefix    string // of the keys in etcd
	host      string
	folder    string
	processes []*exec.Cmd // the API server is the last
	authority *Authority
	kubelet   *tls.Certificate // what played kubelets serve with
}

var shared *Cluster

// Main runs the tests of a binary with one shared cluster and returns the exit
// code: os.Exit(kubetest.Main(m)).
func Main(m *testing.M) int {
	c, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.stop()
	shared = c
	return m.Run()
}

// Shared is the cluster that Main started.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	if shared == nil {
		t.Fatal("kubetest: call kubetest.Main from TestMain")
	}
	return shared
}

// Client is an administrator of the cluster that Main started.
func Client() kubernetes.Interface { return shared.Client }

// Binaries finds the folder with what `make kube` builds.
func Binaries() (string, error) {
	if dir := os.Getenv("ARMADA_KUBE_BIN"); dir != "" {
		return dir, nil
	}
	program := filepath.Join("bin", "kube", "kube-apiserver")
	root, err := above(program)
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, hint)
	}
	return filepath.Dir(filepath.Join(root, program)), nil
}

// above finds the folder, this one or one above, that has a path below it: the
// repository.
func above(path string) (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, path)); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no %s in %s or above", path, here)
		}
	}
}

func start() (_ *Cluster, err error) {
	bin, err := Binaries()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	client, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	c := &Cluster{bin: bin, etcd: client, prefix: "/registry"}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	if err := c.furnish(); err != nil {
		return nil, err
	}
	if err := c.run(filepath.Join(bin, "etcd"), "--data-dir", filepath.Join(c.folder, "etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer); err != nil {
		return nil, err
	}
	return c, c.serve()
}

// Another starts a cluster that is the test's own, with an API server that keeps
// its objects in the same etcd.
func Another(t testing.TB) *Cluster {
	t.Helper()
	one := Shared(t)
	c := &Cluster{bin: one.bin, etcd: one.etcd, prefix: fmt.Sprintf("/another-%d", worlds.Add(1))}
	t.Cleanup(c.stop)
	if err := c.furnish(); err != nil {
		t.Fatal(err)
	}
	if err := c.serve(); err != nil {
		t.Fatal(err)
	}
	return c
}

// furnish makes what the API server needs.
func (c *Cluster) furnish() (err error) {
	if c.folder, err = os.MkdirTemp("", "armada-kube-"); err != nil {
		return err
	}
	if c.authority, err = NewAuthority(c.folder, net.IPv4(127, 0, 0, 1)); err != nil {
		return err
	}
	if err := errors.Join(
		c.authority.Sign("apiserver", pkix.Name{CommonName: "kube-apiserver"}),
		c.authority.Sign("admin", pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}),
		c.authority.Sign("kubelet", pkix.Name{CommonName: "kubelet"}),
	); err != nil {
		return err
	}
	kubelet, err := tls.LoadX509KeyPair(c.file("kubelet.crt"), c.file("kubelet.key"))
	if err != nil {
		return err
	}
	c.kubelet = &kubelet
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	c.host = "https://127.0.0.1:" + ports[0]
	if c.Client, err = kubernetes.NewForConfig(c.Config()); err != nil {
		return err
	}
	c.Kubeconfig = c.file("kubeconfig")
	return WriteKubeconfig(c.Kubeconfig, c.Config())
}

// serve starts the API server and waits until it is ready.
func (c *Cluster) serve() error {
	_, port, err := net.SplitHostPort(c.Address())
	if err != nil {
		return err
	}
	if err := c.run(filepath.Join(c.bin, "kube-apiserver"), "--etcd-servers", c.etcd, "--etcd-prefix", c.prefix,
		"--bind-address", "127.0.0.1", "--secure-port", port, "--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none",
		"--tls-cert-file", c.file("apiserver.crt"), "--tls-private-key-file", c.file("apiserver.key"), "--client-ca-file", c.file("ca.crt"),
		"--kubelet-client-certificate", c.file("admin.crt"), "--kubelet-client-key", c.file("admin.key"),
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", c.file("sa.key"), "--service-account-signing-key-file", c.file("sa.key"),
		"--service-cluster-ip-range", "10.0.0.0/16", "--authorization-mode", "RBAC", "--allow-privileged",
		"--disable-admission-plugins", "ServiceAccount,TaintNodesByCondition", "--max-requests-inflight", "2000", "--max-mutating-requests-inflight", "2000",
	); err != nil {
		return err
	}
	return c.ready()
}

// RestartAPI kills the API server, calls meanwhile, and starts it again.
func (c *Cluster) RestartAPI(t testing.TB, meanwhile func()) {
	t.Helper()
	last := len(c.processes) - 1
	_ = c.processes[last].Process.Kill()
	_ = c.processes[last].Wait() // it was killed
	c.processes = c.processes[:last]
	meanwhile()
	if err := c.serve(); err != nil {
		t.Fatal(err)
	}
}

// Address is the host and port of the API server.
func (c *Cluster) Address() string { return strings.TrimPrefix(c.host, "https://") }

// Config is that of an administrator's client.
func (c *Cluster) Config() *rest.Config {
	return &rest.Config{
		Host: c.host, QPS: 1e4, Burst: 1e4,
		ContentConfig:   rest.ContentConfig{ContentType: runtime.ContentTypeProtobuf, AcceptContentTypes: runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON},
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.file("ca.crt"), CertFile: c.file("admin.crt"), KeyFile: c.file("admin.key")},
	}
}

// KubeconfigAt is a kubeconfig of an administrator who reaches the API server at
// another address, such as that of a proxy before it.
func (c *Cluster) KubeconfigAt(t testing.TB, address string) string {
	t.Helper()
	config := c.Config()
	config.Host = "https://" + address
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := WriteKubeconfig(file, config); err != nil {
		t.Fatal(err)
	}
	return file
}

func (c *Cluster) file(name string) string { return filepath.Join(c.folder, name) }

// ready waits until the API server answers that it is.
func (c *Cluster) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	for {
		body, err := c.Client.CoreV1().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		if err == nil && string(body) == "ok" {
			return nil
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(filepath.Join(c.folder, "kube-apiserver.log"))
			return fmt.Errorf("kube-apiserver is not ready: %w\n%s", err, said[max(0, len(said)-2000):])
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// run starts a process that dies with this one.
func (c *Cluster) run(command string, args ...string) error {
	cmd := exec.Command(command, args...)
	log, err := os.Create(filepath.Join(c.folder, filepath.Base(command)+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, c.folder
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w: %s", err, hint)
	}
	c.processes = append(c.processes, cmd)
	return nil
}

func (c *Cluster) stop() {
	for i := len(c.processes) - 1; i >= 0; i-- {
		_ = c.processes[i].Process.Kill()
		_ = c.processes[i].Wait()
	}
	_ = os.RemoveAll(c.folder)
}

// CPU is the processor time that etcd and the API server have used.
func (c *Cluster) CPU(t testing.TB) time.Duration {
	t.Helper()
	const ticks = 100 // a second, in /proc
	var used time.Duration
	for _, p := range c.processes {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		for _, field := range strings.Fields(rest)[11:13] { // utime and stime, proc(5)
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			used += time.Duration(n) * time.Second / ticks
		}
	}
	return used
}

// freePorts finds ports of the loopback that nobody listens on.
func freePorts(n int) ([]string, error) {
	var ports []string
	var open []io.Closer
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		open = append(open, l)
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	for _, l := range open {
		l.Close()
	}
	return ports, nil
}

// User returns a kubeconfig of somebody who may do nothing until a role is bound
// to the name.
func (c *Cluster) User(t testing.TB, name string) string {
	t.Helper()
	if err := c.authority.Sign("user-"+name, pkix.Name{CommonName: name}); err != nil {
		t.Fatal(err)
	}
	file := func(end string) string { return filepath.Join(c.folder, "user-"+name+end) }
	config := &rest.Config{Host: c.host, TLSClientConfig: rest.TLSClientConfig{
		CAFile: filepath.Join(c.folder, "ca.crt"), CertFile: file(".crt"), KeyFile: file(".key"),
	}}
	if err := WriteKubeconfig(file(".kubeconfig"), config); err != nil {
		t.Fatal(err)
	}
	return file(".kubeconfig")
}

// WriteKubeconfig writes a file that says where a cluster is and who its reader is
// there.
func WriteKubeconfig(file string, config *rest.Config) error {
	k := clientcmdapi.NewConfig()
	k.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthority: config.CAFile}
	k.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificate: config.CertFile, ClientKey: config.KeyFile}
	k.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	k.CurrentContext = "test"
	return clientcmd.WriteToFile(*k, file)
}
