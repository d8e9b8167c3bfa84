"""What became of every row that was logged: each is in exactly one of the counts that `Stats` adds up to."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Final, Literal

Count = Literal["sent", "refused", "dropped", "spilled", "recovered"]
MOST_REASONS: Final = 100
logger = logging.getLogger("everloop.client")


@dataclass(frozen=True, slots=True)
class Stats:
    """Rows of one client in this process, predictions and labels together.

    `sent` were acknowledged. `refused` can never be accepted: the front door has said why, or they cannot be written as
    JSON. `dropped` found no room, neither in memory nor on disk. `queued` wait in memory, `on_disk` in files. So all
    that was logged, and all that an earlier process has left on disk (`recovered`), is
    `sent + refused + dropped + queued + on_disk`. `spilled` were ever written to disk.
    """

    sent: int = 0
    refused: int = 0
    dropped: int = 0
    queued: int = 0
    on_disk: int = 0
    spilled: int = 0
    recovered: int = 0


class Tally:
    """Counts of rows, from any thread, and one line in the log for each reason."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self._lock: Final = threading.RLock()
        self._counts: Final[dict[Count, int]] = dict.fromkeys(("sent", "refused", "dropped", "spilled", "recovered"), 0)
        self._said: Final[set[str]] = set()

    def add(self, count: Count, rows: int, reason: str = "") -> None:
        """Count rows. A reason is logged when it is new; it holds no value of a row."""
        with self._lock:
            self._counts[count] += rows
        if reason and rows:
            self.say(f"rows {count}", reason)

    def say(self, what: str, reason: str) -> None:
        """Log this once."""
        with self._lock:
            new = reason not in self._said and len(self._said) < MOST_REASONS
            if new:
                self._said.add(reason)
        if new:
            logger.warning("%s: %s (said once; Client.stats() counts)", what, reason)

    def stats(self, queued: int, on_disk: int) -> Stats:
        """Give all counts."""
        with self._lock:
            return Stats(queued=queued, on_disk=on_disk, **self._counts)
