"""The split that serving obeys: what always holds of it, whatever happens."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.events import Event, RolloutStarted, StepTaken, TrafficPlanned, VersionPromoted, WindowLooked
from everloop_rollout.domain.phases import initial
from everloop_rollout.domain.planning import plan
from tests.builders import a_version_passed
from tests.unit.rollout.stage import Candidate, Stage, a_rollout_loop, a_stage

PERCENTS = st.lists(st.integers(1, 99), unique=True, max_size=3)
STEPS = PERCENTS.map(lambda some: [*(f"{percent}%" for percent in sorted(some)), "100%"])
MOVES = st.lists(st.sampled_from(["good", "bad", "silent", "passed", "stale"]), max_size=12)


def test_before_the_first_version_there_is_no_plan() -> None:
    assert plan(initial()) is None


def test_a_plan_is_a_lease_that_renews_as_the_same_event() -> None:
    stage = a_stage(ttl="20s")
    assert stage.plan == stage.plan
    assert (stage.plan.ttl_s, stage.plan.epoch, stage.plan.supersedes) == (20.0, 2, 1)
    first = stage.plan
    stage.window()
    assert first.id != stage.plan.id


def test_an_epoch_is_the_sequence_of_the_record_that_changed_traffic() -> None:
    stage = a_stage()
    stage.window()
    step = stage.said[-1]
    assert isinstance(step, StepTaken)
    assert (stage.plan.epoch, stage.plan.causation_id, stage.plan.time) == (step.sequence, step.id, step.time)
    assert stage.plan.supersedes == 2  # looks in between have no epoch
    stage.window()
    assert stage.plan.epoch == step.sequence


def test_the_salt_stays_during_a_rollout_so_that_no_key_moves_back() -> None:
    stage = a_stage()
    salts = [stage.plan.salt]
    for _ in range(4):
        stage.window()
        salts.append(stage.plan.salt)
    assert salts == ["fraud/1"] * 5
    stage.hear(a_version_passed("3", "2", stage.now))
    assert stage.plan.salt == "fraud/2"


def test_the_candidate_scores_copies_of_the_champions_rows_in_the_canary_too() -> None:
    stage = a_stage()
    stage.window()
    assert [(arm.arm, arm.version) for arm in stage.plan.arms] == [("champion", "1"), ("candidate", "2")]
    assert stage.weights == {"1": 0.9, "2": 0.1}
    assert stage.plan.shadow is not None
    assert stage.plan.shadow.version == "2"


def test_each_arm_carries_the_signed_verdict_of_its_version() -> None:
    stage = a_stage()
    stage.window()
    arms = [*stage.plan.arms, *([stage.plan.shadow] if stage.plan.shadow else [])]
    assert all(arm.verdict.version == arm.version for arm in arms)


@pytest.mark.parametrize("ends", ["promoted", "aborted"])
def test_after_a_rollout_one_version_has_everything(ends: str) -> None:
    stage = a_stage()
    if ends == "promoted":
        stage.windows(4)
    else:
        stage.window()
        stage.window(Candidate(errors=0.2))
    assert stage.weights == {"2" if ends == "promoted" else "1": 1.0}
    assert stage.plan.shadow is None


@given(steps=STEPS, moves=MOVES)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_whatever_happens_plans_are_whole_and_epochs_rise(steps: list[str], moves: list[str]) -> None:
    stage = Stage(loop=a_rollout_loop(steps=steps, min_rows=50, deadline="30m"))
    stage.hear(a_version_passed("1", None))
    plans = [stage.plan]
    for number, move in enumerate(moves, 2):
        before = len(stage.said)
        _play(stage, move, number)
        plans.append(stage.plan)
        _holds(stage.plan, stage.said[before:], plans[-2])
    assert all(one.epoch < two.epoch for one, two in pairwise(plans) if one != two)


def _play(stage: Stage, move: str, number: int) -> None:
    champion = stage.plan.arms[0].version
    match move:
        case "good" | "bad":
            stage.window(Candidate(errors=0.0 if move == "good" else 0.5))
        case "silent":
            stage.window(silent=True)
        case _:
            stage.now += timedelta(seconds=1)
            stage.hear(a_version_passed(str(number), champion if move == "passed" else "0", stage.now))


def _holds(planned: TrafficPlanned, said: list[Event], before: TrafficPlanned) -> None:
    assert sum(arm.weight for arm in planned.arms) == 1.0
    assert all(arm.weight > 0 for arm in planned.arms)
    assert planned.arms[0].arm == "champion"
    if all(isinstance(one, WindowLooked) for one in said):
        assert planned == before
    if planned.epoch != before.epoch and len(said) == 1:
        assert planned.supersedes == before.epoch
    if not any(isinstance(one, RolloutStarted | VersionPromoted) for one in said):
        assert planned.salt == before.salt
