# run.sh and the service's environment: what a person types first, on a machine that has nothing yet.
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from system.container import Debian, clone_into
from system.lab import Host, eventually, laboratory, need

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
HOME = "/srv/a folder/PyFilter"
OFFLINE = "env PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1"
BROKEN = "raise ImportError('what somebody installed with pip')\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    need("debootstrap", "systemd-nspawn", "nsenter", "git")

    def house(netns: str, folder: Path, stack: ExitStack) -> Host:
        machine = Debian(netns, folder, stack)
        clone_into(machine.root / HOME.lstrip("/"))
        return machine.switch_on()

    with laboratory(tmp_path_factory.mktemp("setup") / "lab", house) as lab:
        yield lab.server


def types(server: Host, line: str) -> str:
    return server.run("bash", "-c", f"exec 2>&1; {line}", timeout=120)


def test_run_sh_sets_itself_up_from_any_folder(server: Host) -> None:
    said = types(server, f"cd /; '{HOME}/run.sh' --version")
    assert "PyFilter 2." in said
    assert "setting up" in said


def test_what_is_set_up_needs_no_network_any_more(server: Host) -> None:
    assert types(server, f"cd /tmp; {OFFLINE} '{HOME}/run.sh' --version").count("\n") == 1


def test_our_own_changes_need_no_network_either(server: Host) -> None:
    types(
        server, f"sed -i 's/^description = .*/description = \"changed\"/' '{HOME}/pyproject.toml'"
    )
    said = types(server, f"{OFFLINE} '{HOME}/run.sh' --version")
    assert "setting up" in said
    assert "PyFilter 2." in said


def test_a_link_to_run_sh_finds_the_checkout(server: Host) -> None:
    types(server, f"ln -s '{HOME}/run.sh' /usr/local/bin/watch-logs")
    assert "PyFilter 2." in types(server, "watch-logs --version")


def test_without_root_it_observes_and_says_so(server: Host) -> None:
    types(server, "useradd --create-home --shell /bin/bash bob")
    types(server, f"systemd-run --quiet --unit=bob --uid=bob --collect '{HOME}/run.sh'")
    log = "journalctl --quiet --no-pager -o cat -u bob"
    line = "without root nothing can be banned: observing only"
    eventually(lambda: line in types(server, log), "it says that it observes")
    asks = f"runuser -u bob -- '{HOME}/run.sh' status -o json 2>/dev/null || true"
    eventually(lambda: types(server, asks).startswith("{"), "it watches")
    assert json.loads(types(server, asks))["observe"] is True
    assert types(server, "nft list ruleset") == ""
    types(server, "systemctl stop bob")


def test_a_moved_checkout_sets_itself_up_again(server: Host) -> None:
    types(server, f"mv '{HOME}' /opt/PyFilter")
    assert "setting up /opt/PyFilter/.venv" in types(server, "/opt/PyFilter/run.sh --version")
    assert "/srv/" not in types(server, "head -n 1 /opt/PyFilter/.venv/bin/pyfilter")


def test_without_root_a_missing_environment_is_said_in_one_line(server: Host) -> None:
    types(server, "mv /opt/PyFilter/.venv /opt/PyFilter/away")
    said = types(server, "runuser -u bob -- /opt/PyFilter/run.sh || true")
    assert said.count("\n") == 1
    assert "run ./run.sh once as root" in said
    types(server, "mv /opt/PyFilter/away /opt/PyFilter/.venv")


def test_a_folder_that_systemd_cannot_name_is_refused(server: Host) -> None:
    types(server, "mkdir '/opt/a%b'; cp -a /opt/PyFilter '/opt/a%b/'")
    said = types(server, "'/opt/a%b/PyFilter/install.sh' || true")
    assert said.count("\n") == 1
    assert "move the folder, e.g. to /usr/local/PyFilter" in said
    assert "PyFilter" not in types(server, "ls /etc/systemd/system")


def test_what_is_pip_installed_for_others_does_not_matter(server: Host) -> None:
    for folder in ("/usr/local/lib/python3.11/dist-packages", "/root/.local/lib/python3.11"):
        types(server, f"mkdir -p {folder}/site-packages")
        for place in (folder, f"{folder}/site-packages"):
            for module in ("redis", "geoip2", "maxminddb"):
                types(server, f'echo "{BROKEN}" > {place}/{module}.py')
    types(server, "/opt/PyFilter/install.sh")
    imports = "/opt/PyFilter/.venv/bin/python -c 'import redis, maxminddb, pyfilter.daemon'"
    types(server, imports)
    assert "active" in types(server, "systemctl is-active PyFilter")


def test_folders_the_configuration_names_are_made_writable(server: Host) -> None:
    config = json.loads(types(server, "cat /opt/PyFilter/Config/config.default.json"))
    config["sqlite"]["database"] = "Database/bans.db"
    config["logging"]["directory"] = "Protocol"
    text = json.dumps(config)
    types(server, f"echo '{text}' > /opt/PyFilter/Config/config.json")
    types(server, "systemctl restart PyFilter")
    made = types(server, "ls /opt/PyFilter/Database /opt/PyFilter/Protocol")
    assert "bans.db" in made
    assert "ok" in types(server, "pyfilter status | grep ledger")


def test_what_a_run_by_hand_left_to_root_does_not_stop_the_service(server: Host) -> None:
    types(server, "systemctl stop PyFilter")
    types(server, "touch /var/lib/pyfilter/of-root /opt/PyFilter/Protocol/of-root")
    types(server, "echo > /opt/PyFilter/Config/blacklist.v4; systemctl start PyFilter")
    owners = "stat -c %U /var/lib/pyfilter/of-root /opt/PyFilter/Protocol/of-root"
    assert types(server, owners) == "pyfilter\npyfilter\n"


def test_the_service_may_not_replace_its_configuration(server: Host) -> None:
    as_service = "setpriv --reuid=pyfilter --regid=pyfilter --clear-groups"
    types(server, f"{as_service} touch /opt/PyFilter/Config/of-the-service")
    tries = f"{as_service} rm -f /opt/PyFilter/Config/config.json || echo refused"
    assert "refused" in types(server, tries)


def test_a_wrong_configuration_is_told_and_not_tried_for_ever(server: Host) -> None:
    types(server, "echo '{' > /opt/PyFilter/Config/config.json; systemctl restart PyFilter || true")
    assert types(server, "systemctl show -P Result -P NRestarts PyFilter") == "exit-code\n0\n"
    log = types(server, "journalctl --quiet --no-pager -o cat -u PyFilter")
    assert "/opt/PyFilter/Config/config.json:" in log
