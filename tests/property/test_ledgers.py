# The ledger in SQLite against the one of plain dicts, over random histories with restarts between.
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pyfilter.addresses import Network
from pyfilter.ledger import Memory, Sqlite
from pyfilter.model import Ban, Decision, Release

SUBJECTS = [Network(text) for text in ("192.0.2.1", "192.0.2.2", "2001:db8::/64")]
times = st.integers(0, 60).map(float)
bans = st.builds(
    Ban,
    subject=st.sampled_from(SUBJECTS),
    since=times,
    until=st.none() | st.integers(10, 90).map(float),
    reason=st.text(max_size=5),
    rule=st.sampled_from(["", "sshd", "nginx"]),
    strike=st.integers(1, 4),
    observe=st.booleans(),
)
releases = st.builds(
    Release,
    subject=st.sampled_from(SUBJECTS),
    at=times,
    cause=st.sampled_from(["operator", "expired", "fleet"]),
)
steps = st.lists(
    st.lists(bans | releases, max_size=5) | st.just("restart") | times, min_size=1, max_size=20
)


@settings(deadline=None)
@given(steps)
def test_sqlite_remembers_what_dicts_remember(
    history: list[list[Decision] | str | float],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pyfilter.db"
        plain, ledger = Memory().open(), Sqlite(str(path)).open()
        for step in history:
            if isinstance(step, list):
                plain.record(step)
                ledger.record(step)
            elif isinstance(step, float):
                plain.purge(step)
                ledger.purge(step)
            else:
                ledger.close()
                ledger = Sqlite(str(path)).open()
        for at in (0.0, 15.0, 45.0, 100.0):
            assert in_force(ledger.active(at)) == in_force(plain.active(at))
        assert [ledger.history(each) for each in SUBJECTS] == [
            plain.history(each) for each in SUBJECTS
        ]
        assert [each for _, each in ledger.past()] == [each for _, each in plain.past()]
        ledger.close()


def in_force(bans: list[Ban]) -> dict[Network, Ban]:
    return {ban.subject: ban for ban in bans}
