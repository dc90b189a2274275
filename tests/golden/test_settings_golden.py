# Configurations in settings/good and settings/bad: what each becomes, and what is said of each mistake.
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pyfilter.errors import PyfilterError
from pyfilter.matching.matcher import Matcher
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.model import AT_ONCE, Block
from pyfilter.notifiers import Console
from pyfilter.settings import load
from pyfilter.settings.library import Library
from pyfilter.settings.surroundings import Surroundings

HERE = Path(__file__).parent / "settings"
ROOT = Path(__file__).parents[2]
RULES = {
    name: Rule(
        name=name,
        patterns=(Pattern("^fails from <ip>$"), Pattern("^probes from <ip>$", kind="probe")),
    )
    for name in ("sshd", "mysql", "apache", "nginx", "postfix")
}
LIBRARY = Library(names=lambda: tuple(RULES), rule=RULES.__getitem__)


def configurations(folder: str) -> list[Path]:
    return sorted(
        path
        for path in (HERE / folder).iterdir()
        if path.suffix in {".toml", ".json"} and ".expected" not in path.name
    )


def assert_contains(tree: Any, expected: Any, path: str = "") -> None:
    if isinstance(expected, dict) and isinstance(tree, dict):
        for key, value in expected.items():
            if key == "_lines":
                continue
            assert key in tree, f"{path}.{key}"
            assert_contains(tree[key], value, f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(tree, list):
        assert len(tree) == len(expected), path
        for number, value in enumerate(expected):
            assert_contains(tree[number], value, f"{path}[{number}]")
    else:
        assert tree == expected, path


@pytest.mark.parametrize("path", configurations("good"), ids=lambda path: path.name)
def test_a_good_configuration_becomes_what_is_written_beside_it(path: Path) -> None:
    settings = load(path, around=Surroundings(), library=LIBRARY)
    text = path.with_name(f"{path.name}.expected.json").read_text()
    expected = json.loads(text.replace("CHECKOUT", str(path.parent)))
    assert_contains(msgspec.json.decode(msgspec.json.encode(settings)), expected)


@pytest.mark.parametrize("path", configurations("good"), ids=lambda path: path.name)
def test_a_good_configuration_finds_these_addresses(path: Path) -> None:
    settings = load(path, around=Surroundings(), library=LIBRARY)
    matcher = Matcher([(one.rule, one.rule.kinds) for one in settings.rules.values()])
    expected = json.loads(path.with_name(f"{path.name}.expected.json").read_text())
    for wanted in expected.get("_lines", ()):
        found = matcher.events(Block("log", wanted["line"].encode() + b"\n", 0.0))
        got = [(event.address, event.weight == AT_ONCE) for event in found]
        assert got == ([(wanted["ip"], wanted["ban"])] if wanted["ip"] else []), wanted["line"]


@pytest.mark.parametrize("path", configurations("bad"), ids=lambda path: path.name)
def test_a_bad_configuration_is_refused_with_exactly_this(path: Path) -> None:
    with pytest.raises(PyfilterError) as error:
        load(path, around=Surroundings(), library=LIBRARY)
    assert "\n" not in str(error.value)
    expected = path.with_name(f"{path.name}.expected").read_text().rstrip("\n")
    said = str(error.value).replace(str(path), path.name)
    if expected.endswith("…"):  # the rest are the words of the matcher, held by its own tests
        said = said[: len(expected) - 1] + "…"
    assert said == expected


def test_every_expectation_belongs_to_a_configuration() -> None:
    for folder in ("good", "bad"):
        written = {path.name for path in configurations(folder)}
        expected = {path.name.partition(".expected")[0] for path in (HERE / folder).iterdir()}
        assert expected == written


def test_the_default_configuration_asks_for_our_own_rules_in_the_order_of_the_tutorial() -> None:
    settings = load(ROOT / "Config" / "config.default.json", around=Surroundings(), library=LIBRARY)
    assert list(settings.rules) == ["mysql", "apache", "nginx", "ssh"]
    assert {name: rule.logpath for name, rule in settings.rules.items()} == {
        "mysql": (),
        "apache": (),
        "nginx": (),
        "ssh": ("/var/log/auth.log",),
    }
    assert settings.rules["ssh"].fallback
    assert settings.rules["ssh"].rule.name == "ssh"
    assert settings.rules["ssh"].rule.patterns == RULES["sshd"].patterns
    assert settings.notifiers == (Console(directory=str(ROOT / "Log")),)
    assert settings.blacklist.v4 == str(ROOT / "Config" / "blacklist.v4")
    assert settings.warnings == ()


def test_a_rule_of_the_default_file_that_reads_nothing_needs_no_rule_of_ours() -> None:
    library = Library(names=lambda: ("sshd",), rule=RULES.__getitem__)
    path = ROOT / "Config" / "config.default.json"
    settings = load(path, around=Surroundings(), library=library)
    assert [settings.rules[name].rule for name in ("mysql", "nginx")] == [
        Rule(name="mysql"),
        Rule(name="nginx"),
    ]


@pytest.mark.parametrize("language", ["toml", "json"])
def test_the_examples_of_the_documentation_are_configurations(
    tmp_path: Path, language: str
) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    example = text.split(f"```{language}\n")[1].split("```")[0]
    for name, written in (("bare", example), ("full", example.replace("\n# ", "\n"))):
        path = tmp_path / f"{name}.{language}"
        path.write_text(written if name == "bare" else _without_alternatives(written))
        assert load(path, around=Surroundings(), library=LIBRARY).rules


def _without_alternatives(text: str) -> str:
    """Leave out what the example offers instead of something else that it shows."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("sentinels", "format", "tags")))
