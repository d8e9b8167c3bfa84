"""What a figure says: medians, the one rule of ratios, and no figure of values that cannot be."""

from __future__ import annotations

import math

import pytest

from benchmarks.figures import ROW, Better, Circumstances, Measured, Size, figure, ratio
from everloop.errors import FatalError
from tests.unit.benchmarks.fakes import NOON, RACE, a_benchmark, a_figure


@pytest.mark.parametrize(
    ("better", "ours", "peer", "times"), [("more", 30, 10, 3), ("less", 2, 6, 3), ("less", 6, 3, 0.5)]
)
def test_the_ratio_says_how_many_times_better_we_are(better: Better, ours: float, peer: float, times: float) -> None:
    assert ratio(better, ours, peer) == times


def test_a_figure_is_the_median_and_keeps_every_repeat() -> None:
    found = a_figure()
    assert (found.ours, found.peer, found.ratio) == (12.0, 4.0, 3.0)
    assert (found.ours_all, found.peer_all) == (RACE.ours, RACE.peer)


def test_a_row_has_exactly_the_keys_that_others_read() -> None:
    assert tuple(a_figure().row) == ROW == ("name", "unit", "ours", "peer", "peer_name", "ratio")


def test_without_a_peer_there_is_no_ratio() -> None:
    on = Circumstances(at=NOON, commit="abc1234", busy=0.0, quick=False, seconds=1.0)
    found = figure(a_benchmark(peer_name=None), Measured(ours=(1.0, 2.0, 3.0)), on)
    assert (found.ours, found.peer, found.peer_name, found.ratio) == (2.0, None, None, None)


@pytest.mark.parametrize("ours", [(), (0.0,), (-1.0, 2.0, 3.0), (math.nan,), (math.inf, 1.0)])
def test_there_is_no_figure_of_values_that_cannot_be(ours: tuple[float, ...]) -> None:
    with pytest.raises(FatalError, match=r"bus\.race: measured"):
        a_figure(measured=Measured(ours=ours, peer=(1.0,)))


def test_a_peer_that_is_named_is_measured() -> None:
    with pytest.raises(FatalError, match="either named and measured"):
        a_figure(measured=Measured(ours=(1.0,)))


def test_quick_is_less() -> None:
    assert (Size().of(100, 3), Size(quick=True).of(100, 3)) == (100, 3)


def test_the_area_is_what_stands_before_the_dot() -> None:
    assert a_benchmark("loop.overhead").area == "loop"
