# Every firewall keeps the same contract, each in a network namespace of its own.
from collections.abc import Iterator

import pytest

import netspace
from pyfilter.addresses import Network, network
from pyfilter.errors import FirewallError
from pyfilter.firewalls import AnyFirewall, Iptables, Nftables, Observe
from pyfilter.interfaces import Firewall
from pyfilter.model import Ban, Decision, Release

NOW = 1_000_000.0
HOST, OTHER, SIX = network("192.0.2.1"), network("192.0.2.2"), network("2001:db8::1")
WIDE, NARROW, SIXES = network("198.51.0.0/16"), network("198.51.100.0/24"), network("2001:db8::/64")
BACKENDS: dict[str, AnyFirewall] = {
    "nftables": Nftables(),
    "nftables-reject": Nftables(action="reject"),
    "iptables": Iptables(),
    "iptables-plain": Iptables(ipset=False),
    "observe": Observe(),
}


def ban(subject: Network, seconds: float | None = 600.0) -> Ban:
    return Ban(subject, NOW, None if seconds is None else NOW + seconds, "test")


def release(subject: Network) -> Release:
    return Release(subject, NOW, "operator")


@pytest.fixture(params=BACKENDS)
def settings(request: pytest.FixtureRequest) -> Iterator[AnyFirewall]:
    if request.param != "observe" and not netspace.may_make():
        pytest.skip("needs root")
    if request.param == "observe":
        yield BACKENDS[request.param]
        return
    with netspace.fresh():
        yield BACKENDS[request.param]


@pytest.fixture
def firewall(settings: AnyFirewall) -> Iterator[Firewall]:
    opened = settings.open()
    opened.open()
    yield opened
    opened.close()


def left(settings: AnyFirewall, seconds: float) -> object:
    """Return what `remaining` is to be: a rule of iptables alone has no end in the kernel."""
    if isinstance(settings, Iptables) and not settings.ipset:
        return None
    return pytest.approx(seconds, abs=5)


def held(firewall: Firewall) -> set[Network]:
    return set(firewall.blocked())


def test_nothing_is_blocked_at_first(firewall: Firewall) -> None:
    assert firewall.blocked() == {}
    assert firewall.intact(0)


@pytest.mark.parametrize("subject", [HOST, SIX, WIDE, NARROW, SIXES, network("2001:db8::/48")])
def test_a_ban_is_read_back_with_its_end(
    firewall: Firewall, settings: AnyFirewall, subject: Network
) -> None:
    firewall.apply([ban(subject)], NOW)
    blocked = firewall.blocked()
    assert list(blocked) == [subject]
    assert blocked[subject].subject == subject
    assert blocked[subject].packets == 0
    assert blocked[subject].remaining == left(settings, 600)


def test_a_release_lets_through_again(firewall: Firewall) -> None:
    firewall.apply([ban(HOST), ban(OTHER), ban(SIXES)], NOW)
    firewall.apply([release(HOST), release(SIXES)], NOW)
    assert held(firewall) == {OTHER}


def test_releasing_what_is_absent_is_success(firewall: Firewall) -> None:
    firewall.apply([ban(OTHER)], NOW)
    firewall.apply([release(HOST), release(NARROW), release(SIX), ban(SIXES)], NOW)
    assert held(firewall) == {OTHER, SIXES}


def test_a_ban_for_ever_has_no_end(firewall: Firewall) -> None:
    firewall.apply([ban(HOST, None), ban(SIXES, None)], NOW)
    assert [blocked.remaining for blocked in firewall.blocked().values()] == [None, None]


def test_a_ban_of_a_century_is_taken(firewall: Firewall) -> None:
    firewall.apply([ban(HOST, 200 * 365 * 86400.0)], NOW)
    remaining = firewall.blocked()[HOST].remaining
    assert remaining is None or remaining > 2_000_000


@pytest.mark.parametrize(("first", "then"), [(60.0, 6000.0), (6000.0, 60.0), (None, 60.0)])
def test_banning_the_banned_sets_its_new_end(
    firewall: Firewall, settings: AnyFirewall, first: float | None, then: float
) -> None:
    firewall.apply([ban(HOST, first), ban(NARROW, first)], NOW)
    firewall.apply([ban(HOST, then), ban(NARROW, then), ban(OTHER)], NOW)
    blocked = firewall.blocked()
    assert blocked[HOST].remaining == left(settings, then)
    assert blocked[NARROW].remaining == left(settings, then)
    assert OTHER in blocked


def test_a_ban_can_become_one_for_ever(firewall: Firewall) -> None:
    firewall.apply([ban(HOST)], NOW)
    firewall.apply([ban(HOST, None)], NOW)
    assert firewall.blocked()[HOST].remaining is None


