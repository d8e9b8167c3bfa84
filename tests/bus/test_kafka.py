"""A real Kafka passes the bus suite."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from everloop.local import topics_admin
from everloop.runtime.kafka_log import KafkaLog
from tests.bus.rows import RowsSuite
from tests.bus.suite import BusSuite

MODELS = count()

pytestmark = pytest.mark.kafka


class TestKafka(BusSuite, RowsSuite):
    """Every client is a connection to the session's broker."""

    @pytest.fixture(autouse=True)
    def broker(self, kafka: str) -> Iterator[None]:
        topics_admin.create(kafka)
        self.address = kafka
        self.clients: list[KafkaLog] = []
        yield
        for client in self.clients:
            client.close()

    def client(self) -> KafkaLog:
        self.clients.append(KafkaLog(self.address, client_id=f"test-{len(self.clients)}"))
        return self.clients[-1]

    def fresh_model(self) -> str:
        return f"kafka-{next(MODELS)}"
