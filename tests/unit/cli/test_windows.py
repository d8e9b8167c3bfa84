"""`everloop windows`, `traffic`, and how `everloop status` sees each model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from everloop import events as e
from everloop import topics
from everloop.cli.models_status import ModelStatus, collect, models_status
from everloop.local.state import Stack as LocalStack
from tests.builders import NOON, a_loop, a_signed_verdict
from tests.unit.cli.turns import (
    EPISODE,
    WALL,
    Stack,
    a_check,
    a_full_turn,
    a_plan,
    a_stack,
    close,
    everything_of,
    open_an_episode,
    refusal,
    train_and_pass,
)


def test_windows_join_inputs_and_outcomes() -> None:
    first, second, third = orjson.loads(a_full_turn().run("windows", "fraud", "--json").stdout)
    assert first == {
        "start": "2026-01-05 12:00:00", "version": "1", "rows": 1600, "share": 0.0, "score": 0.1, "verdict": "stable",
        "diagnosis": None, "quality": 0.93, "labelled": "stable", "episode": None,
        "coverage": None, "needed": None, "delay_p50": None, "delay_p95": None,
    }  # fmt: skip
    assert (second["share"], second["verdict"], second["episode"]) == (0.5, "drifted", None)
    assert third["episode"] == "drift opened"


def test_windows_as_a_table_of_the_last() -> None:
    head, row = a_full_turn().run("windows", "fraud", "--limit", "1").stdout.splitlines()
    assert head.split()[:4] == ["START", "VERSION", "ROWS", "SHARE"]
    assert row.split()[:6] == ["2026-01-05", "14:00:00", "1", "1600", "0.5", "0.1"]
    assert row.split()[6:] == ["drifted", *"––––––", "drift", "opened", "–"]


def test_traffic_is_the_plan_of_the_largest_epoch_with_its_age() -> None:
    stack = a_full_turn()
    (plan,) = [event for _, event in everything_of(stack) if isinstance(event, e.TrafficPlanned) and event.epoch == 5]
    stack.broker.now_ms = int((WALL - timedelta(seconds=12)).timestamp() * 1000)
    stack.write(topics.TRAFFIC, plan, "fraud:5")
    value = orjson.loads(stack.run("traffic", "fraud", "--json").stdout)
    assert (value["epoch"], value["age_s"], value["arms"][0]["version"]) == (5, 12.0, "3")
    said = stack.run("traffic", "fraud").stdout.splitlines()
    assert said[0] == "fraud: epoch 5, said 12 s ago, holds 30 s"
    assert said[2].split() == ["champion", "3", "100%", "00000000"]


def test_a_shadow_is_shown_beside_the_arms() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    plan = a_plan(e.Tick.named("any", NOON, "fraud"), 1, ("champion", "1", 1.0), shadow="2")
    stack.say(topics.TRAFFIC, plan)
    assert stack.run("traffic", "fraud").stdout.splitlines()[-1].split() == ["shadow", "2", "copies", "00000000"]


def test_no_traffic_yet_and_an_unknown_model() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    assert "no traffic yet" in refusal(stack.run("traffic", "fraud"), 1)
    assert "known are fraud" in refusal(stack.run("traffic", "froud"), 2)
    assert "known are fraud" in refusal(stack.run("windows", "froud"), 2)


# ----------------------------------------------------------------------------------------------------------- the status


def status(stack: Stack) -> ModelStatus:
    (one,) = collect(stack.broker.client(), WALL)
    return one


def test_a_model_before_its_first_version() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    assert (status(stack).champion, status(stack).phase) == (None, "steady")
    assert "bootstrap" in status(stack).awaits


def test_after_a_promotion_the_champion_is_steady_and_the_episode_still_open() -> None:
    assert status(a_full_turn()) == ModelStatus(
        "fraud", "3", "steady", None, None, "2026-01-05 14:00:00", "drifted", None, ("drift",),
        "the next window; it ends at the earliest at 2026-01-05 16:02:00", since="2026-01-05 15:00:00",
        earliest_end="2026-01-05 16:02:00",
    )  # fmt: skip


def test_each_phase_of_a_turn_and_what_is_awaited() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    open_an_episode(stack)
    assert (status(stack).phase, status(stack).episodes) == ("waiting_for_data", ("drift",))
    assert status(stack).awaits == "fresh labels; 0 of 1000 labelled rows; deadline 2026-01-06 15:00:00"
    passed = train_and_pass(stack, "2", EPISODE, NOON)
    assert (status(stack).phase, status(stack).candidate) == ("passed", "2")
    few = a_check("champion", "too_few", 412, 500)
    held = e.VersionHeld.because(
        passed, NOON, version="2", champion="1", checks=(few,), until=NOON + timedelta(hours=1), archived_rows=412
    )
    stack.say(topics.VERDICTS, held)
    assert status(stack).awaits == "more rows; 412 of 500 gate.champion; deadline 2026-01-05 13:00:00"
    assert (status(stack).have, status(stack).need, status(stack).deadline) == (412, 500, "2026-01-05 13:00:00")
    started = e.RolloutStarted.because(
        passed, NOON, version="2", champion="1", verdict=a_signed_verdict("2"), deadline=NOON, salt="s"
    )
    why = e.Reason(rule="rollout.steps")
    step = e.StepTaken.because(started, NOON, version="2", phase=e.Phase.CANARY, weight=0.5, reason=why)
    stack.say(topics.ROLLOUTS, started, step)
    assert (status(stack).phase, status(stack).weight) == ("canary", 0.5)
    aborted = e.RolloutAborted.because(step, NOON, version="2", champion="1", phase=e.Phase.CANARY, reason=why)
    stack.say(topics.ROLLOUTS, aborted)
    assert (status(stack).champion, status(stack).phase, status(stack).candidate) == ("1", "steady", None)


def test_a_turn_that_ends_leaves_nothing_open() -> None:
    stack = a_stack()
    stack.apply(a_loop())
    turn = open_an_episode(stack)
    close(stack, turn, "superseded", "2", NOON)
    assert status(stack).phase == "steady"


@pytest.mark.parametrize("broker", ["127.0.0.1:9", "nonsense"])
def test_status_without_a_broker_shows_no_models(broker: str, tmp_path: Path) -> None:
    nothing = LocalStack(
        supervisor=1, started_at=datetime(2026, 1, 1, tzinfo=UTC), var=tmp_path, broker=broker, urls={}, ports={},
        processes=(),
    )  # fmt: skip
    assert models_status(nothing) == []
