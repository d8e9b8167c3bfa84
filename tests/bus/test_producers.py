"""Producers that are not ours: librdkafka with its own partitioner, plain rows, retries."""

from __future__ import annotations

from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as Sent

from everloop import topics
from everloop.runtime.kafka_log import KafkaLog
from tests.bus.rows import PolledWindows, carried, make_known, plain_row, run_room, wall, windowed_rows

pytestmark = pytest.mark.kafka

ROWS = 200
CARDS = 17


def test_rows_that_librdkafka_has_placed_are_counted_once(log: KafkaLog, kafka: str) -> None:
    model = f"confluent-{uuid4()}"
    make_known(log, model)
    places: list[int | None] = []

    def delivered(error: KafkaError | None, sent: Sent) -> None:
        assert error is None
        places.append(sent.partition())

    producer = Producer({"bootstrap.servers": kafka})
    for row in [*range(ROWS), 0, 1]:  # the last two are sent again, as after a lost acknowledgement
        value = plain_row(model, f"row-{row}")
        odd: dict[str, str | bytes | None] = {"trace": None, "content-type": None, "x": b"\xff"} if row % 2 else {}
        key = f"card-{row % CARDS}"
        producer.produce(topics.PREDICTIONS.name, value, key=key, headers=odd, on_delivery=delivered)
    assert producer.flush(60) == 0
    assert len(set(places)) > 1, "its partitioner spreads the cards"
    with carried(PolledWindows(wall), log) as service:
        run_room(service, lambda: windowed_rows(log, model) == ROWS)
