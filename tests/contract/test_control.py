# The control socket as clients see it: a real server on a real socket over a small office.
import asyncio
import contextlib
import os
import pwd
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

from pyfilter.control.answers import (
    AllowedAnswer,
    BansAnswer,
    Happening,
    OutcomesAnswer,
    ReloadAnswer,
    StatusAnswer,
    Welcome,
    WhyAnswer,
)
from pyfilter.control.client import Client
from pyfilter.control.operations import Operations
from pyfilter.control.place import Place
from pyfilter.control.requests import (
    AllowAdd,
    AllowList,
    AllowRemove,
    AskStatus,
    AskWhy,
    BanSubjects,
    Follow,
    Hello,
    ListBans,
    Reload,
    Request,
    UnbanSubjects,
)
from pyfilter.control.server import Server
from pyfilter.errors import (
    AddressError,
    NotRunningError,
    PrivilegeError,
    RefusedError,
    SettingsError,
)
from pyfilter.firewalls import Observe
from small_office import NOW, SmallOffice

T = TypeVar("T")


@pytest.fixture
def office() -> SmallOffice:
    return SmallOffice()


@pytest.fixture
async def place(office: SmallOffice, tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path / "run")
    server = Server(Operations(office), place, patience=0.5)
    await server.open()
    yield place
    await server.close()
    place.close()


async def ask(place: Place, request: Request, kind: type[T]) -> T:
    def asked() -> T:
        with Client(place.socket_path) as client:
            return client.ask(request, kind)

    return await asyncio.to_thread(asked)


