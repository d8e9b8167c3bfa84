"""The carrier of the data plane: a Faust app that takes batches of raw records, flushes, and commits by hand.

Faust is one thin at-least-once loop here and nothing else: one agent per topic, `concurrency=1`, our own decode. Its
automatic acknowledgement loses rows, an exception in an agent skips its record for good, so commits follow the broker's
acknowledgement of the state, and anything unforeseen ends the process: the supervisor starts it again.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import faust
import structlog
from faust.types import TP

from everloop.collector import spare_the_collector
from everloop.errors import EverloopError, FatalError
from everloop.runtime.broadcast import Broadcast
from everloop.runtime.data import Curious, Fold, Stepwise, accepts, committable, take
from everloop.runtime.faust_batches import FETCH_BYTES, SCHEME, BatchConsumer, register
from everloop.runtime.kafka_log import HEARTBEAT_MS, SESSION_MS, KafkaLog
from everloop.runtime.log import Message, Place, Record
from everloop.runtime.pace import HELD_S, IDLE_S, Pace

EXIT_RESTART = 70
BROADCAST_EVERY_S = 0.2
KEPT_BYTES = 32 << 20
"""Free memory at the end of the heap that is not given back."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The numbers of options in glibc's `malloc.h`."""
SETTINGS: dict[str, Any] = {
    "processing_guarantee": "at_least_once",
    "stream_wait_empty": False,
    "stream_buffer_maxsize": 4,
    "broker_max_poll_records": 2_000,
    "broker_commit_interval": 60.0,
    "broker_commit_every": 1_000_000,
    "broker_session_timeout": SESSION_MS / 1000,
    "broker_heartbeat_interval": HEARTBEAT_MS / 1000,
    "broker_rebalance_timeout": 10,
    "broker_request_timeout": 30,
    "producer_request_timeout": 30,
    "producer_acks": -1,
    "producer_max_request_size": 8 * 1024 * 1024,
    "producer_max_batch_size": 1024 * 1024,  # of one partition in one request; a larger record goes alone
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
        self.pace = Pace(steady=isinstance(fold, Stepwise))
        self.lock = asyncio.Lock()
        self.expected: dict[Place, int] = {}
        self.done: dict[Place, int] = {}
        self.generation = 0
        self.ready = False
        register()
        self.app = faust.App(
            self.group, broker=f"{SCHEME}://{address}", datadir=str(data / fold.name),
            consumer_group_instance_id=f"{self.group}.{replica}",
            **SETTINGS,
        )  # fmt: skip
        self.app.on_rebalance_complete.connect(self._assigned)
        self.app.on_partitions_revoked.connect(self._revoked)
        for topic in fold.hears:
            channel = self.app.topic(topic, value_serializer="raw", key_serializer="raw", acks=False)
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

    async def _agent(self, stream: Any) -> None:  # noqa: ANN401 -- Faust types streams by their values, ours are batches
        stream.enable_acks = False
        async for event in self._events(stream):
            try:
                while not accepts(self.fold):  # noqa: ASYNC110 -- Faust's own buffers fill, and it stops to fetch
                    await asyncio.sleep(HELD_S)
                async with self.lock:
                    self._take(event.message)
            except Exception as error:  # noqa: BLE001 -- Faust would skip the record: the process ends before the commit
                _die("a record could not be folded", error)

    async def _events(self, stream: Any) -> AsyncIterator[Any]:  # noqa: ANN401 -- as above
        async for event in stream.events():
            yield event

    def _take(self, message: Any) -> None:  # noqa: ANN401 -- as above
        place = Place(message.topic, message.partition)
        if not self.ready or place not in self.expected:
            return  # of an assignment that has ended: it comes again where it belongs
        expected = self.expected[place]
        records: list[Record] = message.value
        if records[0].offset < expected:
            records = [one for one in records if one.offset >= expected]
        if records:
            take(self.fold, records)
            self.expected[place] = records[-1].offset + 1
            self.pace.note(len(records), time.monotonic())

    async def _flushing(self) -> None:
        """Flush when it is time; what has become final goes out at once."""
        while True:
            await asyncio.sleep(IDLE_S / 2)
            if self.ready:
                try:
                    await self._flush_what_is_due()
                except asyncio.CancelledError:
                    raise
                except Exception as error:  # noqa: BLE001 -- state was not acknowledged: the offsets must not be committed
                    _die("state could not be published", error)
            self.progress()

    async def _flush_what_is_due(self) -> None:
        async with self.lock:
            if self.pace.is_due(time.monotonic()):
                await self._flush()
            elif isinstance(self.fold, Stepwise) and self.fold.urgent:
                await self._publish_all(self.fold.flush_final)

    async def _flush(self) -> None:
        """Publish stage by stage, each acknowledged before the next; then commit."""
        generation, positions, began = self.generation, dict(self.expected), time.monotonic()
        await self._publish_all(self.fold.flush)
        if generation != self.generation:
            return  # a rebalance came in between: the next holder reads again what was not committed
        ends = committable(self.fold, positions)
        now, held = time.monotonic(), any(ends.get(place, 0) < end for place, end in positions.items())
        self.pace.flush(now, held=held, lasted_s=now - began)
        fresh = {place: end for place, end in ends.items() if end > self.done.get(place, 0)}
        consumer = cast("BatchConsumer", self.app.consumer)
        if fresh and await consumer.commit_offsets({TP(*place): end for place, end in fresh.items()}):
            self.done |= fresh

    async def _publish_all(self, flush: Callable[[], Sequence[Message]]) -> None:
        generation = self.generation
        while generation == self.generation and (messages := flush()):
            await self._publish(messages)

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
        for record, event in self.broadcast.one_by_one():
            self.fold.learn(record, event)
        self.broadcast.commit()

    async def _revoked(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 -- Faust's signal
        self.ready = False
        self.generation += 1

    async def _assigned(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 -- Faust's signal
        """Awaited before seek and resume: rebuild the state of what is held now."""
        try:
            async with self.lock:
                self._restore()
        except Exception as error:  # noqa: BLE001 -- without its state the fold would count wrongly
            _die("state could not be restored", error)
        self.ready = True
        self.is_ready()

    def _restore(self) -> None:
        held = {Place(tp.topic, tp.partition) for tp in _assignment(self.app)}
        mine = {place for place in held if place.topic in self.fold.hears}
        self._hear_broadcasts()
        self.expected = self.log.committed(self.group, mine)
        self.done = dict(self.expected)
        self.fold.restore(self.log, dict(self.expected))
        self.pace.flush(time.monotonic(), held=False)
        self.generation += 1


def _assignment(app: Any) -> set[TP]:  # noqa: ANN401 -- Faust's app
    return set(app.consumer.assignment())


def run(carriers: Sequence[FaustCarrier]) -> None:
    """Run these rooms in one process and one event loop until a signal."""
    for carrier in carriers:
        carrier.open()
    spare_the_collector()
    _keep_pages()
    first, *others = (carrier.app for carrier in carriers)
    faust.Worker(
        first, *others, loglevel=logging.WARNING, redirect_stdouts=False, quiet=True
    ).execute_from_commandline()


def _keep_pages() -> None:
    """Let glibc keep memory that was given back, for the next fetch; what has another `malloc` is left as it is.

    By its defaults values of 128 kB and more are mapped and unmapped one by one, and their pages are cleared each time:
    a third of what a fetch of such records costs.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_MMAP_THRESHOLD, 2 * FETCH_BYTES)
        set_option(_TRIM_THRESHOLD, KEPT_BYTES)


def _die(what: str, error: BaseException) -> NoReturn:
    detail = str(error) if isinstance(error, EverloopError) else ""  # the text of others may quote rows
    logger.error("process_ends", what=what, error=type(error).__name__, detail=detail)
    os._exit(EXIT_RESTART)
