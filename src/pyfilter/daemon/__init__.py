# daemon: opens the parts, runs them in a TaskGroup; signals, reload, sd_notify.
from pyfilter.daemon.daemon import run

__all__ = ["run"]
