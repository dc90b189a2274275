# Every firewall holds what the plainest one says it should, whatever is banned and released.
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netspace
from pyfilter.addresses import Network, network
from pyfilter.firewalls import Iptables, Nftables, Observe
from pyfilter.interfaces import Firewall
from pyfilter.model import Ban, Decision, Release

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not netspace.may_make(), reason="needs root"),
    pytest.mark.skipif(shutil.which("ipset") is None, reason="needs iptables and ipset"),
]
NOW = 1_000_000.0


@st.composite
def subjects(draw: st.DrawFn) -> Network:
    """Draw networks of few places, so that they repeat and lie inside one another."""
    low = draw(st.integers(0, 3))
    if draw(st.booleans()):
        return network(f"10.0.{low}.{low}/{draw(st.sampled_from([8, 16, 23, 24, 31, 32]))}")
    return network(f"2001:db8:0:{low}::{low}/{draw(st.sampled_from([32, 48, 63, 64, 127, 128]))}")


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    subject = draw(subjects())
    if draw(st.integers(0, 2)) == 0:
        return Release(subject, NOW, "operator")
    until = draw(st.sampled_from([None, NOW + 60, NOW + 3600, NOW + 86400, NOW - 1]))
    return Ban(subject, NOW, until, "test")


batches = st.lists(st.lists(decisions(), max_size=12), max_size=4)


def ends(firewall: Firewall) -> dict[Network, float | None]:
    return {
        subject: None if held.remaining is None else round(held.remaining, -1)
        for subject, held in firewall.blocked().items()
    }


@given(batches=batches)
@settings(max_examples=15, deadline=None)
def test_nftables_and_iptables_hold_what_is_banned(batches: list[list[Decision]]) -> None:
    with netspace.fresh():
        plainest = Observe().open()
        opened = [Nftables().open(), Iptables().open(), Iptables(ipset=False).open()]
        for firewall in opened[:2]:
            firewall.open()
            follow(plainest, firewall, batches)
            plainest.remove()
            firewall.remove()
        opened[2].open()
        for batch in batches:
            plainest.apply(batch, NOW)
            opened[2].apply(batch, NOW)
        assert set(opened[2].blocked()) == set(plainest.blocked())
        for firewall in opened:
            firewall.close()


def follow(plainest: Firewall, firewall: Firewall, batches: list[list[Decision]]) -> None:
    for batch in batches:
        plainest.apply(batch, NOW)
        firewall.apply(batch, NOW)
        assert ends(firewall) == ends(plainest)
        assert firewall.intact(len(plainest.blocked()))
