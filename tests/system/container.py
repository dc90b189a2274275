# A Debian server, made once with debootstrap and booted with systemd-nspawn into the laboratory.
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from system.lab import ROOT, Host, eventually, run, running

CACHE = Path(os.environ.get("PYFILTER_TEST_CACHE", "/var/cache/pyfilter-tests"))
NAME = "your-server"
WHEELS = "/mnt/wheels"
_MIRROR = "http://deb.debian.org/debian"
_COMMON = (
    *("systemd", "systemd-sysv", "dbus", "procps", "iproute2", "sudo"),
    *("python3", "python3-venv", "nftables", "openssh-server"),
)
_PIP = f"[global]\nno-index = true\nfind-links = {WHEELS}\ndisable-pip-version-check = true\n"


@contextmanager
def _locked() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Release:
    """A release of Debian and what is on a server of it."""

    suite: str
    python: str
    packages: tuple[str, ...]

    def folder(self) -> Path:
        """Return the folder of a bare system; made at the first call (a minute or two)."""
        key = hashlib.sha256(" ".join(self.packages).encode()).hexdigest()[:12]
        base, new = CACHE / f"{self.suite}-{key}", CACHE / f"{self.suite}-{key}.new"
        with _locked():
            if not base.exists():
                run("rm", "-rf", str(new))
                argv = ["debootstrap", "--variant=minbase", f"--include={','.join(self.packages)}"]
                run(*argv, self.suite, str(new), _MIRROR, timeout=1000)
                run("sh", "-c", f"rm -rf {new}/var/cache/apt/archives/*.deb")
                (new / "etc" / "machine-id").write_text("")
                new.rename(base)
        return base

    def wheels(self) -> Path:
        """Return a folder with the exact packages that run.sh installs, for this Python."""
        lock = ROOT / "packaging" / "requirements.txt"
        key = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
        wheels = CACHE / f"wheels-{self.python}-{key}"
        with _locked():
            if not wheels.exists():
                new = CACHE / f"{wheels.name}.new"
                argv = [sys.executable, "-m", "pip", "download", "-q", "-r", str(lock)]
                argv += ["--only-binary=:all:", f"--python-version={self.python}", "-d", str(new)]
                run(*argv, timeout=600)
                new.rename(wheels)
        return wheels


BOOKWORM = Release(
    "bookworm",
    "3.11",
    (
        *(*_COMMON, "nano", "less", "git", "python3-pip", "iptables", "ipset"),
        *("rsyslog", "logrotate", "redis-server", "ca-certificates"),
    ),
)
TRIXIE = Release("trixie", "3.13", _COMMON)  # OpenSSH 10, and the journal alone


def clone_into(target: Path) -> None:
    """Copy the checkout as git would clone it, with what is not committed yet."""
    target.mkdir(parents=True)
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "-c", "-o", "--exclude-standard"]
    files = subprocess.run(listed, capture_output=True, check=True).stdout
    argv = ["tar", "-C", str(ROOT), "--null", "--ignore-failed-read", "-T", "-", "-c"]
    packed = subprocess.run(argv, input=files, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-C", str(target), "-x"], input=packed, check=True)


class Debian:
    """A machine that can be switched on and off; its disk stays until the end of the test."""

    def __init__(
        self, netns: str, folder: Path, stack: ExitStack, release: Release = BOOKWORM
    ) -> None:
        self.netns, self.root = netns, folder / "root"
        self._log, self._wheels, self._stack = folder / "boot.log", release.wheels(), stack
        layers = folder / "layers"
        for part in (self.root, layers):
            part.mkdir()
        run("mount", "-t", "tmpfs", "tmpfs", str(layers))
        stack.callback(run, "umount", "--lazy", str(layers))
        for name in ("upper", "work"):
            (layers / name).mkdir()
        options = f"lowerdir={release.folder()},upperdir={layers}/upper,workdir={layers}/work"
        run("mount", "-t", "overlay", "overlay", "-o", options, str(self.root))
        stack.callback(run, "umount", "--lazy", str(self.root))
        # On an overlay journalctl is not woken by what journald writes.
        self._logs = layers / "log"
        run("cp", "-a", str(self.root / "var" / "log"), str(self._logs))
        (self.root / "etc" / "pip.conf").write_text(_PIP)
        (self.root / "etc" / "hostname").write_text(f"{NAME}\n")
        (self.root / WHEELS.lstrip("/")).mkdir(parents=True)

    def switch_on(self) -> Host:
        """Boot; skip the test where that is impossible."""
        argv = ["systemd-nspawn", "--quiet", "--boot", f"--directory={self.root}"]
        argv += [f"--machine={self.netns}", f"--hostname={NAME}", "--console=pipe"]
        argv += ["--register=no", "--keep-unit", "--link-journal=no", "--capability=CAP_NET_ADMIN"]
        argv += [f"--network-namespace-path=/run/netns/{self.netns}"]
        argv += [f"--bind-ro={self._wheels}:{WHEELS}", f"--bind={self._logs}:/var/log"]
        self._nspawn = self._stack.enter_context(running(argv, self._log))
        return Host(self.netns, self._booted(), booted=True)

    def _booted(self) -> int:
        pid = self._nspawn.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")

        def up() -> int:
            if self._nspawn.poll() is not None:
                pytest.skip(f"a container cannot be booted here: {self._log.read_text()[-500:]}")
            init = int(children.read_text().split()[0]) if children.read_text().strip() else 0
            return init if init and _state(init) in {"running", "degraded"} else 0

        return eventually(up, "the container is up", within=60)

    def switch_off(self) -> None:
        """Shut down in order; as with any machine, the kernel's rules are gone afterwards."""
        self._nspawn.terminate()
        self._nspawn.wait(60)
        run(*Host(self.netns).inside("nft", "flush", "ruleset"))


def _state(init: int) -> str:
    argv = ["nsenter", f"--target={init}", "--all", "systemctl", "is-system-running"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
