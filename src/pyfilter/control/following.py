# Events and decisions as those who follow the daemon see them, one by one and numbered.
from pyfilter.control.answers import Answer, Happening
from pyfilter.control.requests import Follow
from pyfilter.control.ring import Item, Ring
from pyfilter.model import AT_ONCE, Ban, Event, Release
from pyfilter.visible import visible


def happenings(ring: Ring, request: Follow, after: int) -> tuple[int, list[Answer]]:
    """Return what a follower has not seen, and the number up to which it now has."""
    if after < 0:
        after = ring.latest
    found = ring.after(after)
    shown: list[Answer] = [
        happening(number, item)
        for number, item in found
        if (request.decisions if isinstance(item, Ban | Release) else request.events)
    ]
    return (found[-1][0] if found else after), shown


def happening(number: int, item: Item) -> Happening:
    """Return an event or decision as a follower sees it."""
    if isinstance(item, Event):
        return _event(number, item)
    if isinstance(item, Release):
        return Happening(
            number,
            "release",
            item.at,
            item.subject,
            reason=item.cause,
            origin=item.origin,
            by=item.by,
        )
    return Happening(
        number,
        "ban",
        item.since,
        item.subject,
        item.rule,
        until=item.until,
        reason=visible(item.reason),
        origin=item.origin,
        by=item.by,
    )


def _event(number: int, event: Event) -> Happening:
    return Happening(
        number,
        "event",
        event.at,
        event.address,
        event.rule,
        user=visible(event.user),
        weight=None if event.weight == AT_ONCE else event.weight,
        line=visible(event.line),
    )
