# The quick ways through a block give exactly what a line-by-line, `re`-only reader gives.
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import takewhile
from operator import ne

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyfilter.matching import columns, library
from pyfilter.matching.bulk import Spare
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.pcre2 import Pcre2
from pyfilter.matching.reading import Reader
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.matching.skeleton import entire
from pyfilter.model import Block, Event

NOW = 1795348800.0
SSHD, PAM, SUDO = (library.load(name) for name in ("sshd", "pam", "sudo"))
WEB = Rule(
    name="web",
    patterns=(
        Pattern('^<ip> - <user> \\[<time>\\] "POST /login<url> HTTP/[0-9.]+" 40[13] <*>$'),
        Pattern('^<ip> - <user> \\[<time>\\] "<method> <url> HTTP/[0-9.]+" 404 <*>$', weight=0.1),
        Pattern("^<time> \\[error\\] client <ip>: <*>$", kind="probe"),
    ),
    ignore=("^192\\.0\\.2\\.9 <*>$",),
)
# Rules of other formats on sshd's file: one reads some of its lines, others share its words.
MIXED = (
    PAM,
    SSHD,
    WEB,
    Rule(
        name="watch",
        patterns=(
            Pattern("^<time> <word> sshd\\[<pid>\\]: Failed <word> for <*>evil<*> from <ip> <*>$"),
            Pattern("^.{0,60}Connection closed by <*> x [^ ]+ <ip> port <*>$", weight=0.5),
        ),
    ),
    *(library.load(name) for name in ("gitlab", "haproxy", "mongodb", "murmur", "nextcloud")),
)