async def test_the_socket_is_ours_alone(place: Place) -> None:
    assert stat.S_IMODE(place.socket_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700


async def test_a_client_is_told_who_it_is(place: Place) -> None:
    def welcome() -> Welcome:
        with Client(place.socket_path) as client:
            return client.welcome

    found = await asyncio.to_thread(welcome)
    assert (found.role, found.version) == ("admin", 1)


async def test_status_tells_of_every_part(place: Place, office: SmallOffice) -> None:
    office.ban("203.0.113.13")
    found = await ask(place, AskStatus(), StatusAnswer)
    assert (found.name, found.since, found.bans) == ("web01", NOW - 3600, 1)
    assert [(s.source, s.state, s.lines, s.rules) for s in found.sources] == [
        ("/var/log/auth.log", "ok", 1234, ["sshd"])
    ]
    assert [(r.name, r.failures, r.failures_day, r.bans_day, r.banned) for r in found.rules] == [
        ("sshd", 5, 12, 2, 1)
    ]
    assert (found.firewall.expected, found.firewall.held) == (1, 1)
    assert found.memory > 1_000_000


async def test_status_of_an_unknown_rule_names_the_known(place: Place) -> None:
    with pytest.raises(RefusedError, match="on are: sshd"):
        await ask(place, AskStatus("sshdd"), StatusAnswer)


async def test_bans_come_newest_first_and_by_the_page(place: Place, office: SmallOffice) -> None:
    for number in range(7):
        office.time = NOW + number
        office.ban(f"203.0.113.{number}")
    found: list[str] = []
    cursor = ""
    for _ in range(3):
        page = await ask(place, ListBans(limit=3, cursor=cursor), BansAnswer)
        found += [row.subject for row in page.bans]
        cursor = page.next
    assert found == [f"203.0.113.{number}" for number in range(6, -1, -1)]
    assert not cursor


async def test_a_ban_row_says_what_the_kernel_holds(place: Place, office: SmallOffice) -> None:
    office.ban("203.0.113.13")
    [row] = (await ask(place, ListBans(), BansAnswer)).bans
    assert (row.in_kernel, row.packets, row.country, row.rule) == (True, 0, "GB", "sshd")
    office.enforcer.firewall.remove()
    [row] = (await ask(place, ListBans(), BansAnswer)).bans
    assert not row.in_kernel


async def test_bans_are_chosen_by_rule_and_origin(place: Place, office: SmallOffice) -> None:
    office.ban("203.0.113.13")
    office.ban("203.0.113.14", origin="db01")
    page = await ask(place, ListBans(origin="db01"), BansAnswer)
    assert [row.subject for row in page.bans] == ["203.0.113.14"]
    assert not (await ask(place, ListBans(rule="nginx"), BansAnswer)).bans


async def test_history_says_what_was_lifted(place: Place, office: SmallOffice) -> None:
    office.ban("203.0.113.13")
    office.time = NOW + 60
    office.lift("203.0.113.13")
    page = await ask(place, ListBans(history=True), BansAnswer)
    assert [(row.subject, row.ended, row.cause) for row in page.bans] == [
        ("203.0.113.13", NOW + 60, "operator")
    ]


async def test_history_says_what_was_banned_anew(place: Place, office: SmallOffice) -> None:
    office.ban("203.0.113.13", 60)
    office.time = NOW + 30
    office.ban("203.0.113.13")
    page = await ask(place, ListBans(history=True), BansAnswer)
    assert [(row.ended, row.cause, row.in_kernel) for row in page.bans] == [
        (None, "", True),
        (NOW + 30, "banned anew", False),
    ]


async def test_a_ban_by_hand_bears_its_person(place: Place, office: SmallOffice) -> None:
    request = BanSubjects(["::ffff:198.51.100.7", "198.51.100.128/25"], 60, "rude")
    found = await ask(place, request, OutcomesAnswer)
    assert [(row.subject, row.done, row.until) for row in found.outcomes] == [
        ("198.51.100.7", True, NOW + 60),
        ("198.51.100.128/25", True, NOW + 60),
    ]
    ban = office.enforcer.bans()[0]
    assert (ban.origin, ban.reason, ban.strike) == ("operator", "rude", 1)
    assert ban.by == pwd.getpwuid(os.geteuid()).pw_name


async def test_a_ban_without_a_time_lasts_the_default(place: Place, office: SmallOffice) -> None:
    await ask(place, BanSubjects(["198.51.100.7"]), OutcomesAnswer)
    await ask(place, BanSubjects(["198.51.100.8"], -1), OutcomesAnswer)
    assert [ban.until for ban in office.enforcer.bans()] == [NOW + 3600, None]


async def test_what_is_protected_or_too_wide_is_refused(place: Place, office: SmallOffice) -> None:
    request = BanSubjects(["127.0.0.1", "10.0.0.0/7", "0.0.0.0/0", "198.51.100.9"])
    found = await ask(place, request, OutcomesAnswer)
    assert {row.subject: row.message for row in found.outcomes} == {
        "127.0.0.1": "protected: an address that no peer can have",
        "10.0.0.0/7": "networks wider than /8 need --force",
        "0.0.0.0/0": "that is the whole Internet: name a smaller network",
        "198.51.100.9": "",
    }
    assert [ban.subject for ban in office.enforcer.bans()] == ["198.51.100.9"]


async def test_what_is_no_address_changes_nothing(place: Place, office: SmallOffice) -> None:
    with pytest.raises(AddressError, match="is no IP address"):
        await ask(place, BanSubjects(["198.51.100.9", "010.0.0.1"]), OutcomesAnswer)
    assert not office.enforcer.bans()


async def test_unban_lifts_and_says_what_still_covers(place: Place, office: SmallOffice) -> None:
    office.ban("198.51.100.7")
    office.ban("198.51.100.0/24")
    found = await ask(place, UnbanSubjects(["198.51.100.7"]), OutcomesAnswer)
    [row] = found.outcomes
    assert (row.subject, row.done, row.covered_by) == ("198.51.100.7", True, ["198.51.100.0/24"])
    found = await ask(place, UnbanSubjects(["198.51.100.7"]), OutcomesAnswer)
    [row] = found.outcomes
    assert (row.done, row.message) == (False, "not banned itself")


async def test_unban_of_a_network_lifts_what_is_in_it(place: Place, office: SmallOffice) -> None:
    for subject in ("198.51.100.7", "198.51.100.0/25", "198.51.101.1", "2001:db8::1"):
        office.ban(subject)
    found = await ask(place, UnbanSubjects(["198.51.100.0/24"]), OutcomesAnswer)
    assert {row.subject for row in found.outcomes} == {"198.51.100.7", "198.51.100.0/25"}
    assert {ban.subject for ban in office.enforcer.bans()} == {"198.51.101.1", "2001:db8::1"}


async def test_unban_of_an_ipv6_host_lifts_the_network_it_counts_as(
    place: Place, office: SmallOffice
) -> None:
    office.ban("2001:db8:1:2::/64")
    found = await ask(place, UnbanSubjects(["2001:db8:1:2::7"]), OutcomesAnswer)
    assert [(row.subject, row.done) for row in found.outcomes] == [("2001:db8:1:2::/64", True)]


async def test_unban_all_lifts_everything(place: Place, office: SmallOffice) -> None:
    for number in range(1200):
        office.ban(f"10.1.{number // 250}.{number % 250}")
    found = await ask(place, UnbanSubjects(everything=True), OutcomesAnswer)
    assert len(found.outcomes) == 1200
    assert not office.enforcer.bans()


async def test_grace_keeps_from_being_banned_again(place: Place, office: SmallOffice) -> None:
    office.ban("198.51.100.7")
    await ask(place, UnbanSubjects(["198.51.100.7"], grace=600), OutcomesAnswer)
    [allowance] = office.protection.allowances.values()
    assert (allowance.entry, allowance.until) == ("198.51.100.7", NOW + 600)


async def test_grace_goes_with_all_too(place: Place, office: SmallOffice) -> None:
    office.ban("198.51.100.7")
    office.ban("2001:db8:1:2::/64")
    await ask(place, UnbanSubjects(everything=True, grace=-1), OutcomesAnswer)
    assert {(one.entry, one.until) for one in office.protection.allowances.values()} == {
        ("198.51.100.7", None),
        ("2001:db8:1:2::/64", None),
    }


async def test_why_shows_the_evidence_made_visible(place: Place, office: SmallOffice) -> None:
    office.fail("203.0.113.13", user="\x1b[31mroot\u202e")
    office.ban("203.0.113.13")
    found = await ask(place, AskWhy("203.0.113.13"), WhyAnswer)
    assert (found.country, found.protected, found.strikes) == ("GB", None, 1)
    assert [row.reason for row in found.bans] == ["5 failures in 10m"]
    assert len(found.evidence) == 5
    assert found.recent[0].line.startswith("Failed password for \\x1b[31mroot\\u202e from")
    assert [(row.score, row.limit) for row in found.scores] == [(1.0, 5)]


async def test_the_allowlist_is_kept_at_run_time(place: Place, office: SmallOffice) -> None:
    office.ban("198.51.100.7")
    found = await ask(place, AllowAdd("198.51.100.0/24", 60, "office"), OutcomesAnswer)
    assert [row.subject for row in found.outcomes] == ["198.51.100.0/24", "198.51.100.7"]
    assert not office.enforcer.bans()
    await ask(place, AllowAdd("Office.Example.net"), OutcomesAnswer)
    listed = await ask(place, AllowList(), AllowedAnswer)
    assert [(row.entry, row.until, row.configured) for row in listed.entries] == [
        ("127.0.0.0/8", None, True),
        ("198.51.100.0/24", NOW + 60, False),
        ("office.example.net", None, False),
    ]
    found = await ask(place, AllowRemove("198.51.100.0/24"), OutcomesAnswer)
    assert found.outcomes[0].done
    found = await ask(place, AllowRemove("127.0.0.0/8"), OutcomesAnswer)
    assert "ignoreip" in found.outcomes[0].message


@pytest.mark.parametrize("entry", ["999.1.1.1", "a b", "-", "", "1.2.3.4/33"])
async def test_what_is_neither_address_nor_name_is_not_allowed(place: Place, entry: str) -> None:
    with pytest.raises(AddressError):
        await ask(place, AllowAdd(entry), OutcomesAnswer)


async def test_reload_returns_warnings_or_the_reason(place: Place, office: SmallOffice) -> None:
    found = await ask(place, Reload(), ReloadAnswer)
    assert found.warnings == ["rule sshd: nothing to read yet"]
    office.broken = "pyfilter.toml:3: unknown key"
    with pytest.raises(SettingsError, match="toml:3: unknown key"):
        await ask(place, Reload(), ReloadAnswer)


async def test_a_viewer_may_look_and_not_touch(place: Place) -> None:
    def touch() -> None:
        with Client(place.socket_path, role="viewer") as client:
            client.ask(ListBans(), BansAnswer)
            with pytest.raises(PrivilegeError, match="operator needed"):
                client.ask(BanSubjects(["198.51.100.7"]), OutcomesAnswer)
            client.ask(ListBans(), BansAnswer)

    await asyncio.to_thread(touch)


async def test_another_version_is_refused_in_words(place: Place) -> None:
    with pytest.raises(RefusedError, match="restart PyFilter"):
        await ask(place, Hello(version=99), Welcome)


async def test_followers_see_what_happened_and_what_happens(
    place: Place, office: SmallOffice
) -> None:
    office.fail("203.0.113.13", 2)
    loop = asyncio.get_running_loop()
    seen: asyncio.Queue[Happening] = asyncio.Queue()

    def follow() -> None:
        with Client(place.socket_path) as client:
            stream = client.follow(Follow(after=1))
            for happening in stream:
                loop.call_soon_threadsafe(seen.put_nowait, happening)
                if happening.what == "release":
                    return

    following = asyncio.create_task(asyncio.to_thread(follow))
    first = await asyncio.wait_for(seen.get(), 5)
    assert (first.number, first.what, first.subject) == (2, "event", "203.0.113.13")
    office.ban("203.0.113.13")
    office.lift("203.0.113.13")
    await asyncio.wait_for(following, 5)
    kinds = [seen.get_nowait().what for _ in range(seen.qsize())]
    assert kinds == ["event"] * 5 + ["ban", "release"]


async def test_a_second_daemon_is_refused(place: Place) -> None:
    with pytest.raises(RefusedError, match=f"runs already .process {os.getpid()}"):
        Place(place.folder)


def test_what_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(0o700)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(folder / "control.sock"))
    (folder / "pyfilter.lock").write_text("4194304\n")
    place = Place(folder)
    place.bound().close()
    place.close()
    assert not place.socket_path.exists()


