"""Detectors on the stream of errors: rebuilt from points alone, blind to nothing, quiet without a change."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from everloop.loop import Detector
from everloop_drift.domain import concept
from everloop_drift.domain.concept import (
    BASELINE,
    MOST_POINTS,
    WINDOW_POINTS,
    Point,
    blocks,
    detect,
    firings,
    kept,
    new_points,
)

ALL: tuple[Detector, ...] = ("adwin", "page_hinkley", "ddm", "hddm_a")
QUICK = ALL[:3]
"""HDDM-A costs fifty times as much as the others."""
STEP = 1000


def points(
    seed: int, errors: list[tuple[int, float]], *, rows: int = 100, night: float = 1.0, first: int = 0
) -> tuple[Point, ...]:
    """So many points of each error rate; losses as those of a model that is never quite sure.

    `night`: share of the rows that come in the quiet half of a day of 64 points.
    """
    rng = np.random.default_rng(seed)
    rates = np.concatenate([np.full(count, rate) for count, rate in errors])
    made = []
    for place, rate in enumerate(rates):
        counted = max(1, int(rng.poisson(rows * (night if place // 32 % 2 else 1.0))))
        wrong = int(rng.binomial(counted, rate))
        loss = rng.beta(9, 9, wrong).sum() + 0.25 * rng.beta(1, 9, counted - wrong).sum()
        made.append(((first + place) * STEP, counted, wrong, round(loss * 1e6)))
    return tuple(made)


CHANGED = points(1, [(256, 0.1), (128, 0.45)])


@pytest.mark.parametrize("detector", ALL)
def test_a_rise_of_errors_is_found_and_when_it_began(detector: Detector) -> None:
    (found,) = detect((detector,), CHANGED[:256], CHANGED[256:], classes=True)
    assert (found.detector, found.at >= 256 * STEP) == (detector, True)
    assert found.since == pytest.approx(256 * STEP, abs=3 * STEP)
    assert found.before < 0.1 < found.after
    assert detect((detector,), CHANGED[:128], CHANGED[128:256], classes=True) == ()


@pytest.mark.parametrize("detector", ALL)
@pytest.mark.parametrize("size", [5, 64])
def test_windows_of_any_length_find_what_one_long_window_finds(detector: Detector, size: int) -> None:
    series = points(2, [(192, 0.1), (96, 0.6), (64, 0.1)])
    heard = blocks(series)
    places = list(firings(detector, concept.values(detector, heard)))
    found: list[int] = []
    known: tuple[Point, ...] = ()
    for first in range(0, len(series), size):
        fresh = series[first : first + size]
        found += [one.at for one in detect((detector,), known, fresh, classes=True)]
        known = kept(known, fresh)
    rising = [series[heard[place].end][0] for place in places if series[heard[place].end][0] < 288 * STEP]
    assert [at for at in found if at < 288 * STEP][:1] == rising[:1] != []


def test_a_detector_that_fired_before_is_silent_until_it_fires_again() -> None:
    (found,) = detect(("adwin",), CHANGED[:256], CHANGED[256:320], classes=True)
    assert found.at < 320 * STEP
    assert detect(("adwin",), CHANGED[:320], CHANGED[320:], classes=True) == ()


def test_a_fall_of_errors_is_no_concept_drift() -> None:
    better = points(3, [(128, 0.4), (128, 0.05)])
    assert list(firings("adwin", concept.values("adwin", blocks(better))))
    assert detect(ALL, better[:128], better[128:], classes=True) == ()


@pytest.mark.parametrize("detector", ALL)
@pytest.mark.parametrize("hostile", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_never_fed_and_blinds_nothing(detector: Detector, hostile: float) -> None:
    fed = concept.values(detector, blocks(CHANGED))
    odd = [value for place, one in enumerate(fed) for value in ([hostile, one] if place % 50 == 0 else [one])]
    assert [odd[place] for place in firings(detector, odd)] == [fed[place] for place in firings(detector, fed)] != []


@pytest.mark.parametrize("detector", ["adwin", "page_hinkley"])
def test_without_the_check_one_of_them_blinds_a_detector_for_good(detector: Detector) -> None:
    hearing, fired = concept.DETECTORS[detector](), False
    for value in [math.nan, *concept.values(detector, blocks(CHANGED))]:
        hearing.update(value)
        fired = fired or hearing.drift_detected
    assert not fired


def test_a_regression_has_no_wrong_rows_to_hear() -> None:
    (adwin, hinkley) = detect(ALL, CHANGED[:256], CHANGED[256:], classes=False)
    assert (adwin.detector, hinkley.detector) == ("adwin", "page_hinkley")


def test_a_start_without_errors_is_no_rate_of_zero() -> None:
    rare = [0.0] * 200 + [1.0] + [0.0] * 50
    assert list(firings("ddm", rare)) == []


def test_nothing_is_heard_before_there_are_enough_points() -> None:
    assert blocks(CHANGED[: BASELINE - 1]) == []
    assert len(blocks(CHANGED[:BASELINE])) > 0
    assert detect(ALL, (), (), classes=True) == detect(ALL, (), CHANGED[:9], classes=True) == ()


def test_points_of_few_rows_wait_for_each_other() -> None:
    even, few = tuple((place, 10, 1, 0) for place in range(32)), tuple((32 + place, 4, 0, 0) for place in range(7))
    assert [(one.sums[0], one.sums[1]) for one in blocks(even + few)[32:]] == [(32, 12), (35, 12)]


def test_new_points_come_after_the_heard_ones_and_a_long_window_is_coarsened() -> None:
    series = {place * STEP: (2, 1, 10) for place in range(200)} | {5: (0, 0, 0)}
    assert new_points(-1, {0: (1, 0, 5)}) == ((0, 1, 0, 5),)
    assert new_points(197 * STEP, series) == ((198 * STEP, 2, 1, 10), (199 * STEP, 2, 1, 10))
    coarse = new_points(-1, series)
    assert len(coarse) <= WINDOW_POINTS
    assert coarse[0] == (3 * STEP, 8, 4, 40)
    assert coarse[-1][0] == 199 * STEP
    assert sum(one[1] for one in coarse) == 400
    assert new_points(199 * STEP, series) == ()


def test_the_newest_points_are_kept() -> None:
    many = tuple((place, 1, 0, 0) for place in range(MOST_POINTS + 9))
    assert kept(many[:-1], many[-1:]) == many[9:]


def test_the_judge_loads_river_only_when_it_hears_errors() -> None:
    code = "import sys, everloop_drift.app; print('river' in sys.modules, 'scipy.stats' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["False", "False"]


# ----------------------------------------------------------------------------------------------------- by simulation


def false_alarms(rates: list[float], **stream: float) -> dict[Detector, int]:
    """Windows of 64 points in which a detector fires though nothing changes, of 12 for each rate and seed."""
    found = dict.fromkeys(QUICK, 0)
    for seed, rate in enumerate(rates):
        series = points(50 + seed, [(768, rate)], rows=int(stream.get("rows", 100)), night=stream.get("night", 1.0))
        for detector in QUICK:
            found[detector] += len(list(firings(detector, concept.values(detector, blocks(series)))))
    return found


@pytest.mark.parametrize(("rows", "night"), [(100, 1.0), (100, 0.02), (5, 1.0), (5, 0.1)])
def test_without_a_change_of_concept_detectors_are_quiet_whatever_the_traffic(rows: int, night: float) -> None:
    found = false_alarms([0.01, 0.1, 0.1, 0.3, 0.3], rows=rows, night=night)
    assert (found["adwin"], found["page_hinkley"]) == (0, 0)
    assert found["ddm"] <= 1  # it believes its first rows


def test_delay_shrinks_with_the_size_of_the_change() -> None:
    def delay(detector: Detector, rate: float) -> float:
        series = points(70, [(256, 0.1), (512, rate)])
        found = detect((detector,), series[:256], series[256:], classes=True)
        return found[0].at / STEP - 256 if found else math.inf

    for detector in ("adwin", "page_hinkley"):
        delays = [delay(detector, rate) for rate in (0.13, 0.16, 0.3)]
        assert delays == sorted(delays, reverse=True)
        assert delays[0] < 64
        assert delays[-1] < 16
