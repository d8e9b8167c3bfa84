"""The writer of the front door and a real broker: what is acknowledged stands in the log, also after an outage."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from everloop import topics
from everloop.errors import FatalError
from everloop.local import topics_admin
from everloop.local.ports import free_ports
from everloop.local.testing import local_broker
from everloop.runtime.kafka_log import KafkaLog
from everloop.runtime.log import Message, Place
from everloop_ingest.adapters.writers import KafkaWriter

PLACE = Place(topics.DLQ.name, 0)
HEADERS = (("ce_id", b"1"), ("content-type", b"application/json"))


@pytest.mark.kafka
def test_what_is_written_stands_in_the_log_as_it_was_given(kafka: str) -> None:
    topics_admin.create(kafka)
    log = KafkaLog(kafka, client_id="test-writer")
    tail = log.tail()
    try:
        start = log.ends([PLACE])
        sizes = (10, 100_000, 7 * 1024 * 1024)

        async def run() -> None:
            writer = KafkaWriter(kafka, "test")
            await writer.write([Message(PLACE, b"key", b"x" * size, HEADERS) for size in sizes])
            await writer.write([Message(PLACE, None, b"last")])
            await writer.close()

        asyncio.run(run())
        tail.seek(start)
        found = tail.read_to(log.ends([PLACE]))
        assert [len(record.value or b"") for record in found] == [*sizes, 4]
        assert [(record.key, record.headers) for record in found] == [(b"key", HEADERS)] * 3 + [(None, ())]
    finally:
        tail.close()
        log.close()


@pytest.mark.kafka
def test_a_broker_that_is_not_there_is_an_error_and_the_next_write_tries_again(kafka: str) -> None:
    topics_admin.create(kafka)

    async def run() -> None:
        (port,) = free_ports(1)
        writer = KafkaWriter(f"127.0.0.1:{port}", "test")
        for _ in range(2):
            with pytest.raises(FatalError, match="not acknowledged"):
                await writer.write([Message(PLACE, None, b"x")])
        await writer.close()

    asyncio.run(run())


@pytest.mark.kafka
def test_a_broker_that_comes_back_is_written_to_again(tmp_path: Path) -> None:
    """What was under way meanwhile is either in the log or was said not to be: how long the start takes decides."""
    with local_broker(tmp_path) as broker:
        topics_admin.create(broker.address)

        async def run() -> int:
            writer = KafkaWriter(broker.address, "test")
            await writer.write([Message(PLACE, None, b"before")])
            await asyncio.to_thread(broker.kill)
            meanwhile = asyncio.create_task(writer.write([Message(PLACE, None, b"meanwhile")]))
            await asyncio.to_thread(broker.start)
            (outcome,) = await asyncio.gather(meanwhile, return_exceptions=True)
            assert outcome is None or isinstance(outcome, FatalError)
            await writer.write([Message(PLACE, None, b"after")])
            await writer.close()
            return 2 if outcome else 3

        least = asyncio.run(run())
        log = KafkaLog(broker.address, client_id="test-writer")
        assert log.ends([PLACE])[PLACE] >= least
        log.close()
