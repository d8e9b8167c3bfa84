"""The two threads of a client: one makes batches of what callers gave, one sends them."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Final

from everloop.client.backlog import Backlog
from everloop.client.batches import make
from everloop.client.intake import Intake
from everloop.client.limits import Limits
from everloop.client.sending import Transport, send_all
from everloop.client.spill import Spill
from everloop.client.tally import Tally
from everloop.client.values import About, Held, Row, now_ms

UNREADABLE: Final = "what was given cannot be taken apart into rows"


class Engine:
    """All that moves. A forked child has none of its threads, so it makes an engine of its own."""

    def __init__(self, transport: Transport, spill: Spill | None, limits: Limits, tally: Tally) -> None:
        """Begin."""
        self._transport: Final = transport
        self._limits: Final = limits
        self._tally: Final = tally
        self._busy = 0
        self.intake: Final = Intake(limits)
        self._backlog: Final = Backlog(limits.queue_bytes, spill, tally)
        self._threads: Final = [
            threading.Thread(target=target, name=f"everloop-{name}", daemon=True)
            for name, target in (("gather", self._gather), ("send", self._send))
        ]
        for thread in self._threads:
            thread.start()

    def close(self, timeout_s: float) -> None:
        """Send what waits, for so long at the most; the rest goes to disk, or is dropped with its count."""
        until = time.monotonic() + timeout_s
        self.intake.close()
        for thread in self._threads:
            thread.join(max(until - time.monotonic(), 0))
        self._backlog.end()

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's."""
        self._backlog.abandon()

    def waiting(self) -> tuple[int, int]:
        """Rows in memory and on disk."""
        in_memory, on_disk = self._backlog.waiting()
        return self.intake.rows + self._busy + in_memory, on_disk

    def _gather(self) -> None:
        while (calls := self.intake.take(self._backlog.is_idle)) is not None:
            self._busy = sum(call.rows for call in calls)
            rows = [one for call in calls for one in self._unfolded(call)]
            made = make(rows, self._limits, lambda: str(uuid.uuid4()), now_ms())
            self._tally.add("refused", made.refused, "not written as JSON: a value or a time has no form in it")
            for batch in made.batches:
                self._backlog.push(batch)
            self._busy = 0
        self._backlog.close()

    def _unfolded(self, call: Held) -> list[tuple[About, Row, float]]:
        """Whatever a caller's values do when they are looked at, the thread goes on."""
        try:
            about, rows = call.unfold(*call.parts)
        except Exception as error:  # noqa: BLE001 -- code of the caller's, such as a column of a kind of its own
            self._tally.add("refused", call.rows, f"{UNREADABLE}: {type(error).__name__}")
            return []
        return [(about, row, call.size / len(rows)) for row in rows]

    def _send(self) -> None:
        self._backlog.adopt()
        send_all(self._backlog, self._transport, self._tally)
