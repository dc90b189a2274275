# countries.py: every usual layout is read, and nothing that is wrong with a file is an error.
import os
import random
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from pyfilter.addresses import network
from pyfilter.countries import Countries

V = network("203.0.113.13")
BUNDLED = Path(__file__).parents[2] / "src/pyfilter/data/country.mmdb"


def encoded(value: Any) -> bytes:
    """Encode as the MaxMind DB format 2.0 says: a control byte with type and size, then data."""
    match value:
        case str():
            data = value.encode()
            return control(2, len(data)) + data
        case int():
            return control(6, 4) + value.to_bytes(4, "big")
        case dict():
            pairs = b"".join(encoded(key) + encoded(one) for key, one in value.items())
            return control(7, len(value)) + pairs
        case _:
            raise TypeError(value)


def control(kind: int, size: int) -> bytes:
    return bytes([kind << 5 | size]) if size < 29 else bytes([kind << 5 | 29, size - 29])


def database(path: Path, record: dict[str, Any], where: str = "203.0.113.0/24") -> Countries:
    """Write a database of one IPv4 network and open it."""
    net = ip_network(where)
    count = net.prefixlen
    bits = f"{int(net.network_address):032b}"[:count]
    tree = b""
    for index, bit in enumerate(bits):
        onward = count + 16 if index == count - 1 else index + 1  # 16: the separator
        pair = (onward, count) if bit == "0" else (count, onward)
        tree += b"".join(one.to_bytes(3, "big") for one in pair)
    metadata: dict[str, Any] = {
        "node_count": count,
        "record_size": 24,
        "ip_version": 4,
        "database_type": "test",
    }
    metadata |= {"binary_format_major_version": 2, "binary_format_minor_version": 0}
    metadata |= {"build_epoch": 1, "description": {}, "languages": {}}
    path.write_bytes(
        tree + bytes(16) + encoded(record) + b"\xab\xcd\xefMaxMind.com" + encoded(metadata)
    )
    return Countries(str(path))


GEOLITE = {"country": {"iso_code": "GB", "names": {"de": "Vereinigtes", "en": "United Kingdom"}}}


@pytest.mark.parametrize(
    "record",
    [
        GEOLITE,
        {"country": {"iso_code": "GB"}},
        {"country_code": "GB"},
        {"country": "GB"},
        {"country": "United Kingdom", "country_code": "GB"},
    ],
)
def test_every_usual_layout_is_read(tmp_path: Path, record: dict[str, Any]) -> None:
    countries = database(tmp_path / "own.mmdb", record)
    assert countries.code(V) == "GB"
    assert countries.sentence(V) == "The IP was from United Kingdom."
    assert countries.sentence(network("192.0.2.1")) == "The IP was from unknown!."
    assert countries.sentence(network("2001:db8::1")) == "The IP was from unknown!."
    assert countries.trouble == ""
    countries.close()


@pytest.mark.parametrize(
    "record", [{}, {"country": {"iso_code": "gb\n", "names": {"en": 7}}}, {"country_code": 7}]
)
def test_a_record_without_a_country_is_unknown(tmp_path: Path, record: dict[str, Any]) -> None:
    countries = database(tmp_path / "own.mmdb", record)
    assert countries.code(V) is None
    assert countries.sentence(V) == "The IP was from unknown!."
    countries.close()


def test_a_name_from_a_file_is_made_safe(tmp_path: Path) -> None:
    record = {"country": {"iso_code": "GB", "names": {"en": "A\x1b[2J\nB"}}}
    countries = database(tmp_path / "own.mmdb", record)
    assert countries.sentence(V) == "The IP was from A\\x1b[2J\\nB."
    countries.close()


def test_the_bundled_database_knows_the_world() -> None:
    countries = Countries()
    assert countries.sentence(network("212.58.244.20")) == "The IP was from United Kingdom."
    assert countries.code(network("2001:4860:4860::/64")) == "US"
    assert countries.sentence(network("192.168.1.1")) == "The IP was from unknown!."
    assert countries.code(V) is None  # a range for documentation is nobody's
    assert countries.trouble == ""
    countries.close()


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "empty", "text", "cut"])
def test_a_wrong_file_means_unknown_and_says_why_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "wrong.mmdb"
    match kind:
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "empty":
            path.touch()
        case "text":
            path.write_text("no database\n" * 1000)
        case "cut":
            path.write_bytes(BUNDLED.read_bytes()[:100_000])
    countries = Countries(str(path))
    assert countries.sentence(network("8.8.8.8")) == "The IP was from unknown!."
    assert countries.trouble.startswith(f"countries are unknown: {path}: ")
    assert countries.code(network("8.8.4.4")) is None


def test_a_damaged_file_is_never_an_error(tmp_path: Path) -> None:
    whole = tmp_path / "own.mmdb"
    database(whole, GEOLITE).close()
    data = whole.read_bytes()
    dice = random.Random(1)  # noqa: S311 # repeatable, not secret
    for turn in range(2000):
        damaged = bytearray(data)
        for _ in range(dice.randrange(1, 6)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        if turn % 4 == 0:
            del damaged[dice.randrange(len(damaged)) :]
        whole.write_bytes(damaged)
        countries = Countries(str(whole))
        assert countries.sentence(V).startswith("The IP was from ")
        countries.close()
