"""A bug in a pure core: the input goes to the dead letters, people hear of it, and all else goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from everloop import topics
from everloop.buckets import partition
from everloop.errors import AwayError
from everloop.events import AlertRaised, DeadLettered, Event, ModelVersionCreated, TrainingRequested, WindowJudged
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.runtime.log import Message, Place
from everloop.runtime.room import Decider, Effect
from everloop_drift.domain.judging import State
from everloop_drift.handlers import decider as judge
from everloop_trainer import domain as trainer_domain
from everloop_trainer.handlers import decider as trainer
from tests.simulation.books import unread
from tests.simulation.stack import LOOP, MODEL, START, Stack, control, trained

OTHER = next(name for name in (f"other-{n}" for n in range(100)) if partition(name, 4) == partition(MODEL, 4))
"""Another model in the same partition: its lane is the same."""


def without_window(end: int) -> Callable[[], Decider[State]]:
    """A judge with a bug that one window brings out."""

    def made() -> Decider[State]:
        sound = judge()

        def decide(state: State, cause: Event, now: datetime, rules: Loop, facts: Facts | None, /) -> Event | None:
            if getattr(cause, "end", None) == end and getattr(cause, "kind", None) == "inputs":
                raise ZeroDivisionError
            return sound.decide(state, cause, now, rules, facts)

        return replace(sound, decide=decide)

    return made


def test_an_input_that_the_core_raises_on_is_a_dead_letter_and_the_lane_goes_on() -> None:
    bad = round(START.timestamp() * 1000) + 2 * 3_600_000
    stack = Stack(change_at=None, instead={"judge-0": control(without_window(bad), {}, 0)})
    stack.bootstrap()
    stack.play(5)

    judged = [e for e in stack.journal(topics.DRIFT) if isinstance(e, WindowJudged) and e.kind == "inputs"]
    hours = [(e.end - round(START.timestamp() * 1000)) // 3_600_000 for e in judged]
    assert hours == [1, 3, 4, 5], "all windows but the one with the bug, each on the state before it"
    assert [e.sequence for e in stack.journal(topics.DRIFT)] == list(range(1, len(stack.journal(topics.DRIFT)) + 1))
    letters = [e for e in stack.events(topics.DLQ) if isinstance(e, DeadLettered)]
    assert [(e.reason, e.error) for e in letters] == [("handler_failed", "WindowClosed: ZeroDivisionError")]
    assert [e.name for e in _alerts(stack)].count("handler_failed") == 1
    assert not unread(stack.simulation, replicas=1)


def test_a_model_whose_journal_cannot_be_folded_stops_and_the_others_go_on() -> None:
    def made() -> Decider[trainer_domain.State]:
        sound = trainer()

        def evolve(state: trainer_domain.State, event: Event) -> trainer_domain.State:
            if event.model == MODEL:
                raise KeyError(event.model)
            return sound.evolve(state, event)

        return replace(sound, evolve=evolve)

    stack = Stack(instead={"trainer-0": control(made, {"TrainingStarted": trained}, 0)})
    stack.apply(OTHER, LOOP)
    stack.train(bootstrap=True)
    asked = TrainingRequested.named("other", START, OTHER, by="test", bootstrap=True)
    stack.say(topics.COMMANDS, asked)
    stack.simulation.settle()

    assert len(stack.journal(topics.TRAINING)) == 1, "the record that stopped it, and none after"
    assert [type(e).__name__ for e in stack.journal(topics.TRAINING, OTHER)] == ["TurnOpened"]
    stopped = [e for e in _alerts(stack) if e.name == "model_stopped"]
    assert {e.model for e in stopped} == {MODEL}
    again = TrainingRequested.named("again", START, MODEL, by="test")
    stack.say(topics.COMMANDS, again)
    stack.simulation.settle()
    assert len(stack.journal(topics.TRAINING)) == 1
    assert "model_stopped" in {e.reason for e in stack.events(topics.DLQ) if isinstance(e, DeadLettered)}


def test_rubbish_on_a_control_topic_is_a_dead_letter_and_the_loop_goes_on(undisturbed: Stack) -> None:
    stack = Stack()
    stack.bootstrap()
    place = Place(topics.COMMANDS.name, partition(MODEL, topics.PARTITIONS))
    stack.client.publish([Message(place, b"m", b"\xff{", ()), Message(place, b"m", None, ())])
    stack.play(11)

    assert stack.decisions() == undisturbed.decisions()
    reasons = {e.reason for e in stack.events(topics.DLQ) if isinstance(e, DeadLettered)}
    assert reasons
    assert not unread(stack.simulation, replicas=1)


def test_a_registry_that_is_away_changes_no_decision(undisturbed: Stack) -> None:
    def away(_: Event) -> None:
        raise AwayError("nobody is there")

    shown: Mapping[type[Event], Effect] = {ModelVersionCreated: away}
    stack = Stack(instead={"trainer-0": control(lambda: trainer(shown), {"TrainingStarted": trained}, 0)}).run()
    assert stack.decisions() == undisturbed.decisions()
    assert not unread(stack.simulation, replicas=1)


def _alerts(stack: Stack) -> list[AlertRaised]:
    return [e for e in stack.events(topics.ALERTS) if isinstance(e, AlertRaised)]
