"""How a version takes over, read as a specification."""

from __future__ import annotations

from datetime import timedelta

import pytest

from everloop.events import (
    ArmWindow,
    Event,
    Phase,
    RolloutAborted,
    RolloutStarted,
    StepTaken,
    VerdictStale,
    VersionPromoted,
    VersionRolledBack,
    WindowLooked,
)
from tests.builders import (
    NOON,
    a_tick_at,
    a_training_requested,
    a_version_passed,
    a_window_of_arms,
    an_arm_window,
)
from tests.unit.rollout.stage import WINDOW, Candidate, Stage, a_rollout_loop, a_stage

# ------------------------------------------------------------------------------------------------------- the beginning


def test_the_first_version_serves_at_once() -> None:
    stage = Stage()
    said = stage.hear(passed := a_version_passed("1", None))
    assert isinstance(said, VersionPromoted)
    assert (said.previous, said.verdict, said.reason.rule) == (None, passed.verdict, "first_version")
    assert stage.weights == {"1": 1.0}
    assert stage.state.watch is None


def test_a_later_version_enters_shadow_and_nobody_is_served_by_it() -> None:
    stage = a_stage()
    started = stage.said[-1]
    assert isinstance(started, RolloutStarted)
    assert (started.champion, started.salt) == ("1", "fraud/1")
    assert started.deadline == NOON + timedelta(hours=4)
    assert stage.weights == {"1": 1.0}
    assert stage.plan.shadow is not None
    assert (stage.plan.shadow.version, stage.plan.shadow.weight) == ("2", 0.0)


def test_a_verdict_against_a_former_champion_is_stale() -> None:
    stage = Stage()
    stage.hear(a_version_passed("1", None))
    said = stage.hear(a_version_passed("3", "0"))
    assert isinstance(said, VerdictStale)
    assert (said.version, said.measured_against, said.champion, said.rollout_live) == ("3", "0", "1", None)


def test_a_verdict_against_a_champion_is_stale_where_there_is_none() -> None:
    said = Stage().hear(a_version_passed("2", "1"))
    assert isinstance(said, VerdictStale)
    assert said.champion is None


def test_a_version_that_passes_during_another_rollout_is_measured_again_later() -> None:
    stage = a_stage()
    said = stage.hear(a_version_passed("3", "1"))
    assert isinstance(said, VerdictStale)
    assert (said.version, said.rollout_live) == ("3", "2")
    assert stage.state.live is not None
    assert stage.state.live.version == "2"


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_version_that_serves_or_is_rolled_out_already_gains_nothing_by_passing_again(version: str) -> None:
    assert a_stage().hear(a_version_passed(version, "1")) is None


def test_a_command_for_the_trainer_is_none_of_its_business() -> None:
    assert a_stage().hear(a_training_requested()) is None


# ------------------------------------------------------------------------------------------------------------ the way


def test_a_good_candidate_goes_through_shadow_10_and_50_to_100() -> None:
    stage = a_stage()
    said = stage.windows(4)
    assert [type(one) for one in said] == [StepTaken, StepTaken, VersionPromoted]
    assert [one.weight for one in said if isinstance(one, StepTaken)] == [0.1, 0.5]
    assert stage.weights == {"2": 1.0}
    assert stage.plan.shadow is None
    assert stage.state.watch is not None
    assert stage.state.watch.previous.version == "1"


def test_all_of_a_rollout_belongs_to_the_turn_that_trained_its_version() -> None:
    stage = Stage()
    stage.hear(a_version_passed("1", None))
    stage.hear(passed := a_version_passed("2", "1"))
    stage.windows(5)
    assert {event.correlation_id for event in stage.said[1:]} == {passed.correlation_id}


def test_a_step_waits_for_its_rows() -> None:
    stage = a_stage()
    assert len(stage.windows(1)) == 1
    assert stage.windows(1) == []  # 512 rows of the candidate at 10 %
    assert len(stage.windows(1)) == 1  # 1,024
    step = stage.said[-1]
    assert isinstance(step, StepTaken)
    assert (step.reason.rule, step.reason.measured, step.reason.limit) == ("rollout.steps", 1024, 1000)


