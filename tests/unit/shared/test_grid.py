"""Bins are those of a binary search, to the last value: for any edges, any values, any columns at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from everloop.profile.build import quantile_edges, score_edges
from everloop.sketch.grid import MOST_PASSES, PLACES, Grid

FINITE = st.floats(allow_nan=False, allow_infinity=False)
EDGES = st.lists(FINITE.map(lambda edge: edge + 0.0), max_size=70, unique=True).map(sorted)


def searched(edges: list[float], values: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.searchsorted(np.array(edges), values, side="right")


def found(grid: Grid, block: NDArray[np.float64], first: int = 0) -> list[list[int]]:
    with np.errstate(over="ignore"):
        bins = grid.bins(block, first, first + len(block))
    return [(row - grid.bounds[first + number]).tolist() for number, row in enumerate(bins)]


@given(columns=st.lists(EDGES, min_size=1, max_size=4), values=st.lists(FINITE, max_size=20))
def test_a_value_is_in_the_bin_that_a_search_finds(columns: list[list[float]], values: list[float]) -> None:
    tried = np.array(values + [edge for edges in columns for edge in (*edges, *near(edges))])
    block = np.tile(tried, (len(columns), 1))
    assert found(Grid.of(columns), block) == [searched(edges, tried).tolist() for edges in columns]


def near(edges: list[float]) -> list[float]:
    """The neighbours of each edge, as far as they are finite."""
    around = [math.nextafter(edge, toward) for edge in edges for toward in (math.inf, -math.inf)]
    return [value for value in around if math.isfinite(value)]


@pytest.mark.parametrize("seed", range(5))
def test_quantile_bins_of_common_shapes_need_no_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shapes = [
        rng.normal(size=5000),
        rng.uniform(size=5000),
        rng.exponential(size=5000),
        rng.integers(0, 40, 5000) * 1.0,
    ]
    columns = [list(quantile_edges(values)) for values in shapes] + [list(score_edges())]
    grid = Grid.of(columns)
    assert grid.searched == ()
    assert grid.passes <= MOST_PASSES
    block = rng.normal(size=(len(columns), 3000)) * 3
    assert found(grid, block) == [searched(edges, block[number]).tolist() for number, edges in enumerate(columns)]


def test_a_long_tail_is_searched() -> None:
    rng = np.random.default_rng(1)
    edges = list(quantile_edges(rng.lognormal(sigma=4, size=5000)))
    grid = Grid.of([[0.0, 1.0], edges])
    assert grid.searched == (1,)
    block = np.vstack([rng.uniform(-1, 2, 500), rng.lognormal(sigma=4, size=500)])
    assert found(grid, block)[1] == searched(edges, block[1]).tolist()


def test_some_of_the_columns_may_be_asked_for() -> None:
    columns = [[0.0], [0.0, 1.0], [5.0]]
    assert found(Grid.of(columns), np.array([[0.5, 2.0], [4.0, 6.0]]), first=1) == [[1, 2], [0, 1]]


def test_columns_that_need_a_second_pass_and_those_that_do_not_are_told_apart() -> None:
    columns = [[0.0, 1.0], [0.0, 1.0, 2.0, 2.0], [5.0], [0.0, 1e-9, 1.0]]
    grid = Grid.of(columns)
    assert [deep.tolist() for deep in grid.deep] == [[1, 3]]
    tried = np.array([-1.0, 0.0, 1e-9, 0.5, 1.0, 2.0, 5.0, 6.0])
    for first, last in ((0, 4), (0, 1), (1, 2), (2, 4), (3, 4)):
        some = columns[first:last]
        assert found(grid, np.tile(tried, (len(some), 1)), first) == [searched(one, tried).tolist() for one in some]


def test_a_column_without_edges_has_one_bin() -> None:
    grid = Grid.of([[], [1.0]])
    assert grid.bounds == (0, 1, 3)
    assert found(grid, np.array([[7.0], [0.0]])) == [[0], [0]]


def test_so_many_bins_that_16_bits_do_not_number_them() -> None:
    columns = [list(np.arange(64.0)) for _ in range(1100)]
    grid = Grid.of(columns)
    assert grid.table.dtype == np.uint32
    block = np.full((len(columns), 1), 10.5)
    assert found(grid, block) == [[11]] * len(columns)
    assert len(grid.table) == PLACES * len(columns)
