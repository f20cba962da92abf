//go:build linux

package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"armada/internal/runs/kubernetes/kubetest"
	"armada/test/kube/node/room"
)

// Where programs listen, in the room.
const (
	etcd      = "http://127.0.0.1:2379"
	apiServer = "127.0.0.1:6443"
)

// programs are where the programs of a node are on this machine.
type programs struct {
	kube       string // the folder that `make kube` fills
	containerd string
	ctr        string
	cni        string // the folder of the network plugins
}

// systemPath is where programs are that only root uses, beside the usual places.
const systemPath = ":/usr/local/sbin:/usr/sbin:/sbin"

func findPrograms() (*programs, error) {
	kube, err := kubetest.Binaries()
	if err != nil {
		return nil, err
	}
	p := &programs{kube: kube}
	if _, err := os.Stat(filepath.Join(kube, "kubelet")); err != nil {
		return nil, fmt.Errorf("%w: run make kube", err)
	}
	if err := os.Setenv("PATH", os.Getenv("PATH")+systemPath); err != nil {
		return nil, err
	}
	const hint = "run make services, or install containerd, runc and the CNI plugins"
	for name, at := range map[string]*string{"containerd": &p.containerd, "ctr": &p.ctr, "runc": new(string)} {
		if *at, err = exec.LookPath(name); err != nil {
			return nil, fmt.Errorf("%w: %s", err, hint)
		}
	}
	for _, folder := range []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"} {
		if _, err := os.Stat(filepath.Join(folder, "ptp")); err == nil {
			p.cni = folder
			return p, nil
		}
	}
	return nil, errors.New("there are no CNI plugins: " + hint)
}

func (n *Node) group() string { return "armada-node-" + strconv.Itoa(os.Getpid()) }

// plan is the room of the node.
func (n *Node) plan(p *programs) room.Plan {
	kube := func(name string) string { return filepath.Join(p.kube, name) }
	socket := n.file("containerd.sock")
	return room.Plan{
		Folder: n.folder, Group: n.group(), Address: address, Forward: apiServer,
		// kubelet, containerd and the CNI plugins write to fixed places there.
		Private: []string{"/run", "/var/lib", "/var/log", n.file("node")},
		Kept:    []string{n.folder, p.kube, p.cni},
		// The kubelet sets these for the whole machine, unless they are so.
		Files: map[string]string{
			"/proc/sys/vm/overcommit_memory": "1\n", "/proc/sys/kernel/panic": "10\n", "/proc/sys/kernel/panic_on_oops": "1\n",
		},
		Programs: []room.Program{
			{Name: "etcd", Args: []string{
				kube("etcd"), "--data-dir", n.file("node/etcd"), "--unsafe-no-fsync", "--log-level", "warn",
				"--listen-client-urls", etcd, "--advertise-client-urls", etcd,
			}},
			{Name: "containerd", Args: []string{p.containerd, "--config", n.file("containerd.toml")}, Until: "unix:" + socket},
			{Name: "import", Once: true, Args: []string{
				p.ctr, "--address", socket, "--namespace", "k8s.io", "images", "import", "--snapshotter", snapshotter, n.file("actor.tar"),
			}},
			{Name: "kube-apiserver", Until: "https://" + apiServer + "/readyz", Args: []string{
				kube("kube-apiserver"), "--etcd-servers", etcd, "--secure-port", "6443", "--bind-address", "127.0.0.1", "--advertise-address", address,
				"--tls-cert-file", n.file("apiserver.crt"), "--tls-private-key-file", n.file("apiserver.key"), "--client-ca-file", n.file("ca.crt"),
				"--kubelet-client-certificate", n.file("admin.crt"), "--kubelet-client-key", n.file("admin.key"),
				"--kubelet-certificate-authority", n.file("ca.crt"), "--kubelet-preferred-address-types", "InternalIP",
				"--service-account-issuer", "https://kubernetes.default.svc",
				"--service-account-key-file", n.file("sa.key"), "--service-account-signing-key-file", n.file("sa.key"),
				"--service-cluster-ip-range", "10.96.0.0/16", "--authorization-mode", "Node,RBAC",
				"--enable-admission-plugins", "NodeRestriction", "--allow-privileged",
			}},
			{Name: "kube-controller-manager", Args: []string{
				kube("kube-controller-manager"), "--kubeconfig", n.file("manager.kubeconfig"), "--leader-elect=false", "--bind-address", "127.0.0.1",
				"--use-service-account-credentials", "--root-ca-file", n.file("ca.crt"), "--service-account-private-key-file", n.file("sa.key"),
				"--flex-volume-plugin-dir", n.file("node/plugins"),
			}},
			{Name: "kube-scheduler", Args: []string{
				kube("kube-scheduler"), "--kubeconfig", n.file("scheduler.kubeconfig"), "--leader-elect=false", "--bind-address", "127.0.0.1",
			}},
			{Name: "kubelet", Args: []string{
				kube("kubelet"), "--config", n.file("kubelet.yaml"), "--kubeconfig", n.file("kubelet.kubeconfig"),
				"--root-dir", n.file("node/kubelet"), "--cert-dir", n.folder, "--hostname-override", Name, "--node-ip", address,
			}},
		},
	}
}

// snapshotter copies files, which asks less of the machine than overlays do; the
// image is small.
const snapshotter = "native"

// writeConfigs writes what containerd, the network plugins and the kubelet read.
func (n *Node) writeConfigs(p *programs) error {
	containerd := fmt.Sprintf(`version = 2
root = %[1]q
state = %[2]q
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = %[3]q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[4]q
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE the scores that the kubelet wants are refused.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[5]q
    conf_dir = %[6]q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = %[7]q
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
`, n.file("node/containerd"), n.file("node/containerd-state"), n.file("containerd.sock"), Image, p.cni, n.file("cni"), snapshotter)

	network := fmt.Sprintf(`{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [{
    "type": "ptp",
    "ipam": {"type": "host-local", "subnet": %q, "dataDir": %q, "routes": [{"dst": "0.0.0.0/0"}]}
  }]
}
`, podRange, n.file("node/addresses"))

	kubelet := fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
healthzBindAddress: 127.0.0.1
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: %[2]q}}
authorization: {mode: Webhook}
tlsCertFile: %[3]q
tlsPrivateKeyFile: %[4]q
containerRuntimeEndpoint: %[5]q
cgroupDriver: cgroupfs
cgroupRoot: /%[6]s
failCgroupV1: false
failSwapOn: false
resolvConf: %[7]q
podLogsDir: %[8]q
volumePluginDir: %[9]q
makeIPTablesUtilChains: false
# The machine's disk and memory are not this node's to watch over.
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 1Mi, nodefs.available: 0%%, nodefs.inodesFree: 0%%, imagefs.available: 0%%}
`, address, n.file("ca.crt"), n.file("kubelet.crt"), n.file("kubelet.key"), "unix://"+n.file("containerd.sock"), n.group(),
		n.file("resolv.conf"), n.file("node/pods"), n.file("node/plugins"))

	return errors.Join(
		os.Mkdir(n.file("cni"), 0o755),
		os.WriteFile(n.file("containerd.toml"), []byte(containerd), 0o600),
		os.WriteFile(n.file("cni/10-pods.conflist"), []byte(network), 0o600),
		os.WriteFile(n.file("kubelet.yaml"), []byte(kubelet), 0o600),
		os.WriteFile(n.file("resolv.conf"), []byte("nameserver 127.0.0.1\n"), 0o644),
	)
}
