"""Bad records: each line of the catalogue on the log in memory, all lines together on a real Kafka."""

from __future__ import annotations

from pathlib import Path

import pytest

from everloop.local import topics_admin
from everloop.local.testing import running_broker
from everloop.runtime.kafka_log import KafkaLog
from everloop.runtime.memory import MemoryLog
from everloop.topics import TOPICS
from tests.bus.bad_records import CATALOGUE, require_harmless


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_bad_record_costs_no_good_row(name: str) -> None:
    broker = MemoryLog({topic.name: topic.partitions for topic in TOPICS.values()})
    require_harmless(broker.client, "odd", {name: CATALOGUE[name]})


@pytest.mark.kafka
def test_all_of_them_on_a_real_kafka_cost_no_good_row(tmp_path: Path) -> None:
    with running_broker(tmp_path / "kafka") as address:
        topics_admin.create(address)
        clients: list[KafkaLog] = []

        def client() -> KafkaLog:
            clients.append(KafkaLog(address, client_id=f"test-{len(clients)}"))
            return clients[-1]

        try:
            require_harmless(client, "odd", CATALOGUE)
        finally:
            for one in clients:
                one.close()
