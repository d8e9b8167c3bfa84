"""Windows with segments: from raw values, and by drawing counts of segments in which nothing has changed."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everloop import events as e
from everloop.profile import ColumnProfile, Profile, build_profile
from everloop.profile.segments import Given, with_segments
from everloop.sketch import Inputs, Layout
from everloop_drift.domain.segmented import segment_windows
from tests.unit.drift.builders import a_column_window, an_inputs_arm

Values = Any
Floats = NDArray[np.float64]


def a_segmented_profile(by: str, most: int, scores: Values, **columns: Values) -> Profile:
    """A reference with these columns, split by one of them."""
    declared = {by: columns[by]}
    profile = build_profile(columns, scores=scores)
    return with_segments(profile, most, Given(declared, columns), Given(declared, {"score": scores}))


def a_segmented_arm(profile: Profile, scores: Values, *, version: str = "1", **columns: Values) -> e.ArmWindow:
    """The champion's rows, counted as the worker counts."""
    seen = Inputs(Layout.of(profile), segmented=True)
    seen.add(columns, scores, len(scores))
    return an_inputs_arm(profile, columns, scores, version=version, segments=segment_windows(profile, seen))


@cache
def a_world() -> Profile:
    """Columns of three shapes, and scores."""
    rng = np.random.default_rng(5)
    columns = {
        "a": rng.normal(size=4000), "b": rng.lognormal(size=4000),
        "c": rng.choice(["x", "y", "z", "q"], 4000, p=[0.6, 0.3, 0.08, 0.02]).tolist(),
    }  # fmt: skip
    return build_profile(columns, scores=rng.beta(2, 5, 4000))


def an_unchanged_arm(rng: np.random.Generator, segments: int, rows: int, reference_rows: int) -> e.ArmWindow:
    """A window in which both sides of every segment are drawn from the same world."""
    world = a_world()
    drawn = [
        [_drawn(rng, column, rows, reference_rows) for column in (*world.columns, world.score)]
        for _ in range(segments)
    ]  # fmt: skip
    return e.ArmWindow(
        arm="champion", version="1", rows=segments * rows,
        columns=tuple(a_column_window(column, []) for column in world.columns), score=a_column_window(world.score, []),
        segments=tuple(
            e.SegmentWindow(column="s", value=str(number), rows=rows, columns=tuple(sides[:-1]), score=sides[-1])
            for number, sides in enumerate(drawn)
        ),
    )  # fmt: skip


def _drawn(rng: np.random.Generator, column: ColumnProfile, rows: int, reference_rows: int) -> e.SegmentColumn:
    shares = np.array(column.counts) / sum(column.counts)
    current, reference = (_side(column, rng.multinomial(size, shares)) for size in (rows, reference_rows))
    return e.SegmentColumn(current=current, reference=reference)


def _side(column: ColumnProfile, counts: NDArray[np.int64]) -> e.ColumnSide:
    """Values stand at the lower edge of their bins."""
    if column.kind == "categorical":
        return e.ColumnSide(counts=tuple(counts.tolist()))
    places: Floats = np.array([column.edges[0], *column.edges])
    mean = float(np.average(places, weights=counts))
    deviation = float(np.sqrt(np.average((places - mean) ** 2, weights=counts)))
    return e.ColumnSide(counts=tuple(counts.tolist()), mean=mean, deviation=deviation)
