"""Work outside is done once it can be, in order within a model, and is forgotten by no restart."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from threading import Event as Flag
from threading import Thread

import pytest

from everloop import topics
from everloop.errors import AwayError, InvalidError
from everloop.events import Event, TrainingRequested
from everloop.metrics import Metrics
from everloop.runtime.log import Place
from everloop.runtime.memory import MemoryLog
from everloop.runtime.reactor import LAST_PAUSE_S, LATE_S, MOST_REFUSALS, Inline, Reactor
from tests.builders import NOON, a_fresh_id

PLACE = Place(topics.TRAINING.name, 0)
GROUP = "everloop.trainer.effects"


def an_event(model: str) -> TrainingRequested:
    return TrainingRequested(id=a_fresh_id(), time=NOON, model=model, by="a person")


@dataclass
class Stage:
    """A reactor that holds one partition, a wall clock that a test turns, and an outside that can fail by model."""

    broker: MemoryLog = field(default_factory=lambda: MemoryLog({PLACE.topic: PLACE.partition + 1}))
    now: datetime = NOON
    fails: dict[str, Exception] = field(default_factory=dict)
    tried: list[Event] = field(default_factory=list)
    shown: list[Event] = field(default_factory=list)
    told: list[tuple[str, str, bool]] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)

    def show(self, event: Event) -> None:
        self.tried.append(event)
        if event.model in self.fails:
            raise self.fails[event.model]
        self.shown.append(event)

    def tell(self, event: Event, why: str, *, for_good: bool) -> None:
        self.told.append((event.model, why, for_good))

    def reactor(self, *events: Event, hands: Executor | None = None) -> Reactor:
        """A fresh start that has read these events in its journal."""
        made = Reactor(
            {TrainingRequested: self.show}, self.broker.client(), GROUP, hands=hands or Inline(), wall=lambda: self.now,
            metrics=self.metrics, tell=self.tell,
        )  # fmt: skip
        made.hold(PLACE)
        for offset, event in enumerate(events):
            made.add(PLACE, offset, event)
        return made

    def settle(self, reactor: Reactor, *, seconds: float = 0.0) -> None:
        """Some time later: everything that is due."""
        self.now += timedelta(seconds=seconds)
        while reactor.step():
            pass

    @property
    def committed(self) -> int:
        return self.broker.client().committed(GROUP, [PLACE])[PLACE]


def test_what_is_done_is_committed() -> None:
    stage = Stage()
    events = [an_event("a"), an_event("b")]
    stage.settle(stage.reactor(*events))
    assert (stage.shown, stage.committed) == (events, 2)
    assert stage.metrics.value("everloop_effects_waiting") == 0


def test_what_is_away_stops_no_other_model_and_holds_the_commit_back() -> None:
    stage = Stage(fails={"a": AwayError("nobody is there")})
    first, other, second = an_event("a"), an_event("b"), an_event("a")
    reactor = stage.reactor(first, other, second)
    stage.settle(reactor)
    assert (stage.tried, stage.shown, stage.committed) == ([first, other], [other], 0)
    assert stage.metrics.value("everloop_effects_waiting") == 2
    stage.fails.clear()
    stage.settle(reactor, seconds=1)
    assert (stage.shown, stage.committed) == ([other, first, second], 3)


def test_a_restart_begins_with_the_oldest_work_that_is_not_done() -> None:
    stage = Stage()
    first, second, third = an_event("a"), an_event("b"), an_event("c")
    stage.fails["b"] = AwayError("nobody is there")
    stage.settle(stage.reactor(first, second, third))
    assert stage.committed == 1
    stage.fails.clear()
    stage.shown.clear()
    stage.settle(stage.reactor(first, second, third))
    assert (stage.shown, stage.committed) == ([second, third], 3)


def test_pauses_grow_to_a_minute() -> None:
    stage = Stage(fails={"a": AwayError("nobody is there")})
    reactor = stage.reactor(an_event("a"))
    tries = []
    for _ in range(400):
        before = len(stage.tried)
        stage.settle(reactor, seconds=1)
        if len(stage.tried) > before:
            tries.append((stage.now - NOON).total_seconds())
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses[:6] == [1, 2, 4, 8, 16, 32]
    assert set(pauses[6:]) == {LAST_PAUSE_S}


def test_a_person_hears_once_of_what_is_late() -> None:
    stage = Stage(fails={"a": AwayError("nobody is there")})
    reactor = stage.reactor(an_event("a"))
    stage.settle(reactor)
    stage.settle(reactor, seconds=LATE_S - 1)
    assert stage.told == []
    for _ in range(10):
        stage.settle(reactor, seconds=LAST_PAUSE_S)
    assert stage.told == [("a", "nobody is there", False)]


def test_a_no_is_passed_over_at_last() -> None:
    stage = Stage(fails={"a": InvalidError("refused", "it will not")})
    refused, next_one = an_event("a"), an_event("a")
    reactor = stage.reactor(refused, next_one)
    for _ in range(MOST_REFUSALS - 1):
        stage.settle(reactor, seconds=LAST_PAUSE_S)
    assert stage.committed == 0
    stage.fails.clear()
    stage.fails["a"] = InvalidError("refused", "it will not")
    stage.settle(reactor, seconds=LAST_PAUSE_S)
    assert stage.told[-1] == ("a", "it will not", True)
    assert stage.committed == 1
    stage.fails.clear()
    stage.settle(reactor, seconds=LAST_PAUSE_S)
    assert (stage.shown, stage.committed) == ([next_one], 2)


def test_what_was_not_foreseen_is_tried_again_and_its_text_is_not_told() -> None:
    stage = Stage(fails={"a": KeyError("card 4000-0000")})
    reactor = stage.reactor(an_event("a"))
    for _ in range(3 * MOST_REFUSALS):
        stage.settle(reactor, seconds=LAST_PAUSE_S)
    ((_, why, for_good),) = stage.told
    assert why.startswith("KeyError in test_reactor.py")
    assert not for_good
    assert stage.committed == 0


@dataclass
class Slow:
    """Work that takes until it may end."""

    begun: Flag = field(default_factory=Flag)
    may_end: Flag = field(default_factory=Flag)

    def __call__(self, event: Event) -> None:
        del event
        self.begun.set()
        self.may_end.wait()


def test_slow_work_is_waited_for_by_nobody() -> None:
    stage, slow, hands = Stage(), Slow(), ThreadPoolExecutor(1)
    reactor = stage.reactor(an_event("a"), an_event("b"), hands=hands)
    reactor.effects = {TrainingRequested: slow}
    assert reactor.step()
    slow.begun.wait()
    assert not reactor.step(), "the loop goes round while the work is being done, one piece at a time"
    slow.may_end.set()
    while stage.committed < 2:
        reactor.step()


def test_work_of_a_partition_that_was_lost_meanwhile_is_not_committed() -> None:
    stage, slow, hands = Stage(), Slow(), ThreadPoolExecutor(1)
    reactor = stage.reactor(an_event("a"), hands=hands)
    reactor.effects = {TrainingRequested: slow}
    assert reactor.step()
    reactor.let_go(PLACE)
    slow.may_end.set()
    while reactor.running:
        reactor.step()
    assert stage.committed == 0


def test_the_hands_are_let_go_of_at_the_end() -> None:
    hands = ThreadPoolExecutor(1)
    Stage().reactor(hands=hands).close()
    with pytest.raises(RuntimeError):
        hands.submit(Thread)
