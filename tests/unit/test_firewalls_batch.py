# firewalls/batch.py and firewalls/ruleset.py: what is to be said to the kernel, without saying it.
import pytest

from pyfilter.addresses import Network, network
from pyfilter.errors import FirewallError
from pyfilter.firewalls import ruleset
from pyfilter.firewalls.batch import check, fold, merged
from pyfilter.model import Ban, Release

A, B = network("192.0.2.1"), network("192.0.2.2")


def test_the_last_word_on_a_subject_counts() -> None:
    batch = fold(
        [Ban(A, 0, 50, ""), Release(A, 1, ""), Release(B, 1, ""), Ban(B, 0, None, "")], 10.0
    )
    assert batch.bans == {B: None}
    assert batch.releases == (A,)


def test_a_ban_that_has_ended_is_a_release() -> None:
    assert fold([Ban(A, 0, 10, "")], 10.0).releases == (A,)
    assert fold([Ban(A, 0, 10, "")], 9.5).bans == {A: 0.5}


@pytest.mark.parametrize(
    "hostile",
    ["", "1.2.3.4 }", "1.2.3.4;", "example.org", "1.2.3.4\n", "$x", "1.2.3.4/24/8", "\uff11.2.3.4"],
)
def test_what_is_no_canonical_text_is_refused(hostile: str) -> None:
    with pytest.raises(FirewallError, match="no canonical network"):
        check(Network(hostile))


def test_networks_inside_others_are_merged_into_them() -> None:
    networks = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0", "192.0.2.1", "::1", "fd00::/8", "fd00::1"]
    assert merged(map(network, networks)) == {
        4: ["10.0.0.0/8", "192.0.2.0/31"],
        6: ["::1/128", "fd00::/8"],
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0.0001, " timeout 0d0s1ms"),
        (1.5, " timeout 0d1s500ms"),
        (86400.0, " timeout 1d0s0ms"),
        (1e300, " timeout 36500d0s0ms"),
    ],
)
def test_a_timeout_is_written_in_units_of_few_digits(seconds: float | None, text: str) -> None:
    assert ruleset.timeout(seconds) == text


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("192.0.2.1", "banned4"),
        ("192.0.2.0/24", "banned4_24"),
        ("0.0.0.0/0", "banned4_0"),
        ("2001:db8::1", "banned6"),
        ("2001:db8::/64", "banned6_64"),
    ],
)
def test_each_prefix_length_has_its_set(subject: str, name: str) -> None:
    where = ruleset.prefix(network(subject))
    assert ruleset.set_name(where) == name
    assert ruleset.set_prefix(name) == where


@pytest.mark.parametrize("name", ["allowed4", "banned5", "banned4_", "banned4_24x", "xbanned4"])
def test_other_sets_are_not_taken_for_ours(name: str) -> None:
    assert ruleset.set_prefix(name) is None


def test_a_network_is_matched_by_its_masked_address() -> None:
    text = ruleset.frame({(4, 22), (6, 64), (6, 128)}, "drop", 10, [])
    assert "ip saddr & 255.255.252.0 @banned4_22 drop" in text
    assert "ip6 saddr & ffff:ffff:ffff:ffff:: @banned6_64 drop" in text
    assert "ip6 saddr @banned6 drop" in text


def test_the_protected_are_accepted_before_anything_is_dropped() -> None:
    lines = ruleset.frame(ruleset.USUAL, "reject", 10, [A]).splitlines()
    rules = [line for line in lines if line.startswith("add rule inet pyfilter prerouting")]
    assert [line.endswith("accept") for line in rules] == [True, True, False, False, False, False]


def test_elements_of_one_set_share_a_command() -> None:
    ends = {A: 1.0, network("10.0.0.0/8"): None, B: None}
    assert ruleset.elements(ends) == [
        "add element inet pyfilter banned4 { 192.0.2.1 timeout 0d1s0ms, 192.0.2.2 }",
        'add element inet pyfilter banned4_8 { 10.0.0.0 comment "10.0.0.0/8" }',
    ]
