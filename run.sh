#!/usr/bin/env bash
# Sets up what PyFilter needs beside this file, then runs it. Nothing but apt packages is installed elsewhere.
#   ./run.sh [--observe]      watch, in the foreground; without the right to ban: observe
#   ./run.sh COMMAND …        any command of pyfilter, e.g. ./run.sh status
#   ./run.sh --setup          set up only
# The configuration is PYFILTER_CONFIG, else Config/config.json, else /etc/pyfilter/pyfilter.toml, else the defaults.
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
venv=$here/.venv
# What pip or Python settings somebody made for himself or for root have no part in this environment.
export PYTHONNOUSERSITE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX

say() { printf 'run.sh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# A Python of 3.11 or later that can make a virtual environment; the system's own first.
find_python() {
    local candidate
    for candidate in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$candidate" -I -c 'import sys; print(sys.executable)'
            return
        fi
    done
    return 1
}

has_libnftables() {
    local ldconfig
    ldconfig=$(command -v ldconfig || echo /sbin/ldconfig)
    [[ $("$ldconfig" -p 2>/dev/null) == *"libnftables.so.1 "* ]]
}

# bring PACKAGE…: through apt where that may be done; else one line that says what is missing, and false.
bring() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        say "missing: $*; as root: apt-get install $*"
        return 1
    fi
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || say "apt-get update failed; going on with the packages that apt knows"
    apt-get install -y -qq --no-install-recommends "$@" >/dev/null || { say "apt-get could not install $*"; return 1; }
}

# A virtual environment cannot be moved: its place is part of what it was made from.
wanted() {
    printf '%s\n' "$here"
    sed '/^\[tool\./,$d' -- "$here/pyproject.toml"
    cat -- "$here/packaging/requirements.txt"
}

complete() {
    [ -f "$venv/stamp" ] && wanted | cmp -s - "$venv/stamp" && "$venv/bin/python" -I -c 'import pyfilter' 2>/dev/null
}

make_environment() {
    local python
    python=$(find_python) || { bring python3 python3-venv && python=$(find_python); } ||
        fail "Python 3.11 or later with its venv module is needed (Debian 12, Ubuntu 24.04 or later have it)"
    say "setting up $venv"
    # What stands is brought up to date, which needs no network when only we changed.
    if [ "$(head -n 1 -- "$venv/stamp" 2>/dev/null)" != "$here" ] || ! "$venv/bin/python" -I -c 'import pip' 2>/dev/null; then
        "$python" -I -m venv --clear "$venv"
    fi
    "$venv/bin/python" -I -m pip install -qq --no-input -r "$here/packaging/requirements.txt" ||
        fail "pip could not fetch the packages of packaging/requirements.txt; is there a way to PyPI?"
    "$venv/bin/python" -I -m pip install -qq --no-input --no-deps --no-build-isolation -e "$here" ||
        fail "pip could not install PyFilter from $here"
    "$venv/bin/python" -I -m compileall -q "$here/src" || say "some modules could not be compiled ahead"
    wanted >"$venv/stamp"
}

set_up() {
    complete && return
    [ -w "$here" ] || fail "$venv is missing or out of date and may not be written here: run ./run.sh once as root"
    exec 9<"$here"
    flock 9 # the service and a person may start at once
    complete || make_environment
    exec 9<&-
}

# Bans take CAP_NET_ADMIN (bit 12), which root may lack in a container and the service's own user has.
may_ban() {
    local capabilities
    capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
    (((16#$capabilities >> 12) & 1))
}

set_up
if [ -z "${PYFILTER_CONFIG-}" ] && [ -e "$here/Config/config.json" ]; then
    export PYFILTER_CONFIG=$here/Config/config.json
fi
# Under its installed name this is the command pyfilter itself.
if [ "${0##*/}" != pyfilter ]; then
    case ${1-} in
        '' | --observe | --ephemeral | --setup)
            has_libnftables || bring nftables || say "going on without it: nothing can be banned"
            [ "${1-}" != --setup ] || exit 0
            if ! may_ban && [[ " $* " != *" --observe "* ]]; then
                say "without root nothing can be banned: observing only"
                set -- --observe "$@"
            fi
            set -- run "$@"
            ;;
    esac
fi
exec "$venv/bin/pyfilter" "$@"
