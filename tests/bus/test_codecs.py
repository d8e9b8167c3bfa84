"""Batches as other producers send them: compressed in every way, far too large once unpacked, or in transactions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as Delivered

from everloop import topics
from everloop.runtime.kafka_log import KafkaLog
from everloop.runtime.log import Message, Place
from tests.bus.rows import PolledWindows, carried, make_known, plain_row, run_room, wall, windowed_rows
from tests.bus.test_faust import GROUP, Worker, wait

pytestmark = pytest.mark.kafka

PLACE = Place(topics.PREDICTIONS.name, 0)
ROWS = 20
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
BOMB = 24 * 1024 * 1024
"""Bytes of a record that are some kilobytes on the wire."""


class Sender:
    """librdkafka, and what the broker said of each record."""

    def __init__(self, address: str, settings: Mapping[str, str | int] | None = None) -> None:
        self.told: list[KafkaError | None] = []
        self.producer = Producer({"bootstrap.servers": address, **(settings or {})})

    def send(self, value: bytes) -> None:
        self.producer.produce(PLACE.topic, value, partition=PLACE.partition, on_delivery=self._note)

    def rows(self, model: str, name: str, rows: int = ROWS) -> None:
        for row in range(rows):
            self.send(plain_row(model, f"{name}-{row}"))
        assert self.producer.flush(60) == 0
        assert self.told == [None] * rows

    def _note(self, error: KafkaError | None, sent: Delivered) -> None:
        del sent
        self.told.append(error)


def test_rows_are_read_however_their_batch_is_compressed(log: KafkaLog, kafka: str) -> None:
    model = f"codecs-{uuid4()}"
    make_known(log, model)
    for codec in CODECS:
        Sender(kafka, {"compression.type": codec, "linger.ms": 200}).rows(model, codec)
    with carried(PolledWindows(wall), log) as service:
        run_room(service, lambda: windowed_rows(log, model) == ROWS * len(CODECS))


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_a_batch_that_is_too_large_once_unpacked_is_refused_by_the_broker(
    log: KafkaLog, kafka: str, codec: str
) -> None:
    model = f"bomb-{uuid4()}"
    make_known(log, model)
    bomb = Sender(kafka, {"compression.type": codec, "message.max.bytes": 2 * BOMB})
    bomb.send(bytes(BOMB))
    assert bomb.producer.flush(60) == 0
    (said,) = bomb.told
    assert said is not None
    assert said.code() == KafkaError.MSG_SIZE_TOO_LARGE
    Sender(kafka).rows(model, "after")
    with carried(PolledWindows(wall), log) as service:
        run_room(service, lambda: windowed_rows(log, model) == ROWS)


def test_rows_of_a_transaction_count_when_it_is_committed_and_not_when_it_is_aborted(log: KafkaLog, kafka: str) -> None:
    model = f"transactions-{uuid4()}"
    make_known(log, model)
    in_transactions(kafka, model)
    with carried(PolledWindows(wall), log) as service:
        run_room(service, lambda: windowed_rows(log, model) == 2 * ROWS)


def test_a_worker_on_faust_leaves_out_what_was_aborted(log: KafkaLog, kafka: str, tmp_path: Path) -> None:
    model = f"transactions-{uuid4()}"
    make_known(log, model)
    in_transactions(kafka, model)
    log.publish([Message(PLACE, None, plain_row(model, "last"), ())])
    end, worker = log.ends([PLACE])[PLACE], Worker(kafka, tmp_path)
    try:
        wait(lambda: log.committed(GROUP, [PLACE])[PLACE] >= end)
        assert windowed_rows(log, model) == 2 * ROWS + 1
    finally:
        worker.kill()


def in_transactions(address: str, model: str) -> None:
    """Rows in three transactions, of which the second is aborted, in one partition."""
    sender = Sender(address, {"transactional.id": model})
    sender.producer.init_transactions(30)
    for name in ("kept", "aborted", "kept-too"):
        sender.told.clear()
        sender.producer.begin_transaction()
        sender.rows(model, name)
        if name == "aborted":
            sender.producer.abort_transaction(30)
        else:
            sender.producer.commit_transaction(30)
