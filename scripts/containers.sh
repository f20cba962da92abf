#!/usr/bin/env bash
# Makes sure that containerd, runc and the CNI plugins are here, which test/kube/node
# makes a node of Kubernetes with. As root on Debian and its children it installs
# them. Those tests need Linux and root, so for anybody else there is nothing to do.
set -euo pipefail

if [[ $(uname) != Linux || $(id -u) != 0 ]]; then
	echo "containers: not root on Linux, so the real node (make node) cannot be run here"
	exit 0
fi
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
missing=()
command -v containerd >/dev/null && command -v ctr >/dev/null || missing+=(containerd)
command -v runc >/dev/null || missing+=(runc)
plugin() { ls /usr/lib/cni/ptp || ls /opt/cni/bin/ptp || ls /usr/libexec/cni/ptp; }
plugin >/dev/null 2>&1 || missing+=(containernetworking-plugins)
if ((${#missing[@]} == 0)); then
	echo "containers: $(command -v containerd), $(command -v runc)"
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "containers: missing: ${missing[*]}; install containerd, runc and the CNI plugins (Fedora: containerd, runc and containernetworking-plugins)" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends "${missing[@]}"
if [[ " ${missing[*]} " == *" containerd "* && -d /run/systemd/system ]]; then
	systemctl disable --now containerd # nobody asked for the service
fi