def test_a_step_waits_for_its_time() -> None:
    stage = a_stage(shadow="25m")
    assert stage.windows(2) == []
    assert [type(one) for one in stage.windows(1)] == [StepTaken]


def test_without_shadow_the_first_step_comes_at_the_next_tick_and_nobody_scores_copies() -> None:
    stage = a_stage(shadow="0s")
    assert stage.plan.shadow is None
    assert [type(one) for one in stage.windows(1, silent=True)] == [StepTaken]
    assert stage.weights == {"1": 0.9, "2": 0.1}
    assert stage.plan.shadow is None
    assert [type(one) for one in stage.windows(4)] == [StepTaken, VersionPromoted]


def test_one_step_to_all_is_shadow_and_promotion() -> None:
    assert [type(one) for one in a_stage(steps=["100%"]).windows(1)] == [VersionPromoted]


def test_a_window_that_straddles_a_change_of_traffic_is_no_evidence() -> None:
    stage = a_stage()
    stage.window()
    arms = stage.arms(Candidate(errors=0.5))
    half = timedelta(minutes=5)
    assert stage.hear(a_window_of_arms(*arms, start=stage.now - half, end=stage.now + half)) is None
    assert isinstance(stage.hear(a_window_of_arms(*arms, start=stage.now, end=stage.now + WINDOW)), RolloutAborted)


def test_a_window_that_began_before_the_rollout_is_no_evidence() -> None:
    stage = a_stage()
    assert stage.hear(a_window_of_arms(*stage.arms(), start=NOON - WINDOW, end=NOON)) is None


def test_a_revision_of_a_window_is_not_counted_twice() -> None:
    stage = a_stage()
    window = a_window_of_arms(*stage.arms(), start=NOON, end=NOON + WINDOW)
    assert stage.hear(window.model_copy(update={"revision": 1})) is None


def test_late_labels_are_evidence_for_the_step_that_they_came_from() -> None:
    stage = a_stage()
    stage.window(labels=False)
    arms = [an_arm_window("champion", "1", loss=0.1), an_arm_window("shadow", "2", loss=0.1)]
    said = stage.hear(a_window_of_arms(*arms, start=NOON, end=NOON + WINDOW, kind="outcomes", now=stage.now))
    assert isinstance(said, WindowLooked)
    assert said.phase is Phase.CANARY
    assert said.evidence["span"] == 0
    assert [look.measure for look in said.looks] == ["shadow_label_loss"]


# --------------------------------------------------------------------------------------------------------- the way back


def test_a_candidate_that_fails_requests_goes() -> None:
    stage = a_stage()
    stage.window()
    (aborted,) = stage.windows(1, Candidate(errors=0.1))
    assert isinstance(aborted, RolloutAborted)
    assert (aborted.version, aborted.champion, aborted.phase) == ("2", "1", Phase.CANARY)
    assert aborted.reason.rule == "errors: rollout.abort.error_rate"
    assert (aborted.reason.limit, aborted.reason.samples, aborted.reason.where) == (0.01, 512, "loop")
    assert stage.weights == {"1": 1.0}
    assert stage.plan.shadow is None


def test_a_candidate_that_fails_on_copies_goes_before_it_serves_anybody() -> None:
    stage = a_stage()
    arms = [an_arm_window("champion", "1"), an_arm_window("shadow", "2", errors=0.1)]
    said = stage.hear(a_window_of_arms(*arms, start=NOON, end=NOON + WINDOW))
    assert isinstance(said, RolloutAborted)
    assert (said.phase, said.looks[0].measure) == (Phase.SHADOW, "shadow_failures")


def test_a_candidate_that_scores_otherwise_than_its_own_shadow_goes() -> None:
    stage = a_stage()
    stage.window()
    said = stage.windows(2, Candidate(score=0.5))
    assert [one.reason.rule for one in said if isinstance(one, RolloutAborted)] == ["score_vs_own_shadow: score_shift"]


