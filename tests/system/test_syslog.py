# What real syslog daemons and journalctl put before a message, held against the rule for sshd.
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import journals
from pyfilter.matching import library
from pyfilter.matching.reading import Reader

pytestmark = pytest.mark.root
TEXT = b"Failed password for root from 192.0.2.1 port 22 ssh2"
TEMPLATES = ("TraditionalFileFormat", "FileFormat", "SysklogdFileFormat", "SyslogProtocol23Format")
SHORT = ("", "-full", "-iso", "-iso-precise", "-precise", "-monotonic", "-delta", "-unix")
ZONES = ("UTC", "Europe/Istanbul", "Asia/Kathmandu", "America/New_York")
_PATIENCE = 10.0  # seconds


def read(line: bytes) -> tuple[bytes, bytes]:
    hit = Reader(library.load("sshd")).hit(line)
    assert hit, line
    return hit.address, hit.pid


def waited(path: Path, lines: int) -> list[bytes]:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        found = path.read_bytes().splitlines() if path.exists() else []
        if len(found) >= lines:
            return found
        time.sleep(0.02)
    raise TimeoutError(f"{path} has not got its lines")


@pytest.fixture
def rsyslog() -> Iterator[Path]:
    """Run an rsyslogd that writes each of its own forms into a file of that name."""
    if os.geteuid() != 0 or shutil.which("rsyslogd") is None:
        pytest.skip("needs root and rsyslogd")
    with tempfile.TemporaryDirectory(prefix="pf-") as folder:
        actions = (
            f'*.* action(type="omfile" file="{folder}/{one}" template="RSYSLOG_{one}")'
            for one in TEMPLATES
        )
        config = Path(folder, "conf")
        config.write_text(
            f'module(load="imuxsock" SysSock.Use="off")\n'
            f'input(type="imuxsock" Socket="{folder}/log")\n' + "\n".join(actions) + "\n"
        )
        running = subprocess.Popen(["rsyslogd", "-n", "-f", str(config), "-i", f"{folder}/pid"])
        try:
            yield Path(folder)
        finally:
            running.terminate()
            running.wait()


def test_every_form_that_rsyslog_brings_along_is_read(rsyslog: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        end = time.monotonic() + _PATIENCE
        while sender.connect_ex(str(rsyslog / "log")) and time.monotonic() < end:
            time.sleep(0.02)
        sender.send(b"<38>Nov 22 10:00:00 sshd[811]: " + TEXT)
        sender.send(b"<38>Nov 22 10:00:00 sshd: " + TEXT)
    for form in TEMPLATES:
        lines = waited(rsyslog / form, 2)
        assert [read(line) for line in lines] == [(b"192.0.2.1", b"811"), (b"192.0.2.1", b"")]


@pytest.mark.skipif(bool(journals.missing()), reason=journals.missing())
def test_every_short_form_of_journalctl_is_read_in_every_zone(tmp_path: Path) -> None:
    with journals.journald(tmp_path / "run") as journald:
        journald.write(b"Connection from 192.0.2.9")
        journald.write(TEXT)
        journald.settle(TEXT)
        ask = ["journalctl", "-q", "--no-pager", f"--directory={journald.directory}", "-tsshd"]
        for form in (*(f"short{kind}" for kind in SHORT), "with-unit"):
            for zone in ZONES:
                told = {**os.environ, "TZ": zone}
                done = subprocess.run([*ask, "-o", form], check=True, capture_output=True, env=told)
                lines = done.stdout.splitlines()
                assert read(lines[-1])[0] == b"192.0.2.1", form
                assert read(lines[0].replace(b"Connection from 192.0.2.9", TEXT)), form
