"""The carrier of the data plane: a Faust app that takes raw records, flushes, and acknowledges by hand.

Faust is one thin at-least-once loop here and nothing else: one agent per topic, `concurrency=1`, our own decode. Its
automatic acknowledgement loses rows, an exception in an agent skips its record for good, so acks follow the broker's
acknowledgement of the state, and anything unforeseen ends the process: the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import faust
import structlog
from faust.types import TP

from everloop.errors import EverloopError, FatalError
from everloop.runtime.broadcast import Broadcast
from everloop.runtime.data import Curious, Fold, committable
from everloop.runtime.kafka_log import HEARTBEAT_MS, SESSION_MS, KafkaLog
from everloop.runtime.log import Message, Place, Record, headers_of

EXIT_RESTART = 70
IDLE_S = 0.05
HELD_S = 1.0
LIMIT = 2_000
BROADCAST_EVERY_S = 0.2
SETTINGS: dict[str, Any] = {
    "processing_guarantee": "at_least_once",
    "stream_wait_empty": False,
    "stream_buffer_maxsize": 512,
    "broker_commit_interval": 60.0,
    "broker_commit_every": 1_000_000,
    "broker_session_timeout": SESSION_MS / 1000,
    "broker_heartbeat_interval": HEARTBEAT_MS / 1000,
    "broker_rebalance_timeout": 10,
    "broker_request_timeout": 30,
    "producer_request_timeout": 30,
    "producer_acks": -1,
    "producer_max_request_size": 8 * 1024 * 1024,
    "consumer_max_fetch_size": 8 * 1024 * 1024,
    "consumer_auto_offset_reset": "earliest",
    "topic_allow_declare": False,
    "topic_disable_leader": True,
    "table_standby_replicas": 0,
    "web_enabled": False,
    "worker_redirect_stdouts": False,
    "store": "memory://",
}
"""Each setting is a measured answer to a trap; commits are ours, so Faust's own are put far away."""

logger = structlog.get_logger()


@dataclass
class Pending:
    """Events that are in the fold but not acknowledged, by place; `fresh` counts those since the last flush."""

    events: dict[Place, list[Any]] = field(default_factory=dict)
    fresh: int = 0
    last_s: float = 0.0

    def add(self, place: Place, event: Any, now_s: float) -> None:  # noqa: ANN401 -- Faust types events by their values
        """One more."""
        self.events.setdefault(place, []).append(event)
        self.fresh += 1
        self.last_s = now_s

    def is_due(self, now_s: float) -> bool:
        """Fresh events when nothing came for 50 ms or there are many; those that a fold holds back, each second."""
        quiet = now_s - self.last_s
        if self.fresh:
            return quiet >= IDLE_S or self.fresh >= LIMIT
        return quiet >= HELD_S and any(self.events.values())

    def release(self, ends: Mapping[Place, int]) -> list[Any]:
        """Take out the events below the ends: they may be acknowledged."""
        released = []
        for place, end in ends.items():
            events = self.events.get(place, [])
            released += [event for event in events if event.message.offset < end]
            self.events[place] = [event for event in events if event.message.offset >= end]
        return released


