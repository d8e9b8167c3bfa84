"""All pure cores on the in-memory log, with a seeded scheduler, a virtual clock, and a crash point at every effect."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from everloop.errors import FatalError
from everloop.runtime.memory import Effect, MemoryClient, MemoryConsumer, MemoryLog, Moment
from everloop.topics import TOPICS


class CrashError(BaseException):
    """The process is gone, at this very point. Not an `Exception`: no handler of the product may catch it."""


class Process(Protocol):
    """Anything that the scheduler runs."""

    def step(self, timeout_s: float = 0.0) -> bool:
        """One round; whether there was anything to do."""


Build = Callable[[MemoryClient], Process]


@dataclass(frozen=True, slots=True)
class Point:
    """One moment beside one effect of one process, counted from the start of the run.

    `detail` is the topic or group; `about` names the record or the offsets, so that a point is known again in another
    run.
    """

    process: str
    effect: Effect
    moment: Moment
    detail: str
    number: int
    about: str = ""


@dataclass
class Simulation:
    """A whole stack in one process. `crash(point)` says where to crash; each point is met once."""

    builds: Mapping[str, Build]
    crash: Callable[[Point], bool] = lambda _: False
    seed: int = 0
    partitions: Mapping[str, int] = field(default_factory=lambda: {t.name: t.partitions for t in TOPICS.values()})

    def __post_init__(self) -> None:
        """Start every process."""
        self.broker = MemoryLog(self.partitions)
        self.random = random.Random(self.seed)
        self.points: list[Point] = []
        self.crashes: list[Point] = []
        self.running: dict[str, tuple[Process, MemoryClient] | None] = dict.fromkeys(self.builds)

    def settle(self, rounds: int = 10_000, *, without: str | None = None) -> None:
        """Run processes in random order until none has anything to do; `AssertionError` when that never comes.

        The process `without` stands still meanwhile.
        """
        for _ in range(rounds):
            names = [name for name in self.builds if name != without]
            self.random.shuffle(names)
            moved = [self._step(name) for name in names]
            if not any(moved):
                return
        msg = f"the stack did not come to rest in {rounds} rounds (seed {self.seed})"
        raise AssertionError(msg)

    def client(self) -> MemoryClient:
        """A connection for the test itself; it never crashes."""
        return self.broker.client()

    def connect(self, name: str) -> MemoryClient:
        """A connection of the process `name`, whose effects are points; for one that the test runs by itself."""
        client = self.broker.client()
        client.hook = lambda effect, moment, detail: self._meet(
            Point(name, effect, moment, detail, len(self.points), client.about)
        )
        return client

    def kill(self, name: str) -> None:
        """End a process at once: its memberships end, its state is gone."""
        self.evict(name)
        self.running[name] = None

    def evict(self, name: str) -> None:
        """End the memberships of a process that does not know of it and goes on: a zombie."""
        running = self.running[name]
        if running is None:
            return
        for group in self.broker.groups.values():
            for member in [member for member in group.members if member.client is running[1]]:
                group.members.remove(member)
                self.broker.rebalance(group)

    def _step(self, name: str) -> bool:
        try:
            running = self.running[name] or self._start(name)
            return running[0].step()
        except (CrashError, FatalError):
            self.kill(name)
            return True

    def _start(self, name: str) -> tuple[Process, MemoryClient]:
        client = self.connect(name)
        self.running[name] = (_Starting(), client)
        process = self.builds[name](client)
        self.running[name] = (process, client)
        return process, client

    def _meet(self, point: Point) -> None:
        self.points.append(point)
        if self.crash(point):
            self.crashes.append(point)
            raise CrashError(point)


class _Starting:
    """Stands for a process whose constructor has not returned, so that a crash in it is cleaned up as well."""

    def step(self, timeout_s: float = 0.0) -> bool:
        """Nothing yet."""
        del timeout_s
        return True


def members_of(broker: MemoryLog, group: str) -> list[MemoryConsumer]:
    """Who is in a group now."""
    return broker.groups[group].members if group in broker.groups else []
