# web: keys, the mirror of the bans, and what bouncers are answered over HTTP.
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyfilter.control.answers import OutcomesAnswer
from pyfilter.control.client import Client
from pyfilter.control.requests import BanSubjects, UnbanSubjects
from pyfilter.errors import RefusedError, SettingsError
from pyfilter.web.keys import Keys
from pyfilter.web.mirror import Mirror
from pyfilter.web.server import Service
from small_office import SmallOffice, served


def test_a_key_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "bouncers.json")
    key = keys.add("edge")
    assert key not in (tmp_path / "bouncers.json").read_text()
    assert (tmp_path / "bouncers.json").stat().st_mode & 0o777 == 0o600
    assert Keys(tmp_path / "bouncers.json").name_of(key) == "edge"
    assert keys.name_of("") is None
    assert keys.name_of(key + "x") is None


def test_a_bouncer_has_one_name(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "bouncers.json")
    keys.add("edge")
    with pytest.raises(RefusedError, match="already"):
        keys.add("edge")
    with pytest.raises(RefusedError, match="printable"):
        keys.add("a\nb")
    keys.delete("edge")
    with pytest.raises(RefusedError, match="no bouncer"):
        keys.delete("edge")


def test_a_deleted_key_is_refused_by_who_serves_already(tmp_path: Path) -> None:
    serving = Keys(tmp_path / "bouncers.json")
    key = Keys(tmp_path / "bouncers.json").add("edge")
    assert serving.name_of(key) == "edge"
    Keys(tmp_path / "bouncers.json").delete("edge")
    assert serving.name_of(key) is None


def test_a_damaged_file_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "bouncers.json").write_text("[{")
    with pytest.raises(SettingsError, match="damaged"):
        Keys(tmp_path / "bouncers.json").bouncers()


class Edge:
    """A bouncer and the daemon behind the API that it asks."""

    def __init__(self, place: Path, service: Service, key: str) -> None:
        self.place, self.service, self.key = place, service, key

    def ask(self, path: str, key: str | None = None, method: str = "GET") -> tuple[int, Any]:
        link = http.client.HTTPConnection("127.0.0.1", self.service.server_port, timeout=10)
        link.request(method, path, headers={"X-Api-Key": self.key if key is None else key})
        answer = link.getresponse()
        body = answer.read()
        link.close()
        return answer.status, json.loads(body) if body else None

    def decide(self, request: BanSubjects | UnbanSubjects) -> None:
        with Client(self.place) as client:
            client.ask(request, OutcomesAnswer)

    def until(self, path: str, true: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            _, found = self.ask(path)
            if true(found):
                return found
            time.sleep(0.02)
        raise AssertionError(f"{path} stayed {found}")


@pytest.fixture
def edge(tmp_path: Path) -> Iterator[Edge]:
    office = SmallOffice()
    office.time = time.time()
    office.ban("203.0.113.13")
    office.ban("198.51.100.0/24", None)
    with served(office, tmp_path / "run") as place:
        mirror = Mirror(lambda: Client(place, role="viewer"))
        keys = Keys(tmp_path / "bouncers.json")
        service = Service(("127.0.0.1", 0), mirror, keys)
        mirror.start()
        thread = threading.Thread(target=service.serve_forever, args=(0.01,))
        thread.start()
        yield Edge(place, service, keys.add("edge"))
        service.shutdown()
        service.server_close()
        mirror.close()
        thread.join()


def values(found: list[dict[str, Any]] | None) -> set[str]:
    return {one["value"] for one in found or []}


def test_without_a_key_nothing_is_told(edge: Edge) -> None:
    assert edge.ask("/v1/decisions", key="") == (403, {"message": "access forbidden"})
    assert edge.ask("/v1/decisions/stream?startup=true", key="guess")[0] == 403


def test_all_bans_are_told_with_what_is_left_of_them(edge: Edge) -> None:
    _, found = edge.ask("/v1/decisions")
    by_value = {one["value"]: one for one in found}
    host = by_value["203.0.113.13"]
    assert (host["scope"], host["type"], host["scenario"]) == ("Ip", "ban", "pyfilter/sshd")
    assert 3500 < float(host["duration"].removesuffix("s")) <= 3600
    assert by_value["198.51.100.0/24"]["scope"] == "Range"


def test_an_address_is_answered_with_the_bans_that_cover_it(edge: Edge) -> None:
    assert values(edge.ask("/v1/decisions?ip=198.51.100.7")[1]) == {"198.51.100.0/24"}
    assert edge.ask("/v1/decisions?ip=192.0.2.1") == (200, None)
    inside = "/v1/decisions?range=203.0.0.0/16&contains=false"
    assert values(edge.ask(inside)[1]) == {"203.0.113.13"}
    assert edge.ask("/v1/decisions?ip=010.0.0.1")[0] == 400


def test_a_query_selects(edge: Edge) -> None:
    assert values(edge.ask("/v1/decisions?scope=range")[1]) == {"198.51.100.0/24"}
    assert edge.ask("/v1/decisions?type=captcha") == (200, None)
    assert edge.ask("/v1/decisions?scenarios_not_containing=sshd") == (200, None)
    assert len(edge.ask("/v1/decisions?scenarios_containing=sshd,http")[1]) == 2


def test_a_stream_starts_with_all_and_goes_on_with_news(edge: Edge) -> None:
    _, first = edge.ask("/v1/decisions/stream?startup=true")
    assert values(first["new"]) == {"203.0.113.13", "198.51.100.0/24"}
    assert first["deleted"] is None
    edge.decide(BanSubjects(["203.0.113.14"]))
    news = edge.until("/v1/decisions/stream", lambda found: bool(found["new"]))
    assert values(news["new"]) == {"203.0.113.14"}
    edge.decide(UnbanSubjects(["203.0.113.13"]))
    news = edge.until("/v1/decisions/stream", lambda found: bool(found["deleted"]))
    assert values(news["deleted"]) == {"203.0.113.13"}
    assert edge.ask("/v1/decisions/stream") == (200, {"new": None, "deleted": None})


def test_metrics_of_bouncers_are_taken_and_strange_paths_are_not(edge: Edge) -> None:
    assert edge.ask("/v1/usage-metrics", method="POST")[0] == 201
    assert edge.ask("/v1/alerts", method="POST")[0] == 404
    assert edge.ask("/v1/watchers")[0] == 404
    assert edge.ask("/v1/decisions", method="HEAD") == (200, None)


def test_without_a_daemon_the_api_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyfilter.web.server._PATIENCE", 0.1)
    keys = Keys(tmp_path / "bouncers.json")
    mirror = Mirror(lambda: Client(tmp_path / "none.sock"))
    service = Service(("127.0.0.1", 0), mirror, keys)
    mirror.start()
    thread = threading.Thread(target=service.serve_forever, args=(0.01,))
    thread.start()
    status, said = Edge(tmp_path, service, keys.add("edge")).ask("/v1/decisions")
    service.shutdown()
    service.server_close()
    mirror.close()
    thread.join()
    assert status == 503
    assert said["message"]
