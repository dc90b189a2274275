# settings/surroundings.py and load(): what is used where nothing is written.
import os
from pathlib import Path

import pytest

from pyfilter import settings
from pyfilter.errors import SettingsError
from pyfilter.matching.rule import Rule
from pyfilter.settings import surroundings
from pyfilter.settings.library import Library
from pyfilter.settings.surroundings import Surroundings, present

LIBRARY = Library(names=lambda: ("sshd",), rule=lambda name: Rule(name=name))


def test_root_uses_the_folders_of_the_system() -> None:
    if os.geteuid() != 0:
        pytest.skip("not root")
    assert (present({}).state, present({}).runtime) == ("/var/lib/pyfilter", "/run/pyfilter")


def test_another_user_gets_folders_of_his_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(surroundings, "STATE", tmp_path / "absent")
    monkeypatch.setattr(surroundings, "RUNTIME", tmp_path / "absent")
    at_home = present({"HOME": "/home/u"})
    assert at_home.state == at_home.runtime == "/home/u/.local/state/pyfilter"
    named = present({"HOME": "/home/u", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/run/user/1"})
    assert (named.state, named.runtime) == ("/s/pyfilter", "/run/user/1/pyfilter")


def test_without_any_file_sshd_is_guarded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PYFILTER_CONFIG", raising=False)
    monkeypatch.setattr(settings, "SYSTEM_FILE", tmp_path / "absent.toml")
    assert list(settings.load(around=Surroundings(), library=LIBRARY).rules) == ["sshd"]


def test_the_environment_names_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text("[defaults]\nmaxretry = 2\n[rules.sshd]\n")
    monkeypatch.setenv("PYFILTER_CONFIG", str(file))
    read = settings.load(around=Surroundings(), library=LIBRARY)
    assert (read.path, read.defaults.maxretry) == (str(file), 2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"\xff\xfe", "is no UTF-8 text at byte 0"),
    ],
)
def test_what_cannot_be_read_says_so(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "pyfilter.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError) as error:
        settings.load(file, around=Surroundings(), library=LIBRARY)
    assert str(error.value) == f"{file}: {reason}"
