# firewalls/observe.py: what would be blocked, without blocking it.
import pytest

from pyfilter.addresses import network
from pyfilter.firewalls import Observe
from pyfilter.model import Ban, Release

SUBJECT = network("192.0.2.1")


def test_what_would_be_blocked_is_listed_until_it_is_released() -> None:
    firewall = Observe().open()
    firewall.apply([Ban(SUBJECT, 100.0, 160.0, "test")], 100.0)
    assert firewall.blocked()[SUBJECT].remaining == pytest.approx(60, abs=5)
    firewall.apply([Release(SUBJECT, 110.0, "operator")], 110.0)
    assert not firewall.blocked()


def test_what_has_ended_is_not_blocked() -> None:
    firewall = Observe().open()
    firewall.apply([Ban(SUBJECT, 100.0, 160.0, "test")], 160.0)
    assert not firewall.blocked()


def test_a_ban_for_ever_has_no_end() -> None:
    firewall = Observe().open()
    firewall.apply([Ban(SUBJECT, 100.0, None, "test")], 100.0)
    assert firewall.blocked()[SUBJECT].remaining is None
