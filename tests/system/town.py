# Several servers around one Redis: a hub with a bridge, servers with firewalls of their own, an attacker.
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import redis

from system.lab import Host, end, eventually, need, run
from system.shield import Shield

HUB, NETWORK = "10.98.0.1", "10.98.0.0/24"
KEY = "6b" * 32
_RUNS = count(1)
_GUESTS = count(10)


class Town:
    """Network namespaces that hang on one bridge."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._run = stack, f"pffleet{os.getpid()}x{next(_RUNS)}"
        self._numbers = count(11)
        self.hub = self._namespace("hub")
        name = self.hub.name
        # Without an address of its own a bridge takes that of a port, a new one with each new port.
        own = ["address", "02:70:66:00:00:01"]
        run("ip", "-n", name, "link", "add", "bridge", *own, "type", "bridge")
        run("ip", "-n", name, "addr", "add", f"{HUB}/24", "dev", "bridge")
        run("ip", "-n", name, "link", "set", "bridge", "up")
        self.attacker = self.host("attacker")
        run("ip", "-n", self.attacker.name, "link", "set", "lo", "up")

    def _namespace(self, role: str) -> Host:
        name = f"{self._run}-{role}"
        run("ip", "netns", "add", name)
        self._stack.callback(run, "ip", "netns", "delete", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return Host(name)

    def host(self, role: str) -> Host:
        """Return a new host on the bridge; 203.0.113.0/24 is behind the same wire."""
        host, number = self._namespace(role), next(self._numbers)
        port = f"to-{role}"[:15]
        peer = ["type", "veth", "peer", "name", "uplink", "netns", host.name]
        run("ip", "link", "add", "name", port, "netns", self.hub.name, *peer)
        run("ip", "-n", self.hub.name, "link", "set", port, "master", "bridge", "up")
        run("ip", "-n", host.name, "addr", "add", f"10.98.0.{number}/24", "dev", "uplink")
        run("ip", "-n", host.name, "link", "set", "uplink", "up")
        run("ip", "-n", host.name, "route", "add", "203.0.113.0/24", "dev", "uplink")
        return host

    def newcomer(self) -> str:
        """Return an address of the attacker's that nobody has seen yet."""
        address = f"203.0.113.{next(_GUESTS)}"
        run("ip", "-n", self.attacker.name, "addr", "add", f"{address}/32", "dev", "lo")
        return address

    def silent(self, server: "Server", source: str) -> bool:
        """Say whether packets of an address are dropped by a server."""
        return self.attacker.reaches(server.address, source, seconds=0.5) == "silence"


@contextmanager
def town() -> Iterator[Town]:
    need("ip", "nsenter", "nft", "redis-server")
    with ExitStack() as stack:
        yield Town(stack)


class Redis:
    """A real redis-server in the hub; its socket file is seen from everywhere."""

    def __init__(self, hub: Host, folder: Path, *options: str, port: int = 6379) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.socket, self.port = folder / "redis.sock", port
        common = ["--protected-mode", "no", "--save", "", "--appendonly", "no", "--loglevel"]
        common += ["warning", "--dir", str(folder), "--unixsocket", str(self.socket)]
        self._argv = hub.inside("redis-server", *options[:1] if _is_file(options) else [])
        rest = options[1:] if _is_file(options) else options
        self._argv += ["--port", str(port), *common, *rest]
        self._log = folder / "redis.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._argv, stdout=log, stderr=log)
        eventually(self._answers, f"Redis answers; its log: {self._log}")

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.AuthenticationError:
            return True
        except (redis.RedisError, OSError):
            return False

    def client(self, **options: Any) -> "redis.Redis":
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=5, **options)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)


def _is_file(options: tuple[str, ...]) -> bool:
    return bool(options) and not options[0].startswith("--")


@contextmanager
def redis_server(hub: Host, folder: Path, *options: str, port: int = 6379) -> Iterator[Redis]:
    made = Redis(hub, folder, *options, port=port)
    try:
        made.start()
        yield made
    finally:
        made.stop()


class Server(Shield):
    """A daemon that is a member of the fleet and reads one log."""

    def __init__(self, host: Host, folder: Path, name: str, fleet: str, rest: str = "") -> None:
        log = folder / "auth.log"
        key = folder.parent / "fleet.key"
        rule = f'logpath = "{log}"\n[fleet]\nname = "{name}"\nkey_file = "{key}"\n{fleet}\n{rest}'
        super().__init__(host, folder, rule=rule)
        key.write_text(KEY)
        log.touch()
        self.name, self.auth = name, log
        listed = json.loads(host.run("ip", "-j", "-4", "addr", "show", "dev", "uplink"))
        self.address = str(listed[0]["addr_info"][0]["local"])

    def fail(self, address: str, times: int = 5, user: str = "root") -> None:
        """Let sshd's log tell of failures."""
        with self.auth.open("a") as log:
            for number in range(times):
                stamp = time.strftime("%b %e %H:%M:%S")
                place = f"{stamp} {self.name} sshd[{1000 + number}]"
                said = f"Failed password for {user} from {address} port {2000 + number} ssh2"
                log.write(f"{place}: {said}\n")

    def holds(self, address: str) -> bool:
        return address in self.elements()

    def fleet(self) -> dict[str, Any]:
        """Return what `pyfilter status` says of the fleet."""
        shown = self.command("status", "-o", "json")
        assert shown.returncode == 0, shown.stderr
        found: dict[str, Any] = json.loads(shown.stdout)["fleet"]
        return found

    def joined(self) -> bool:
        return bool(self.fleet()["health"] == "ok")


@contextmanager
def servers(
    town: Town, folder: Path, fleet: str, *names: str, rest: str = ""
) -> Iterator[list[Server]]:
    """Keep running members of a fleet, all joined."""
    with ExitStack() as stack:
        made = []
        for name in names:
            one = Server(town.host(name), folder / name, name, fleet, rest)
            stack.callback(_end, one)
            made.append(one)
        for one in made:
            one.start()
        for one in made:
            eventually(one.joined, f"{one.name} joins", within=20)
        yield made


def _end(server: Server) -> None:
    if server.daemon is not None and server.daemon.poll() is None:
        end(server.daemon)
