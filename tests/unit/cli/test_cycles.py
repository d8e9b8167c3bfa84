"""`everloop cycles`: one line per turn, with the seconds of each stage on both clocks, the running turn too."""

from __future__ import annotations

from datetime import timedelta

import orjson

from everloop import events as e
from everloop import topics
from everloop.codec import encode
from everloop.runtime.log import Message, Place
from everloop.story.cycles import Told, cycles
from tests.builders import NOON, a_loop, a_signed_verdict
from tests.unit.cli.turns import (
    EPISODE,
    MINUTE,
    WALL,
    Stack,
    a_full_turn,
    a_stack,
    a_start,
    a_turn,
    open_an_episode,
    refusal,
    train_and_pass,
)

HOUR = 3600.0


def shown(stack: Stack) -> list[dict[str, object]]:
    result = stack.run("cycles", "fraud", "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = orjson.loads(result.stdout)
    return found


def test_two_turns_of_one_episode_are_two_lines() -> None:
    first, second = shown(a_full_turn())
    assert {name: first[name] for name in ("turn", "cause", "rows", "version", "verdict", "outcome", "running")} == {
        "turn": 1, "cause": "drift", "rows": 2800, "version": "2", "verdict": "refused", "outcome": "refused",
        "running": None,
    }  # fmt: skip
    assert first["model_s"] == {"waiting": HOUR, "training": 60.0, "gate": 60.0}
    assert (second["turn"], second["cause"], second["verdict"], second["outcome"]) == (
        2, "standing", "passed", "promoted",
    )  # fmt: skip
    assert second["model_s"] == {
        "waiting": HOUR, "training": 60.0, "gate": 60.0, "handover": HOUR - 120, "shadow": 120.0, "canary": 120.0,
    }  # fmt: skip


def test_a_line_for_people() -> None:
    head, first, second = a_full_turn().run("cycles", "fraud").stdout.splitlines()
    assert head.split()[:7] == ["TURN", "OPENED", "CAUSE", "ROWS", "VERSION", "VERDICT", "OUTCOME"]
    assert first.split()[:8] == ["1", "2026-01-05", "15:00:00", "drift", "2800", "2", "refused", "refused"]
    assert second.split()[3:8] == ["standing", "2800", "3", "passed", "promoted"]
    assert "waiting 3600, training 60, gate 60, handover 3480, shadow 120, canary 120" in second


def test_wall_seconds_come_from_when_the_record_was_written() -> None:
    story = open_and_start()
    (one,) = cycles(Told(event, WALL + timedelta(seconds=2.5 * number)) for number, event in enumerate(story))
    spent = one.until(WALL + timedelta(seconds=10), story[-1].time + 3 * MINUTE)
    assert {stage: (each.wall, each.model) for stage, each in spent.items()} == {
        "waiting": (2.5, HOUR), "training": (7.5, 180.0),
    }  # fmt: skip


def open_and_start() -> list[e.Event]:
    turn = a_turn(e.Tick.named("any", NOON, "fraud"), EPISODE, "drift", NOON)
    return [turn, a_start("2", EPISODE, NOON + timedelta(hours=1))]


def test_the_running_turn_has_no_outcome_and_names_its_stage() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    open_an_episode(stack)
    (waits,) = shown(stack)
    assert (waits["outcome"], waits["running"], waits["version"], waits["rows"]) == (None, "waiting", None, None)
    assert waits["model_s"] == {"waiting": (WALL - NOON - timedelta(hours=3)).total_seconds()}
    assert "(waiting)" in stack.run("cycles", "fraud").stdout
    train_and_pass(stack, "2", EPISODE, NOON + timedelta(hours=4))
    (passed,) = shown(stack)
    assert (passed["outcome"], passed["running"], passed["verdict"]) == (None, "handover", "passed")


def test_a_turn_that_is_skipped_or_superseded_or_taken_back() -> None:
    skipped = e.TrainingSkipped.because(open_and_start()[0], NOON, reason=e.Reason(rule="train.fresh_labels"))
    (one,) = cycles([Told(open_and_start()[0], WALL), Told(skipped, WALL)])
    assert (one.outcome, one.stage, one.version) == ("skipped", None, None)
    closed = e.TurnClosed.because(skipped, NOON, outcome="superseded", version="2")
    (one,) = cycles([*(Told(event, WALL) for event in open_and_start()), Told(closed, WALL)])
    assert one.outcome == "superseded"
    back = e.VersionRolledBack.because(
        closed, NOON, version="2", champion="1", verdict=a_signed_verdict("1"), salt="s", reason=e.Reason(rule="errors")
    )
    (one,) = cycles(Told(event, WALL) for event in [*open_and_start(), closed, back])
    assert one.outcome == "rolled back"


def test_a_stale_verdict_goes_back_to_the_gate() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    open_an_episode(stack)
    passed = train_and_pass(stack, "2", EPISODE, NOON + timedelta(hours=4))
    stale = e.VerdictStale.because(passed, passed.time + MINUTE, version="2", measured_against="1", champion="5")
    stack.say(topics.ROLLOUTS, stale)
    (one,) = shown(stack)
    assert one["running"] == "gate"


def test_a_record_without_a_written_time_has_its_append_time() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    turn = open_and_start()[0].model_copy(update={"sequence": 1})
    value, headers = encode(turn, source="test", recorded=WALL)
    bare = tuple(one for one in headers if one[0] != "ce_recordedtime")
    stack.broker.now_ms = round(WALL.timestamp() * 1000) - 4000
    number = next(place.partition for place, known in stack.broker.records.items() if known and "loops" in place.topic)
    stack.broker.append(Message(Place(topics.TRAINING.name, number), b"fraud", value, bare))
    (one,) = shown(stack)
    assert one["wall_s"] == {"waiting": 4.0}


def test_no_turn_yet_and_an_unknown_model() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    assert shown(stack) == []
    assert "known are fraud" in refusal(stack.run("cycles", "froud"), 2)
