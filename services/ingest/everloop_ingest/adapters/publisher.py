"""From requests to the log: small requests are gathered for a few milliseconds, acknowledged together, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from everloop.errors import EverloopError
from everloop.metrics import Metrics
from everloop.runtime.log import Message
from everloop_ingest.adapters.writers import Writer

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


@dataclass(slots=True)
class _Gathered:
    """What goes out in one call. `late` is when the first of them may wait no longer, for all: a timer costs."""

    items: list[_Waiting] = field(default_factory=list)
    late: asyncio.TimerHandle | None = None


class Publisher:
    """One writer of one event loop: `publish` returns when the broker has acknowledged.

    One call of the writer is under way at a time; what comes meanwhile goes into the next.
    """

    def __init__(self, writer: Writer, metrics: Metrics, limits: Limits | None = None) -> None:
        """`writer` belongs to this publisher alone."""
        self._writes: Final = writer
        self._limits: Final = limits or Limits()
        self._gathered = _Gathered()
        self._rows = 0
        self._stalled = False
        self._writer: asyncio.Task[None] | None = None
        metrics.follow("everloop_backlog_rows", lambda: self._rows)

    async def publish(self, messages: Sequence[Message], rows: int) -> None:
        """Write, and wait for the acknowledgement. Raises `BacklogError` or `BrokerGoneError`."""
        if self._stalled:
            raise BrokerGoneError("the broker does not answer")
        if self._rows and self._rows + rows > self._limits.most_waiting:
            raise BacklogError(f"{self._rows} rows wait for the broker")
        waiting = _Waiting(messages, rows)
        self._add(waiting)
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await waiting.done

    def why_not_ready(self) -> str | None:
        """Say that the broker is silent; None while it answers."""
        return "the broker, which does not acknowledge" if self._stalled else None

    async def close(self) -> None:
        """Write what waits, then let the writer go."""
        if self._writer is not None:
            await self._writer
        await self._writes.close()

    def _add(self, waiting: _Waiting) -> None:
        gathered = self._gathered
        if gathered.late is None:
            loop = asyncio.get_running_loop()
            gathered.late = loop.call_later(self._limits.answer_s, self._are_late, gathered)
        gathered.items.append(waiting)
        self._rows += waiting.rows

    def _are_late(self, gathered: _Gathered) -> None:
        """Nobody waits any longer: what is under way may arrive, and what comes is not taken until it has."""
        self._stalled = True
        for item in gathered.items:
            _settle(item.done, BrokerGoneError("the broker has not acknowledged in time"))

    async def _write(self) -> None:
        """Until nothing waits any more."""
        while True:
            await asyncio.sleep(self._limits.gather_s)
            gathered, self._gathered = self._gathered, _Gathered()
            error = await self._call([message for item in gathered.items for message in item.messages])
            if gathered.late is not None:
                gathered.late.cancel()
            self._stalled = False
            self._rows -= sum(item.rows for item in gathered.items)
            for item in gathered.items:
                _settle(item.done, error)
            if not self._gathered.items:
                self._writer = None
                return

    async def _call(self, messages: Sequence[Message]) -> BrokerGoneError | None:
        try:
            await self._writes.write(messages)
        except Exception as error:  # noqa: BLE001 -- whatever it was: nobody may be told that the rows are there
            message = str(error) if isinstance(error, EverloopError) else type(error).__name__
            logger.error("not_acknowledged", records=len(messages), message=message)  # noqa: TRY400 -- one line
            return BrokerGoneError("the broker has not acknowledged")
        return None


def _settle(done: asyncio.Future[None], error: BrokerGoneError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
        done.exception()  # seen: whoever asked may have gone
