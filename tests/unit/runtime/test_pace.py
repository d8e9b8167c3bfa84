"""When a data room commits: soon where nothing comes, else so seldom that rows and not checkpoints take the time."""

from __future__ import annotations

import pytest

from everloop.runtime.pace import CHECKPOINT_S, HELD_S, IDLE_S, LIMIT, LONGEST_S, SHARE, Pace


def busy(pace: Pace, until_s: float) -> float:
    """When it is due, where a record comes again and again before it is idle; `until_s` where it is not."""
    now = 100.0
    pace.flush(now, held=False, lasted_s=pace.lasted_s)
    while now < 100.0 + until_s:
        pace.note(1, now)
        now += IDLE_S / 2
        if pace.is_due(now):
            break
    return now - 100.0


def test_nothing_is_due_where_nothing_came() -> None:
    pace = Pace(steady=True)
    pace.flush(10.0, held=False)
    assert not pace.is_due(1e9)


def test_a_moment_without_records_is_one_to_commit() -> None:
    pace = Pace(steady=True)
    pace.note(3, 10.0)
    assert not pace.is_due(10.0 + IDLE_S / 2)
    assert pace.is_due(10.0 + IDLE_S)


@pytest.mark.parametrize(
    ("lasted_s", "interval_s"),
    [(0.0, CHECKPOINT_S), (0.1, CHECKPOINT_S), (0.5, 0.5 / SHARE), (600.0, LONGEST_S)],
)
def test_a_checkpoint_that_takes_long_is_made_less_often_within_bounds(lasted_s: float, interval_s: float) -> None:
    pace = Pace(steady=True, lasted_s=lasted_s)
    assert busy(pace, 2 * LONGEST_S) == pytest.approx(interval_s, abs=IDLE_S)


def test_the_next_one_may_be_quick_again() -> None:
    pace = Pace(steady=True)
    pace.flush(0.0, held=False, lasted_s=1.0)
    assert pace.interval_s == 1.0 / SHARE
    pace.flush(20.0, held=False, lasted_s=0.01)
    assert pace.interval_s == CHECKPOINT_S


def test_a_fold_without_checkpoints_is_flushed_when_many_wait() -> None:
    pace = Pace(steady=False)
    pace.note(LIMIT - 1, 1.0)
    assert not pace.is_due(1.0)
    pace.note(1, 1.0)
    assert pace.is_due(1.0)


def test_what_is_held_back_is_asked_for_again() -> None:
    pace = Pace(steady=True)
    pace.flush(5.0, held=True)
    assert not pace.is_due(5.0 + HELD_S / 2)
    assert pace.is_due(5.0 + HELD_S)
