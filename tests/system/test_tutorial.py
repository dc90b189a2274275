# The published tutorial, typed step by step into a fresh Debian 12 that a real attacker can reach.
from collections.abc import Iterator

import pytest

from system.container import booted_debian
from system.lab import SERVER_V4, Lab, Wire, laboratory

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with laboratory(tmp_path_factory.mktemp("tutorial") / "lab", booted_debian) as made:
        yield made


@pytest.fixture(scope="module")
def attacker(lab: Lab) -> Wire:
    return lab.guest("attacker", ("203.0.113.13",), ("2001:db8:bad::13",))


def test_step_1_the_checkout_stands_in_usr_local(lab: Lab, attacker: Wire) -> None:
    assert attacker.reaches(SERVER_V4) == "connected"
    lab.server.run("/usr/local/PyFilter/run.sh", "--version")
