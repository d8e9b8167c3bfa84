"""Where runs are hurt: at chosen points, at random ones, and by processes that go on after they were left for dead."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from everloop import topics
from everloop.simulation import Point, Simulation


class Name(NamedTuple):
    """A point as another run knows it again: `ordinal` counts repeats of the same effect."""

    process: str
    effect: str
    moment: str
    detail: str
    about: str
    ordinal: int


class Names:
    """Names the points of one run as they come."""

    def __init__(self) -> None:
        self.met: Counter[tuple[str, str, str, str, str]] = Counter()

    def __call__(self, point: Point) -> Name:
        seen = (point.process, point.effect, point.moment, point.detail, point.about)
        self.met[seen] += 1
        return Name(*seen, self.met[seen])


def named(points: Iterable[Point]) -> list[Name]:
    """The names of all points of a run, in order."""
    names = Names()
    return [names(point) for point in points]


class Crashes:
    """Crash at points of `remaining`, each once, at least `apart` points from one another: restarts crash as well."""

    def __init__(self, remaining: set[Name], apart: int) -> None:
        self.remaining = remaining
        self.apart = apart
        self.names = Names()
        self.last = -apart

    def __call__(self, simulation: Simulation, point: Point) -> bool:
        del simulation
        name = self.names(point)
        if name not in self.remaining or point.number - self.last < self.apart:
            return False
        self.last = point.number
        self.remaining.discard(name)
        return True


class Chaos:
    """At random points a process crashes, or stands still while its group goes on, and then finishes what it began.

    Before a decision is written it stands still oftener: that is where two writers meet.
    """

    def __init__(
        self, seed: int, *, crashes: float = 0.01, stalls: float = 0.003, before_decisions: float = 0.1
    ) -> None:
        self.random = random.Random(seed)
        self.crashes = crashes
        self.stalls = stalls
        self.before_decisions = before_decisions
        self.stalled: list[Point] = []
        self.busy = False

    def __call__(self, simulation: Simulation, point: Point) -> bool:
        decides = (point.effect, point.moment) == ("publish", "before") and topics.TOPICS[point.detail].journal
        drawn = self.random.random()
        if drawn < self.crashes:
            return True
        if drawn < self.crashes + (self.before_decisions if decides else self.stalls):
            self._stall(simulation, point)
        return False

    def _stall(self, simulation: Simulation, point: Point) -> None:
        if self.busy or point.process == "serving":
            return
        self.stalled.append(point)
        self.busy = True
        simulation.evict(point.process)
        simulation.settle(without=point.process)
        self.busy = False
