#!/usr/bin/env bash
# Makes sure that the programs of PostgreSQL and PgBouncer are here, which the
# tests of internal/store/postgres start clusters of their own with. As root on
# Debian and its children it installs them; elsewhere it says what to install.
set -euo pipefail

find_initdb() { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; }
find_pgbouncer() { command -v pgbouncer || ls /usr/sbin/pgbouncer; }

missing=()
find_initdb >/dev/null 2>&1 || missing+=(postgresql)
find_pgbouncer >/dev/null 2>&1 || missing+=(pgbouncer)
if ((${#missing[@]} == 0)); then
	echo "PostgreSQL: $(dirname "$(find_initdb 2>/dev/null | tail -n 1)")"
	echo "PgBouncer: $(find_pgbouncer 2>/dev/null | tail -n 1)"
	exit 0
fi
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
	echo "postgres: missing: ${missing[*]}; install PostgreSQL 13 or newer and PgBouncer (Debian and Ubuntu: packages postgresql and pgbouncer, Fedora: postgresql-server and pgbouncer, macOS: brew install postgresql pgbouncer)" >&2
	exit 1
fi
# The packages must not start services that nobody asked for.
mkdir -p /etc/postgresql-common
[[ -e /etc/postgresql-common/createcluster.conf ]] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends "${missing[@]}"
if [[ " ${missing[*]} " == *" pgbouncer "* && -d /run/systemd/system ]]; then
	systemctl disable --now pgbouncer
fi
