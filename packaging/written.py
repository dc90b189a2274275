# For packaging/prepare: what the service writes in the checkout, "file PATH" or "folder PATH" a line.
import sys
from pathlib import Path

from pyfilter.errors import PyfilterError
from pyfilter.notifiers import Console
from pyfilter.settings import Settings, load


def written(settings: Settings) -> set[tuple[str, str]]:
    """Return the files and folders that the configuration has the service write."""
    files = {f"{settings.ledger}{end}" for end in ("", "-wal", "-shm")}
    files |= {settings.blacklist.v4, settings.blacklist.v6}
    folders = {each.directory for each in settings.notifiers if isinstance(each, Console)}
    return {("file", path) for path in files} | {("folder", path) for path in folders}


def main(checkout: Path) -> int:
    """Print those that lie in the checkout; a wrong configuration has none."""
    try:
        paths = written(load())
    except PyfilterError:
        return 0  # the daemon itself will say what is wrong
    for kind, path in sorted(paths):
        if checkout in Path(path).parents:
            sys.stdout.write(f"{kind} {path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
