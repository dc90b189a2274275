# Realistic logs, the same at every run: attack, benign and mixed sshd logs, web access logs.
#
#   python bench/logs.py attack 100000 > attack.log
import argparse
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

SEED = 1
BEGAN = 1_795_000_000  # seconds since the epoch of the first line; others follow, 5,000 a second
USERS = ("root", "admin", "ubuntu", "test", "oracle", "postgres", "git", "user", "pi", "deploy")
A_SECOND = 5000  # lines
Line = Callable[[random.Random, str], Iterator[str]]


def addresses(count: int, v6_share: float = 0.1) -> list[str]:
    """Return distinct addresses of the benchmarking ranges (RFC 2544, RFC 5180)."""
    v6 = int(count * v6_share)
    v4 = [f"198.{18 + n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(count - v6)]
    return v4 + [f"2001:2:0:{n:x}::{n % 7 + 1:x}" for n in range(v6)]


def zipf(count: int, exponent: float = 1.1) -> list[float]:
    """Return cumulative weights: few addresses do most of it."""
    return list(accumulate(1 / rank**exponent for rank in range(1, count + 1)))


def session(chance: random.Random, peer: str) -> Iterator[str]:
    """Yield what one attacking connection leaves in the log."""
    port, user = chance.randrange(1024, 65536), chance.choice(USERS)
    at = f"{peer} port {port}"
    known = chance.random() < 0.4
    invalid = "" if known else "invalid user "
    if not known:
        yield f"Invalid user {user} from {at}"
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        yield f"Failed password for {invalid}{user} from {at} ssh2"
    kind = "authenticating" if known else "invalid"
    yield chance.choice(
        (
            f"Connection closed by {kind} user {user} {at} [preauth]",
            f"Connection reset by {kind} user {user} {at} [preauth]",
            f"Disconnected from {kind} user {user} {at} [preauth]",
            (
                f"error: maximum authentication attempts exceeded for {invalid}{user} from {at} ssh2 "
                "[preauth]"
            ),
        )
    )


def benign(chance: random.Random, _peer: str) -> Iterator[str]:
    """Yield what concerns no rule."""
    number = chance.randrange(10_000)
    yield chance.choice(
        (
            "pam_unix(sshd:session): session opened for user deploy(uid=1000) by (uid=0)",
            (
                f"Received disconnect from 192.0.2.{number % 8 + 1} port {number + 1024}:11: "
                "disconnected by user"
            ),
            "pam_unix(sshd:session): session closed for user deploy",
        )
    )


def other(chance: random.Random) -> str:
    """Return a line of another program."""
    return chance.choice(
        (
            "CRON[{pid}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
            "CRON[{pid}]: (root) CMD (/usr/local/bin/backup --quick)",
            "sudo:   deploy : TTY=pts/0 ; PWD=/srv ; USER=root ; COMMAND=/usr/bin/systemctl status",
            "systemd-logind[612]: New session {pid} of user deploy.",
            "systemd[1]: Started session-{pid}.scope - Session {pid} of User deploy.",
        )
    ).format(pid=chance.randrange(1000, 100_000))


def stamp(number: int, form: str, began: int = BEGAN) -> str:
    at = time.gmtime(began + number // A_SECOND)
    if form == "syslog":
        return time.strftime("%b %d %H:%M:%S", at)
    return time.strftime("%Y-%m-%dT%H:%M:%S", at) + f".{number % A_SECOND * 200:06d}+00:00"


def lines(
    kind: str, count: int, peers: int = 20_000, form: str = "syslog", began: int = BEGAN
) -> Iterator[str]:
    """Yield `count` lines of an attack, benign, mixed or web log."""
    chance = random.Random(SEED)
    pool, weights = addresses(peers), zipf(peers)
    number = 0
    while number < count:
        peer = chance.choices(pool, cum_weights=weights)[0]
        if kind == "web":
            said = [web(chance, peer, number)]
        else:
            said = [
                f"{stamp(number, form, began)} web01 {line}" for line in _told(kind, chance, peer)
            ]
        for line in said[: count - number]:
            number += 1
            yield line + "\n"


def _told(kind: str, chance: random.Random, peer: str) -> list[str]:
    attack = kind == "attack" or (kind == "mixed" and chance.random() < 0.25)
    if not attack and chance.random() < 0.7:
        return [other(chance)]
    pid = chance.randrange(1000, 100_000)
    return [f"sshd[{pid}]: {line}" for line in (session if attack else benign)(chance, peer)]


def web(chance: random.Random, peer: str, number: int) -> str:
    """Return a line of an access log in combined form; one in fifty is hostile."""
    at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(BEGAN + number // 5000))
    path, status = chance.choice((("/", 200), ("/style.css", 304), ("/img/logo.png", 200)))
    if chance.random() < 0.02:
        path, status = chance.choice(
            (("/.env", 404), ("/wp-login.php", 404), ("/.git/config", 404))
        )
    agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0"
    return f'{peer} - - [{at}] "GET {path} HTTP/1.1" {status} 4711 "-" "{agent}"'


def write(path: Path, kind: str, count: int, peers: int = 20_000, form: str = "syslog") -> Path:
    with path.open("w", encoding="ascii") as out:
        out.writelines(lines(kind, count, peers, form))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a realistic log to standard output.")
    parser.add_argument("kind", choices=("attack", "benign", "mixed", "web"))
    parser.add_argument("lines", type=int)
    parser.add_argument("--addresses", type=int, default=20_000)
    parser.add_argument("--form", choices=("syslog", "rfc3339"), default="syslog")
    options = parser.parse_args()
    sys.stdout.writelines(lines(options.kind, options.lines, options.addresses, options.form))


if __name__ == "__main__":
    main()
