"""The whole story: a change, an episode, a turn, a version that passes, shadow, canary, promotion, and quiet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from everloop import topics
from everloop.events import (
    ENVELOPE,
    Episode,
    Event,
    ModelVersionCreated,
    Phase,
    Reason,
    RolloutStarted,
    StepTaken,
    TrainingStarted,
    TurnClosed,
    TurnOpened,
    Value,
    VersionPassed,
    VersionPromoted,
    WindowJudged,
    WindowLooked,
)
from tests.simulation.stack import HOUR, JOURNALS, START, Stack

CHANGE = START + HOUR


@pytest.fixture(scope="module")
def told(undisturbed: Stack) -> list[Event]:
    """All decisions of the second turn, journal by journal."""
    return [event for topic in JOURNALS for event in undisturbed.journal(topic) if event.time > START]


def test_an_episode_opens_with_its_cause_when_two_windows_have_drifted(told: list[Event]) -> None:
    first = next(e for e in told if isinstance(e, WindowJudged) and e.episode is Episode.OPENED)

    assert (first.version, first.episode_kind, first.change_at) == ("1", "drift", _ms(CHANGE))
    assert first.time == CHANGE + 2 * HOUR + timedelta(minutes=2)
    assert {one.name for one in first.measures if one.drifted} == {"a", "score"}
    assert (first.reason.rule, first.reason.measured, first.reason.limit) == ("drift.share", 0.5, 0.3)


def test_the_turn_goes_from_the_episode_to_the_promotion_in_this_order(told: list[Event]) -> None:
    thread = next(e.correlation_id for e in told if isinstance(e, TurnOpened))

    turn = sorted((e for e in told if e.correlation_id == thread), key=lambda e: e.time)
    kinds = [type(e).__name__ for e in turn if not isinstance(e, WindowJudged | WindowLooked)]
    assert kinds == [
        "TurnOpened", "TrainingStarted", "ModelVersionCreated", "VersionReceived", "ChecksStarted", "VersionPassed",
        "RolloutStarted", "StepTaken", "TurnClosed", "VersionPromoted",
    ]  # fmt: skip


def test_one_turn_is_one_thread_from_the_window_to_the_promotion(told: list[Event]) -> None:
    opened = next(e for e in told if isinstance(e, WindowJudged) and e.episode is Episode.OPENED)
    promoted = next(e for e in told if isinstance(e, VersionPromoted))

    chain = list(_chain(promoted, told))
    assert opened.correlation_id == opened.episode_id
    assert {e.correlation_id for e in told if not isinstance(e, WindowJudged)} >= {opened.correlation_id}
    assert {e.correlation_id for e in chain} == {opened.correlation_id}
    others = [e for e in told if not isinstance(e, WindowJudged) and e.correlation_id != opened.correlation_id]
    assert [type(e).__name__ for e in others] == ["TurnDeferred"], "the quality episode has a thread of its own"


def test_training_waits_for_fresh_labels_since_the_change(told: list[Event]) -> None:
    started = next(e for e in told if isinstance(e, TrainingStarted))

    assert started.fresh_labels >= 500
    assert (started.reason.rule, started.reason.limit) == ("train.fresh_labels", 500)
    assert started.spec.snapshot.end > _ms(CHANGE + 2 * HOUR)


def test_the_gate_reports_every_check(told: list[Event]) -> None:
    passed = next(e for e in told if isinstance(e, VersionPassed))

    names = {check.name for check in passed.checks}
    assert names >= {"floor.roc_auc", "champion.roc_auc", "latency_p95", "digest", "schema"}, names
    assert {check.verdict for check in passed.checks} <= {"pass", "skipped"}
    assert (passed.champion, passed.verdict.champion) == ("1", "1")


def test_shadow_then_canary_then_promotion_with_the_looks_that_allowed_them(told: list[Event]) -> None:
    said = [e for e in told if isinstance(e, RolloutStarted | WindowLooked | StepTaken | VersionPromoted)]

    steps = [e for e in said if not isinstance(e, WindowLooked)]
    assert [type(e) for e in steps] == [RolloutStarted, StepTaken, VersionPromoted]
    looked = [e for e in said if isinstance(e, WindowLooked)]
    assert {e.phase for e in looked if e.sequence and e.sequence < (steps[1].sequence or 0)} == {Phase.SHADOW}
    assert Phase.CANARY in {e.phase for e in looked}
    assert {e.verdict for e in looked} <= {"advance", "hold"}


def test_traffic_follows_the_journal_plan_by_plan(undisturbed: Stack) -> None:
    assert undisturbed.weights() == [[1.0], [1.0], [0.5, 0.5], [1.0]]

    epochs = [e.sequence for e in undisturbed.journal(topics.ROLLOUTS) if not isinstance(e, WindowLooked)]
    live = {r.key for r in undisturbed.records(topics.TRAFFIC)}
    gone = {r.key for r in undisturbed.records(topics.TRAFFIC) if r.value is None}
    assert live - gone == {f"m:{epochs[-1]}".encode()}, "older plans are taken away"


def test_the_promotion_closes_the_episodes_and_opens_none(told: list[Event]) -> None:
    judged = [e for e in told if isinstance(e, WindowJudged)]

    closed = [e for e in judged if e.episode is Episode.CLOSED]
    assert [(e.episode_kind, e.reason.rule, e.version) for e in closed] == [
        ("drift", "superseded", "2"),
        ("quality", "superseded", "2"),
    ]
    after = judged[judged.index(closed[0]) + 1 :]
    assert Episode.OPENED not in {e.episode for e in after}
    assert [e.outcome for e in told if isinstance(e, TurnClosed)] == ["promoted"]


def test_no_episode_opens_in_the_hours_after_the_promotion() -> None:
    stack = Stack().run(windows=17)

    judged = [e for e in stack.journal(topics.DRIFT) if isinstance(e, WindowJudged)]
    assert [e.episode for e in judged if e.episode in {Episode.OPENED, Episode.CLOSED}] == (
        [Episode.OPENED, Episode.OPENED, Episode.CLOSED, Episode.CLOSED]
    )
    assert {e.verdict for e in judged if e.version == "2" and e.time > START + 13 * HOUR} == {"stable"}
    assert len([e for e in stack.journal(topics.TRAINING) if isinstance(e, ModelVersionCreated)]) == 2


def test_every_decision_says_rule_measure_and_limit(undisturbed: Stack) -> None:
    reasons = [one for topic in JOURNALS for event in undisturbed.journal(topic) for one in _reasons(event)]

    assert reasons
    for reason in reasons:
        assert reason.rule
        assert reason.where
        assert reason.measured is not None, reason.rule
    figures = [r for r in reasons if isinstance(r.measured, float)]
    assert {r.rule for r in figures if r.limit is None} == {"calibration"}, "which is reported and does not decide"


def test_every_cause_stands_on_a_topic_or_is_a_tick_or_the_end_of_a_job(undisturbed: Stack) -> None:
    known = {e.id for topic in topics.TOPICS.values() for e in undisturbed.events(topic)}
    said = [e for topic in JOURNALS for e in undisturbed.journal(topic)]

    by_time = {"TurnOpened", "TrainingStarted", "ChecksStarted", "StepTaken", "VersionPromoted"}
    by_job = {"ModelVersionCreated", "VersionPassed"}
    for event in said:
        assert event.causation_id is not None
        assert event.causation_id in known or type(event).__name__ in by_time | by_job, event
    assert len({e.id for e in said}) == len(said)


def _chain(event: Event, told: list[Event]) -> Iterator[Event]:
    """The events of its turn up to this one."""
    return (e for e in told if e.correlation_id == event.correlation_id and e.time <= event.time)


def _reasons(value: Value) -> Iterator[Reason]:
    for name in type(value).model_fields.keys() - ENVELOPE:
        part = getattr(value, name)
        for one in part if isinstance(part, tuple) else (part,):
            if isinstance(one, Reason):
                yield one
            elif isinstance(one, Value):
                yield from _reasons(one)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