def test_a_candidate_that_differs_from_the_champion_alone_stays() -> None:
    stage = a_stage()
    stage.window()
    arms = [
        an_arm_window("champion", "1", 4608, score=0.2),
        an_arm_window("candidate", "2", 1024, score=0.6),
        an_arm_window("shadow", "2", 4608, score=0.6),
    ]
    said = stage.hear(a_window_of_arms(*arms, start=stage.now, end=stage.now + WINDOW))
    assert isinstance(said, WindowLooked)
    assert said.verdict == "advance"


def one_card_carries_all(stage: Stage) -> list[ArmWindow]:
    """A window in which one bucket's scores outweigh all others, so that the comparison of scores has no bounds."""
    champion, candidate, *shadow = stage.arms()
    rows, *others, score = candidate.model_dump()["buckets"]["0"]
    heavy = candidate.model_copy(update={"buckets": {**candidate.buckets, "0": [rows, *others, score + 50_000_000]}})
    return [champion, heavy, *shadow]


def test_a_comparison_that_one_card_makes_blind_holds_the_rollout() -> None:
    stage = a_stage()
    stage.windows(2)
    said = stage.hear(a_window_of_arms(*one_card_carries_all(stage), start=stage.now, end=stage.now + WINDOW))
    assert isinstance(said, WindowLooked)
    blind = next(look for look in said.looks if look.measure == "score_vs_own_shadow")
    assert (blind.verdict, blind.lower, blind.samples) == ("hold", None, 1024)
    assert said.verdict == "hold"
    assert [look.measure for look in said.looks if look.verdict == "hold"] == [blind.measure, "latency_vs_champion"]


def test_a_candidate_whose_scores_stay_blind_goes_at_the_deadline_and_the_reason_names_them() -> None:
    stage = a_stage(steps=["50%", "100%"], deadline="1h")
    stage.windows(1)
    said: list[Event] = []
    for _ in range(6):
        start, stage.now = stage.now, stage.now + WINDOW
        blind = a_window_of_arms(*one_card_carries_all(stage), start=start, end=stage.now)
        labels = a_window_of_arms(*stage.labelled(), start=start, end=stage.now, kind="outcomes")
        said += [one for cause in (blind, labels, a_tick_at(stage.now)) if (one := stage.hear(cause))]
    (aborted,) = (one for one in said if not isinstance(one, WindowLooked))
    assert isinstance(aborted, RolloutAborted)
    assert (aborted.reason.rule, aborted.reason.measured) == (
        "rollout.deadline", "evidence: hold: score_vs_own_shadow",
    )  # fmt: skip
    assert stage.weights == {"1": 1.0}


def test_a_candidate_with_worse_labels_goes() -> None:
    stage = a_stage()
    stage.window()
    said = stage.windows(2, Candidate(loss=0.2))
    assert [one.reason.rule for one in said if isinstance(one, RolloutAborted)] == ["label_loss: label_loss_margin"]


def test_worse_labels_on_copies_end_a_rollout_in_shadow() -> None:
    stage = a_stage()
    arms = [an_arm_window("champion", "1", loss=0.1), an_arm_window("shadow", "2", loss=0.2)]
    said = stage.hear(a_window_of_arms(*arms, start=NOON, end=NOON + WINDOW, kind="outcomes"))
    assert isinstance(said, RolloutAborted)
    assert said.phase is Phase.SHADOW


def test_labels_may_be_ignored() -> None:
    stage = a_stage(labels="ignore")
    assert [type(one) for one in stage.windows(4, Candidate(loss=0.2))] == [StepTaken, StepTaken, VersionPromoted]


def test_slowness_decides_only_where_the_loop_file_says_so() -> None:
    slow = a_stage(abort={"error_rate": "1%", "latency_p95": "1ms"})
    said = slow.windows(3)
    assert [one.reason.rule for one in said if isinstance(one, RolloutAborted)] == [
        "mean_latency: rollout.abort.latency_p95"
    ]
    assert not any(isinstance(one, RolloutAborted) for one in a_stage().windows(4))


# ------------------------------------------------------------------------------------------------------------- missing


