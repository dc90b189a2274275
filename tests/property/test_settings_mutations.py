# settings: whatever stands in a file, reading it ends in settings or in one line of text.
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyfilter.errors import PyfilterError
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.settings import Settings, pyfilter_json, toml
from pyfilter.settings.documents import Document
from pyfilter.settings.library import Library
from pyfilter.settings.surroundings import Surroundings
from pyfilter.settings.writing import text_of

GOOD = Path(__file__).parents[1] / "golden" / "settings" / "good"
TOML = (GOOD / "full.toml").read_text()
JSON = (GOOD / "urls-with-doubled-braces.json").read_text()
RULES = {
    name: Rule(name=name, patterns=(Pattern("^<ip>$"), Pattern("^x <ip>$", kind="probe")))
    for name in ("sshd", "mysql", "apache", "nginx")
}
LIBRARY = Library(names=lambda: tuple(RULES), rule=RULES.__getitem__)
MANY = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


def read_toml(text: str) -> Settings | None:
    return tried(lambda: toml.read([Document("p.toml", text)], Surroundings(), LIBRARY))


def read_json(text: str) -> Settings | None:
    return tried(
        lambda: pyfilter_json.read(Path("/x/Config/c.json"), text, Surroundings(), LIBRARY)
    )


def tried(read: Any) -> Settings | None:
    try:
        found: Settings = read()
    except PyfilterError as error:
        line = str(error)
        assert line.startswith(("p.toml:", "/x/Config/c.json:"))
        assert "\n" not in line
        return None
    return found


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items: Any = tree.items() if isinstance(tree, dict) else ()
    for key, value in enumerate(tree) if isinstance(tree, list) else items:
        found += places(value, (*path, key))
    return found


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(tree, dict):
        return {k: changed(v, path[1:], value) if k == path[0] else v for k, v in tree.items()}
    return [changed(v, path[1:], value) if i == path[0] else v for i, v in enumerate(tree)]


@MANY
@given(data=st.data(), value=ANYTHING)
def test_any_value_anywhere_in_a_config_json(data: st.DataObject, value: Any) -> None:
    tree = json.loads(JSON)
    where = data.draw(st.sampled_from(places(tree)))
    read_json(json.dumps(changed(tree, where, value)))


@MANY
@given(st.integers(0, len(TOML)), st.integers(0, 30), st.text(max_size=10))
def test_any_damage_to_a_pyfilter_toml(start: int, length: int, put: str) -> None:
    read_toml(TOML[:start] + put + TOML[start + length :])


@MANY
@given(st.integers(0, len(JSON)), st.integers(0, 30), st.text(max_size=10))
def test_any_damage_to_a_config_json(start: int, length: int, put: str) -> None:
    read_json(JSON[:start] + put + JSON[start + length :])


def renamed(tree: Any, path: tuple[Any, ...], name: str) -> Any:
    first, *rest = path
    return {
        (name if not rest and key == first else key): (
            renamed(value, tuple(rest), name) if rest and key == first else value
        )
        for key, value in tree.items()
    }


def keys() -> list[tuple[str, ...]]:
    found = places(tomllib.loads(TOML))
    return [path for path in found if all(isinstance(part, str) for part in path)]


@pytest.mark.parametrize("path", keys(), ids=".".join)
def test_every_key_misspelt_in_any_way_is_refused(path: tuple[str, ...]) -> None:
    name = path[-1]
    for wrong in (name[:-1], name + "s_", name[::-1], name.upper(), name[1:] + name[0]):
        tree = renamed(tomllib.loads(TOML), path, wrong)
        text = "".join(f'"{key}" = {text_of(value)}\n' for key, value in tree.items())
        assert read_toml(text) is None or path == ("rules", "myapp")
