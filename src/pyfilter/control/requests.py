# What may be asked on the control socket; `needs` is the least role that may.
from typing import ClassVar, Literal

from msgspec import Struct

VERSION = 1
LARGEST_PAGE = 5000  # rows of one page of bans

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "operator", "admin")


class Hello(Struct, frozen=True, tag="hello", tag_field="do", forbid_unknown_fields=True):
    """The first line of every client; it may ask for less than its uid would give it."""

    needs: ClassVar[Role] = "viewer"
    version: int = VERSION
    role: Role = "admin"


class AskStatus(Struct, frozen=True, tag="status", tag_field="do", forbid_unknown_fields=True):
    needs: ClassVar[Role] = "viewer"
    rule: str = ""  # empty: all


class ListBans(Struct, frozen=True, tag="bans", tag_field="do", forbid_unknown_fields=True):
    """A page of bans, newest first."""

    needs: ClassVar[Role] = "viewer"
    history: bool = False  # what was decided, in force or not
    rule: str = ""
    origin: str = ""
    cursor: str = ""  # `next` of the page before
    limit: int = 1000


class BanSubjects(Struct, frozen=True, tag="ban", tag_field="do", forbid_unknown_fields=True):
    needs: ClassVar[Role] = "operator"
    subjects: list[str]
    seconds: float | None = None  # None: the default bantime; -1: for ever
    reason: str = ""
    force: bool = False


class UnbanSubjects(Struct, frozen=True, tag="unban", tag_field="do", forbid_unknown_fields=True):
    needs: ClassVar[Role] = "operator"
    subjects: list[str] = []
    everything: bool = False
    grace: float = 0.0  # seconds in which the subjects are not banned again; -1: for ever
    local: bool = False  # here only; else on every server of the fleet


class AskWhy(Struct, frozen=True, tag="why", tag_field="do", forbid_unknown_fields=True):
    needs: ClassVar[Role] = "viewer"
    subject: str


class AllowAdd(Struct, frozen=True, tag="allow", tag_field="do", forbid_unknown_fields=True):
    needs: ClassVar[Role] = "operator"
    entry: str  # address, network or host name
    seconds: float = -1.0
    note: str = ""
    fleet: bool = False  # on every server of the fleet


class AllowRemove(Struct, frozen=True, tag="disallow", tag_field="do", forbid_unknown_fields=True):
    needs: ClassVar[Role] = "operator"
    entry: str
    fleet: bool = False


class AllowList(Struct, frozen=True, tag="allowed", tag_field="do", forbid_unknown_fields=True):
    needs: ClassVar[Role] = "viewer"


class Examine(Struct, frozen=True, tag="examine", tag_field="do", forbid_unknown_fields=True):
    """Each active rule's samples through the daemon's own matchers."""

    needs: ClassVar[Role] = "viewer"


class Reload(Struct, frozen=True, tag="reload", tag_field="do", forbid_unknown_fields=True):
    needs: ClassVar[Role] = "admin"


class Follow(Struct, frozen=True, tag="follow", tag_field="do", forbid_unknown_fields=True):
    """Events and decisions numbered above `after`, then each as it happens."""

    needs: ClassVar[Role] = "viewer"
    after: int = -1  # -1: only what happens from now on
    events: bool = True
    decisions: bool = True


Request = (
    Hello
    | AskStatus
    | ListBans
    | BanSubjects
    | UnbanSubjects
    | AskWhy
    | AllowAdd
    | AllowRemove
    | AllowList
    | Examine
    | Reload
    | Follow
)
