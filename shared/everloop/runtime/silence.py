"""Silence must be heard: an alert when ingest has not said what time it is for ten seconds (DESIGN section 4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from everloop import topics
from everloop.buckets import partition
from everloop.codec import encode
from everloop.events import EVERY_MODEL, AlertRaised, named_id
from everloop.runtime.log import Log, Message, Place, places_of

LIMIT_S = 10.0
LISTEN_EVERY_S = 1.0


class Silence:
    """Watches the clock of all on `clock`, which ingest writes each second; one alert per silence."""

    def __init__(self, log: Log, wall: Callable[[], datetime], *, source: str, limit_s: float = LIMIT_S) -> None:
        """Begin at the present end: what was said before this process started is no news."""
        self.log = log
        self.wall = wall
        self.source = source
        self.limit_s = limit_s
        self.places = places_of(log, [topics.CLOCK.name])
        self.heard_at = self.listened_at = wall()
        self.alerted = False
        self.tail = log.tail()
        self.ends = log.ends(self.places)
        self.tail.seek(self.ends)

    def step(self, timeout_s: float = 0.0) -> bool:
        """Listen once; whether the silence was broken or an alert was said."""
        del timeout_s
        if (self.wall() - self.listened_at).total_seconds() < LISTEN_EVERY_S:
            return False
        self.listened_at = self.wall()
        ends = self.log.ends(self.places)
        heard = any(record.key == EVERY_MODEL.encode() for record in self.tail.read_to(ends))
        if heard:
            self.heard_at, self.alerted = self.wall(), False
            return False
        if self.alerted or self.silent_s() < self.limit_s:
            return False
        self._alert()
        self.alerted = True
        return True

    def silent_s(self) -> float:
        """Wall seconds since the clock of all was heard last."""
        return (self.wall() - self.heard_at).total_seconds()

    def close(self) -> None:
        """Let go of the connection."""
        self.tail.close()

    def _alert(self) -> None:
        alert = AlertRaised(
            id=named_id("AlertRaised", f"heartbeat_missing/{self.heard_at.isoformat()}"), time=self.wall(),
            model=EVERY_MODEL, name="heartbeat_missing", severity="error",
            summary=f"ingest has not said what time it is for {self.limit_s:g} s: no window closes, nobody ticks",
        )  # fmt: skip
        value, headers = encode(alert, source=self.source, recorded=self.wall())
        place = Place(topics.ALERTS.name, partition(EVERY_MODEL, topics.ALERTS.partitions))
        self.log.publish([Message(place, EVERY_MODEL.encode(), value, headers)])
