# Tens of thousands of bans: a restart has them all in the kernel before a line is read.
import signal
import time
from pathlib import Path

import pytest

from guarded import guarded
from pyfilter.addresses import Network
from pyfilter.ledger import Sqlite
from pyfilter.model import Ban
from system.lab import need

pytestmark = pytest.mark.root
MANY = 30_000
X = "203.0.113.9"


def test_a_restart_with_tens_of_thousands_of_bans_has_them_all_before_it_reads(
    tmp_path: Path,
) -> None:
    need("ip", "nsenter", "nft")
    with guarded(tmp_path) as server:
        now = time.time()
        server.state.mkdir()
        ledger = Sqlite(str(server.state / "pyfilter.db")).open()
        ledger.record(
            [
                Ban(Network(f"11.{n >> 16}.{n >> 8 & 255}.{n & 255}"), now, now + 9000, "many")
                for n in range(MANY)
            ]
        )
        ledger.close()
        server.fail(X)  # while nobody watched
        server.start()
        assert server.status().firewall.held >= MANY
        server.blocked(X)
        server.end(signal.SIGKILL)
        server.start()
        assert server.status().firewall.held == MANY + 1
        assert server.resident() < 256 << 20
        server.run("nft", "flush", "ruleset")
        server.blocked(X)
        assert len(server.kernel()) == MANY + 1
