# The command line tools of the iptables firewall: argument lists, text over stdin, errors in one line.
import os
import shutil
import subprocess

from pyfilter.errors import FirewallError
from pyfilter.firewalls.privilege import unprivileged

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # a service's PATH often lacks the sbin folders
_LONGEST = 60.0  # seconds; a hundred thousand rules take about two
_DENIED = ("Permission denied", "Operation not permitted", "you must be root")


def there(name: str) -> bool:
    return shutil.which(name, path=_PATH) is not None


def attempt(*command: str, text: str | None = None) -> tuple[int, str, str]:
    """Run a tool; return its exit code, output and errors. Raises FirewallError where it cannot."""
    found = shutil.which(command[0], path=_PATH)
    if found is None:
        raise FirewallError(
            f'{command[0]} is missing: "apt install iptables ipset", '
            'or set type = "nftables" under [firewall]',
            recoverable=False,
        )
    try:
        done = subprocess.run(
            [found, *command[1:]],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=_LONGEST,
            check=False,
            env={"PATH": _PATH, "LC_ALL": "C", "HOME": os.devnull},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FirewallError(f"{command[0]} did not run: {error}") from error
    if done.returncode and any(said in done.stderr for said in _DENIED):
        raise unprivileged()
    return done.returncode, done.stdout, done.stderr.strip()


def run(*command: str, text: str | None = None) -> str:
    """Run a tool that must succeed; return its output."""
    code, output, errors = attempt(*command, text=text)
    if code:
        lines = errors.splitlines() or [f"exit code {code}"]
        raise FirewallError(f"{command[0]} refused: {lines[0]}")
    return output
