"""A file played through a running stack: the first champion, then the stream, in lock-step or at a pace."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Final

from everloop import topics
from everloop.events import ClockMoved
from everloop.replay.commands import History, first_champion
from everloop.replay.course import Course
from everloop.replay.lockstep import LockStep, publish_on
from everloop.replay.served import Served

PAUSE_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Seen:
    """How far it is: rows that were streamed, and the model's time (ms)."""

    rows: int
    now: int


@dataclass
class Play:
    """One replay of one model; `show` is told how far it is."""

    course: Course
    lock: LockStep
    served: Served
    show: Callable[[Seen], None] = lambda _: None
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def first_champion(self) -> None:
        """A version trained on the history, all of whose labels are known. Raises `FatalError` without one."""
        rows, begin, end = self.course.history, moment(self.course.first), moment(self.course.start)
        first_champion(self.lock, self.course.loop, History(rows, rows.labelled(0), begin, end), "replay")

    def in_lock_step(self) -> None:
        """Window after window, each when the one before is decided."""
        rows = 0
        for leg in self.course.legs():
            self.lock.feed(leg.rows, [leg.labels] if leg.labels.ids else [])
            self.served.learn(leg.labels)
            self.lock.close(moment(leg.until))
            self.lock.decide()
            rows += len(leg.rows.ids)
            self.show(Seen(rows, leg.until))

    def at_pace(self, speed: float) -> None:
        """`speed` seconds of the model pass in one of ours. Nothing is waited for: a slow machine decides later."""
        row = label = 0
        began, start, times = self.monotonic(), self.course.start, self.course.stream.times
        for number in count():
            now = start + round((self.monotonic() - began) * speed * 1000)
            rows, labels = _until(times, row, now), _until(self.course.known_at, label, now)
            self._send(slice(row, rows), slice(label, labels))
            self._move(number, min(now, self.course.end))
            row, label = rows, labels
            self.show(Seen(row, now))
            if now >= self.course.end:
                break
            self.sleep(PAUSE_S)
        self.lock.client.quiescence.wait()

    def _send(self, rows: slice, labels: slice) -> None:
        client, model = self.lock.client, self.course.loop.model
        for batch in self.course.stream.cut(rows).batches():
            client.predictions.expect(batch.ids)
            client.door.predict(model, batch)
        known = self.course.labels(labels.start, labels.stop)
        if known.ids:
            client.door.label(model, known)
        client.predictions.news()
        client.journals.news()
        self.served.learn(known)

    def _move(self, number: int, now: int) -> None:
        """Both clocks at once: windows close and ticks come whenever the services get to it."""
        at, model = moment(now), self.course.loop.model
        moved = ClockMoved.named(f"{model}/pace/{number}", at, model, data=at, control=at)
        publish_on(self.lock.client.log, topics.CLOCK, moved)


def moment(time_ms: int) -> datetime:
    """A time of a row as a moment."""
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def _until(times: tuple[int, ...], start: int, now: int) -> int:
    """The first place from `start` on whose time is later."""
    while start < len(times) and times[start] <= now:
        start += 1
    return start
