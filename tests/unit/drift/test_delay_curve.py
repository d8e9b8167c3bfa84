"""The delay curve: equal to statsmodels' estimate, and true where labels of young rows are still to come."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from everloop.sketch.delays import DELAY_BINS, UPPERS, count_delays, places_of_delays
from everloop_drift.domain.delay_curve import (
    FORGOTTEN_MS,
    MOST_COHORTS,
    OLDEST_MS,
    Cohort,
    accepted,
    came_late,
    curve,
    remembered,
)

HOUR = 3_600_000
DAY = 24 * HOUR


def a_cohort(hour: int, rows: int, delays: list[int] | np.ndarray[tuple[int], np.dtype[np.int64]]) -> Cohort:
    """Rows of one hour, and the delays of those that were labelled (ms)."""
    counts = count_delays(np.asarray(delays, dtype=np.int64))
    return Cohort(hour * HOUR, (hour + 1) * HOUR, rows, {int(one): int(counts[one]) for one in np.flatnonzero(counts)})


def place(delay: int) -> int:
    return int(places_of_delays(np.array([delay]))[0])


def simulated(seed: int, hours: int, rows: int, ever: float, median: float) -> tuple[list[Cohort], int]:
    """Hours whose labels take log-normally long, seen at the end of the last one: the newest are mostly without."""
    rng, now = np.random.default_rng(seed), hours * HOUR
    found = []
    for hour in range(hours):
        delays = np.exp(rng.normal(np.log(median), 0.8, rng.binomial(rows, ever))).astype(np.int64)
        found.append(a_cohort(hour, rows, delays[(hour + 1) * HOUR + delays <= now]))
    return found, now


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_estimate_of_statsmodels(seed: int) -> None:
    cohorts, now = simulated(seed, hours=30, rows=60, ever=0.7, median=5 * HOUR)
    times, states = [], []
    for cohort in cohorts:
        known = [one for one, rows in cohort.delays.items() for _ in range(rows) if UPPERS[one] <= now - cohort.end]
        times += [int(UPPERS[one]) for one in known] + [now - cohort.end] * (cohort.predicted - len(known))
        states += [1] * len(known) + [0] * (cohort.predicted - len(known))
    theirs, ours = SurvfuncRight(times, states), curve(cohorts, now)
    for time, stays in zip(theirs.surv_times, theirs.surv_prob, strict=True):
        assert ours.by(int(time)) == pytest.approx(1 - stays, abs=1e-12)


def test_by_hand() -> None:
    cohorts = [a_cohort(0, 10, [HOUR] * 4 + [5 * HOUR] * 3), a_cohort(4, 10, [HOUR] * 2), a_cohort(9, 10, [])]
    found = curve(cohorts, 10 * HOUR)
    # After an hour 6 of the 20 rows that were watched so long have a label; after five 3 of the 6 that still waited.
    assert [found.by(age * HOUR) for age in (0, 2, 6)] == [0.0, pytest.approx(0.3), pytest.approx(1 - 0.7 * 0.5)]
    assert found.ever == found.by(100 * HOUR)
    assert found.delay_ms(0.4) == UPPERS[place(HOUR)]
    assert found.delay_ms(0.5) == found.delay_ms(1.0) == UPPERS[place(5 * HOUR)]


def test_nothing_known_is_nothing_said() -> None:
    empty = curve([], 0)
    assert (empty.ever, empty.by(DAY), empty.delay_ms(0.5), empty.reach) == (0.0, 0.0, None, 0)
    assert curve([a_cohort(0, 5, [])], DAY).delay_ms(0.5) is None


def test_by_simulation_it_is_true_where_the_labels_that_have_come_alone_are_not() -> None:
    """60 hours are watched, of labels that take five hours in the median and ten in a quarter of the cases."""
    ever, median, halves, shares, naive = 0.7, 5 * HOUR, [], [], []
    for seed in range(200):
        cohorts, now = simulated(seed, hours=60, rows=100, ever=ever, median=median)
        found = curve(cohorts, now)
        halves.append(found.delay_ms(0.5) or 0)
        shares.append(found.ever)
        naive.append(sum(one.labelled for one in cohorts) / sum(one.predicted for one in cohorts))
    assert abs(np.mean(shares) - ever) < 0.005
    assert np.mean(naive) < ever - 0.06
    inside = [median / 1.125 <= half <= median * 1.25 for half in halves]
    assert np.mean(inside) >= 0.95


def test_more_labels_than_rows_are_no_more_than_all() -> None:
    found = curve([a_cohort(0, 3, [HOUR] * 5)], DAY)
    assert found.ever == 1.0


def test_a_cohort_with_fewer_labels_than_usual_is_left_out_until_they_came_or_none_can_come_any_more() -> None:
    usual = [a_cohort(hour, 1000, [HOUR] * 500) for hour in range(3)]
    lacking = a_cohort(3, 1000, [HOUR] * 300)
    filled = a_cohort(3, 1000, [HOUR] * 300 + [9 * HOUR] * 150)
    assert accepted([*usual, lacking], 0.8, DAY) == usual
    assert accepted([*usual, filled], 0.8, DAY) == [*usual, filled]
    assert accepted([*usual, lacking], 0.5, DAY) == [*usual, lacking]
    assert accepted([*usual, lacking], 0.8, 4 * HOUR + FORGOTTEN_MS) == [*usual, lacking]


def test_few_rows_are_no_lack() -> None:
    usual = [a_cohort(hour, 100, [HOUR] * 5) for hour in range(9)]
    assert len(accepted([*usual, a_cohort(9, 100, [HOUR] * 2)], 0.8, DAY)) == 10


def test_late_labels_come_to_the_cohort_that_is_so_old() -> None:
    cohorts = tuple(a_cohort(hour, 10, []) for hour in range(48))
    late = {place(30 * HOUR): 4}
    changed = [one for one in came_late(cohorts, late, 48 * HOUR) if one.delays]
    assert [one.delays for one in changed] == [late]
    assert abs(48 - changed[0].start / HOUR - 30) <= 30 / 8 + 1
    assert came_late(cohorts, {place(30 * DAY): 4}, 48 * HOUR) == cohorts


def test_memory_is_bounded_and_old_neighbours_are_put_together() -> None:
    cohorts: tuple[Cohort, ...] = ()
    for hour in range(24 * 80):
        cohorts = remembered((*cohorts, a_cohort(hour, 10, [HOUR])), (hour + 2) * HOUR)
    now = 24 * 80 * HOUR
    assert len(cohorts) <= MOST_COHORTS
    assert now - cohorts[0].start <= OLDEST_MS + 2 * DAY
    assert all(one.end == later.start for one, later in pairwise(cohorts))
    assert sum(one.predicted for one in cohorts) == 10 * (now - cohorts[0].start) // HOUR
    assert cohorts[-1].end - cohorts[-1].start == HOUR
    assert curve(cohorts, now).by(2 * HOUR) == pytest.approx(0.1)
    assert curve(cohorts, now).shares.shape == (DELAY_BINS,)
