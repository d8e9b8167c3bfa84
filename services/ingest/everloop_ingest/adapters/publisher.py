"""From requests to the log: small requests are gathered for a few milliseconds, acknowledged together, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import structlog

from everloop.errors import EverloopError
from everloop.metrics import Metrics
from everloop.runtime.log import Log, Message

GATHER_S: Final = 0.003
ANSWER_S: Final = 5.0
MOST_WAITING: Final = 100_000
logger = structlog.get_logger()


class BacklogError(EverloopError):
    """Too many rows wait for the broker; nothing was written."""


class BrokerGoneError(EverloopError):
    """The broker has not acknowledged in time: whether the rows are there is unknown, to send them again is safe."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long requests are gathered (s), how long an answer may take (s), how many rows may wait."""

    gather_s: float = GATHER_S
    answer_s: float = ANSWER_S
    most_waiting: int = MOST_WAITING


@dataclass(slots=True)
class _Waiting:
    messages: Sequence[Message]
    rows: int
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Publisher:
    """One writer of one event loop: `publish` returns when the broker has acknowledged.

    One call on the log is under way at a time, in a thread of its own; what comes meanwhile goes into the next.
    """

    def __init__(self, log: Log, metrics: Metrics, limits: Limits | None = None) -> None:
        """`log` belongs to this publisher's thread alone."""
        self._log: Final = log
        self._metrics: Final = metrics
        self._limits: Final = limits or Limits()
        self._thread: Final = ThreadPoolExecutor(1, thread_name_prefix="publisher")
        self._waiting: list[_Waiting] = []
        self._rows = 0
        self._stalled = False
        self._writer: asyncio.Task[None] | None = None

    async def publish(self, messages: Sequence[Message], rows: int) -> None:
        """Write, and wait for the acknowledgement. Raises `BacklogError` or `BrokerGoneError`."""
        if self._stalled:
            raise BrokerGoneError("the broker does not answer")
        if self._rows and self._rows + rows > self._limits.most_waiting:
            raise BacklogError(f"{self._rows} rows wait for the broker")
        waiting = _Waiting(messages, rows)
        self._waiting.append(waiting)
        self._count(rows)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        try:
            await asyncio.wait_for(asyncio.shield(waiting.done), self._limits.answer_s)
        except TimeoutError:
            self._stalled = True
            raise BrokerGoneError("the broker has not acknowledged in time") from None

    def why_not_ready(self) -> str | None:
        """Say that the broker is silent; None while it answers."""
        return "the broker, which does not acknowledge" if self._stalled else None

    async def close(self) -> None:
        """Write what waits, then let the thread go."""
        if self._writer is not None:
            await self._writer
        self._thread.shutdown(wait=False)

    async def _write(self) -> None:
        """Until nothing waits any more."""
        while True:
            await asyncio.sleep(self._limits.gather_s)
            batch, self._waiting = self._waiting, []
            error = await self._call([message for item in batch for message in item.messages])
            self._stalled = False
            self._count(-sum(item.rows for item in batch))
            for item in batch:
                _settle(item.done, error)
            if not self._waiting:
                self._writer = None
                return

    async def _call(self, messages: Sequence[Message]) -> BrokerGoneError | None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._log.publish, messages)
        except Exception as error:  # noqa: BLE001 -- whatever it was: nobody may be told that the rows are there
            message = str(error) if isinstance(error, EverloopError) else type(error).__name__
            logger.error("not_acknowledged", records=len(messages), message=message)  # noqa: TRY400 -- one line
            return BrokerGoneError("the broker has not acknowledged")
        return None

    def _count(self, rows: int) -> None:
        self._rows += rows
        self._metrics.set("everloop_backlog_rows", self._rows)


def _settle(done: asyncio.Future[None], error: BrokerGoneError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
        done.exception()  # seen: whoever asked may have gone
