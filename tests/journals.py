# A journald of the tests' own, in a mount namespace; it writes real journal files.
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

JOURNALD = "/lib/systemd/systemd-journald"
_ENTER = """
set -e
mount --make-rprivate /
mount --bind "$0" /run
mkdir -p /run/systemd/journald.conf.d /run/log/journal
printf '[Journal]\\nReadKMsg=no\\nAudit=no\\nStorage=volatile\\nRateLimitBurst=0\\n' \
    > /run/systemd/journald.conf.d/test.conf
exec "$1"
"""


def missing() -> str:
    """Say what these tests lack on this machine."""
    if os.geteuid() != 0:
        return "a journald of one's own needs root"
    tools = ("unshare", "mount", "journalctl", JOURNALD)
    return "".join(f"{tool} is missing" for tool in tools if shutil.which(tool) is None)


class Journald:
    """A running journald and the folder of its files."""

    def __init__(self, run: Path) -> None:
        self.directory = str(run / "log" / "journal")
        self._socket = run / "systemd" / "journal" / "socket"
        command = ["unshare", "--mount", "bash", "-c", _ENTER, str(run), JOURNALD]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self._wait(self._socket.exists)
        self._wait(lambda: any(Path(self.directory).glob("*/system.journal")))

    def write(self, message: bytes, tag: str = "sshd", **fields: str) -> None:
        """Send an entry, as sd_journal_send does, from this process."""
        lines = [f"{key}={value}\n".encode() for key, value in fields.items()]
        lines.append(b"SYSLOG_IDENTIFIER=" + tag.encode() + b"\n")
        lines.append(b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(str(self._socket))
            sender.send(b"".join(lines))

    def write_as(self, user: int, message: str) -> None:
        """Send an entry from a process of another user."""
        code = (
            "import os, socket, sys; os.chdir(sys.argv[1]); os.setuid(int(sys.argv[2]));"
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect('socket');"
            "s.send(f'SYSLOG_IDENTIFIER=sshd\\nMESSAGE={sys.argv[3]}\\n'.encode())"
        )
        place = str(self._socket.parent)
        subprocess.run(["python3", "-c", code, place, str(user), message], check=True)

    def settle(self, message: bytes) -> None:
        """Wait until journald has taken in the last message."""
        command = ["journalctl", "-q", f"--directory={self.directory}", "-ocat", "-n1"]

        def taken() -> bool:
            done = subprocess.run(command, check=False, capture_output=True)
            return done.stdout.strip() == message

        self._wait(taken)

    def journals(self) -> int:
        return len(list(Path(self.directory).glob("*/*.journal")))

    def rotate(self) -> None:
        before = self.journals()
        self._process.send_signal(signal.SIGUSR2)
        self._wait(lambda: self.journals() > before)

    def vacuum(self) -> None:
        """Delete all archived files."""
        command = ["journalctl", "-q", f"--directory={self.directory}", "--vacuum-files=1"]
        subprocess.run(command, check=True, capture_output=True)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()

    def _wait(self, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + 10
        while not ready():
            if time.monotonic() > end or self._process.poll() is not None:
                raise TimeoutError("journald did not get ready")
            time.sleep(0.01)


@contextmanager
def journald(run: Path) -> Iterator[Journald]:
    run.mkdir()
    running = Journald(run)
    try:
        yield running
    finally:
        running.stop()