def test_a_ban_that_has_ended_is_a_release(firewall: Firewall) -> None:
    firewall.apply([ban(HOST)], NOW)
    firewall.apply([ban(HOST), ban(OTHER)], NOW + 600)
    assert held(firewall) == set()


def test_the_last_word_on_a_subject_counts(firewall: Firewall, settings: AnyFirewall) -> None:
    decisions: list[Decision] = [ban(HOST), release(HOST), ban(OTHER), ban(OTHER, 60.0)]
    firewall.apply(decisions, NOW)
    assert held(firewall) == {OTHER}
    assert firewall.blocked()[OTHER].remaining == left(settings, 60)


def test_an_empty_batch_is_success(firewall: Firewall) -> None:
    firewall.apply([], NOW)
    assert firewall.blocked() == {}


@pytest.mark.parametrize(
    ("first", "second", "host"),
    [
        (WIDE, NARROW, "198.51.100.7"),
        (NARROW, WIDE, "198.51.100.7"),
        ("10.0.0.0/8", "10.0.0.0/16", "10.0.0.0"),
        ("2001:db8::/32", "2001:db8::/48", "2001:db8::"),
        ("2001:db8::/48", "2001:db8::/32", "2001:db8::"),
    ],
)
def test_networks_inside_one_another_are_banned_and_released_in_either_order(
    firewall: Firewall, first: str, second: str, host: str
) -> None:
    one, two, three = network(first), network(second), network(host)
    firewall.apply([ban(two)], NOW)
    firewall.apply([ban(one), ban(three)], NOW)
    assert held(firewall) == {one, two, three}
    firewall.apply([release(one)], NOW)
    assert held(firewall) == {two, three}
    firewall.apply([release(two)], NOW)
    assert held(firewall) == {three}


def test_bans_outlive_close_and_a_second_open_keeps_them(settings: AnyFirewall) -> None:
    if isinstance(settings, Observe):
        pytest.skip("observe holds nothing that could outlive it")
    first = settings.open()
    first.open()
    first.apply([ban(HOST), ban(SIXES, None), ban(network("10.0.0.0/9"))], NOW)
    first.close()
    second = settings.open()
    second.open()
    assert held(second) == {HOST, SIXES, network("10.0.0.0/9")}
    second.open()
    second.apply([release(network("10.0.0.0/9"))], NOW)
    assert held(second) == {HOST, SIXES}
    assert second.intact(2)
    second.close()


def test_remove_takes_everything_away_and_can_be_said_twice(firewall: Firewall) -> None:
    firewall.apply([ban(HOST), ban(NARROW)], NOW)
    firewall.remove()
    firewall.remove()
    assert firewall.blocked() == {}
    firewall.open()
    firewall.apply([ban(OTHER)], NOW)
    assert held(firewall) == {OTHER}


@pytest.mark.parametrize("hostile", ["1.2.3.4; flush ruleset", "host.example", "1.2.3.4\n", ""])
def test_what_is_no_canonical_text_never_reaches_a_tool(firewall: Firewall, hostile: str) -> None:
    if firewall.name == "observe":
        pytest.skip("observe gives nothing to a tool")
    with pytest.raises(FirewallError, match="no canonical network") as caught:
        firewall.apply([ban(OTHER), ban(Network(hostile))], NOW)
    assert not caught.value.recoverable
    assert firewall.blocked() == {}
    with pytest.raises(FirewallError, match="no canonical network"):
        firewall.protect([Network(hostile)])


def test_thousands_are_banned_and_released_in_one_batch(firewall: Firewall) -> None:
    subjects = [network(f"10.1.{n >> 8}.{n & 255}") for n in range(5000)]
    subjects += [network(f"2001:db8:{n:x}::/64") for n in range(1, 1000)]
    firewall.apply([ban(subject) for subject in subjects], NOW)
    assert held(firewall) == set(subjects)
    assert firewall.intact(len(subjects))
    firewall.apply([release(subject) for subject in subjects[1:]], NOW)
    assert held(firewall) == {subjects[0]}


def test_protecting_again_replaces_what_was_protected(firewall: Firewall) -> None:
    firewall.protect([HOST, network("10.0.0.0/8"), network("10.1.0.0/16"), SIXES, SIX])
    firewall.protect([OTHER])
    firewall.protect([])
    assert firewall.intact(0)
    assert firewall.blocked() == {}


def test_our_own_doings_do_not_ring_the_bell(firewall: Firewall) -> None:
    bell = firewall.bell()
    firewall.apply([ban(HOST), ban(NARROW)], NOW)
    firewall.apply([ban(HOST)], NOW)
    firewall.apply([release(HOST), release(network("10.0.0.0/13"))], NOW)
    firewall.protect([OTHER])
    assert not firewall.rung()
    assert firewall.bell() == bell
