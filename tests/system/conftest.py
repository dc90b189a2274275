# What system tests share: two namespaces with a wire between.
from collections.abc import Iterator

import pytest

import netspace
from netspace import Wire


@pytest.fixture
def wire() -> Iterator[Wire]:
    with netspace.wired() as wired:
        yield wired