addresses = st.sampled_from(
    [
        "192.0.2.1", "192.0.2.9", "203.0.113.250", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.7",
        "2001:DB8::0:1", "1.2.3.4.", "1.2.3.400", "010.1.1.1", "host.example", "UNKNOWN", "fe80::1%eth0",
    ]
)  # fmt: skip
banned = st.sampled_from(["192.0.2.1", "192.0.2.7", "10.0.0.1", "203.0.113.250", "fe80::1"])
forged = st.sampled_from(
    [
        "root", "admin", "", " ", "evil", "evil x", "Login failed: x", '{"message": "Login failed: x"}',
        "invalid user x", "x from 192.0.2.66 port 22 ssh2",
        "x from 192.0.2.66 port 22", "from", "a b c", "\u00e9t\u00e9", "\udcff", "x\ty", "]: ", "sshd[1]: ",
        "x from 192.0.2.66 port 22 ssh2: RSA SHA256:abc", "user x 192.0.2.66 port 9", "#012Nov 22",
        "x [preauth]", "[ID 1 auth.info] x", "message repeated 2 times: [ x]", "\r", "\x00", "\x85\xa0",
    ]
)  # fmt: skip
users = st.one_of(forged, st.text(max_size=6).map(lambda text: text.replace("\n", " ")))
ports = st.integers(0, 99999).map(str)
headers = st.sampled_from(
    [
        "Nov 22 05:21:2{} web sshd[{}]: ", "Nov 22 05:21:20 web sshd-session[{}{}]: ", "sshd[{}{}]: ",
        "2026-11-22T05:21:20.{}{}+01:00 web sshd[77]: ", "<38>Nov 22 05:21:2{} web sshd[{}]: ",
        "1763875280.{}{} web sshd[78]: ", "Nov 22 05:21:2{} web CRON[{}]: ", "Feb 30 05:21:2{} web sshd[{}]: ",
        "Nov 22 05:21:2{} web sshd[{}]: [ID 800047 auth.info] ", "Nov 22 05:21:2{} web sudo: sshd[{}]: ",
        "2026-11-22T05:21:20{}Z web sshd[{}]: ", "<38>1 2026-11-22T05:21:2{}Z web sshd {} - - ", "{}{}", "",
        "2026-11-22T05:21:20.{}Z Nov 22 05:21:20 web sshd[{}]: ", "web-{} | sshd[{}]: ",
        "2026-11-22T05:21:2{}Z stdout F Nov 22 05:21:20 web sshd[{}]: ", "Nov 22 05:21:2{} [sshd] {}",
        "2026 Nov 22 05:21:2{} web sshd[{}]: ", "[ 123{}.456789] web sshd[{}]: ",
        "2026-11-22T05:21:20.{}{}+01 web ssh.service[77]: ", "[2026-11-22 05:21:2{}] sshd[{}]: ",
    ]
)  # fmt: skip
messages = st.sampled_from(
    [
        "Failed password for {u} from {a} port {p} ssh2",
        "Failed password for invalid user {u} from {a} port {p} ssh2",
        "Failed publickey for {u} from {a} port {p} ssh2: RSA SHA256:abcdef",
        "Invalid user {u} from {a} port {p}", "Invalid user {u} from {a}",
        "Connection closed by authenticating user {u} {a} port {p} [preauth]",
        "Connection closed by invalid user {u} {a} port {p} [preauth]",
        "error: maximum authentication attempts exceeded for {u} from {a} port {p} ssh2 [preauth]",
        "Disconnecting invalid user {u} {a} port {p}: Too many authentication failures [preauth]",
        "message repeated 3 times: [ Failed password for {u} from {a} port {p} ssh2]",
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={a}  user={u}",
        "Received disconnect from {a} port {p}:11: {u} [preauth]",
        "Received disconnect from {a} port {p}:11: disconnected by user",
        "drop connection #{p} from [{a}]:{p} on [10.0.0.1]:22 penalty: failed authentication",
        "Timeout before authentication for connection from {a} to 10.0.0.1, pid = {p}",
        "Accepted password for {u} from {a} port {p} ssh2", "session opened for user {u}", "{u}",
    ]
)  # fmt: skip
usual = [
    header + " web sshd[77]: " + message
    for header in ("Nov 22 05:21:2{}", "2026-11-22T05:21:2{}.123456+01:00")
    for message in (
        "Failed password for {u} from {a} port {p} ssh2",
        "Failed password for invalid user {u} from {a} port {p} ssh2",
        "Invalid user {u} from {a} port {p}",
        "Connection closed by invalid user {u} {a} port {p} [preauth]",
        "Connection closed by authenticating user {u} {a} port {p} [preauth]",
        "Disconnected from authenticating user {u} {a} port {p} [preauth]",
        "Connection closed by {a} port {p} [preauth]",
        "Accepted password for {u} from {a} port {p} ssh2",
        "Timeout before authentication for connection from {a} to 10.0.0.1, pid = {p}",
        "Received disconnect from {a} port {p}:11: Bye Bye [preauth]",
    )
]
web = st.sampled_from(
    [
        '{a} - {u} [22/Nov/2026:05:21:20 +0100] "POST /login?x={p} HTTP/1.1" 401 12 "-" "{u}"',
        '{a} - {u} [22/Nov/2026:05:21:20 +0100] "GET /{u} HTTP/1.1" 404 12 "-" "curl"',
        '{a} - - [22/Nov/2026:05:21:21 +0000] "GET /{p} HTTP/1.1" 200 12 "-" "{u}"',
        "2026/11/22 05:21:20 [error] client {a}: {u}", "{u}", "",
    ]
)  # fmt: skip


