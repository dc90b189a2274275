# settings/toml.py: pyfilter.toml into the tree.
from collections.abc import Callable
from pathlib import Path

import pytest

from pyfilter.errors import SettingsError
from pyfilter.firewalls import Nftables
from pyfilter.matching.rule import Pattern, Rule
from pyfilter.model import Limits
from pyfilter.settings import Settings, load
from pyfilter.settings.library import Library
from pyfilter.settings.surroundings import Surroundings

RULES = {
    "sshd": Rule(
        name="sshd",
        format="syslog",
        tags=("sshd",),
        patterns=(Pattern("^Failed <ip>$"), Pattern("^Probe <ip>$", kind="probe")),
        limits={"findtime": "20m", "maxretry": 7},
    ),
    "nginx": Rule(name="nginx"),
}
LIBRARY = Library(names=lambda: tuple(RULES), rule=RULES.__getitem__)
Loader = Callable[[str], Settings]


@pytest.fixture
def read(tmp_path: Path) -> Loader:
    def reader(text: str) -> Settings:
        file = tmp_path / "pyfilter.toml"
        file.write_text(text)
        return load(file, around=Surroundings(), library=LIBRARY)

    return reader


def test_naming_a_rule_turns_it_on_with_its_own_limits(read: Loader) -> None:
    settings = read("[rules.sshd]\n")
    rule = settings.rules["sshd"]
    assert rule.rule == RULES["sshd"]
    assert rule.limits == Limits(findtime=1200.0, maxretry=7)
    assert rule.logpath is None
    assert settings.ignoreip == ("127.0.0.0/8", "::1")


def test_limits_of_the_user_win_over_those_of_the_rule_file(read: Loader) -> None:
    settings = read(
        "[defaults]\nmaxretry = 3\nbantime = '1d'\n[rules.sshd]\nbantime = -1\n[rules.nginx]\n"
    )
    assert settings.rules["sshd"].limits == Limits(maxretry=3, findtime=1200.0, bantime=-1)
    assert settings.rules["nginx"].limits == Limits(maxretry=3, bantime=86400.0)


def test_a_bantime_beyond_the_usual_maximum_lifts_it(read: Loader) -> None:
    settings = read("[defaults]\nbantime = '90d'\n[rules.sshd]\n")
    assert settings.rules["sshd"].limits.bantime_max == 90 * 86400


def test_a_rule_of_ones_own_is_its_patterns(read: Loader) -> None:
    rule = read(
        "[rules.myapp]\nlogpath = '/var/log/myapp.log'\n"
        "pattern = ['^<time> failed <ip>$', {match = '^<time> evil <ip>$', ban = true}]\n"
    ).rules["myapp"]
    assert rule.logpath == ("/var/log/myapp.log",)
    assert rule.rule == Rule(
        name="myapp",
        patterns=(Pattern("^<time> failed <ip>$"), Pattern("^<time> evil <ip>$", ban=True)),
    )


def test_files_in_pyfilter_d_are_merged_in_order(read: Loader, tmp_path: Path) -> None:
    folder = tmp_path / "pyfilter.d"
    folder.mkdir()
    (folder / "20-b.toml").write_text("[defaults]\nmaxretry = 9\n[firewall]\naction='reject'\n")
    (folder / "10-a.toml").write_text("[defaults]\nmaxretry = 8\nfindtime = 60\n[rules.nginx]\n")
    settings = read("[defaults]\nmaxretry = 3\n[rules.sshd]\n")
    assert settings.defaults == Limits(maxretry=9, findtime=60.0)
    assert set(settings.rules) == {"sshd", "nginx"}
    assert settings.firewall == Nftables(action="reject")


def test_a_mistake_names_the_file_it_is_in(read: Loader, tmp_path: Path) -> None:
    extra = tmp_path / "pyfilter.d" / "10-a.toml"
    extra.parent.mkdir()
    extra.write_text("# comment\n\n[defaults]\nmaxretri = 8\n")
    with pytest.raises(SettingsError) as error:
        read("[rules.sshd]\n")
    assert str(error.value) == (
        f'{extra}:4: defaults.maxretri: unknown key; did you mean "maxretry"?'
    )


def test_a_host_in_ignoreip_is_kept_by_its_canonical_name(read: Loader) -> None:
    settings = read("[defaults]\nignoreip = ['10.1.2.3/8', '::FFFF:1.2.3.4', 'Office.Example.']\n")
    assert settings.ignoreip == ("10.0.0.0/8", "1.2.3.4", "office.example")


def test_no_rule_at_all_is_a_warning(read: Loader) -> None:
    assert "no rule is on" in read("").warnings[0]


def test_who_names_a_log_that_visitors_write_into_is_warned(tmp_path: Path) -> None:
    file = tmp_path / "pyfilter.toml"
    file.write_text(
        '[rules.nginx]\nlogpath = ["/var/log/nginx/a.log", "/var/log/nginx/error.log"]\n'
    )
    (warning,) = load(file).warnings
    assert "visitors can write whole lines into /var/log/nginx/error.log" in warning
    file.write_text("[rules.nginx]\n[rules.modsecurity]\n[rules.apache]\n")
    assert load(file).warnings == ()
