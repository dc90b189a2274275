# The peers that apt has, each over a log: CPU seconds of all their processes, their start taken off.
#
#   python bench/throughput.py --peers
#
# fail2ban's server and SSHGuard's whole pipeline, with actions that do nothing; CrowdSec's agent with
# its API and its own offline rules for sshd; and SSHGuard's parser alone. Each runs with its own
# sockets, databases and settings in a temporary folder, and nothing that the system runs is touched.
import os
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import logs

Run = Callable[[Path, Path], None]  # a log, a folder of its own

LAST = "198.18.255.254"  # fails in the last lines of a log: its ban is the end of the run
PATIENCE = 900.0  # seconds
SLOW = 1.0  # CPU seconds; what takes longer is steady, and is run once
LONG = {"mixed", "attack"}
SSHGUARD = Path("/usr/libexec/sshguard")
HUB = Path("/var/lib/crowdsec/hub")
FAIL2BAN = """[Definition]
logtarget = {folder}/fail2ban.log
syslogsocket = auto
socket = {folder}/socket
pidfile = {folder}/pid
dbfile = {folder}/fail2ban.sqlite3
"""
JAIL = """[DEFAULT]
backend = auto
action =
findtime = 1d
[sshd]
enabled = true
logpath = {log}
"""
CROWDSEC = """common: {{daemonize: false, log_media: stdout, log_level: error, working_dir: .}}
config_paths:
  config_dir: {folder}
  data_dir: {folder}/data
  simulation_path: {folder}/simulation.yaml
  hub_dir: {hub}
  index_path: {hub}/.index.json
crowdsec_service: {{parser_routines: 1, acquisition_path: {folder}/acquis.yaml}}
cscli: {{output: human}}
db_config: {{type: sqlite, db_path: {folder}/data/crowdsec.db, use_wal: true}}
api:
  client: {{credentials_path: {folder}/credentials.yaml}}
  server:
    log_level: error
    listen_uri: 127.0.0.1:{port}
    profiles_path: /etc/crowdsec/profiles.yaml
prometheus: {{enabled: false}}
"""
RULES = {
    "parsers/s00-raw": ("syslog-logs",),
    "parsers/s01-parse": ("sshd-logs",),
    "parsers/s02-enrich": ("dateparse-enrich", "whitelists"),
    "scenarios": ("ssh-bf", "ssh-slow-bf"),
}


def installed() -> dict[str, Run]:
    """Return the peers that are there, by name."""
    found: dict[str, Run] = {}
    if shutil.which("fail2ban-server"):
        found["fail2ban server"] = fail2ban
    if (SSHGUARD / "sshg-parser").exists():
        found["SSHGuard pipeline"] = sshguard
        found["SSHGuard parser alone"] = parser
    if shutil.which("crowdsec") and HUB.exists():
        found["CrowdSec"] = crowdsec
    return found


def report(kind: str, count: int, ours: float) -> None:
    """Print what the peers take for a log of a kind, beside our CPU seconds a line."""
    print(f"\nthe peers, {kind}")
    print(f"{'':24}{'lines':>9}{'us / line':>12}{'x ours':>9}")
    runs = [(name, run, count) for name, run in installed().items()]
    if kind in LONG:  # SSHGuard slows down with the number of attackers
        runs += [(name, run, 5 * count) for name, run, _ in runs if run is sshguard]
    with tempfile.TemporaryDirectory() as folder:
        for name, run, lines in runs:
            log = write(Path(folder), kind, lines)
            each = median(run, log) / lines
            print(f"{name:24}{lines:>9,}{each * 1e6:>12.2f}{each / ours:>9.1f}", flush=True)


def median(run: Run, log: Path) -> float:
    """Return the CPU seconds that a peer takes for a log: of one run when they are many."""
    first = cost(run, log)
    return first if first > SLOW else statistics.median([first, cost(run, log), cost(run, log)])


