#!/usr/bin/env bash
# Makes sure that the programs of PostgreSQL are here, which the tests of
# internal/store/postgres start clusters of their own with. As root on Debian and
# its children it installs them; elsewhere it says what to install.
set -euo pipefail

found() { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; }

if found >/dev/null 2>&1; then
	echo "PostgreSQL: $(dirname "$(found 2>/dev/null | tail -n 1)")"
	exit 0
fi
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
	echo "postgres: PostgreSQL's initdb was not found; install PostgreSQL 13 or newer (Debian and Ubuntu: package postgresql, Fedora: postgresql-server, macOS: brew install postgresql)" >&2
	exit 1
fi
# The package must not make and start a cluster that nobody asked for.
mkdir -p /etc/postgresql-common
[[ -e /etc/postgresql-common/createcluster.conf ]] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends postgresql
