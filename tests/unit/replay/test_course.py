"""How rows become legs: each row once, in its window; each label when it is known."""

from __future__ import annotations

import pytest

from everloop.errors import UsageError
from everloop.loop import Loop
from everloop.replay.course import Course, Leg
from everloop.replay.rows import Rows
from tests.builders import HOUR_MS, a_loop, millis
from tests.builders import NOON as NOON_MOMENT

NOON = millis(NOON_MOMENT)
MINUTE = 60_000


def rows_at(*times: int) -> Rows:
    ids = tuple(f"{(time - NOON) / HOUR_MS:g}" for time in times)
    return Rows(ids, times, None, {"a": tuple(float(time) for time in times)}, tuple(time % 2.0 for time in times))


def hourly(delay: str = "0s", horizon: str = "0s", grace: str = "0s") -> Loop:
    return a_loop(windows={"every": "1h", "grace": grace}, labels={"delay": delay, "horizon": horizon})


def half_hours(count: int) -> Rows:
    return rows_at(*(NOON + place * HOUR_MS // 2 for place in range(count)))


def told(legs: list[Leg]) -> list[tuple[tuple[str, ...], tuple[str, ...], float]]:
    return [(leg.rows.ids, leg.labels.ids, (leg.until - NOON) / HOUR_MS) for leg in legs]


def test_a_leg_is_a_window_with_the_labels_that_are_due_by_its_end() -> None:
    course = Course(hourly(delay="30m"), half_hours(6), warmup=2)
    assert course.history.ids == ("0", "0.5")
    assert told(list(course.legs())) == [(("1", "1.5"), ("1", "1.5"), 2), (("2", "2.5"), ("2", "2.5"), 3)]


def test_labels_that_come_later_come_in_a_later_leg_and_the_last_ones_too() -> None:
    legs = told(list(Course(hourly(delay="1h"), half_hours(6), warmup=2).legs()))
    assert legs == [(("1", "1.5"), ("1",), 2), (("2", "2.5"), ("1.5", "2"), 3), ((), ("2.5",), 4)]


def test_the_first_window_may_be_cut_and_grace_moves_the_clock_only() -> None:
    legs = told(list(Course(hourly(grace="15m"), half_hours(5), warmup=3).legs()))
    assert legs == [(("1.5",), ("1.5",), 2.25), (("2",), ("2",), 3.25)]


def test_the_horizon_of_the_last_window_is_waited_for() -> None:
    legs = told(list(Course(hourly(horizon="5h"), half_hours(4), warmup=2).legs()))
    assert legs == [(("1", "1.5"), ("1", "1.5"), 2), ((), (), 7)]


def test_time_without_rows_is_one_leg() -> None:
    course = Course(hourly(), rows_at(NOON, NOON + HOUR_MS, NOON + 100 * HOUR_MS + MINUTE), warmup=1)
    assert [(rows, until) for rows, _, until in told(list(course.legs()))] == [
        (("1",), 2),
        ((), 100),
        (("100.017",), 101),
    ]


def test_every_row_and_every_label_comes_once_and_in_order() -> None:
    whole, order = half_hours(40), [(place * 7) % 40 for place in range(40)]
    mixed = rows_at(*(whole.times[place] for place in order))
    course = Course(hourly(delay="90m", horizon="2h"), mixed, warmup=7)
    legs = list(course.legs())
    assert [name for leg in legs for name in leg.rows.ids] == list(whole.ids[7:])
    assert [name for leg in legs for name in leg.labels.ids] == list(whole.ids[7:])
    assert all(max(leg.labels.at, default=0) <= leg.until for leg in legs)
    assert all(max(leg.rows.times, default=0) < leg.until for leg in legs)
    assert legs[-1].until >= course.end


@pytest.mark.parametrize("warmup", [0, 4, 5])
def test_some_rows_are_history_and_some_are_left(warmup: int) -> None:
    with pytest.raises(UsageError, match=f"--warmup {warmup}: the file has 4 rows"):
        Course(hourly(), half_hours(4), warmup)
