#!/usr/bin/env bash
# Every check of the project: format, lint, types, import rules, shell, then all tests. Sets up what it needs first.
#   ./test.sh                 everything
#   ./test.sh ARGUMENT …      pytest alone, with these arguments, e.g. ./test.sh tests/unit -k sshd
# As root the system tests run too (namespaces, real servers, a booted container); without root they say why not.
set -euo pipefail
cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")"
export PYTHONNOUSERSITE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0 PYTHONPATH=src
unset PYTHONHOME PYFILTER_CONFIG PYFILTER_SOCKET
venv=.venv-test

# Each line: a file that the package brings, and the package. Servers are not started by their packages.
packages() {
    local file package missing=()
    while read -r file package; do
        [ -e "$file" ] || missing+=("$package")
    done <<'LIST'
/usr/bin/python3 python3
/usr/sbin/nft nftables
/usr/sbin/iptables iptables
/usr/sbin/ipset ipset
/usr/sbin/ip iproute2
/usr/sbin/sshd openssh-server
/usr/bin/ssh openssh-client
/usr/bin/sshpass sshpass
/usr/sbin/rsyslogd rsyslog
/usr/sbin/logrotate logrotate
/usr/bin/crowdsec-firewall-bouncer crowdsec-firewall-bouncer
/usr/bin/redis-server redis-server
/usr/sbin/debootstrap debootstrap
/usr/bin/systemd-nspawn systemd-container
/usr/bin/systemd-analyze systemd
/usr/bin/strace strace
/usr/bin/shellcheck shellcheck
/usr/bin/nsenter util-linux
/usr/bin/git git
/usr/bin/fail2ban-regex fail2ban
LIST
    /usr/bin/python3 -I -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "test.sh: without root some tests are skipped; as root: apt-get install ${missing[*]}"
        return 0
    fi
    echo "test.sh: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

wanted() {
    pwd
    cat requirements-test.txt packaging/requirements.txt pyproject.toml
}

environment() {
    local python=/usr/bin/python3
    [ -f $venv/stamp ] && wanted | cmp -s - $venv/stamp && $venv/bin/python -I -c 'import pytest' 2>/dev/null && return
    "$python" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || python=python3
    echo "test.sh: setting up $venv"
    rm -rf $venv
    "$python" -I -m venv $venv
    $venv/bin/python -I -m pip install -qq --no-input -r requirements-test.txt
    $venv/bin/python -I -m pip install -qq --no-input --no-deps --no-build-isolation -e .
    wanted >$venv/stamp
}

result=0
check() {
    local name=$1
    shift
    echo "== $name"
    "$@" || { result=1; echo "== $name: FAILED"; }
}

packages
environment
PATH=$PWD/$venv/bin:$PATH
hash -r
if [ $# -gt 0 ]; then
    exec pytest "$@"
fi
check "format" ruff format --check --quiet .
check "lint" ruff check --quiet .
check "types" mypy
check "import rules" lint-imports
if command -v shellcheck >/dev/null; then
    mapfile -t scripts < <(grep -rlE '^#!.*sh$' run.sh install.sh test.sh .ci packaging)
    check "shell scripts" shellcheck "${scripts[@]}"
else
    echo "== shell scripts: skipped, shellcheck is not installed"
fi
check "tests" pytest -n 2 --ignore=tests/system
# One after the other: they boot machines and watch clocks. Last and unnamed, so that pytest has the last word.
echo "== system tests"
pytest tests/system || result=1
exit $result