def write(folder: Path, kind: str, count: int) -> Path:
    """Write a log whose stamps end now, so that nobody thinks it too old, with the sentinel."""
    began, path = int(time.time()) - count // logs.A_SECOND - 60, folder / "peers.log"
    wide = kind == "million"
    with path.open("w", encoding="ascii") as out:
        lines = logs.lines(
            "attack" if wide else kind, count, 1_000_000 if wide else 20_000, began=began
        )
        out.writelines(lines)
        out.writelines(sentinel(began + count // logs.A_SECOND))
    return path


def sentinel(at: int) -> list[str]:
    head = time.strftime("%b %d %H:%M:%S", time.gmtime(at))
    said = f"Failed password for root from {LAST} port 4{{0:04}} ssh2\n"
    return [f"{head} web01 sshd[{n + 90_000}]: {said.format(n)}" for n in range(12)]


def cost(run: Run, log: Path) -> float:
    """Return the CPU seconds that a peer takes for a log, less those for the sentinel alone."""
    return max(0.0, spent(run, log) - spent(run, None))


def spent(run: Run, log: Path | None) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = folder / "sentinel.log"
        alone.write_text("".join(sentinel(int(time.time()))))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run(log or alone, folder)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fail2ban(log: Path, folder: Path) -> None:
    """Run its server with the jail sshd of the package, which bans by no action."""
    settings = folder / "settings"
    settings.mkdir()
    for entry in Path("/etc/fail2ban").iterdir():
        if entry.name not in {"jail.d", "fail2ban.d"}:
            (settings / entry.name).symlink_to(entry)
    (settings / "fail2ban.local").write_text(FAIL2BAN.format(folder=folder))
    (settings / "jail.local").write_text(JAIL.format(log=log))
    command = ["fail2ban-server", "-f", "-c", str(settings), "-s", str(folder / "socket")]
    server = child([*command, "-p", str(folder / "pid"), "start"])
    try:
        until(folder / "fail2ban.log", f"Ban {LAST}", server)
    finally:
        server.terminate()
        server.wait(30)


def until(path: Path, words: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a file holds some words."""
    deadline, looked = time.monotonic() + PATIENCE, 0
    while time.monotonic() < deadline and process.poll() is None:
        text = path.read_bytes()[looked:] if path.exists() else b""
        if words.encode() in text:
            return
        looked += max(0, len(text) - len(words))
        time.sleep(0.1)
    raise SystemExit(f"{process.args!r} came to no end: {path} does not say {words!r}")


def sshguard(log: Path, folder: Path) -> None:
    """Run parser, blocker and a firewall that does nothing, as its script joins them."""
    (folder / "blacklist").touch()
    blocker = f"{SSHGUARD}/sshg-blocker -a 30 -p 120 -s 1800 -N 128 -n 32"
    pipe = f"{SSHGUARD}/sshg-parser < {log} | {blocker} | {SSHGUARD}/sshg-fw-null"
    child(["sh", "-c", pipe]).wait(PATIENCE)


def parser(log: Path, _folder: Path) -> None:
    with log.open("rb") as feed:
        child([str(SSHGUARD / "sshg-parser")], feed.fileno()).wait(PATIENCE)


def crowdsec(log: Path, folder: Path) -> None:
    """Run its agent over a file, with its API in the same process and its rules for sshd."""
    (folder / "data").mkdir()
    (folder / "patterns").symlink_to("/etc/crowdsec/patterns")
    (folder / "simulation.yaml").write_text("simulation: false\n")
    (folder / "acquis.yaml").touch()
    for place, names in RULES.items():
        (folder / place).mkdir(parents=True)
        for name in names:
            (folder / place / f"{name}.yaml").symlink_to(HUB / place / f"crowdsecurity/{name}.yaml")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "config.yaml"
    config.write_text(CROWDSEC.format(folder=folder, hub=HUB, port=port))
    credentials = ["-f", str(folder / "credentials.yaml"), "-u", f"http://127.0.0.1:{port}/"]
    child(["cscli", "-c", str(config), "machines", "add", "bench", "--auto", *credentials]).wait(60)
    command = ["crowdsec", "-c", str(config), "-dsn", f"file://{log}", "-type", "syslog"]
    if child([*command, "-no-capi"]).wait(PATIENCE):
        raise SystemExit("crowdsec failed")


def child(command: list[str], feed: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
    """Start a program that says nothing, in the zone that the logs are written in."""
    nowhere = subprocess.DEVNULL
    in_zone = {**os.environ, "TZ": "UTC"}
    return subprocess.Popen(command, stdin=feed, stdout=nowhere, stderr=nowhere, env=in_zone)
