"""One broker per test session. Builders live in `tests/builders.py`, so that a reader sees where a value comes from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from everloop.local.testing import LocalBroker, local_broker

settings.register_profile("untimed", deadline=None)  # how busy the machine is must not decide
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def session_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A real broker that the whole session shares; a test that ends it starts it again."""
    with local_broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka(session_broker: LocalBroker) -> str:
    """Its address."""
    return session_broker.address
