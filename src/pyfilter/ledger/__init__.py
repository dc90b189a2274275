# Ledgers remember decisions, positions and counts. The union below is the only list of them.
from pyfilter.ledger.memory import Memory
from pyfilter.ledger.sqlite import Sqlite

AnyLedger = Sqlite | Memory

__all__ = ["AnyLedger", "Memory", "Sqlite"]
