"""The clock in the log: heartbeats into every partition of `predictions`, the clock of all, and models' own clocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final

import structlog

from everloop import topics
from everloop.buckets import partition
from everloop.errors import FatalError
from everloop.events import EVERY_MODEL, ClockMoved, Event, HeartbeatSent
from everloop.hosting import Health
from everloop.loop import Feedback
from everloop.metrics import Metrics
from everloop.runtime.broadcast import Broadcast, World
from everloop.runtime.log import Assignment, Log, Message, Record
from everloop_ingest.adapters.records import Wall, message, moment
from everloop_ingest.domain.beating import Due, Written, after, due
from everloop_ingest.domain.signatures import UNKNOWN, Signatures, learn

HEARD: Final = (topics.LOOPS, topics.CLOCK, topics.ROLLOUTS)
MOST_FAILURES: Final = 20
CALM_S: Final = 0.1
"""Between two looks while no model has a clock of its own, which somebody would wait for: a look costs 2 ms of CPU."""
logger = structlog.get_logger()


class Beater:
    """Hears `loops`, `clock` and `rollouts`, writes heartbeats.

    A clock counts as heard when its heartbeat is acknowledged.
    """

    def __init__(
        self, log: Log, *, replica: str, wall: Wall, metrics: Metrics, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Open the broadcasts; nothing is read or written yet."""
        self.log = log
        self.replica = replica
        self.wall = wall
        self.metrics = metrics
        self.sleep = sleep
        self.world = World()
        self.heard = False
        self.last = Written()
        self.broadcast = Broadcast(log, [topic.name for topic in HEARD], f"everloop.ingest.door.broadcast.{replica}")
        self.known: dict[str, Signatures] = {}

    def step(self, timeout_s: float = 0.0) -> bool:
        """Read to the present end, write what is due, wait when there was nothing to do."""
        news = [self._learn(record, event) for record, event in self.broadcast.one_by_one()]
        self.heard = True
        self.metrics.know(self.world.loops)
        wrote = self._write()
        self.broadcast.commit()
        if not news and not wrote and timeout_s:
            self.sleep(timeout_s if self.own_clocks else max(timeout_s, CALM_S))
        return bool(wrote or any(news))

    def _learn(self, record: Record, event: Event | None) -> bool:
        """Take note of one record; whether it is more than the clock of all."""
        self.world.learn(record, event)
        if event is not None and record.place.topic == topics.ROLLOUTS.name:
            self.known[event.model] = learn(self.known.get(event.model, UNKNOWN), event)
        return event is None or event.model != EVERY_MODEL

    def close(self) -> None:
        """Let go of the reader."""
        self.broadcast.tail.close()

    def models(self) -> Collection[str] | None:
        """Whose loop files are applied; None before `loops` was read to its end."""
        return self.world.loops if self.heard else None

    def is_binary(self, model: str) -> bool:
        """Whether the loop file of a model says that there are two classes."""
        loop = self.world.loops.get(model)
        return loop is not None and loop.task == "binary"

    def signatures(self, model: str) -> Signatures:
        """What the versions of a model were made to be asked, and whether rows that are unlike are refused."""
        loop = self.world.loops.get(model)
        return replace(self.known.get(model, UNKNOWN), refuses=loop is not None and loop.door.signature == "refuse")

    def feedback(self, model: str) -> Mapping[str, Feedback]:
        """Which feedback the loop file of a model declares."""
        loop = self.world.loops.get(model)
        return {} if loop is None else loop.feedback or {}

    @property
    def own_clocks(self) -> dict[str, int]:
        """Data clock (ms) of each model that has one of its own."""
        clocks = self.world.clocks
        return {model: _ms(clocks[model].moved) for model in sorted(clocks) if model != EVERY_MODEL}

    def _write(self) -> bool:
        own = self.own_clocks
        now = due(own, int(self.wall().timestamp() * 1000), self.last)
        messages = self._messages(now)
        if not messages:
            return False
        self.log.publish(messages)
        self.metrics.inc("everloop_heartbeats_total")
        self.last = after(now, own, self.last)
        return True

    def _messages(self, now: Due) -> list[Message]:
        """The clock of all goes last: who has heard it finds the heartbeat in the log."""
        found = []
        if now.heartbeat is not None:
            at = now.heartbeat[EVERY_MODEL]
            name = "/".join([self.replica, *(f"{model}={clock}" for model, clock in now.heartbeat.items())])
            beat = HeartbeatSent.named(name, moment(at), EVERY_MODEL, replica=self.replica, clocks=now.heartbeat)
            count = self.log.partitions(topics.PREDICTIONS.name)
            found += [message(topics.PREDICTIONS, number, beat, self.wall()) for number in range(count)]
        if now.clock is not None:
            at_all = moment(now.clock)
            moved = ClockMoved.named(f"*/{now.clock}", at_all, EVERY_MODEL, data=at_all, control=at_all)
            found.append(message(topics.CLOCK, partition(EVERY_MODEL, topics.PARTITIONS), moved, self.wall()))
        return found


class Patient:
    """Steps a beater through outages: the door answers 503 meanwhile, which it could not if it were started again."""

    def __init__(self, beater: Beater, health: Health, *, most: int = MOST_FAILURES) -> None:
        """`health` hears of an outage; after `most` rounds without the broker in a row its error is raised."""
        self.beater = beater
        self.health = health
        self.most = most
        self.failures = 0
        self.assigned = Assignment(0, frozenset())

    def step(self, timeout_s: float = 0.0) -> bool:
        """One round. While the broker is gone the service is not ready."""
        try:
            done = self.beater.step(timeout_s)
        except FatalError as error:
            self._gone(error)
            return False
        self.failures = 0
        self.assigned = Assignment(1, frozenset())
        return done

    def close(self) -> None:
        """Close the beater."""
        self.beater.close()

    def _gone(self, error: FatalError) -> None:
        self.failures += 1
        if self.failures >= self.most:
            raise error
        logger.warning("broker_gone", message=str(error))
        self.assigned = Assignment(0, frozenset())
        self.health.not_ready("an answer of the broker")


def _ms(moved: ClockMoved) -> int:
    return int(moved.data.timestamp() * 1000)
