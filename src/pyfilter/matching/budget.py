# Matching: searches that a hostile line could make slow: each for so long and no longer. Python's `re`
# looks for signals while it searches; a timer of the process's own computing time sends one.
import re
import signal
from types import FrameType

_LONGEST = 0.1  # seconds of computing that one line may cost: enough for what grows by its square
_MOST = 50.0  # lines in a row that may use all of it
_EARNED = 0.02  # of such a line, for each line that is looked at


class _SpentError(Exception):
    pass


class Budget:
    """Searches with expressions that may take more than linear time; what takes too long is not found.

    Whoever sends costly lines is not looked at for some lines, so that on average one costs 2 ms.
    """

    def __init__(self) -> None:
        self.left = _MOST
        self._armed = False

    def search(self, expression: re.Pattern[bytes], text: bytes) -> re.Match[bytes] | None:
        """Return the first match; None also when that would take too long, or off the main thread."""
        self.left = min(_MOST, self.left + _EARNED)
        if self.left < 1:
            return None
        try:
            before = signal.signal(signal.SIGVTALRM, self._stop)
        except ValueError:  # only the main thread gets signals
            return None
        try:
            return self._timed(expression, text)
        except _SpentError:
            self.left -= 1
            return None
        finally:
            signal.signal(signal.SIGVTALRM, before)

    def _timed(self, expression: re.Pattern[bytes], text: bytes) -> re.Match[bytes] | None:
        self._armed = True
        signal.setitimer(signal.ITIMER_VIRTUAL, _LONGEST)
        try:
            return expression.search(text)
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._armed:
            raise _SpentError