def test_missing_data_holds_and_at_the_deadline_the_candidate_goes() -> None:
    stage = a_stage()
    assert stage.windows(23, silent=True) == []
    (aborted,) = stage.windows(1, silent=True)
    assert isinstance(aborted, RolloutAborted)
    assert aborted.reason.rule == "rollout.deadline"
    assert (aborted.reason.measured, aborted.reason.limit) == ("rollout.min_rows: 0", 1000)
    assert stage.weights == {"1": 1.0}


def test_each_phase_has_its_own_deadline() -> None:
    stage = a_stage()
    stage.window()
    assert stage.windows(23, silent=True) == []
    assert [type(one) for one in stage.windows(1, silent=True)] == [RolloutAborted]


def test_a_candidate_that_falls_silent_after_a_good_look_does_not_go_on() -> None:
    stage = a_stage(hold="1h")
    stage.window()
    stage.windows(2)
    assert stage.windows(10, silent=True) == []
    assert [type(one) for one in stage.windows(1)] == [StepTaken]


def test_a_canary_step_waits_for_labels_only_as_long_as_they_need_to_mature() -> None:
    stage = a_stage()
    steps = [one for one in stage.windows(3, labels=False) if isinstance(one, StepTaken)]
    assert [one.weight for one in steps] == [0.1, 0.5]  # 30 minutes: two windows and the horizon


def test_no_promotion_without_labels_that_could_have_matured() -> None:
    stage = a_stage(deadline="1h")
    said = stage.windows(10, labels=False)
    assert [type(one) for one in said] == [StepTaken, StepTaken, RolloutAborted]
    assert isinstance(said[-1], RolloutAborted)
    assert said[-1].reason.measured == "rollout.labels: none"


def test_labels_that_cannot_mature_before_the_deadline_are_not_waited_for() -> None:
    stage = a_stage()
    late = stage.loop.labels.model_copy(update={"horizon": timedelta(days=1)})
    stage.loop = stage.loop.model_copy(update={"labels": late})
    assert [type(one) for one in stage.windows(4, labels=False)] == [StepTaken, StepTaken, VersionPromoted]


# ------------------------------------------------------------------------------------------------------------ the watch


def test_a_new_champion_that_fails_requests_is_rolled_back() -> None:
    stage = a_stage()
    stage.windows(4)
    arms = [an_arm_window("champion", "2", errors=0.1)]
    said = stage.hear(a_window_of_arms(*arms, start=stage.now, end=stage.now + WINDOW))
    assert isinstance(said, VersionRolledBack)
    assert (said.version, said.champion, said.verdict.version) == ("2", "1", "1")
    assert stage.weights == {"1": 1.0}
    assert stage.state.champion == said.verdict


def test_the_watch_adds_up_what_it_sees() -> None:
    stage = a_stage()
    stage.windows(4)
    looks = [one for _ in range(3) for one in stage.window()]
    assert [one.looks[0].samples for one in looks if isinstance(one, WindowLooked)] == [5120, 10240, 15360]


def test_the_watch_ends() -> None:
    stage = a_stage(watch="20m")
    stage.windows(4)
    arms = [an_arm_window("champion", "2", errors=0.5)]
    assert stage.hear(a_window_of_arms(*arms, start=stage.now + 2 * WINDOW, end=stage.now + 3 * WINDOW)) is None


def test_rows_of_the_former_champion_say_nothing_about_the_new_one() -> None:
    stage = a_stage()
    stage.windows(4)
    arms = [an_arm_window("champion", "1", errors=0.5)]
    assert stage.hear(a_window_of_arms(*arms, start=stage.now, end=stage.now + WINDOW)) is None


def test_the_next_rollout_ends_the_watch() -> None:
    stage = a_stage()
    stage.windows(4)
    stage.hear(a_version_passed("3", "2", stage.now))
    assert stage.state.watch is None
    assert stage.state.live is not None
    assert stage.state.salt == "fraud/2"


def test_the_same_inputs_say_the_same_events() -> None:
    passed = [a_version_passed("1", None), a_version_passed("2", "1")]
    one, other = (Stage(loop=a_rollout_loop()) for _ in range(2))
    assert [one.hear(cause) for cause in passed] == [other.hear(cause) for cause in passed]
