"""The in-memory log passes the bus suite."""

from __future__ import annotations

from itertools import count

import pytest

from everloop.runtime.log import Log
from everloop.runtime.memory import MemoryLog
from everloop.topics import TOPICS
from tests.bus.rows import RowsSuite
from tests.bus.suite import BusSuite

MODELS = count()


class TestMemory(BusSuite, RowsSuite):
    """Every client is a connection to one in-memory broker."""

    @pytest.fixture(autouse=True)
    def broker(self) -> None:
        self.shared = MemoryLog({topic.name: topic.partitions for topic in TOPICS.values()})

    def client(self) -> Log:
        return self.shared.client()

    def fresh_model(self) -> str:
        return f"memory-{next(MODELS)}"
