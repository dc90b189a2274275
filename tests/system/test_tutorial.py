# The published tutorial, typed step by step into a fresh Debian 12 that a real attacker can reach.
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from system.container import NAME, Debian, clone_into
from system.lab import SERVER_V4, SERVER_V6, Host, Wire, eventually, laboratory, need, run
from system.servers import guess_often, sshd

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
FOUND = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d Found IP: %s from server: %s\."
CREATED = (
    'Service created and enabled, check the status of it by using "sudo systemctl status PyFilter"'
)


UNBOOTED = r"""
HOME=/usr/local/home
sudo() { "$@"; }
pyfilter() { /usr/local/PyFilter/run.sh "$@"; }
runs() { kill -0 "$(cat /run/typed)" 2>/dev/null; }
start() {
    cd /usr/local/PyFilter
    setsid ./run.sh </dev/null >>/var/log/console 2>&1 &
    echo $! >/run/typed
    until pyfilter status >/dev/null 2>&1 || ! runs; do :; done
}
stop() { if runs; then kill "-$1" "$(cat /run/typed)"; fi; while runs; do :; done; }
systemd-run() { start; }
systemctl() {
    case $1 in
        start) start ;;
        stop) stop TERM ;;
        restart) stop TERM; start ;;
        kill) stop INT ;;
        is-active) if runs; then echo active; else echo inactive; fi ;;
    esac
}
"""


