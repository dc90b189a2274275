# daemon/duties.py: what a person is told of a configuration.
from pathlib import Path

from pyfilter.daemon.duties import notes
from pyfilter.daemon.parts import observing
from pyfilter.firewalls import Observe
from pyfilter.matching.rule import Rule
from pyfilter.settings import Settings
from pyfilter.settings.tree import RuleSettings


def test_a_rule_that_stands_in_with_the_journal_says_so(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    rule = RuleSettings(
        rule=Rule(name="ssh", journal=("_SYSTEMD_UNIT=ssh.service",)),
        logpath=(str(log),),
        fallback=True,
    )
    settings = Settings(rules={"ssh": rule}, warnings=("mind the gap",))
    assert notes(settings) == [
        "mind the gap",
        f"{log} is not there: ssh is read from the journal until it appears",
    ]
    log.touch()
    assert notes(settings) == ["mind the gap"]


def test_observing_marks_every_rule_so_that_nothing_outlives_it() -> None:
    settings = Settings(rules={"ssh": RuleSettings(rule=Rule(name="ssh"))})
    seen = observing(settings)
    assert seen.firewall == Observe()
    assert seen.rules["ssh"].observe
