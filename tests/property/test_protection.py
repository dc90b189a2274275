# Protection says of many subjects what plain arithmetic with `ipaddress` says of each.
from hypothesis import given
from hypothesis import strategies as st

from pyfilter.addresses import Network, network, parsed
from pyfilter.protection import Protection, Shield


@st.composite
def near(draw: st.DrawFn) -> Network:
    """Draw networks of few places, so that they often lie inside one another."""
    if draw(st.booleans()):
        low = draw(st.integers(0, 3))
        return network(f"198.51.{low}.{low}/{draw(st.integers(8, 32))}")
    return network(f"2001:db8:0:{draw(st.integers(0, 3))}::/{draw(st.integers(16, 128))}")


@given(shields=st.lists(near(), max_size=6), subjects=st.lists(near(), max_size=12))
def test_what_overlaps_a_shield_is_shielded(
    shields: list[Network], subjects: list[Network]
) -> None:
    protection = Protection()
    protection.surroundings = tuple(Shield(one, "ours") for one in shields)
    protection.rebuild()
    overlapping = {
        subject
        for subject in subjects
        for shield in map(parsed, shields)
        if shield.version == parsed(subject).version and shield.overlaps(parsed(subject))
    }
    assert protection.shielded(subjects) == overlapping
    assert {one for one in subjects if protection.shield(one)} == overlapping
