# settings/lines.py and json_text.py: where a key stands in the text.
import pytest

from pyfilter.errors import SettingsError
from pyfilter.settings import json_text, lines

TOML = '''# a comment
top = 1

[defaults]
ignoreip = [
  "10.0.0.1", # [not.a.table]
]
text = """
maxretry = 3
"""
maxretry = 4
[rules."my.app"]
pattern = '^x$'
inline = {a = 1, b = {c = 2}}
dotted.key = 3
[[patterns]]
match = "a"
[[patterns]]
match = "b"
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("defaults",), 4),
        (("defaults", "ignoreip"), 5),
        (("defaults", "maxretry"), 11),
        (("rules", "my.app"), 12),
        (("rules", "my.app", "pattern"), 13),
        (("rules", "my.app", "inline", "b", "c"), 14),
        (("rules", "my.app", "dotted", "key"), 15),
        (("rules", "my.app", "absent"), 12),
        (("patterns", "match"), 17),
        (("absent",), 1),
    ],
)
def test_a_key_in_toml_is_found_on_its_line(path: tuple[str, ...], line: int) -> None:
    assert lines.line_of(TOML, path) == line


JSON = """{
  "settings": {
    "a": "rules",
    "listed": [1, {"a": 2}, "b:{["],
    "rules": {"ssh":
      {"x\\"y": null}
    }
  },
  "a": {
    "rules": true}
}"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("settings", "a"), 3),
        (("settings", "rules", "ssh"), 5),
        (("settings", "rules", "ssh", 'x"y'), 6),
        (("settings", "absent"), 2),
        (("a",), 9),
        (("a", "rules"), 10),
        (("absent",), 1),
    ],
)
def test_a_key_in_json_is_found_on_its_line(path: tuple[str, ...], line: int) -> None:
    json_text.parse("c.json", JSON)
    assert json_text.line_of(JSON, path) == line


def test_json_without_end_or_floor_is_refused() -> None:
    with pytest.raises(SettingsError, match="nested too deeply"):
        json_text.parse("c.json", "[" * 100_000)
