# Where lines come from; this union is the only list of sources.
from typing import Literal

from pyfilter.sources.files import Files
from pyfilter.sources.journal import Journal
from pyfilter.sources.stdin import Stdin
from pyfilter.sources.usual import Usual

__all__ = ["Files", "Journal", "SourceSettings", "Stdin", "Usual", "find"]

SourceSettings = Files | Journal | Stdin | Usual


def find(
    logpath: tuple[str, ...] | None,
    *,
    usual: tuple[str, ...] = (),
    matches: tuple[str, ...] = (),
    fallback: bool = False,
    prefer: Literal["journal", "file"] = "journal",
) -> SourceSettings | None:
    """Return what to read for a rule; None when it is to read nothing.

    `logpath` is the user's word (None: find it, "-": standard input), `usual` and `matches`
    are the rule's own files and journal matches, `prefer` says which it trusts to be written. With `fallback` the journal stands in while
    none of the user's files is there.
    """
    if logpath is None:
        return Usual(usual, matches, prefer) if usual or matches else None
    if not logpath:
        return None
    if "-" in logpath:
        return Stdin()
    return Usual(logpath, matches, "file") if fallback and matches else Files(logpath)
