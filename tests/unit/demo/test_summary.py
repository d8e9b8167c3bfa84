"""The summary tells what the topics say; each condition of the demo fails when its part did not happen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest

from everloop import events as e
from everloop.demo.reading import History
from everloop.demo.summary import Summary, failures, summarise
from tests.unit.demo.histories import (
    FLIPPED,
    PROMOTED_AT,
    TABLE,
    a_history,
    a_promotion,
    a_refusal,
    a_start,
    an_episode,
    journals,
)


def told(history: History, *, balanced: bool = True) -> Summary:
    return summarise(history, TABLE, FLIPPED, seconds=12.34, balanced=balanced)


def without(*kinds: type[e.Event]) -> list[e.Event]:
    return [event for event in journals() if not isinstance(event, kinds)]


def test_the_keys_are_those_of_the_contract() -> None:
    assert [field.name for field in fields(Summary)] == [
        "seconds", "false_alarms", "drift", "promoted", "refused", "quality_before", "quality_drifted",
        "quality_after", "books_balanced",
    ]  # fmt: skip
    assert list(told(a_history()).to_plain()) == [field.name for field in fields(Summary)]


def test_a_whole_turn_meets_every_condition() -> None:
    summary = told(a_history())
    assert failures(summary) == []
    assert summary.drift is not None
    assert (summary.drift.window, summary.drift.rule, summary.drift.limit) == (11, "drift.share", 0.3)
    assert summary.promoted is not None
    assert (summary.promoted.version, summary.promoted.served_from, summary.promoted.fresh_labels) == ("2", 17, 900)
    assert summary.promoted.weights == (0.1, 0.5)
    assert summary.refused is not None
    assert summary.refused.failed == ("floor.roc_auc",)
    assert summary.seconds == 12.3


@pytest.mark.parametrize(
    ("decided", "named"),
    [
        (without(e.WindowJudged), "drift: no episode"),
        ([*without(e.WindowJudged), an_episode(11, rule="")], "drift: the episode names no cause"),
        ([*journals(), an_episode(3)], "false_alarms: 1"),
        ([*journals(), an_episode(PROMOTED_AT), an_episode(PROMOTED_AT + 4)], "false_alarms: 2"),
        (without(e.VersionPromoted), "promoted: no successor"),
        (without(e.TrainingStarted), "promoted: the successor was not trained on fresh labels"),
        ([*without(e.TrainingStarted), a_start("2", "usual", 0)], "not trained on fresh labels"),
        (without(e.VersionPassed), "promoted: the successor passed no check"),
        (without(e.RolloutStarted), "promoted: the successor was not shadowed"),
        (without(e.StepTaken), "promoted: the successor was not canaried"),
        (without(e.VersionRefused), "refused: the candidate"),
        ([*without(e.VersionRefused), a_refusal("2")], "refused: the candidate"),
        ([*without(e.VersionRefused), a_refusal("3", failed=())], "refused: the verdict names no failing check"),
    ],
)
def test_each_missing_decision_fails_by_name(decided: list[e.Event], named: str) -> None:
    assert named in "\n".join(failures(told(a_history(decided))))


@pytest.mark.parametrize(
    ("history", "balanced", "named"),
    [
        (a_history, False, "books_balanced"),
        (lambda: a_history(worse=False), True, "quality_drifted:"),
        (lambda: a_history(labelled=PROMOTED_AT + 4), True, "quality_after: there are not 5 labelled windows"),
        (lambda: a_history(labelled=0), True, "quality_before: there are no labelled rows"),
        (lambda: a_history([*without(e.VersionPromoted), a_promotion(12)]), True, "quality_after:"),
    ],
)
def test_each_missing_measure_fails_by_name(history: Callable[[], History], balanced: bool, named: str) -> None:  # noqa: FBT001
    assert named in "\n".join(failures(told(history(), balanced=balanced)))


def test_windows_that_follow_the_promotion_by_more_than_five_may_drift_again() -> None:
    assert told(a_history([*journals(), an_episode(PROMOTED_AT + 5)])).false_alarms == 0


def test_the_first_champion_is_no_promotion_of_a_successor() -> None:
    assert told(a_history([a_promotion(0, "1", None)])).promoted is None