def test_without_a_daemon_the_client_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="is not running"):
        Client(tmp_path / "control.sock")


def test_a_folder_that_others_write_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    (shared / "other").touch()
    with pytest.raises(SettingsError, match="folder of its own"):
        Place(shared)


def test_a_folder_of_ours_is_closed_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(0o755)
    Place(folder).close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_path_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="too long"):
        Place(tmp_path / ("x" * 100))


async def test_who_only_observes_says_that_nothing_is_in_the_kernel(
    place: Place, office: SmallOffice
) -> None:
    office.settings = msgspec.structs.replace(office.settings, firewall=Observe())
    office.ban("203.0.113.13")
    [row] = (await ask(place, ListBans(), BansAnswer)).bans
    assert (row.in_kernel, row.observe) == (False, True)
    assert (await ask(place, AskStatus(), StatusAnswer)).observe


@pytest.mark.parametrize(
    "request_",
    [
        ListBans(limit=0),
        ListBans(limit=10**9),
        ListBans(cursor="next"),
        ListBans(history=True, cursor="9" * 30),
        ListBans(history=True, cursor="-1"),
        BanSubjects(["192.0.2.1"], seconds=1e300),
        UnbanSubjects(["192.0.2.1"], grace=-2),
        AskStatus("x" * 10_000),
    ],
)
async def test_what_makes_no_sense_is_refused(place: Place, request_: Request) -> None:
    with pytest.raises(RefusedError):
        await ask(place, request_, OutcomesAnswer)
    await ask(place, AskStatus(), StatusAnswer)


async def test_a_follower_far_ahead_gets_what_comes(place: Place, office: SmallOffice) -> None:
    office.fail("203.0.113.13")

    def follow() -> Happening:
        with Client(place.socket_path) as client:
            return next(client.follow(Follow(after=-1, events=False)))

    following = asyncio.create_task(asyncio.to_thread(follow))
    while not following.done():
        office.ban("203.0.113.13")
        office.lift("203.0.113.13")
        await asyncio.sleep(0.01)
    assert (await following).what in {"ban", "release"}
