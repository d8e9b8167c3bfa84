"""One broker per test session. Builders live in `tests/builders.py`, so that a reader sees where a value comes from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from everloop.local.testing import running_broker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real broker that the whole session shares."""
    with running_broker(tmp_path_factory.mktemp("kafka")) as address:
        yield address
