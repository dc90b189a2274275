#!/usr/bin/env bash
# Makes PyFilter a service that starts at boot, from this very checkout and its .venv.
#   ./install.sh                        install; does nothing when it is installed already
#   ./install.sh --uninstall [--purge]  remove service, user, command and our part of the firewall; --purge: state too
set -euo pipefail
here=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
unit=/etc/systemd/system/PyFilter.service
alias=/etc/systemd/system/pyfilter.service
command=/usr/local/bin/pyfilter
state=/var/lib/pyfilter
user=pyfilter
completions=(
    "bash /usr/local/share/bash-completion/completions/pyfilter"
    "zsh /usr/local/share/zsh/site-functions/_pyfilter"
    "fish /usr/local/share/fish/vendor_completions.d/pyfilter.fish"
)

fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
systemd_runs() { [ -d /run/systemd/system ]; }

add_user() {
    local group
    getent passwd "$user" >/dev/null ||
        useradd --system --user-group --home-dir "$state" --no-create-home --shell /usr/sbin/nologin "$user"
    for group in adm systemd-journal; do # who may read the logs
        ! getent group "$group" >/dev/null || usermod -aG "$group" "$user"
    done
}

add_command() {
    local shell file
    if [ -L "$command" ] || [ ! -e "$command" ]; then
        ln -sfn -- "$here/run.sh" "$command"
    fi
    for entry in "${completions[@]}"; do
        read -r shell file <<<"$entry"
        mkdir -p -- "$(dirname -- "$file")"
        _PYFILTER_COMPLETE=${shell}_source "$here/.venv/bin/pyfilter" >"$file" 2>/dev/null || rm -f -- "$file"
    done
}

write_unit() {
    sed "s#@HERE@#$here#g" "$here/packaging/PyFilter.service" >"$unit.new"
    chmod 0644 "$unit.new"
    mv -- "$unit.new" "$unit"
}

install_service() {
    if [ -e "$unit" ]; then
        echo "Service already created."
        return
    fi
    case $here in
        *[!A-Za-z0-9\ /._+@:,~-]*) fail "systemd takes no path like $here; move the folder, e.g. to /usr/local/PyFilter" ;;
    esac
    "$here/run.sh" --setup || fail "the environment could not be set up; nothing was installed"
    add_user
    "$here/packaging/prepare"
    add_command
    write_unit
    systemctl --quiet enable PyFilter.service 2>/dev/null || fail "systemd is needed for a service: systemctl enable failed"
    if systemd_runs; then
        systemctl daemon-reload
        systemctl restart PyFilter.service || fail "the service does not start; why: sudo journalctl -u PyFilter"
    else
        echo "install.sh: systemd is not running here; the service starts at the next boot" >&2
    fi
    echo 'Service created and enabled, check the status of it by using "sudo systemctl status PyFilter"'
}

remove_service() {
    if [ -e "$unit" ]; then
        ! systemd_runs || systemctl --quiet stop PyFilter.service || echo "install.sh: it was not running" >&2
        systemctl --quiet disable PyFilter.service 2>/dev/null || true
    fi
    rm -f -- "$unit" "$alias" /etc/systemd/system/multi-user.target.wants/PyFilter.service
    ! systemd_runs || systemctl daemon-reload
}

# Ours alone: what each of our firewalls calls its own. Other people's rules are not even read.
remove_bans() {
    "$here/.venv/bin/python" -I "$here/packaging/remove_bans.py"
}

remove_all() {
    local shell file left=
    remove_service
    remove_bans || left="our part of the firewall could not be removed; by hand: nft delete table inet pyfilter"
    [ ! -L "$command" ] || [ "$(readlink -- "$command")" != "$here/run.sh" ] || rm -f -- "$command"
    for entry in "${completions[@]}"; do
        read -r shell file <<<"$entry"
        rm -f -- "$file"
    done
    for file in "$here/Config" "$here/Log" "$state"; do
        [ ! -d "$file" ] || chown -R -h -P --from="$user" root "$file"
        [ ! -d "$file" ] || chown -R -h -P --from=":$user" :root "$file"
    done
    [ ! -d "$here/Config" ] || chmod 0755 -- "$here/Config"
    ! getent passwd "$user" >/dev/null || userdel "$user"
    rm -rf -- /run/pyfilter
    if [ "$1" = --purge ]; then
        rm -rf -- "$state"
    fi
    [ -z "$left" ] || fail "$left"
    echo "Service removed."
}

[ "$(id -u)" -eq 0 ] || fail "root is needed: sudo ./install.sh"
case ${1-} in
    '') install_service ;;
    --uninstall) remove_all "${2-}" ;;
    *) fail "unknown option $1; ./install.sh [--uninstall [--purge]]" ;;
esac
