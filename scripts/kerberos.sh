#!/usr/bin/env bash
# Makes sure that the programs of MIT Kerberos are here, which test/login starts a
# realm of its own with, and curl, which speaks Kerberos with it. As root on Debian
# and its children it installs them; elsewhere it says what to install.
set -euo pipefail

PATH=$PATH:/usr/sbin:/usr/lib/mit/sbin
packages=() missing=()
need() { # PROGRAM PACKAGE
	command -v "$1" >/dev/null || {
		missing+=("$1")
		packages+=("$2")
	}
}
need krb5kdc krb5-kdc
need kdb5_util krb5-kdc
need kadmin.local krb5-admin-server
need kinit krb5-user
need curl curl
if ((${#missing[@]} == 0)); then
	echo "Kerberos: $(command -v krb5kdc)"
	exit 0
fi
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
	echo "kerberos: missing: ${missing[*]}; install MIT Kerberos with its server, and curl (Debian and Ubuntu: packages krb5-kdc, krb5-admin-server, krb5-user and curl, Fedora: krb5-server, krb5-workstation and curl, macOS: brew install krb5)" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends "${packages[@]}"
if [[ -d /run/systemd/system ]]; then
	systemctl disable --now krb5-kdc krb5-admin-server || true # nobody asked for them
fi
