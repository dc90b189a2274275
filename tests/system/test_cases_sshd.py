# Hostile user names through a real sshd and a real log service: the peer is banned, nobody else.
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from system.lab import SERVER_V4, Wire, eventually, laboratory
from system.servers import AUTH_LOG, guess_often, log_lines, sshd
from system.shield import shield

pytestmark = pytest.mark.root
V = "198.51.100.4"
NAMES = (  # of those that the ssh program is willing to send
    f"x from {V} port 22",
    f"x from {V} port 22 ssh2",
    f"root from {V}",
    f"été 日本 from {V} port 22 ssh2",
    f"{'a' * 900} from {V} port 22 ssh2",
)


def test_a_hostile_user_name_bans_the_peer_and_nobody_else(tmp_path: Path) -> None:
    with laboratory(tmp_path / "lab") as lab, sshd(lab, "rfc3339") as server:
        wires = [
            lab.guest(f"evil{n}", (f"203.0.113.{40 + n}",), (f"2001:db8:{n}::13",))
            for n in range(len(NAMES))
        ]

        def guess(wire: Wire, name: str) -> None:
            guess_often(wire, SERVER_V4, 5, user=name)

        with shield(server, tmp_path / "pyfilter") as guard:
            with ThreadPoolExecutor(len(NAMES)) as pool:
                list(pool.map(guess, wires, NAMES))
            assert log_lines(server, f" from {V}"), server.path(AUTH_LOG).read_text()
            for wire in wires:
                eventually(lambda: guard.blocks(wire, SERVER_V4), wire.v4[0], within=5)  # noqa: B023 # at once
            assert set(guard.bans()) == {wire.v4[0] for wire in wires}
            assert V not in guard.elements()
