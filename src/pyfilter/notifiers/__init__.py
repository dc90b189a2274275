# Notifiers: who else is told of a decision. The union below is the only list of them.
from pyfilter.notifiers.console import Console
from pyfilter.notifiers.lines import Lines
from pyfilter.notifiers.speaker import Spoken

AnyNotifier = Console | Lines

__all__ = ["AnyNotifier", "Console", "Lines", "Spoken"]
