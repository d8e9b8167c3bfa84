"""`everloop train`, and its turn followed to the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from everloop import events as e
from everloop import topics
from tests.builders import NOON, a_loop
from tests.unit.cli.turns import (
    Stack,
    a_stack,
    a_start,
    close,
    everything_of,
    promote,
    refusal,
    train_and_pass,
    train_and_refuse,
)


def a_stack_of_fraud() -> Stack:
    stack = a_stack()
    stack.apply(a_loop())
    return stack


def asked(stack: Stack) -> e.TrainingRequested:
    (event,) = [event for _, event in everything_of(stack) if isinstance(event, e.TrainingRequested)]
    return event


def test_a_request_says_who_and_with_what_and_opens_a_thread() -> None:
    stack = a_stack_of_fraud()
    result = stack.run("train", "fraud", "--recipe", "examples.fraud.flipped:Recipe", "--by", "ada")
    event = asked(stack)
    assert (event.by, event.recipe, event.bootstrap) == ("ada", "examples.fraud.flipped:Recipe", False)
    assert event.correlation_id == event.id
    assert str(event.id) in result.stdout


def test_under_a_replay_it_has_the_model_s_time() -> None:
    stack = a_stack_of_fraud()
    stack.say(topics.CLOCK, e.ClockMoved.named("clock", NOON, "fraud", data=NOON, control=NOON + timedelta(hours=1)))
    stack.run("train", "fraud")
    assert asked(stack).time == NOON + timedelta(hours=1)


def test_an_unknown_model_names_the_known_ones() -> None:
    stack = a_stack_of_fraud()
    stack.apply(a_loop(model="churn"))
    assert "known are churn, fraud" in refusal(stack.run("train", "froud"), 2)
    assert "none is applied yet" in refusal(a_stack().run("train", "fraud"), 2)
    assert sum(stack.on(topics.COMMANDS)) == 0


def test_a_model_whose_loop_was_taken_away_is_unknown() -> None:
    stack = a_stack_of_fraud()
    stack.write(topics.LOOPS, None, "fraud")
    refusal(stack.run("train", "fraud"), 2)


def test_a_recipe_that_is_no_path() -> None:
    assert "package.module" in refusal(a_stack_of_fraud().run("train", "fraud", "--recipe", "../evil.py"), 2)


def promoted(stack: Stack) -> None:
    done = promote(stack, train_and_pass(stack, "2", asked(stack).id, NOON), NOON)
    close(stack, done, "promoted", "2", NOON)


def refused(stack: Stack) -> None:
    done = train_and_refuse(stack, "2", asked(stack).id, NOON)
    close(stack, done, "refused", "2", NOON)


def failed(stack: Stack) -> None:
    started = a_start("2", asked(stack).id, NOON)
    why = e.Reason(rule="job_failed", measured="no memory", limit=2, samples=2)
    ended = e.TrainingFailed.because(started, NOON, attempt=2, error="no memory", reason=why)
    stack.say(topics.TRAINING, started, ended)


@pytest.mark.parametrize(
    ("services", "code", "last"),
    [(promoted, 0, "version 2 promoted"), (refused, 1, "version 2 refused"), (failed, 1, "failed: no memory")],
)
def test_waiting_follows_the_turn_and_ends_as_it_does(services: Callable[[Stack], None], code: int, last: str) -> None:
    stack = a_stack_of_fraud()
    train_and_refuse(stack, "1", e.named_id("turn", "of before"), NOON - timedelta(days=1))
    stack.looks = lambda: services(stack)
    result = stack.run("train", "fraud", "--wait")
    assert result.exit_code == code, result.output
    assert last in result.stdout.splitlines()[-1]
    assert "training.started" in result.stdout
    assert "version 1" not in "".join(line for line in result.stdout.splitlines() if "training.started" in line)
    assert ("everloop why" in result.stderr) == bool(code)


def test_waiting_ends_at_its_timeout() -> None:
    result = a_stack_of_fraud().run("train", "fraud", "--wait", "--timeout", "0")
    assert result.exit_code == 1
    assert "not over after 0 s" in result.stderr
