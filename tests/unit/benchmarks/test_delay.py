"""The streams of the delay benchmark are what they say, and the soak holds the published figures to a new run."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.drift.delay import measuring
from benchmarks.drift.delay.streams import KINDS, RAMP, SIZES, Kind, Stream
from benchmarks.drift.delay.tuning import alarms, delay, tuned
from tests.unit.drift import delay_page


@pytest.mark.parametrize(
    ("kind", "levels"),
    [
        ("abrupt", {4: 0.0, 5: 1.0, 60: 1.0}),
        ("gradual", {4: 0.0, 5: 1 / RAMP, 60: 1.0}),
        ("incremental", {4: 0.0, 5 + RAMP // 2: 13 / RAMP, 60: 1.0}),
        ("recurring", {4: 0.0, 5: 1.0, 5 + RAMP // 2: 0.0, 5 + RAMP: 1.0}),
        ("seasonal", {4: 0.0, 5: 1.0}),
    ],
)
def test_a_kind_of_change_comes_as_its_name_says(kind: Kind, levels: dict[int, float]) -> None:
    stream = Stream(kind, 0.5, onset=5)
    assert {place: stream.level(place) for place in levels} == pytest.approx(levels)


def test_a_change_moves_four_columns_and_leaves_four() -> None:
    moved, still = (
        {name: np.concatenate([one[name] for one in Stream("abrupt", size).windows(50, np.random.default_rng(0))])
         for name in ("number_0", "number_1", "number_2", "number_3", "channel", "country")}
        for size in (0.6, 0.0)
    )  # fmt: skip
    shift = {name: float(moved[name].mean() - still[name].mean()) for name in ("number_0", "number_1", "number_3")}
    assert shift == pytest.approx({"number_0": 0.6, "number_1": -0.6, "number_3": 0.0}, abs=0.03)
    assert float(moved["number_2"].std()) == pytest.approx(1.6, abs=0.03)
    assert float(np.mean(moved["channel"] == "web") - np.mean(still["channel"] == "web")) > 0.15
    assert abs(float(np.mean(moved["country"] == "IT") - np.mean(still["country"] == "IT"))) < 0.02


def test_alarms_and_delays_are_counted_by_their_begin() -> None:
    fired = [False, True, True, False, True]
    assert alarms(fired) == 2
    assert [delay(fired, onset) for onset in (0, 1, 3)] == [2, 1, 2]
    assert delay([True, False, False], 1) is None


def test_a_threshold_is_the_lowest_with_few_enough_alarms() -> None:
    heights = [1.0, 0.0, 2.0, 0.0, 3.0, 0.0]
    level = tuned(lambda threshold: [[one > threshold for one in heights]], 0.1, 10.0, 2, 30)
    assert level == pytest.approx(1.0, rel=1e-3)


def test_the_published_figures_are_of_every_cell_and_ours_is_first_in_most() -> None:
    cells = delay_page.figures()["cells"]
    assert [(one["kind"], one["size"]) for one in cells] == [(kind, size) for kind in KINDS for size in SIZES]
    assert min(one["seeds"] for one in cells) >= 30
    assert sum(delay_page.firsts(one) == ["ours"] for one in cells) > len(cells) / 2


@pytest.mark.soak
def test_a_new_run_gives_what_is_published() -> None:
    known = delay_page.figures()
    plain = measuring.thresholds("abrupt", print)
    assert plain == pytest.approx(known["thresholds"]["plain"])
    for one in known["cells"][:3]:
        assert measuring.cell(one["kind"], one["size"], plain) == one
