"""Batches that wait to be sent, in the order in which they were made: in memory, or on disk once one was not sent.

At most one of the two holds anything, unless the disk refuses: while something lies on disk, what comes goes behind it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Final

from everloop.client.batches import Batch
from everloop.client.spill import Spill
from everloop.client.tally import Tally

NO_ROOM: Final = "more wait than there is room for"


class Backlog:
    """A bounded queue between the thread that makes batches and the one that sends them."""

    def __init__(self, most_bytes: int, spill: Spill | None, tally: Tally) -> None:
        """`most_bytes` of bodies stay in memory; what is beyond goes to disk, or is dropped where there is no spill."""
        self._most: Final = most_bytes
        self._spill: Final = spill
        self._tally: Final = tally
        self._changed: Final = threading.Condition()
        self._memory: Final[deque[Batch]] = deque()
        self._bytes = 0
        self._closing = self._ended = False
        self._lost = 0

    def adopt(self) -> None:
        """Take over what earlier processes left on disk."""
        with self._changed:
            if self._spill is not None:
                self._tally.add("recovered", self._spill.adopt())

    def push(self, batch: Batch) -> None:
        """Put a batch at the end. The newest is what is dropped where all is full: what is kept is kept."""
        with self._changed:
            size = len(batch.body)
            if not self._on_disk() and (not self._memory or self._bytes + size <= self._most):
                self._memory.append(batch)
                self._bytes += size
            elif not (self._to_disk() and self._write(batch)):
                self._tally.add("dropped", batch.rows, NO_ROOM)
            self._changed.notify()

    def is_idle(self) -> bool:
        """Whether a batch would be sent, or written to disk, at once."""
        with self._changed:
            return not self._memory

    def first(self) -> Batch | None:
        """Wait for the oldest batch, which stays; None when there is none and none will come."""
        with self._changed:
            while not self._ended:
                batch = self._spill.first() if self._spill is not None and self._on_disk() else None
                self._count_lost()
                if batch is not None or self._memory:
                    return batch or self._memory[0]
                if self._closing:
                    return None
                self._changed.wait()
            return None

    def done(self) -> None:
        """Forget the oldest: it has arrived, or never can."""
        with self._changed:
            if self._ended:
                return
            if self._spill is not None and self._on_disk():
                self._spill.pop()
            else:
                self._bytes -= len(self._memory.popleft().body)

    def keep(self) -> None:
        """The oldest could not be sent: all that waits goes to disk, where it outlives this process."""
        with self._changed:
            if not self._ended:
                self._to_disk()

    def pause(self, seconds: float) -> bool:
        """Wait so long before the oldest is tried again; False at once where it is not to be tried again."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._stops() and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self._stops()

    def close(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def end(self) -> None:
        """Nothing more is sent. What is left goes to disk, or is dropped with its count."""
        with self._changed:
            if self._ended:
                return
            self._closing = self._ended = True
            self._to_disk()
            self._tally.add("dropped", sum(batch.rows for batch in self._memory), "the client was closed before")
            self._memory.clear()
            if self._spill is not None:
                self._spill.close()
            self._changed.notify_all()

    def abandon(self) -> None:
        """In a forked child: all this is the parent's."""
        if self._spill is not None:
            self._spill.abandon()

    def waiting(self) -> tuple[int, int]:
        """Rows in memory, and on disk."""
        with self._changed:
            return sum(batch.rows for batch in self._memory), self._spill.rows if self._spill is not None else 0

    def _stops(self) -> bool:
        """While it closes, what lies on disk is left to the next process, what is in memory has no other chance."""
        return self._ended or (self._closing and self._spill is not None and not self._memory)

    def _on_disk(self) -> bool:
        return self._spill is not None and self._spill.rows > 0

    def _to_disk(self) -> bool:
        """Move what is in memory behind what is on disk; whether all went."""
        while self._memory and self._write(self._memory[0]):
            self._bytes -= len(self._memory.popleft().body)
        return not self._memory

    def _write(self, batch: Batch) -> bool:
        if self._spill is None or not self._spill.append(batch):
            return False
        self._tally.add("spilled", batch.rows)
        return True

    def _count_lost(self) -> None:
        if self._spill is not None and self._spill.lost > self._lost:
            self._tally.add("dropped", self._spill.lost - self._lost, "the disk no longer gives what was written")
            self._lost = self._spill.lost
