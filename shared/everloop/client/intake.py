"""What callers have given and no batch holds yet: a bounded queue whose `put` never waits for anything but its lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from everloop.client.limits import Limits
from everloop.client.values import Held

LOOKS: Final = 10


class Intake:
    """From many threads to one. The lock is held for a few instructions at a time."""

    def __init__(self, limits: Limits) -> None:
        """Empty."""
        self._limits: Final = limits
        self._changed: Final = threading.Condition()  # reentrant: a signal handler may log while its thread does
        self._calls: list[Held] = []
        self._bytes = 0
        self._since = 0.0
        self._sleeping = False
        self._closing = False
        self.rows = 0

    def put(self, call: Held) -> bool:
        """Take a call; False where there is no room for all of it, or after `close`."""
        with self._changed:
            rows, size = self.rows + call.rows, self._bytes + call.size
            full = bool(self._calls) and (rows > self._limits.queue_rows or size > self._limits.queue_bytes)
            if full or self._closing:
                return False
            self._calls.append(call)
            self.rows, self._bytes = rows, size
            if self._sleeping or rows >= self._limits.batch_rows:
                self._changed.notify()
            return True

    def take(self, idle: Callable[[], bool]) -> Sequence[Held] | None:
        """Wait until there is a batch of rows, or some have lingered and what was taken before is gone (`idle`).

        None after `close`, when all was taken.
        """
        with self._changed:
            self._await()
            self._linger(idle)
            calls, self._calls = self._calls, []
            self.rows = self._bytes = 0
            return calls or None

    def close(self) -> None:
        """Take nothing more."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def _await(self) -> None:
        """Look now and then, and sleep only after a while without any: to be woken costs the caller a system call."""
        looks = 0
        while not self._calls and not self._closing:
            looks += 1
            self._sleeping = looks > LOOKS
            self._changed.wait(None if self._sleeping else self._limits.linger_s)
        self._sleeping = False

    def _linger(self, idle: Callable[[], bool]) -> None:
        until = time.monotonic() + self._limits.linger_s
        while self.rows < self._limits.batch_rows and not self._closing:
            left = until - time.monotonic()
            if left <= 0 and idle():
                return
            self._changed.wait(left if left > 0 else self._limits.linger_s)
