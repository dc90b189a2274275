# Notifiers: who else is told of a decision. The union below is the only list of them.
from pyfilter.notifiers.console import Console
from pyfilter.notifiers.lines import Lines

AnyNotifier = Console | Lines

__all__ = ["AnyNotifier", "Console", "Lines"]