class Reader:
    """Who follows the tutorial: a server, a keyboard, and two others on the network."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._stack = stack
        self.without_systemd = ""  # the reason, where no container can be booted
        try:
            need("debootstrap", "systemd-nspawn", "nsenter", "git")
            if os.environ.get("PYFILTER_TEST_UNBOOTED"):
                pytest.skip("no container shall be booted")
            self.lab = stack.enter_context(laboratory(folder / "booted", self._booted))
            self.root, self.name, self._prelude = self.machine.root, NAME, ""
        except pytest.skip.Exception as reason:
            self.without_systemd = str(reason)
            self._unbooted(folder / "unbooted")
        self.attacker = self.newcomer("attacker", "203.0.113.13", "2001:db8:bad::13")
        self.friend = self.newcomer("friend", "198.51.100.7", "2001:db8:f::7")

    def _booted(self, netns: str, folder: Path, stack: ExitStack) -> Host:
        self.machine = Debian(netns, folder, stack)
        clone_into(self.machine.root / "root" / "PyFilter")
        return self.machine.switch_on()

    def _unbooted(self, folder: Path) -> None:
        """Let the steps run in private mounts of this machine, a few functions for systemd."""
        self.lab = self._stack.enter_context(laboratory(folder))
        self._stack.enter_context(sshd(self.lab, "traditional"))
        server = self.lab.server
        self.root, self.name = server.path("/"), socket.gethostname()
        self._prelude = UNBOOTED
        for place in ("/usr/local", "/var/lib"):
            layers = folder / place.replace("/", "-")
            for part in ("upper", "work"):
                (layers / part).mkdir(parents=True)
            options = f"lowerdir={place},upperdir={layers}/upper,workdir={layers}/work"
            server.run("mount", "-t", "overlay", "overlay", "-o", options, place)
        self._stack.callback(self.types, "systemctl stop PyFilter", folder="/")
        clone_into(self.file("/usr/local/home/PyFilter"))

    def fetches(self) -> None:
        """Let run.sh fetch its packages from where there is a network."""
        if self.without_systemd:
            mounts = f"--mount=/proc/{self.lab.server.holder}/ns/mnt"
            run("nsenter", mounts, "/usr/local/PyFilter/run.sh", "--setup", timeout=300)

    def needs_systemd(self) -> None:
        if self.without_systemd:
            pytest.skip(self.without_systemd)

    def reboots(self) -> None:
        """Switch the server off and on; the kernel's rules go with it."""
        if self.without_systemd:
            self.types("systemctl stop PyFilter; nft flush ruleset; systemctl start PyFilter")
            return
        self.machine.switch_off()
        self.lab.server = self.machine.switch_on()

    def newcomer(self, role: str, v4: str, v6: str) -> Wire:
        return self.lab.guest(role, (v4,), (v6,))

    def types(self, line: str, *, folder: str = "/usr/local/PyFilter") -> str:
        """Type a line into the server's shell and return what it prints."""
        line = f"{self._prelude}\ncd {folder}; {line}"
        told = "journalctl --quiet --no-pager -n 20 -u PyFilter"
        line = f"{{ {line}\n}} || {{ code=$?; {told} || true; exit $code; }}"
        return self.lab.server.run("bash", "-c", line, timeout=120)

    def file(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def configures(self, **settings: object) -> None:
        """Change keys of `settings` in Config/config.json, as with nano."""
        path = self.file("/usr/local/PyFilter/Config/config.json")
        config = json.loads(path.read_text())
        config["settings"] |= settings
        path.write_text(json.dumps(config, indent=2))

    def second_server(self) -> tuple[Debian, Host]:
        """Set up another server that reaches the first, with the checkout in its place."""
        wire = self.newcomer("web02", "198.51.100.20", "2001:db8:20::1")
        folder = self.lab.folder / "web02"
        folder.mkdir()
        machine = Debian(wire.host.name, folder, self._stack)
        clone_into(machine.root / "usr/local/PyFilter")
        return machine, machine.switch_on()

    def edits(self, path: str, old: str, new: str) -> None:
        """Replace text in a file in place, as nano does."""
        file = self.file(path)
        text = file.read_text()
        assert old in text, text
        file.write_text(text.replace(old, new))

    def blocked(self, wire: Wire, target: str = SERVER_V4) -> bool:
        return wire.reaches(target, seconds=0.5) == "silence"

    def attacks(self, wire: Wire, target: str = SERVER_V4) -> None:
        """Fail five times and wait until nothing gets through any more."""
        guess_often(wire, target, 5)
        if not self.blocked(wire, target):
            # On a busy machine there may be more than 5 s between two of them.
            guess_often(wire, target, 5)
        eventually(lambda: self.blocked(wire, target), f"packets stop: {self.status()}", within=5)

    def status(self) -> str:
        return self.types("/usr/local/PyFilter/run.sh status || true")

    def logged(self) -> str:
        """Return all that stands in the log folder."""
        return text_of(self.file("/usr/local/PyFilter/Log"))

    def watches(self) -> bool:
        """Say whether what was started by hand is still there."""
        return self.types("systemctl is-active typed.service || true").strip() == "active"

    def console(self) -> str:
        return self.types("cat /var/log/console 2>/dev/null || true")


def text_of(folder: Path) -> str:
    return "".join(file.read_text() for file in sorted(folder.rglob("*")) if file.is_file())


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with ExitStack() as stack:
        yield Reader(tmp_path_factory.mktemp("tutorial") / "lab", stack)


def test_step_1_the_checkout_is_moved_to_its_place(reader: Reader) -> None:
    reader.types("sudo mv PyFilter /usr/local/PyFilter", folder="~")
    assert "run.sh" in reader.types("ls")


def test_step_2_the_default_configuration_is_copied(reader: Reader) -> None:
    reader.types("sudo cp Config/config.default.json Config/config.json")
    config = json.loads(reader.types("cat Config/config.json"))
    assert set(config) == {"settings", "sqlite", "redis", "logging"}
    assert set(config["settings"]["rules"]) == {"ssh", "mysql", "apache", "nginx"}


def test_step_3_it_sets_itself_up_and_watches(reader: Reader) -> None:
    reader.types("sudo chmod +x run.sh")
    reader.fetches()
    unit = "--unit=typed --collect --property=StandardOutput=append:/var/log/console"
    unit += " --property=StandardError=append:/var/log/console --property=WorkingDirectory=$PWD"
    reader.types(f"systemd-run --quiet {unit} ./run.sh")
    eventually(
        lambda: "Checking Ssh logs" in reader.console() or not reader.watches(), "it watches", 90
    )
    assert "Checking Ssh logs" in reader.console(), reader.console()
    for name in ("Mysql", "Apache", "Nginx"):
        assert f"No file to check within rule: {name}\n" in reader.console()


def test_step_4_five_failures_ban(reader: Reader) -> None:
    assert reader.attacker.reaches(SERVER_V4) == "connected"
    reader.attacks(reader.attacker)
    assert reader.friend.reaches(SERVER_V4) == "connected"
    line = FOUND % (re.escape("203.0.113.13"), reader.name)
    eventually(lambda: re.search(line, reader.console(), re.MULTILINE), "the line is shown")


def test_step_5_the_line_is_in_the_log_folder(reader: Reader) -> None:
    folder = reader.file("/usr/local/PyFilter/Log")
    line = FOUND % (re.escape("203.0.113.13"), reader.name)
    assert re.search(line, reader.logged(), re.MULTILINE)
    files = [str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()]
    assert all(re.match(r"\d{4}-[A-Z][a-z]{2}/\d{4}-\d\d-\d\d/", file) for file in files), files


def test_step_6_ctrl_c_stops_it_and_the_ban_stays(reader: Reader) -> None:
    reader.types("systemctl kill --signal=INT typed.service")
    eventually(lambda: not reader.watches(), "it stops", within=5)
    assert "Traceback" not in reader.console()
    assert reader.blocked(reader.attacker)


def test_step_7_it_becomes_a_service(reader: Reader) -> None:
    if reader.without_systemd:
        reader.types("systemctl start PyFilter")
    reader.needs_systemd()
    reader.types("sudo chmod +x install.sh")
    assert reader.types("./install.sh").splitlines()[-1] == CREATED
    status = reader.types("sudo systemctl status PyFilter --no-pager")
    assert "active (running)" in status
    assert re.search(r"Loaded: .*PyFilter\.service; enabled", status)
    assert "PyFilter.service - PyFilter" in status
    assert reader.blocked(reader.attacker)
    unit = reader.types("cat /etc/systemd/system/PyFilter.service")
    assert reader.types("./install.sh") == "Service already created.\n"
    assert reader.types("cat /etc/systemd/system/PyFilter.service") == unit
    assert "active (running)" in reader.types("systemctl status pyfilter --no-pager")


def test_the_service_has_its_own_user_and_two_capabilities(reader: Reader) -> None:
    reader.needs_systemd()
    process = reader.types("cat /proc/$(systemctl show -P MainPID PyFilter)/status")
    uid = reader.types("id -u pyfilter").strip()
    assert re.search(rf"^Uid:\t{uid}\t{uid}\t{uid}\t{uid}$", process, re.MULTILINE)
    net_admin_and_dac_read_search = f"{1 << 12 | 1 << 2:016x}"
    for kind in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert f"{kind}:\t{net_admin_and_dac_read_search}\n" in process


def test_the_command_on_the_path_speaks_with_the_service(reader: Reader) -> None:
    bans = json.loads(reader.types("sudo pyfilter bans -o json", folder="/"))
    assert [ban["address"] for ban in bans] == ["203.0.113.13"]
    assert bans[0]["in_kernel"] is True
    assert bans[0]["until"] is None
    assert "sshd" in reader.types("pyfilter rules list", folder="/")


def test_step_9_a_ban_names_the_country(reader: Reader) -> None:
    london = reader.newcomer("london", "81.2.69.160", "2001:db8:b::1")
    reader.attacks(london)
    line = (
        FOUND % (re.escape("81.2.69.160"), reader.name)
    ) + r".* The IP was from United Kingdom\.$"
    eventually(lambda: re.search(line, reader.logged(), re.MULTILINE), "the country is told")
    line = (FOUND % (re.escape("203.0.113.13"), reader.name)) + r".* The IP was from unknown!\.$"
    assert re.search(line, reader.logged(), re.MULTILINE)


def test_step_10_a_line_removed_from_the_blacklist_unbans(reader: Reader) -> None:
    blacklist = "/usr/local/PyFilter/Config/blacklist.v4"
    line = "-A INPUT -s 203.0.113.13/32 -j DROP\n"
    eventually(lambda: line in reader.file(blacklist).read_text(), "the ban is listed")
    reader.types("systemctl stop PyFilter")
    reader.edits(blacklist, line, "")
    reader.types("systemctl start PyFilter")
    eventually(lambda: reader.attacker.reaches(SERVER_V4) == "connected", "it passes again")
    reader.types("sudo systemctl restart PyFilter")
    assert reader.attacker.reaches(SERVER_V4) == "connected"
    assert "203.0.113.13" not in reader.types("pyfilter bans -o json")
    assert "81.2.69.160" in reader.types("pyfilter bans -o json")


def test_step_10_an_edit_needs_no_restart(reader: Reader) -> None:
    blacklist = "/usr/local/PyFilter/Config/blacklist.v4"
    commit = "COMMIT\n"
    reader.edits(blacklist, commit, f"-A INPUT -s 203.0.113.13/32 -j DROP\n{commit}")
    eventually(lambda: reader.blocked(reader.attacker), "the added line bans", within=2)
    eventually(lambda: "203.0.113.13" in reader.types("pyfilter bans -o json"), "it is a ban")
    reader.edits(blacklist, "-A INPUT -s 203.0.113.13/32 -j DROP\n", "")
    eventually(
        lambda: reader.attacker.reaches(SERVER_V4) == "connected", "its removal releases", within=2
    )


def test_step_10_the_same_for_ipv6(reader: Reader) -> None:
    reader.attacks(reader.attacker, SERVER_V6)
    blacklist = "/usr/local/PyFilter/Config/blacklist.v6"
    line = "-A INPUT -s 2001:db8:bad::/64 -j DROP\n"
    eventually(lambda: line in reader.file(blacklist).read_text(), "the ban is listed")
    reader.edits(blacklist, line, "")
    reader.types("sudo systemctl restart PyFilter")
    eventually(lambda: reader.attacker.reaches(SERVER_V6) == "connected", "it passes again")


def test_step_11_an_ignored_address_is_released_and_never_banned(reader: Reader) -> None:
    reader.attacks(reader.attacker)
    reader.configures(ignored_ips=["127.0.0.1", "::1", "203.0.113.0/28"])
    reader.types("sudo systemctl restart PyFilter")
    eventually(lambda: reader.attacker.reaches(SERVER_V4) == "connected", "it is released")
    guess_often(reader.attacker, SERVER_V4, 7)
    assert "203.0.113.13" not in reader.types("pyfilter bans -o json")
    assert reader.attacker.reaches(SERVER_V4) == "connected"


def test_step_12_bans_are_in_force_after_a_reboot(reader: Reader) -> None:
    reader.configures(ignored_ips=["127.0.0.1"], reload_iptables=True)
    reader.types("sudo systemctl restart PyFilter")
    london = Wire(Host(f"{reader.lab.server.name[:-7]}-london"), ("81.2.69.160",), ())
    assert reader.blocked(london)
    reader.reboots()
    active = "systemctl is-active PyFilter || true"
    eventually(lambda: reader.types(active).strip() == "active", "it starts at boot", within=20)
    assert reader.blocked(london)
    assert reader.friend.reaches(SERVER_V4) == "connected"


def shares(machine: Debian, name: str) -> None:
    """Write what step 8 has the reader write into Config/config.json."""
    path = machine.root / "usr/local/PyFilter/Config/config.json"
    default = path.with_name("config.default.json")
    config = json.loads((path if path.exists() else default).read_text())
    config["settings"]["database"] = "redis"
    config["redis"] = {
        "host": SERVER_V4,
        "password": "of redis",
        "database": 0,
        "sync_bans": {"active": True, "name": name, "check_time": 600},
    }
    path.write_text(json.dumps(config, indent=2))


def test_step_8_bans_reach_every_server_of_the_same_redis(reader: Reader) -> None:
    reader.needs_systemd()
    reader.types("pip3 install redis || true")
    reader.edits("/etc/redis/redis.conf", "bind 127.0.0.1 -::1", "bind 0.0.0.0")
    reader.edits("/etc/redis/redis.conf", "# requirepass foobared", 'requirepass "of redis"')
    reader.types("systemctl restart redis-server")
    machine, web02 = reader.second_server()
    shares(reader.machine, "web01")
    shares(machine, "web02")
    reader.types("sudo systemctl restart PyFilter")
    web02.run("/usr/local/PyFilter/install.sh", timeout=120)

    early = reader.newcomer("early", "203.0.113.81", "2001:db8:81::1")
    reader.lab.plug(early, web02, "192.0.2.20")
    assert early.reaches("192.0.2.20") == "connected"
    reader.attacks(early)
    eventually(lambda: reader.blocked(early, "192.0.2.20"), "it is shut out there too", within=2)
    log = machine.root / "usr/local/PyFilter/Log"
    line = FOUND % (re.escape("203.0.113.81"), "web01")
    eventually(lambda: re.search(line, text_of(log), re.MULTILINE), "the ban is told there")

    web02.run("systemctl", "stop", "PyFilter")
    late = reader.newcomer("late", "203.0.113.82", "2001:db8:82::1")
    reader.lab.plug(late, web02, "192.0.2.20")
    reader.attacks(late)
    assert late.reaches("192.0.2.20") == "connected"
    web02.run("systemctl", "start", "PyFilter")
    eventually(lambda: reader.blocked(late, "192.0.2.20"), "a ban of meanwhile arrives", within=5)

    web02.run("pyfilter", "unban", "203.0.113.81")
    eventually(lambda: early.reaches(SERVER_V4) == "connected", "released everywhere", within=5)
    assert early.reaches("192.0.2.20") == "connected"
    assert reader.blocked(late)


def test_without_an_auth_log_the_journal_is_read(reader: Reader) -> None:
    reader.needs_systemd()
    reader.types("systemctl stop rsyslog syslog.socket; rm /var/log/auth.log")
    reader.types("systemctl restart PyFilter")
    guest = reader.newcomer("journal", "203.0.113.77", "2001:db8:77::1")
    reader.attacks(guest)
    assert reader.friend.reaches(SERVER_V4) == "connected"


def test_a_killed_service_comes_back(reader: Reader) -> None:
    reader.needs_systemd()
    first = reader.types("systemctl show -P MainPID PyFilter")
    reader.types(f"kill -KILL {first}")
    again = "systemctl show -P MainPID -P ActiveState PyFilter"
    eventually(
        lambda: "active\n" in (now := reader.types(again)) and first not in now, "it is restarted"
    )


def test_uninstall_removes_all_of_it_and_nothing_else(reader: Reader) -> None:
    reader.needs_systemd()
    reader.types("nft 'table inet theirs { set s { type ipv4_addr; elements = { 192.0.2.9 }; }; }'")
    theirs = reader.types("nft list table inet theirs")
    reader.types("./install.sh --uninstall --purge")
    assert reader.types("nft list ruleset") == theirs
    for path in ("/etc/systemd/system", "/usr/local/bin", "/var/lib", "/run"):
        assert "pyfilter" not in reader.types(f"ls {path}").lower()
    assert "pyfilter" not in reader.types("cat /etc/passwd /etc/group")
    assert reader.types("./install.sh").splitlines()[-1] == CREATED
    assert "active (running)" in reader.types("systemctl status PyFilter --no-pager")