class FaustCarrier:
    """One fold, carried by one Faust app in one process."""

    def __init__(
        self,
        fold: Fold,
        address: str,
        *,
        replica: str,
        data: Path,
        progress: Callable[[], None] = lambda: None,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        """Build the app; nothing connects before `run`. `data` is Faust's own folder, one per process."""
        self.fold = fold
        self.address = address
        self.replica = replica
        self.progress = progress
        self.is_ready = ready
        self.data = data
        self.group = f"everloop.{fold.name}"
        self.pending = Pending()
        self.expected: dict[Place, int] = {}
        self.ready = False
        self.app = faust.App(
            self.group, broker=f"kafka://{address}", datadir=str(data / fold.name),
            consumer_group_instance_id=f"{self.group}.{replica}",
            **SETTINGS,
        )  # fmt: skip
        self.app.on_rebalance_complete.connect(self._assigned)
        self.app.on_partitions_revoked.connect(self._revoked)
        for topic in fold.hears:
            channel = self.app.topic(topic, value_serializer="raw", key_serializer="raw")
            self.app.agent(channel, concurrency=1, name=topic)(self._agent)
        self.app.task(self._flushing)
        self.app.task(self._listening)

    def open(self) -> None:
        """Connect what reads state and broadcasts."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.log = KafkaLog(self.address, client_id=f"{self.group}.{self.replica}")
        self.broadcast = Broadcast(self.log, self.fold.broadcasts, f"{self.group}.broadcast.{self.replica}")
        if isinstance(self.fold, Curious):
            self.fold.refresh = self._hear_broadcasts

    async def _agent(self, stream: Any) -> None:  # noqa: ANN401 -- Faust types streams by their values, ours are raw bytes
        stream.enable_acks = False
        async for event in self._events(stream):
            try:
                self._take(event)
            except Exception as error:  # noqa: BLE001 -- Faust would skip the record: the process ends before the commit
                _die("a record could not be folded", error)

    async def _events(self, stream: Any) -> AsyncIterator[Any]:  # noqa: ANN401 -- as above
        async for event in stream.events():
            yield event

    def _take(self, event: Any) -> None:  # noqa: ANN401 -- as above
        message = event.message
        place = Place(message.topic, message.partition)
        if not self.ready or message.offset < self.expected.get(place, 1 << 62):
            return  # of an assignment that has ended, or folded before: it comes again where it belongs
        headers = message.headers.items() if isinstance(message.headers, dict) else message.headers or ()
        appended = int((message.timestamp or 0) * 1000)
        self.fold.take(Record(place, message.offset, message.key, message.value, headers_of(headers), appended))
        self.expected[place] = message.offset + 1
        self.pending.add(place, event, time.monotonic())

    async def _flushing(self) -> None:
        """Flush when nothing came for 50 ms, or when enough waits."""
        while True:
            await asyncio.sleep(IDLE_S / 2)
            if self.ready and self.pending.is_due(time.monotonic()):
                try:
                    await self._flush()
                except asyncio.CancelledError:
                    raise
                except Exception as error:  # noqa: BLE001 -- state was not acknowledged: the offsets must not be committed
                    _die("state could not be published", error)
            self.progress()

    async def _flush(self) -> None:
        """Publish, wait for every acknowledgement, acknowledge the events, commit."""
        pending, positions = self.pending, dict(self.expected)
        pending.fresh, pending.last_s = 0, time.monotonic()
        messages = self.fold.flush()
        await self._publish(messages)
        if pending is not self.pending:
            return  # a rebalance came in between: the next holder reads again what was not committed
        for event in pending.release(committable(self.fold, positions)):
            event.ack()
        await self.app.consumer.commit()

    async def _publish(self, messages: Sequence[Message]) -> None:
        sent = [await self._send(message) for message in messages]
        for acknowledged in sent:
            await acknowledged

    async def _send(self, message: Message) -> Any:  # noqa: ANN401 -- a future of aiokafka
        return await self.app.producer.send(
            message.place.topic, message.key, message.value, message.place.partition, None, dict(message.headers)
        )

    async def _listening(self) -> None:
        """Broadcasts: profiles and rules."""
        while True:
            await asyncio.sleep(BROADCAST_EVERY_S)
            if self.ready:
                try:
                    self._hear_broadcasts()
                except FatalError as error:
                    _die("broadcasts could not be read", error)

    def _hear_broadcasts(self) -> None:
        news = self.broadcast.news()
        for record, event in news:
            self.fold.learn(record, event)
        self.broadcast.commit()

    async def _revoked(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 -- Faust's signal
        self.ready = False
        self.pending = Pending()

    async def _assigned(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 -- Faust's signal
        """Awaited before seek and resume: rebuild the state of what is held now."""
        try:
            held = {Place(tp.topic, tp.partition) for tp in _assignment(self.app)}
            mine = {place for place in held if place.topic in self.fold.hears}
            self._hear_broadcasts()
            self.expected = self.log.committed(self.group, mine)
            self.fold.restore(self.log, dict(self.expected))
        except Exception as error:  # noqa: BLE001 -- without its state the fold would count wrongly
            _die("state could not be restored", error)
        self.pending = Pending()
        self.ready = True
        self.is_ready()


def _assignment(app: Any) -> set[TP]:  # noqa: ANN401 -- Faust's app
    return set(app.consumer.assignment())


def run(carriers: Sequence[FaustCarrier]) -> None:
    """Run these rooms in one process and one event loop until a signal."""
    for carrier in carriers:
        carrier.open()
    first, *others = (carrier.app for carrier in carriers)
    faust.Worker(
        first, *others, loglevel=logging.WARNING, redirect_stdouts=False, quiet=True
    ).execute_from_commandline()


def _die(what: str, error: BaseException) -> NoReturn:
    detail = str(error) if isinstance(error, EverloopError) else ""  # the text of others may quote rows
    logger.error("process_ends", what=what, error=type(error).__name__, detail=detail)
    os._exit(EXIT_RESTART)
