# Golden: every rule over its own samples, and over those of all others.
from fnmatch import fnmatchcase

import pytest

from pyfilter.matching import library
from pyfilter.matching.header import read_header
from pyfilter.matching.reading import Reader
from pyfilter.matching.rule import Rule, Sample
from pyfilter.sources.journalctl import match_arguments

# Services whose failures are written by a process of root's.
AS_ROOT = {
    *("cockpit", "directadmin", "dovecot", "dropbear", "modsecurity", "monit", "pam", "portsentry"),
    *(
        "postfix",
        "proxmox",
        "pure-ftpd",
        "sendmail",
        "sshd",
        "sudo",
        "webmin",
        "xrdp",
        "zoneminder",
    ),
}
RULES = {name: library.load(name) for name in library.names()}
READERS = {
    name: Reader(rule, {pattern.kind for pattern in rule.patterns}) for name, rule in RULES.items()
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_gives_what_its_samples_say(name: str) -> None:
    assert library.check(RULES[name]) == []


@pytest.mark.parametrize("name", RULES)
def test_a_rule_has_samples_that_match_and_that_must_not(name: str) -> None:
    samples = RULES[name].samples
    assert any(sample.ip for sample in samples)
    assert any(not sample.ip and not sample.kind for sample in samples)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_where_its_service_logs_and_listens(name: str) -> None:
    rule = RULES[name]
    assert rule.title
    assert rule.logpath or rule.journal
    kinds = {pattern.kind for pattern in rule.patterns}
    assert set(rule.kinds) <= kinds


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.journal])
def test_a_rule_knows_its_lines_in_the_journal(name: str) -> None:
    header = READERS[name].header
    assert header
    for tag in RULES[name].tags:
        line = f"1795324880.123456 web {tag.replace('*', 'x')}[8]: "
        assert read_header(header, line.encode())


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.journal])
def test_a_rule_asks_the_journal_for_fields_that_cannot_be_forged(name: str) -> None:
    assert match_arguments(RULES[name].journal)


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.journal])
def test_a_service_that_is_not_root_is_not_looked_for_among_what_root_wrote(name: str) -> None:
    units = [match for match in RULES[name].journal if "_SYSTEMD_UNIT=" in match]
    assert name in AS_ROOT or all("_UID=*" in match for match in units)


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.porous])
def test_no_usual_log_is_one_that_visitors_write_into(name: str) -> None:
    rule = RULES[name]
    assert not [one for one in rule.logpath for glob in rule.porous if fnmatchcase(one, glob)]


@pytest.mark.parametrize("name", RULES)
def test_no_other_rule_fits_a_sample_that_does_not_declare_it(name: str) -> None:
    strangers = [
        f"{other} fits {sample.line}"
        for sample in RULES[name].samples
        for other, reader in READERS.items()
        if not _related(RULES[name], RULES[other])
        and other not in sample.also
        and reader.hit(_bytes(sample))
    ]
    assert strangers == []


@pytest.mark.parametrize("name", RULES)
def test_a_rule_that_a_sample_declares_fits_it(name: str) -> None:
    for sample in RULES[name].samples:
        for other in sample.also:
            assert READERS[other].hit(_bytes(sample)), f"{other} does not fit {sample.line}"


def test_what_fail2ban_calls_a_rule_names_one_rule_only() -> None:
    named = [alias for rule in RULES.values() for alias in rule.fail2ban]
    assert sorted(set(named)) == sorted(named)


def _related(one: Rule, other: Rule) -> bool:
    """Say whether two rules share patterns by inclusion."""
    return bool({one.name, *one.include} & {other.name, *other.include})


def _bytes(sample: Sample) -> bytes:
    return sample.line.encode("utf-8", "surrogateescape")
