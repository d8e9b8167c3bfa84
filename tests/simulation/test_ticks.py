"""Ticks: time never goes back, one clock record is one tick, and a model's own clock hides the clock of all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from everloop import topics
from everloop.buckets import partition
from everloop.events import EVERY_MODEL, ClockMoved, Event, LoopApplied, Tick
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryClient
from everloop.runtime.room import Decider
from everloop.simulation import Process, Simulation
from everloop_trainer.domain import State
from everloop_trainer.handlers import decider as trainer
from tests.simulation.stack import LOOP, MODEL, START, control, publish

MINUTE = timedelta(minutes=1)


@dataclass
class Clocked:
    """A trainer that notes what ticks it was asked about."""

    asked: list[tuple[datetime, Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.simulation = Simulation({"trainer": self.build})
        self.client = self.simulation.client()
        loop = Loop.from_payload(LOOP).to_payload()
        publish(self.client, topics.LOOPS, LoopApplied.named(MODEL, START, MODEL, loop=loop, digest="d"))

    def build(self, client: MemoryClient) -> Process:
        return control(lambda: replace(trainer(), decide=self.decide), {}, 0)(client)

    def decide(self, state: State, cause: Event, now: datetime, rules: Loop, facts: Facts | None, /) -> Event | None:
        sound: Decider[State] = trainer()
        if isinstance(cause, Tick):
            assert facts is not None
            self.asked.append((now, cause))
        return sound.decide(state, cause, now, rules, facts)

    def tick(self, minutes: int, number: int = 0, model: str = MODEL) -> None:
        now = START + minutes * MINUTE
        name = f"{model}/{minutes}/{number}"
        moved = ClockMoved.named(name, now, model, data=now, control=now, round=number)
        publish(self.client, topics.CLOCK, moved)
        self.simulation.settle()

    @property
    def minutes(self) -> list[float]:
        return [(now - START) / MINUTE for now, _ in self.asked]


def test_time_never_goes_back() -> None:
    clocked = Clocked()
    for minutes in (5, 9, 7, 12):
        clocked.tick(minutes)

    assert clocked.minutes == [5, 9, 12]


def test_one_clock_record_is_one_tick_also_after_a_restart() -> None:
    clocked = Clocked()
    clocked.tick(5)
    clocked.simulation.kill("trainer")
    clocked.simulation.settle()

    assert clocked.minutes == [5]


def test_a_repeated_clock_record_is_no_tick_and_a_round_is_one() -> None:
    clocked = Clocked()
    clocked.tick(5)
    clocked.tick(5)
    clocked.tick(5, number=1)

    assert clocked.minutes == [5, 5]
    assert len({cause.id for _, cause in clocked.asked}) == 2


def test_the_own_clock_hides_the_clock_of_all_until_its_tombstone() -> None:
    clocked = Clocked()
    clocked.tick(5)
    clocked.tick(60, model=EVERY_MODEL)
    assert clocked.minutes == [5]

    place = Place(topics.CLOCK.name, partition(MODEL, topics.PARTITIONS))
    clocked.client.publish([Message(place, MODEL.encode(), None)])
    clocked.tick(61, model=EVERY_MODEL)

    assert clocked.minutes[0] == 5
    assert clocked.minutes[-1] == 61