def made_of(*parts: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Lists of lines of a few kinds each, so that ways to read them in bulk are learnt."""
    kinds = st.lists(st.tuples(*parts).map("".join), min_size=1, max_size=4)
    values = st.tuples(st.integers(0, 3), users, addresses, ports)
    return st.builds(filled, kinds, st.lists(values, min_size=1, max_size=30))


def filled(kinds: list[str], values: list[tuple[int, str, str, str]]) -> list[str]:
    lines = [kinds[n % len(kinds)].format(n, p, u=u, a=a, p=p) for n, u, a, p in values]
    return [line.replace("\n", " ") for line in lines]


ssh_lines, web_lines = made_of(headers, messages), made_of(web)
ENGINES: dict[str, columns.Engine] = {"re": columns.by_re}
with suppress(OSError):  # a machine without PCRE2
    ENGINES |= {f"jit={jit}": columns.by_pcre2(Pcre2(jit=jit)) for jit in (True, False)}
engines = st.sampled_from(sorted(ENGINES))
RULES = {"sshd": (SSHD,), "web": (WEB,), "auth": (SUDO, PAM, SSHD), "mixed": MIXED}
MATCHERS = {
    (name, engine): Matcher([(rule, ()) for rule in rules], engine=ENGINES[engine])
    for name, rules in RULES.items()
    for engine in ENGINES
}
PLAIN = {name: Matcher([(rule, ()) for rule in rules]) for name, rules in RULES.items()}


def same(name: str, lines: list[str], live: bool, engine: str) -> None:
    quick, slow = MATCHERS[name, engine], PLAIN[name]
    slow.unattributable = 0
    quick._bulk.ways.chosen.clear()
    quick._bulk._made.clear()
    if quick._bulk.ways.strangers:
        quick._bulk.ways.strangers._kinds.clear()
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    block = Block("test", data, NOW, live)
    expected = slow.plain(block)
    for _ in range(4):  # each time other ways are known
        quick._bulk.ways._enough = max(2, len(lines) // 2)
        quick.unattributable = 0
        assert quick.events(block) == expected
        assert quick.unattributable == slow.unattributable
        quick._dense = not quick._dense


@settings(max_examples=150, deadline=None)
@given(
    lines=ssh_lines,
    live=st.booleans(),
    engine=engines,
    name=st.sampled_from(["sshd", "auth", "mixed"]),
)
def test_sshd_blocks_mean_what_their_lines_mean(
    lines: list[str], live: bool, engine: str, name: str
) -> None:
    same(name, lines * 3, live, engine)


@settings(max_examples=150, deadline=None)
@given(lines=web_lines, live=st.booleans(), engine=engines, name=st.sampled_from(["web", "mixed"]))
def test_web_blocks_mean_what_their_lines_mean(
    lines: list[str], live: bool, engine: str, name: str
) -> None:
    same(name, lines * 3, live, engine)


def knowing(engine: str, name: str) -> Matcher:
    """Return a matcher that has learnt ways and heads from lines as they usually are."""
    matcher = Matcher([(rule, ()) for rule in RULES[name]], engine=ENGINES[engine])
    matcher._dense = True
    for turn in range(40):
        matcher._bulk.ways._enough = 9
        kind = usual[turn % len(usual)]
        if name == "sshd" and "Accepted" in kind:
            continue  # ways of one rule's failures alone
        lines = filled([kind], [(number, "root", "192.0.2.1", "22") for number in range(9)])
        data = "".join(f"{line}\n" for line in lines)
        matcher.events(Block("test", data.encode(), NOW))
        matcher._dense = True
    assert len(matcher._bulk.ways.chosen) > 5
    return matcher


KNOWING = {(engine, name): knowing(engine, name) for engine in ENGINES for name in ("sshd", "auth")}
values = st.tuples(st.integers(0, 3), users, addresses, ports)
like_usual = st.lists(st.tuples(st.sampled_from(usual), values), min_size=1, max_size=9)


@settings(max_examples=300, deadline=None)
@given(lines=like_usual, live=st.booleans(), engine=engines, name=st.sampled_from(["sshd", "auth"]))
def test_hostile_lines_among_usual_ones_mean_what_they_mean(
    lines: list[tuple[str, tuple[int, str, str, str]]], live: bool, engine: str, name: str
) -> None:
    quick, slow = KNOWING[engine, name], PLAIN[name]
    text = [line for kind, values in lines for line in filled([kind], [values])]
    data = "".join(f"{line}\n" for line in text).encode("utf-8", "surrogateescape")
    quick._dense, quick._bulk.ways._enough = True, 1 << 30
    quick.unattributable = slow.unattributable = 0
    block = Block("test", data, NOW, live)
    assert quick.events(block) == slow.plain(block)
    assert quick.unattributable == slow.unattributable


@settings(max_examples=100, deadline=None)
@given(lines=ssh_lines, engine=engines)
def test_a_known_peer_is_found_or_nobody(lines: list[str], engine: str) -> None:
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    found = {event.address for event in MATCHERS["sshd", engine].events(Block("test", data, NOW))}
    assert "192.0.2.66" not in found


@pytest.mark.parametrize("name", library.names())
@pytest.mark.parametrize("live", [True, False])
def test_blocks_of_a_rules_samples_mean_what_its_lines_mean(name: str, live: bool) -> None:
    rule = library.load(name)
    matcher = Matcher([(rule, ())])
    lines = [sample.line.replace("\n", " ") for sample in rule.samples]
    data = "".join(f"{line}\n" for line in lines * 9).encode("utf-8", "surrogateescape")
    block = Block("test", data, NOW, live)
    expected = matcher.plain(block)
    for _ in range(4):
        assert matcher.events(block) == expected
        matcher._dense = not matcher._dense


def spared(quick: Matcher, lines: list[str], barred: set[str]) -> None:
    """Hold what is left of the events, and the count of the spared, against all events."""
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    block = Block("test", data, NOW)
    spare = Spare(barred, Counter(), lambda host: host.startswith("2001:db8:"))
    found, kept = quick.events(block, spare), iter(PLAIN["sshd"].plain(block))
    missing: list[Event] = []
    for event in found:  # in order, and nothing that is not there
        missing += takewhile(partial(ne, event), kept)
    missing += kept
    assert spare.counts.total() == len(missing)
    assert all(event.weight for event in missing)
    assert {event.address for event in missing} <= barred | {"2001:db8::1"}


@settings(max_examples=100, deadline=None)
@given(lines=ssh_lines, engine=engines, barred=st.sets(banned, max_size=4))
def test_what_is_spared_in_a_flood_is_counted_and_nothing_else(
    lines: list[str], engine: str, barred: set[str]
) -> None:
    quick = MATCHERS["sshd", engine]
    for _ in range(3):
        quick._bulk.ways._enough = max(2, len(lines) // 2)
        spared(quick, lines * 3, barred)
        quick._dense = not quick._dense


@settings(max_examples=200, deadline=None)
@given(lines=like_usual, engine=engines, barred=st.sets(banned, max_size=4), thin=st.booleans())
def test_hostile_lines_among_usual_ones_are_spared_as_they_mean(
    lines: list[tuple[str, tuple[int, str, str, str]]], engine: str, barred: set[str], thin: bool
) -> None:
    quick = KNOWING[engine, "sshd"]
    quick._dense, quick._bulk.ways._enough = True, 1 << 30
    quick._bulk._thin = thin
    spared(quick, [line for kind, values in lines for line in filled([kind], [values])], barred)


def read_by(engine: str, source: str, texts: list[bytes]) -> list[list[str]]:
    reading = ENGINES[engine]([columns.Branch("", [("a", source)])])
    found = reading.columns(b"\n".join([*texts, b""]), len(texts))
    rows = zip(found.ways, found.peers, found.rest, strict=True)
    return [[who, *found.details(rest)] if way else [] for way, who, rest in rows]


@pytest.mark.skipif(len(ENGINES) == 1, reason="no PCRE2 here")
@pytest.mark.parametrize("name", library.names())
def test_each_pattern_means_the_same_to_both_engines(name: str) -> None:
    reader = Reader(library.load(name))
    lines = [sample.line.replace("\n", " ") for sample in reader.rule.samples]
    messages = [reader.message(line.encode("utf-8", "surrogateescape")) for line in lines]
    texts = [message.text for message in messages if message]
    for pattern in reader.patterns:
        if pattern.body is not None and not pattern.pattern.groups:
            source = entire(0, pattern.pattern, pattern.body).source
            if "address" in columns.captures(source):
                assert read_by("re", source, texts) == read_by("jit=True", source, texts)
