# Whom the ledger may know: for all others, nearly everybody who fails, it need not be asked.
import sqlite3
from collections.abc import Iterable

MOST = 30_000  # subjects; of more than these the ledger is asked for everybody


class Known:
    """Every subject of a database, and perhaps some that have left it; all are, once too many."""

    def __init__(self, database: sqlite3.Connection | None = None, opening: int = 0) -> None:
        self.of = opening  # of the file, at which the subjects were read
        self._subjects: set[str] | None = None
        if database is not None:
            rows = database.execute("SELECT subject FROM subject LIMIT ?", (MOST + 1,))
            self._subjects = {subject for (subject,) in rows}
            self.add(())

    def add(self, subjects: Iterable[str]) -> None:
        """Count subjects among the known."""
        if self._subjects is not None:
            self._subjects.update(subjects)
            if len(self._subjects) > MOST:
                self._subjects = None

    def __contains__(self, subject: str) -> bool:
        return self._subjects is None or subject in self._subjects
