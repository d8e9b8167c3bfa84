"""What each model awaits, since when, how far it has come, and the earliest possible end of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from everloop import events as e
from everloop import topics
from everloop.cli.models_status import ModelStatus, collect
from everloop.story import standing as s
from tests.builders import HOUR_MS, NOON, a_loop, a_manifest, a_signed_verdict, an_arm_window, millis
from tests.unit.cli.turns import EPISODE, START, Stack, a_full_turn, a_stack, open_an_episode, train_and_pass

LOOP = a_loop(
    rollout={"shadow": "10m", "hold": "20m", "steps": ["10%", "50%", "100%"], "min_rows": 1000, "watch": "1h"}
)
LATER = NOON + timedelta(hours=9)


def status(stack: Stack, wall_hours: float = 9) -> ModelStatus:
    (one,) = collect(stack.broker.client(), NOON + timedelta(hours=wall_hours), lag=7)
    return one


def a_rollout(stack: Stack) -> e.RolloutStarted:
    stack.apply(LOOP)
    open_an_episode(stack)
    passed = train_and_pass(stack, "2", EPISODE, NOON + timedelta(hours=4))
    started = e.RolloutStarted.because(
        passed, LATER, version="2", champion="1", verdict=passed.verdict, deadline=LATER + timedelta(hours=4), salt="s"
    )
    stack.say(topics.ROLLOUTS, started)
    return started


def a_look(arm: str, rows: int, start: int) -> e.WindowLooked:
    evidence = {"span": 0, "arms": {arm: an_arm_window(arm, "2", rows).buckets}}
    return e.WindowLooked.named(
        f"{arm}/{start}", LATER, "fraud", version="2", phase=e.Phase.SHADOW, kind="inputs", start=start, end=start + 1,
        looks=(), verdict="hold", evidence=evidence,
    )  # fmt: skip


def test_a_shadow_has_its_rows_and_its_earliest_end_and_the_promotion_behind_it() -> None:
    stack = a_stack()
    a_rollout(stack)
    stack.say(topics.ROLLOUTS, a_look("shadow", 640, millis(LATER)))
    one = status(stack)
    assert (one.phase, one.have, one.need, one.since) == ("shadow", 640, 1000, "2026-01-05 21:00:00")
    assert (one.earliest_end, one.promotion) == ("2026-01-05 21:10:00", "2026-01-05 21:50:00")
    assert "the shadow ends at the earliest at 2026-01-05 21:10:00; 640 of 1000 rows" in one.awaits
    assert one.deadline == "2026-01-06 01:00:00"
    assert one.lag == 7


def test_a_step_starts_its_own_clock_and_its_own_rows() -> None:
    stack = a_stack()
    started = a_rollout(stack)
    at = LATER + timedelta(minutes=30)
    step = e.StepTaken.because(
        started, at, version="2", phase=e.Phase.CANARY, weight=0.1, reason=e.Reason(rule="rollout.steps")
    )
    stack.say(topics.ROLLOUTS, a_look("shadow", 2000, millis(LATER)), step)
    assert (status(stack).phase, status(stack).have) == ("canary", 0)
    assert (status(stack).earliest_end, status(stack).promotion) == ("2026-01-05 21:50:00", "2026-01-05 22:10:00")
    assert status(stack).deadline == "2026-01-06 01:30:00"
    stack.say(topics.ROLLOUTS, a_look("candidate", 120, millis(at)))
    assert status(stack).have == 120


def test_the_watch_after_a_promotion_is_a_phase_with_an_end() -> None:
    stack = a_full_turn()
    assert (status(stack, 8.5).phase, status(stack, 9.5).phase) == ("watch", "steady")
    assert status(stack, 8.5).earliest_end == "2026-01-05 21:04:00"
    assert status(stack, 8.5).awaits == "the end of the watch; it ends at the earliest at 2026-01-05 21:04:00"


def test_a_turn_waits_for_labels_since_the_change() -> None:
    stack = a_stack()
    stack.apply(LOOP)
    turn = open_an_episode(stack)
    stack.say(topics.ARCHIVE, a_manifest("outcomes", {START: 500, START + HOUR_MS: 412}))
    assert (status(stack).have, status(stack).need) == (912, 1000)
    assert status(stack).since == f"{turn.time:%F %T}"
    assert status(stack).earliest_end is None


def test_a_cool_down_ends_by_itself_and_other_reasons_do_not() -> None:
    rest = e.Reason(rule="train.cooldown", measured=3600.0, limit=21_600.0)
    put_off = e.TurnDeferred.named("x", NOON, "fraud", cause="drift", reason=rest)
    assert s.deferred(put_off).earliest == NOON + timedelta(hours=5)
    few = put_off.model_copy(update={"reason": e.Reason(rule="train.fresh_labels", measured=12, limit=1000)})
    assert (s.deferred(few).earliest, s.deferred(few).have, s.deferred(few).need) == (None, 12, 1000)
    live = put_off.model_copy(update={"reason": e.Reason(rule="rollout_live", measured="2")})
    assert s.deferred(live) == s.Awaited(NOON, of="rollout_live")


def test_a_champion_whose_cause_was_put_off_says_until_when() -> None:
    stack = a_full_turn()
    rest = e.Reason(rule="train.cooldown", measured=3600.0, limit=21_600.0)
    stack.say(topics.TRAINING, e.TurnDeferred.named("x", LATER, "fraud", cause="drift", reason=rest))
    assert status(stack, 12).earliest_end == "2026-01-06 02:00:00"


def test_the_first_champion_is_not_watched_and_nothing_is_when_the_watch_is_off() -> None:
    promoted = e.VersionPromoted.named(
        "first", NOON, "fraud", version="1", previous=None, verdict=a_signed_verdict("1"), salt="s",
        reason=e.Reason(rule="first_version"),
    )  # fmt: skip
    assert s.watched(promoted, LOOP) is None
    again = promoted.model_copy(update={"previous": "0"})
    assert s.watched(again, LOOP) is not None
    assert s.watched(again, a_loop(rollout={"watch": "0s"})) is None


def test_before_the_first_window_the_first_that_ends_after_now_is_awaited() -> None:
    bound = s.next_window(None, LOOP, NOON + timedelta(minutes=20))
    assert bound == s.Awaited(None, earliest=NOON + timedelta(hours=1, minutes=2))


def test_the_delay_of_labels_is_that_of_the_newest_outcomes() -> None:
    stack = a_stack()
    stack.apply(LOOP)
    for source, delay in (("serving", 1), ("bootstrap", 5000)):
        joined = e.OutcomesJoined.named(
            source, NOON, "fraud", source=source, prediction_id=tuple(map(str, range(100))), times=(START,) * 100,
            bucket=(0,) * 100, score=(0.5,) * 100, label=(1.0,) * 100,
            labelled_at=tuple(START + 1000 * (row + delay) for row in range(100)),
        )  # fmt: skip
        stack.say(topics.OUTCOMES, joined)
    assert (status(stack).label_delay_p50_s, status(stack).label_delay_p95_s) == (50.0, 95.0)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2), (0.95, 4), (0.0, 1), (1.0, 4)])
def test_a_quantile_is_the_nearest_rank(share: float, expected: float) -> None:
    assert s.quantile([4, 2, 1, 3], share) == expected
    assert s.quantile([], share) is None
