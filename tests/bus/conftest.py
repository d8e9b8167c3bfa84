"""What tests on a real Kafka share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from everloop.local import topics_admin
from everloop.runtime.kafka_log import KafkaLog


@pytest.fixture
def log(kafka: str) -> Iterator[KafkaLog]:
    """A connection to the session's broker, on which all topics are."""
    topics_admin.create(kafka)
    log = KafkaLog(kafka, client_id="test-bus")
    yield log
    log.close()
