"""Records that wait for the broker while their callers are already answered: bounded, dropped with a count."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from typing import Final

import structlog

from everloop.errors import EverloopError
from everloop.metrics import Metrics
from everloop.runtime.log import Log, Message

MOST_BYTES: Final = 64 * 1024 * 1024
MOST_AT_ONCE: Final = 200
logger = structlog.get_logger()


class Outbox:
    """A bounded queue and the thread that empties it. `put` never blocks."""

    def __init__(self, log: Log, metrics: Metrics, *, most_bytes: int = MOST_BYTES) -> None:
        """`most_bytes` bounds what waits; nothing is sent before `start`."""
        self.log: Final = log
        self.metrics: Final = metrics
        self.most_bytes: Final = most_bytes
        self._queue: Final[queue.SimpleQueue[tuple[int, Sequence[Message]] | None]] = queue.SimpleQueue()
        self._lock: Final = threading.Lock()
        self._bytes = 0
        self._rows = 0
        self._thread: Final = threading.Thread(target=self._run, daemon=True, name="outbox")

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, rows: int, messages: Sequence[Message]) -> bool:
        """Take records of so many rows; False where there is no room, then they are counted as dropped."""
        size = _size(messages)
        with self._lock:
            fits = self._bytes + size <= self.most_bytes
            if fits:
                self._wait_more(size, rows)
                self._queue.put((rows, messages))
        if not fits:
            self._dropped(rows, "backlog")
        return fits

    def send(self) -> bool:
        """Wait for something and send it, up to 200 requests at once; False when `close` was called."""
        taken = [self._queue.get()]
        while len(taken) < MOST_AT_ONCE and not self._queue.empty():
            taken.append(self._queue.get())
        found = [item for item in taken if item is not None]
        rows, messages = sum(item[0] for item in found), [message for item in found for message in item[1]]
        self._publish(rows, messages)
        with self._lock:
            self._wait_more(-_size(messages), -rows)
        return len(found) == len(taken)

    def close(self, timeout_s: float = 5.0) -> None:
        """Send the rest, for so long at most."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while self.send():
            pass

    def _publish(self, rows: int, messages: Sequence[Message]) -> None:
        try:
            self.log.publish(messages)
        except EverloopError:
            # Serving goes on without its broker: the champion answers, the rows are counted as lost.
            self._dropped(rows, "broker")

    def _wait_more(self, size: int, rows: int) -> None:
        self._bytes += size
        self._rows += rows
        self.metrics.set("everloop_backlog_rows", self._rows)

    def _dropped(self, rows: int, reason: str) -> None:
        self.metrics.inc("everloop_rows_refused_total", rows, kind="predictions", reason=reason)
        logger.error("rows_not_logged", rows=rows, reason=reason)


def _size(messages: Sequence[Message]) -> int:
    return sum(len(message.value or b"") for message in messages)
