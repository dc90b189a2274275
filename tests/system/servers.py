# Real servers for the laboratory: sshd with its logging, and those who guess passwords at it.
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from system.lab import Host, Lab, Wire, eventually, need, run, running

USER, PASSWORD = "alice", "correct horse battery staple"
AUTH_LOG = "/var/log/auth.log"
Logging = Literal["traditional", "rfc3339", "journal"]
_TEMPLATES = {
    "traditional": "RSYSLOG_TraditionalFileFormat",
    "rfc3339": "RSYSLOG_FileFormat",
}
_RSYSLOG = """
module(load="imuxsock")
$FileCreateMode 0640
*.* action(type="omfile" file="/var/log/auth.log" template="{template}")
"""
_SSHD = """
HostKey /etc/ssh/lab_key
PidFile none
UsePAM {pam}
PasswordAuthentication yes
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 100
LogLevel INFO
"""


@contextmanager
def sshd(lab: Lab, logging: Logging, *, pam: bool = False) -> Iterator[Host]:
    """Run a real sshd on port 22 of the server, writing through a real log service."""
    need("sshd", "ssh-keygen", "rsyslogd", "useradd", "chpasswd")
    server = lab.server
    with ExitStack() as stack:
        stack.enter_context(_log_service(lab, logging))
        server.run("useradd", "--no-create-home", "--shell", "/bin/sh", USER)
        server.run("sh", "-c", f"echo '{USER}:{PASSWORD}' | chpasswd")
        server.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/ssh/lab_key")
        server.path("/etc/ssh/lab_sshd").write_text(_SSHD.format(pam="yes" if pam else "no"))
        argv = server.inside("/usr/sbin/sshd", "-D", "-f", "/etc/ssh/lab_sshd")
        stack.enter_context(running(argv, lab.folder / "sshd.log"))
        eventually(lambda: server.reaches("127.0.0.1", "127.0.0.1") == "connected", "sshd answers")
        yield server


@contextmanager
def _log_service(lab: Lab, logging: Logging) -> Iterator[None]:
    server = lab.server
    if logging == "journal":
        socket, argv = "/run/systemd/journal/dev-log", ["/lib/systemd/systemd-journald"]
        server.path("/run/systemd/journal").mkdir(parents=True)
        server.path("/run/log/journal").mkdir(parents=True)
        server.path("/dev/log").symlink_to(socket)
    else:
        socket, config = "/dev/log", server.path("/etc/lab_rsyslog")
        config.write_text(_RSYSLOG.format(template=_TEMPLATES[logging]))
        argv = ["rsyslogd", "-n", "-f", "/etc/lab_rsyslog", "-i", "/run/rsyslogd.pid"]
    with running(server.inside(*argv), lab.folder / "logging.log"):
        eventually(server.path(socket).is_socket, f"{argv[0]} listens on {socket}")
        yield


def guess(wire: Wire, target: str, *, user: str = USER, password: str = "wrong") -> int:
    """Try one password over a connection of its own; return what ssh ended with (0: it was right)."""
    need("ssh", "sshpass")
    source = (wire.v6 if ":" in target else wire.v4)[0]
    options = [
        *("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=3"),
        *("PreferredAuthentications=password", "PubkeyAuthentication=no", "LogLevel=ERROR"),
        *("NumberOfPasswordPrompts=1", "GSSAPIAuthentication=no", "IdentityAgent=none"),
    ]
    argv = ["sshpass", "-p", password, "ssh", "-F", "none", "-b", source, "-l", user]
    argv += [part for option in options for part in ("-o", option)]
    # A guesser who is shut out amid a connection would wait for an answer for minutes.
    argv = ["timeout", "--signal=KILL", "6", *argv, target, "true"]
    return subprocess.run(wire.host.inside(*argv), capture_output=True, check=False).returncode


def guess_often(wire: Wire, target: str, times: int, *, user: str = USER) -> None:
    """Try wrong passwords, a few connections at a time."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: guess(wire, target, user=user), range(times)))


def log_lines(server: Host, text: str, path: str = AUTH_LOG) -> int:
    """Return how many lines of a server's log contain a text."""
    log = server.path(path)
    return log.read_text(errors="replace").count(text) if log.exists() else 0


def journal_lines(server: Host, text: str) -> int:
    """Return how many entries of a server's journal contain a text."""
    argv = server.inside("journalctl", "--no-pager", "-o", "cat", "-D", "/run/log/journal")
    return run(*argv).count(text)


def logs_of(lab: Lab) -> str:
    """Return what the servers said, for a failure's message."""
    return "\n".join(f"{log.name}: {log.read_text()}" for log in Path(lab.folder).glob("*.log"))
