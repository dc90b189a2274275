# A Debian 12 server, made once with debootstrap and booted with systemd-nspawn into the laboratory.
import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from system.lab import ROOT, Host, eventually, need, run, running

CACHE = Path(os.environ.get("PYFILTER_TEST_CACHE", "/var/cache/pyfilter-tests"))
CHECKOUT = "/usr/local/PyFilter"
WHEELS = "/mnt/wheels"
_MIRROR = "http://deb.debian.org/debian"
_PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "procps", "iproute2", "sudo", "nano", "less", "git"),
    *("python3", "python3-venv", "python3-pip", "nftables", "iptables", "ipset"),
    *("openssh-server", "rsyslog", "logrotate", "redis-server", "ca-certificates"),
)
_PIP = f"[global]\nno-index = true\nfind-links = {WHEELS}\ndisable-pip-version-check = true\n"


@contextmanager
def _locked() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _debian() -> Path:
    """Return the folder of a bare Debian 12; made at the first call (a minute or two)."""
    key = hashlib.sha256(" ".join(_PACKAGES).encode()).hexdigest()[:12]
    base, new = CACHE / f"bookworm-{key}", CACHE / f"bookworm-{key}.new"
    with _locked():
        if not base.exists():
            run("rm", "-rf", str(new))
            argv = ["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
            run(*argv, "bookworm", str(new), _MIRROR, timeout=1000)
            run("sh", "-c", f"rm -rf {new}/var/cache/apt/archives/*.deb {new}/var/lib/apt/lists/*")
            new.rename(base)
    return base


def _wheels() -> Path:
    """Return a folder with the exact packages that run.sh installs, for Debian 12's Python."""
    lock = ROOT / "packaging" / "requirements.txt"
    wheels = CACHE / f"wheels-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    with _locked():
        if not wheels.exists():
            new = wheels.with_suffix(".new")
            argv = ["python", "-m", "pip", "download", "-q", "-r", str(lock), "-d", str(new)]
            run(*argv, "--only-binary=:all:", "--python-version=3.11", timeout=600)
            new.rename(wheels)
    return wheels


def _move_in(root: Path) -> None:
    """Copy the checkout as git would clone it, with what is not committed yet."""
    target = root / CHECKOUT.lstrip("/")
    target.mkdir(parents=True)
    listed = [
        "git",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    files = subprocess.run(listed, capture_output=True, check=True).stdout
    argv = ["tar", "-C", str(ROOT), "--null", "--ignore-failed-read", "-T", "-", "-c"]
    packed = subprocess.run(argv, input=files, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-C", str(target), "-x"], input=packed, check=True)
    (root / "etc" / "pip.conf").write_text(_PIP)
    (root / WHEELS.lstrip("/")).mkdir(parents=True, exist_ok=True)


def booted_debian(netns: str, folder: Path, stack: ExitStack) -> Host:
    """House the server in a booted container; skip the test where that is impossible."""
    need("debootstrap", "systemd-nspawn", "nsenter", "git")
    root, wheels = folder / "root", _wheels()
    root.mkdir()
    (folder / "layers").mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", str(folder / "layers"))
    stack.callback(run, "umount", "--lazy", str(folder / "layers"))
    for part in ("upper", "work"):
        (folder / "layers" / part).mkdir()
    layers = f"lowerdir={_debian()},upperdir={folder}/layers/upper,workdir={folder}/layers/work"
    run("mount", "-t", "overlay", "overlay", "-o", layers, str(root))
    stack.callback(run, "umount", "--lazy", str(root))
    _move_in(root)
    argv = ["systemd-nspawn", "--quiet", "--boot", f"--directory={root}", f"--machine={netns}"]
    argv += ["--register=no", "--keep-unit", "--link-journal=no", "--console=pipe"]
    argv += [f"--network-namespace-path=/run/netns/{netns}", f"--bind-ro={wheels}:{WHEELS}"]
    nspawn = stack.enter_context(running(argv, folder / "boot.log"))
    return Host(netns, _booted(nspawn, folder / "boot.log"), booted=True)


def _booted(nspawn: subprocess.Popen[bytes], log: Path) -> int:
    """Return the container's init once it is up."""
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")

    def up() -> int:
        if nspawn.poll() is not None:
            pytest.skip(f"a container cannot be booted here: {log.read_text()[-500:]}")
        init = int(children.read_text().split()[0]) if children.read_text().strip() else 0
        argv = ["nsenter", f"--target={init}", "--all", "systemctl", "is-system-running"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False) if init else None
        return init if done and done.stdout.strip() in {"running", "degraded"} else 0

    return eventually(up, "the container is up", within=60)
