# settings/writing.py: what is written is read back as the same settings.
import tomllib
from pathlib import Path

import pytest
from msgspec import structs

from pyfilter.matching.rule import Pattern, Rule
from pyfilter.settings import Settings, load
from pyfilter.settings.library import Library
from pyfilter.settings.surroundings import Surroundings
from pyfilter.settings.tree import RuleSettings
from pyfilter.settings.writing import to_toml

GOOD = Path(__file__).parents[1] / "golden" / "settings" / "good"
RULES = {
    name: Rule(name=name, patterns=(Pattern("^fails from <ip>$"),), logpath=(f"/var/log/{name}",))
    for name in ("sshd", "mysql", "apache", "nginx", "postfix")
}
LIBRARY = Library(names=lambda: tuple(RULES), rule=RULES.__getitem__)


def comparable(settings: Settings) -> Settings:
    """Leave out what a TOML does not say: whence it came, what it fell back to."""
    rules = {name.replace("sshd", "ssh"): _plain(rule) for name, rule in settings.rules.items()}
    return structs.replace(
        settings,
        path="",
        state_dir="",
        runtime_dir="",
        rules=rules,
        warnings=(),
    )


def _plain(settings: RuleSettings) -> RuleSettings:
    rule = structs.replace(settings.rule, name="")
    return structs.replace(settings, fallback=False, rule=rule)


@pytest.mark.parametrize(
    "path",
    [path for path in GOOD.glob("*.json") if ".expected" not in path.name],
    ids=lambda path: path.name,
)
def test_a_config_json_becomes_a_toml_of_the_same_meaning(path: Path, tmp_path: Path) -> None:
    original = load(path, around=Surroundings(), library=LIBRARY)
    file = tmp_path / "pyfilter.toml"
    file.write_text(to_toml(original))
    again = load(file, around=Surroundings(), library=LIBRARY)
    if path.name == "urls-for-our-own-rule.json":  # two rules say there what one said here
        assert set(again.rules) == {"nginx", "nginx-urls"}
        patterns = [p for rule in again.rules.values() for p in rule.rule.patterns]
        assert tuple(patterns) == original.rules["nginx"].rule.patterns
        return
    assert comparable(again) == comparable(original)


def test_odd_texts_are_quoted(tmp_path: Path) -> None:
    rule = Rule(
        name='a "b"\\c',
        patterns=(Pattern("it's \\d \x7f\t<ip>é", groups=("ip",), weight=0.5, ban=True),),
        time_format="%b",
    )
    settings = Settings(rules={"odd": RuleSettings(rule=rule, logpath=("/var/log/o'dd",))})
    text = to_toml(settings)
    table = tomllib.loads(text)["rules"]["odd"]
    assert table["pattern"] == [
        {"match": "it's \\d \x7f\t<ip>é", "weight": 0.5, "ban": True, "groups": ["ip"]}
    ]
    assert table["logpath"] == ["/var/log/o'dd"]
