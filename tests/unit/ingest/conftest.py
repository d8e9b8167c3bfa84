"""One front door for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.ingest.houses import House, a_house


@pytest.fixture(scope="module")
def shared() -> Iterator[House]:
    """A door that has room for all rows of a module's tests."""
    with a_house(most_waiting=1_000_000) as found:
        yield found


@pytest.fixture
def house(shared: House) -> House:
    """The same door for all, with an empty log."""
    for records in shared.broker.records.values():
        records.clear()
    shared.wall.move(1)
    return shared
