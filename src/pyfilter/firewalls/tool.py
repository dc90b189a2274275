# The command line tools of the iptables firewall: argument lists, text over stdin, errors in one line.
import os
import shutil
import subprocess

from pyfilter.errors import FirewallError
from pyfilter.firewalls.privilege import unprivileged

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # a service's PATH often lacks the sbin folders
_LONGEST = 60.0  # seconds; a hundred thousand rules take about two
_DENIED = ("Permission denied", "Operation not permitted", "you must be root")

_NO_SOCKET = "Can't open socket to ipset"


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
    if done.returncode:
        _check(done.stderr)
    return done.returncode, done.stdout, done.stderr.strip()


def _check(errors: str) -> None:
    """Raise FirewallError for what no other command will be spared either."""
    if _NO_SOCKET in errors:
        raise FirewallError(
            "iptables needs CAP_NET_RAW beside CAP_NET_ADMIN to match sets: give it to the service, "
            "or set ipset = false under [firewall]",
            recoverable=False,
        )
    if any(said in errors for said in _DENIED):
        raise unprivileged()


def run(*command: str, text: str | None = None) -> str:
    """Run a tool that must succeed; return its output."""
    code, output, errors = attempt(*command, text=text)
    if code:
        lines = errors.splitlines() or [f"exit code {code}"]
        raise FirewallError(f"{command[0]} refused: {lines[0]}")
    return output
