"""One broker per test session. Builders live in `tests/builders.py`, so that a reader sees where a value comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from everloop.local.testing import LocalBroker, local_broker

settings.register_profile("untimed", deadline=None)  # how busy the machine is must not decide
settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)  # after what is deselected has gone
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, or one worker does it alone when the others have nothing left to steal."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        items[:] = dealt(items, workers)


def dealt(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """`worksteal` cuts tests into equal parts, in order: all parts but the first, which has the broker, begin long."""
    long = [item for item in items if item.get_closest_marker("long")]
    rest = [item for item in items if not item.get_closest_marker("long")]
    parts = [long[place :: workers - 1] for place in range(workers - 1)]
    found: list[pytest.Item] = []
    for left, part in zip(range(workers, 0, -1), [[], *parts], strict=True):
        size = (len(items) - len(found)) // left
        fill = max(0, size - len(part))
        found += [*part, *rest[:fill]]
        rest = rest[fill:]
    return found


@pytest.fixture(scope="session")
def session_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A real broker that the whole session shares; a test that ends it starts it again."""
    with local_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka(session_broker: LocalBroker) -> str:
    """Its address."""
    return session_broker.address
