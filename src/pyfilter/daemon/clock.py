# The daemon's clock: seconds since the epoch that no setting of the wall clock moves.
import time


class SteadyClock:
    """Runs with the monotonic clock from the wall time at which it was made."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        return self._offset + time.monotonic()

    def stepped(self) -> float:
        """Return by how many seconds the wall clock was set since the start."""
        return time.time() - self()
