"""The reference measured by itself: windows as drift cuts them, the season that shows, what a budget is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from everloop.profile import Profile, Season, build_profile, seasons
from everloop.profile.build import build_column
from everloop.profile.calibrate import FEWEST, Rules, calibrated
from everloop.profile.cells import FIRST_BIN, count_categorical, count_numeric
from everloop.profile.cut import cut
from everloop.profile.hours import Hours, of_holdout, references
from everloop.profile.sample import Sample, cells_of, counted, slots_of

HOUR = seasons.HOUR_MS
BEGIN = 1_767_571_200_000  # a Monday, midnight
RULES = Rules(every_ms=HOUR, size_ms=HOUR, min_rows=20)


def times_of(windows: int, rows: int = 40) -> NDArray[np.int64]:
    return BEGIN + np.repeat(np.arange(windows) * HOUR, rows) + np.tile(np.arange(rows) * 60_000, windows)


def a_sample(windows: int, swing: float = 0.0, rows: int = 40, seed: int = 0) -> Sample:
    """A column that swings in a day by so many deviations, one of categories, scores of the first."""
    draw, times = np.random.default_rng(seed), times_of(windows, rows)
    x = draw.normal(size=len(times)) + swing * np.sin(2 * np.pi * (times // HOUR) / 24)
    inside = np.arange(len(times)) >= len(times) // 2
    columns = {"x": x, "c": draw.choice(["a", "b"], len(times)).tolist()}
    return Sample(columns, 1 / (1 + np.exp(-x)), times, inside, held=inside)


def made(sample: Sample, rules: Rules = RULES) -> Profile:
    first = int(np.argmax(sample.inside))
    columns = {name: values[first:] for name, values in sample.columns.items()}
    return calibrated(build_profile(columns, scores=sample.scores[first:]), sample, rules)


# ------------------------------------------------------------------------------------------------------------- windows


def test_windows_by_time_are_those_of_pandas() -> None:
    times = np.sort(np.random.default_rng(0).integers(BEGIN, BEGIN + 50 * HOUR, 900))
    cuts = cut(times, HOUR, HOUR, None, 15)
    counted = pd.Series(1, index=pd.to_datetime(times, unit="ms")).resample("1h").sum()
    enough = pd.DatetimeIndex(counted[counted >= 15].index)
    assert cuts.ends.tolist() == [int(at.timestamp() * 1000) + HOUR for at in enough]


def test_sliding_windows_end_with_each_slice() -> None:
    cuts = cut(times_of(10), HOUR, 3 * HOUR, None, 1)
    assert cuts.ranges.tolist() == [[end - 3, end] for end in range(3, 11)]
    assert cuts.sums(np.ones((10, 1)))[:, 0].tolist() == [3.0] * 8


def test_windows_by_rows_close_at_the_first_slice_that_has_them() -> None:
    cuts = cut(times_of(10), HOUR, HOUR, 100, 50)
    assert cuts.ranges.tolist() == [[0, 3], [3, 6], [6, 9]]
    assert cuts.span_ms == 9 * HOUR


def test_windows_from_before_a_known_change_are_left_out() -> None:
    assert cut(times_of(10), HOUR, HOUR, None, 1, BEGIN + 4 * HOUR).ranges[:, 0].tolist() == [4, 5, 6, 7, 8, 9]


def test_no_row_makes_no_window() -> None:
    assert cut(np.array([], dtype=np.int64), HOUR, HOUR, None, 1).ranges.shape == (0, 2)


# ------------------------------------------------------------------------------------------------------------- seasons


@pytest.mark.parametrize(
    ("season", "start", "end", "slots"),
    [
        ("hour_of_day", BEGIN, BEGIN + HOUR, [0]),
        ("hour_of_day", BEGIN + 23 * HOUR, BEGIN + 25 * HOUR, [0, 23]),
        ("hour_of_week", BEGIN, BEGIN + 1, [0]),
        ("hour_of_week", BEGIN + 25 * HOUR + 1, BEGIN + 26 * HOUR, [25]),
        ("hour_of_day", BEGIN, BEGIN + 100 * HOUR, list(range(24))),
    ],
)
def test_the_slots_that_a_window_touches(season: Season, start: int, end: int, slots: list[int]) -> None:
    assert seasons.slots_between(start, end, season) == slots


def test_slots_come_back_as_they_were_packed_and_add_up() -> None:
    sample = a_sample(200, swing=1.0)
    values = np.asarray(sample.columns["x"])
    column = build_column("x", values)
    column = column.model_copy(update={"slots": slots_of(column, values, sample.times, "hour_of_day")})
    slots = seasons.unpack(column, "hour_of_day")
    assert slots is not None
    assert tuple(slots.counts.sum(axis=0)) == (*column.counts, 0, 0, 0)
    found = seasons.side(column, "hour_of_day", BEGIN + 5 * HOUR, BEGIN + 7 * HOUR)
    assert found is not None
    mine = values[np.isin(sample.times // HOUR % 24, [5, 6])]
    assert found.counts == tuple(count_numeric(column.edges, mine)[FIRST_BIN:].tolist())
    assert found.mean == pytest.approx(mine.mean())
    assert found.deviation == pytest.approx(mine.std())


def test_slots_that_are_torn_or_few_are_not_compared_with() -> None:
    column = build_column("x", np.arange(300.0))
    few = column.model_copy(update={"slots": slots_of(column, np.arange(5.0), times_of(5, 1), "hour_of_day")})
    torn = column.model_copy(update={"slots": few.slots and few.slots.model_copy(update={"counts": "no base64"})})
    for one in (column, few, torn):
        assert seasons.side(one, "hour_of_day", BEGIN, BEGIN + HOUR) is None


def test_a_daily_cycle_shows_and_its_absence_does_not() -> None:
    assert made(a_sample(24 * 8, swing=0.8)).season == "hour_of_day"
    assert made(a_sample(24 * 8, swing=0.8)).season_why == "shown"
    for seed in range(5):
        quiet = made(a_sample(24 * 8, seed=seed))
        assert (quiet.season, quiet.season_why) == (None, "none shown")


def test_the_loop_file_decides_where_it_says_so() -> None:
    cycle = a_sample(24 * 8, swing=0.8)
    assert made(cycle, Rules(HOUR, HOUR, 20, season="none")).season is None
    assert made(a_sample(24 * 8), Rules(HOUR, HOUR, 20, season="hour_of_day")).season == "hour_of_day"
    short = made(a_sample(24 * 2), Rules(HOUR, HOUR, 20, season="hour_of_day"))
    assert short.season is None
    assert short.season_why.startswith("too short: each hour needs 3 times, has 2")


def test_scores_have_the_season_of_the_holdout_and_of_nothing_else() -> None:
    sample = a_sample(24 * 8, swing=0.8)
    slots = seasons.unpack(made(sample).score, "hour_of_day")
    assert slots is not None
    assert tuple(slots.counts[:, :-3].sum(axis=0)) == made(sample).score.counts
    assert made(replace(sample, held=None)).score.slots is None


def test_scores_have_none_where_the_holdout_lacks_an_hour() -> None:
    sample = a_sample(24 * 8, swing=0.8)
    short = replace(sample, held=sample.times >= sample.times[-1] - 20 * HOUR)
    assert made(short).season == "hour_of_day"
    assert made(short).score.slots is None


def test_rows_from_before_a_known_change_are_no_reference_of_an_hour() -> None:
    sample = replace(a_sample(24 * 8, swing=0.8), since=BEGIN + 24 * HOUR)
    slots = seasons.unpack(made(sample).columns[0], "hour_of_day")
    assert slots is not None
    assert slots.counts.sum() == (sample.times >= sample.since).sum()


def test_an_hour_of_few_rows_is_measured_against_the_whole_as_drift_will() -> None:
    sample = a_sample(24 * 8, rows=10)
    cuts = cut(sample.times, HOUR, HOUR, None, 1)
    hours = Hours.of(cuts, "hour_of_day", sample, sample.known)
    assert not hours.near.any(), "80 rows an hour"
    counts = counted(build_column("x", np.asarray(sample.columns["x"])), sample.columns["x"], sample, cuts)
    assert (references(counts, cuts, hours) == references(counts, cuts, None)).all()


def test_scores_are_measured_against_as_many_hours_as_the_holdout_has() -> None:
    sample = a_sample(24 * 8)
    held = replace(sample, held=sample.times >= BEGIN + 24 * 5 * HOUR)
    cuts = cut(sample.times, HOUR, HOUR, None, 1)
    counts = counted(build_column("x", np.asarray(sample.columns["x"])), sample.columns["x"], sample, cuts)
    expected: dict[Season | None, int] = {"hour_of_day": 3 * 40, None: 3 * 24 * 40}
    for season, rows in expected.items():
        hours, of_scores = of_holdout(cuts, season, held)
        assert of_scores == season
        assert set(references(counts, cuts, hours).sum(axis=1)) == {rows}


# --------------------------------------------------------------------------------------------------------- calibration


def test_each_value_is_counted_as_the_profile_counts_it() -> None:
    odd = [1.5, None, float("nan"), float("inf"), "text", 3, True, -0.0, 2.0**1000]
    column = build_column("x", [0.0, 1.0, 2.0, 3.0])
    cells, _ = cells_of(column, odd)
    assert np.bincount(cells, minlength=10).tolist()[:10] == count_numeric(column.edges, odd).tolist()[:10]
    words = [*"abca", None, 7, "b"]
    named = build_column("c", words)
    cells, _ = cells_of(named, words)
    assert (
        np.bincount(cells, minlength=len(named.counts) + FIRST_BIN).tolist()
        == count_categorical(named.categories, words).tolist()
    )


def test_what_windows_show_is_standardised() -> None:
    found = made(a_sample(600)).calibration
    assert found is not None
    assert found.windows == 600
    assert found.span_ms == 600 * HOUR
    assert set(found.unit) == {"x", "c", "score"}
    assert 0.9 < found.center["x"] < 1.02
    assert set(found.shift) == {"x/0", "x/1", "c/0", "score/0", "score/1"}
    assert found.bands is not None
    assert 0.0 < found.bands.window.middle < found.bands.column.middle < 3.0
    assert all(0.5 < band.reach < 3.0 for band in (found.bands.window, found.bands.column, found.bands.joint))
    assert found.curves[1].threshold[0] > 1.0


def test_what_windows_differ_by_raises_their_unit() -> None:
    calm, lively = made(a_sample(240)), made(a_sample(240, swing=0.8), Rules(HOUR, HOUR, 20, season="none"))
    assert calm.calibration is not None
    assert lively.calibration is not None
    assert lively.calibration.unit["x"] > 4 * calm.calibration.unit["x"]
    assert lively.calibration.shift["x/0"] > 0.1 > calm.calibration.shift["x/0"]


def test_too_few_windows_show_nothing() -> None:
    assert made(a_sample(FEWEST - 1)).calibration is None


def test_the_profile_with_all_that_comes_back_from_json() -> None:
    profile = made(a_sample(24 * 8, swing=0.8))
    assert Profile.model_validate_json(profile.model_dump_json()) == profile
