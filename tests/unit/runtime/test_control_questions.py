"""How often a control service asks the broker where its journal ends: once for all that a round has brought."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from everloop import topics
from everloop.buckets import partition
from everloop.codec import encode
from everloop.events import EVERY_MODEL, ClockMoved, Event, LoopApplied, WindowClosed, WindowJudged
from everloop.jobs import InlineJobs
from everloop.loop import Loop
from everloop.runtime.control import ControlService
from everloop.runtime.journal import Validity
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryClient, MemoryLog, no_hook
from everloop_drift.domain.judging import State
from everloop_drift.handlers import decider

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


class Asking(MemoryClient):
    """A connection that counts the questions for ends of the own journal."""

    asked = 0

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """As ever, and counted."""
        found = super().ends(places)
        self.asked += any(place.topic == topics.DRIFT.name for place in found)
        return found


def a_message(topic: topics.Topic, event: Event) -> Message:
    value, headers = encode(event, source="test", recorded=NOON)
    return Message(Place(topic.name, partition(event.model, topics.PARTITIONS)), event.model.encode(), value, headers)


def applied(model: str) -> LoopApplied:
    columns = {"id": "i", "time": "t", "label": "y"}
    loop = Loop.model_validate({"kind": "Loop", "version": 1, "model": model, "task": "binary", "columns": columns})
    return LoopApplied.named(model, NOON, model, loop=loop.to_payload(), digest="d")


def a_window(model: str, number: int) -> WindowClosed:
    start = round(NOON.timestamp() * 1000) + number
    return WindowClosed.named(
        f"{model}/{number}", NOON, model, kind="inputs", start=start, end=start + 1, arms=(), rows=0
    )


class Judged:
    """The judge of drift with some models, at rest."""

    def __init__(self, models: int) -> None:
        self.broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
        self.models = [f"model-{number}" for number in range(models)]
        self.client = Asking(self.broker, no_hook)
        self.say(topics.LOOPS, *map(applied, self.models))
        self.service: ControlService[State] = ControlService(
            decider(), self.client, InlineJobs({}), replica="0", wall=lambda: NOON
        )
        self.rest()

    def say(self, topic: topics.Topic, *events: Event) -> None:
        self.broker.client().publish([a_message(topic, event) for event in events])

    def rest(self) -> None:
        while self.service.step():
            pass

    def questions(self) -> int:
        """Of one round."""
        before = self.client.asked
        self.service.step()
        return self.client.asked - before

    def decided(self) -> list[WindowJudged]:
        validity = Validity()
        records = [record for n in range(4) for record in self.broker.records[Place(topics.DRIFT.name, n)]]
        return [event for record in records if isinstance(event := validity.accept(record), WindowJudged)]


@pytest.mark.parametrize("models", [1, 30])
def test_a_tick_of_all_models_is_one_question(models: int) -> None:
    judged = Judged(models)
    judged.say(topics.CLOCK, ClockMoved.named("now", NOON, EVERY_MODEL, data=NOON, control=NOON))
    assert judged.questions() == 1


@pytest.mark.parametrize("windows", [1, 30])
def test_what_one_round_brings_is_one_question(windows: int) -> None:
    judged = Judged(models=1)
    judged.say(topics.WINDOWS, *(a_window(judged.models[0], number) for number in range(windows)))
    assert judged.questions() == 1
    assert len(judged.decided()) == windows


def test_a_round_that_brings_nothing_asks_nothing() -> None:
    assert Judged(models=3).questions() == 0


def test_who_wrote_after_the_question_is_read_and_the_input_decided_again() -> None:
    judged = Judged(models=1)
    (model,) = judged.models
    first, second = a_window(model, 1), a_window(model, 2)
    other = WindowJudged.because(
        first, NOON, kind="inputs", start=first.start, end=first.end, revision=0, version=None, verdict="too_few",
        measures=(), reason={"rule": "windows.min_rows"}, episode="none", sequence=1,
    )  # fmt: skip
    judged.say(topics.WINDOWS, first, second)
    judged.client.hook = lambda effect, moment, detail: (
        judged.say(topics.DRIFT, other)
        if (effect, moment, detail) == ("publish", "before", topics.DRIFT.name) and not judged.decided()
        else None
    )
    judged.rest()
    said = judged.decided()
    assert [(one.sequence, one.causation_id) for one in said] == [(1, first.id), (2, second.id)]
    assert said[0] == other, "it came first, ours is void"
