from pyfilter import detection
from pyfilter.addresses import Address
from pyfilter.model import Event, Limits, Offence


def failure(network: int, at: float = 1.0, host: int = 1, site: str = "2001:db8:1") -> Event:
    return Event("sshd", Address(f"{site}:{network:x}::{host:x}"), at, line=b"%d" % network)


def subjects(offences: list[Offence]) -> list[str]:
    return [offence.subject for offence in offences]


def test_two_hundred_addresses_of_one_64_are_the_64() -> None:
    detector = detection.open(Limits(maxretry=200))
    offences = detector.observe([failure(7, host=host) for host in range(1, 201)])
    assert subjects(offences) == ["2001:db8:1:7::/64"]


def test_many_64s_that_each_failed_once_are_their_48() -> None:
    detector = detection.open(Limits(maxretry=5))
    offences = detector.observe([failure(network) for network in range(1, 26)])
    assert subjects(offences) == ["2001:db8:1::/48"]
    assert [event.line for event in offences[0].evidence] == [b"%d" % n for n in range(1, 26)]


def test_a_few_64s_that_each_offended_are_their_48() -> None:
    detector = detection.open(Limits(maxretry=5))
    events = [failure(network, host=host) for network in range(1, 6) for host in range(1, 6)]
    assert subjects(detector.observe(events)) == [
        *(f"2001:db8:1:{network}::/64" for network in range(1, 6)),
        "2001:db8:1::/48",
    ]


def test_one_64_alone_never_is_a_48() -> None:
    detector = detection.open(Limits(maxretry=5))
    events = [failure(7, at) for at in range(500)]
    assert set(subjects(detector.observe(events))) == {"2001:db8:1:7::/64"}


def test_64s_of_many_sites_have_nothing_to_do_with_each_other() -> None:
    detector = detection.open(Limits(maxretry=5))
    events = [failure(1, site=f"2001:db8:{site:x}") for site in range(1, 100)]
    assert detector.observe(events) == []


def test_old_failures_of_a_site_do_not_count() -> None:
    detector = detection.open(Limits(maxretry=5, findtime=60))
    assert detector.observe([failure(n, at=n * 3.0) for n in range(1, 100)]) == []


def test_a_login_is_no_failure_of_the_site() -> None:
    detector = detection.open(Limits(maxretry=1))
    logins = [Event("sshd", failure(n).address, 1.0, weight=0) for n in range(1, 100)]
    assert detector.observe(logins) == []


def test_with_subjects_as_wide_as_a_site_nothing_wider_is_banned() -> None:
    detector = detection.open(Limits(maxretry=5, ipv6_prefix=48))
    events = [failure(n, site=f"2001:{site:x}:1") for n in range(5) for site in range(1, 40)]
    assert {each.partition("/")[2] for each in subjects(detector.observe(events))} == {"48"}
