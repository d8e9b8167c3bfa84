"""What the publisher writes with: a Kafka from inside of its event loop, or any log from a thread beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from everloop.errors import FatalError
from everloop.runtime.log import Log, Message

LARGEST: Final = 8 * 1024 * 1024
BATCH: Final = 1024 * 1024
"""Bytes of one partition that are written together; a larger record goes alone."""
GIVEN_UP_MS: Final = 30_000
"""What the broker has not acknowledged by then is given up."""


class Writer(Protocol):
    """Writes records for one event loop, one call at a time."""

    async def write(self, messages: Sequence[Message]) -> None:
        """Return when each is acknowledged. Raises `FatalError` when one is not."""

    async def close(self) -> None:
        """Let go of the connection."""


class LogWriter:
    """Any log, written to in a thread of its own: `publish` of a log waits."""

    def __init__(self, log: Log) -> None:
        """`log` belongs to this writer's thread alone."""
        self._log: Final = log
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix="publisher")

    async def write(self, messages: Sequence[Message]) -> None:
        """See `Writer`."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._log.publish, messages)

    async def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False)


class KafkaWriter:
    """A real Kafka through aiokafka: a record costs a fifth of what it costs through kafka-python and its threads."""

    def __init__(self, address: str, client_id: str) -> None:
        """Connects with the first write: only then there is an event loop."""
        self._address: Final = address
        self._client_id: Final = client_id
        self._producer: AIOKafkaProducer | None = None

    async def write(self, messages: Sequence[Message]) -> None:
        """See `Writer`."""
        try:
            producer = self._producer or await self._connected()
            sent = [
                await producer.send(m.place.topic, m.value, m.key, m.place.partition, headers=list(m.headers))
                for m in messages
            ]
            told = await asyncio.gather(*sent, return_exceptions=True)
        except KafkaError as error:
            raise FatalError(f"a record was not acknowledged: {type(error).__name__}") from error
        failed = [one for one in told if isinstance(one, BaseException)]
        if failed:
            raise FatalError(f"a record was not acknowledged: {type(failed[0]).__name__}") from failed[0]

    async def close(self) -> None:
        """Write what is under way, and disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def _connected(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._address, client_id=self._client_id, acks="all", max_request_size=LARGEST,
            max_batch_size=BATCH, request_timeout_ms=GIVEN_UP_MS,
        )  # fmt: skip
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer
        return producer
