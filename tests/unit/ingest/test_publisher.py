"""Gathering, acknowledging, refusing: the way from requests to the log."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from everloop.errors import FatalError
from everloop.metrics import Metrics
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryClient, MemoryLog
from everloop_ingest.adapters.publisher import BacklogError, BrokerGoneError, Limits, Publisher
from everloop_ingest.adapters.writers import LogWriter

PLACE = Place("t", 0)
RECORD = Message(PLACE, None, b"x")


class SlowLog(MemoryClient):
    """Writes only while the gate is open; notes how many records each call had."""

    def __init__(self) -> None:
        super().__init__(MemoryLog({"t": 1}), lambda *_: None)
        self.gate = threading.Event()
        self.gate.set()
        self.calls: list[int] = []
        self.fails: Exception | None = None

    def publish(self, messages: Sequence[Message]) -> list[int]:
        self.gate.wait(30)
        self.calls.append(len(messages))
        if self.fails:
            raise self.fails
        return super().publish(messages)


def test_requests_that_come_together_are_one_call() -> None:
    log = SlowLog()

    async def run() -> None:
        publisher = Publisher(LogWriter(log), Metrics())
        await asyncio.gather(*(publisher.publish([RECORD], 1) for _ in range(20)))
        await publisher.close()

    asyncio.run(run())
    assert log.calls == [20]
    assert len(log.broker.records[PLACE]) == 20


def test_beyond_the_backlog_requests_are_refused_and_the_others_kept() -> None:
    log, metrics = SlowLog(), Metrics()
    log.gate.clear()

    async def run() -> None:
        publisher = Publisher(LogWriter(log), metrics, Limits(most_waiting=10))
        first = asyncio.create_task(publisher.publish([RECORD], 10))
        await asyncio.sleep(0)
        with pytest.raises(BacklogError):
            await publisher.publish([RECORD], 1)
        assert metrics.value("everloop_backlog_rows") == 10
        log.gate.set()
        await first
        await publisher.publish([RECORD], 11)
        await publisher.close()

    asyncio.run(run())
    assert len(log.broker.records[PLACE]) == 2
    assert metrics.value("everloop_backlog_rows") == 0


@pytest.mark.parametrize("error", [FatalError("no acknowledgement"), OSError("reset")])
def test_what_was_not_acknowledged_is_not_accepted(error: Exception) -> None:
    log = SlowLog()
    log.fails = error

    async def run() -> None:
        publisher = Publisher(LogWriter(log), Metrics())
        with pytest.raises(BrokerGoneError):
            await publisher.publish([RECORD], 1)
        log.fails = None
        await publisher.publish([RECORD], 1)
        await publisher.close()

    asyncio.run(run())
    assert len(log.broker.records[PLACE]) == 1


def test_while_the_broker_is_silent_nobody_waits_twice() -> None:
    log = SlowLog()
    log.gate.clear()

    async def run() -> None:
        publisher = Publisher(LogWriter(log), Metrics(), Limits(answer_s=0.01))
        with pytest.raises(BrokerGoneError):
            await publisher.publish([RECORD], 1)
        with pytest.raises(BrokerGoneError, match="does not answer"):
            await publisher.publish([RECORD], 1)
        assert publisher.why_not_ready() is not None
        log.gate.set()
        await publisher.close()
        assert publisher.why_not_ready() is None

    asyncio.run(run())
    assert log.calls == [1]
