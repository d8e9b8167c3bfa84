"""The segments of one closed window beside their references: one value of one declared column each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from everloop.events import ColumnSide, SegmentColumn, SegmentWindow
from everloop.profile.segments import SegmentCounts, unpack

if TYPE_CHECKING:
    from everloop.profile import Profile, Segmentation
    from everloop.sketch import Inputs
    from everloop.sketch.segments import Segments


def segment_windows(profile: Profile, seen: Inputs) -> tuple[SegmentWindow, ...]:
    """The segments that have rows, in the order of the profile."""
    if seen.segments is None:
        return ()
    splits = zip(profile.segments, seen.layout.splits, strict=True)
    return tuple(one for said, split in splits for one in _windows(profile, said, split.first, seen.segments))


def _windows(profile: Profile, said: Segmentation, first: int, seen: Segments) -> Iterator[SegmentWindow]:
    reference = unpack(said, profile)
    places = [*(seen.layout.place(column.name) for column in profile.columns), len(seen.layout.numeric)]
    for number, value in enumerate([*said.values, None]):
        rows = int(seen.rows[first + number])
        if rows:
            sides = zip(_current(seen, first + number, places), _reference(profile, reference, number), strict=True)
            columns = [SegmentColumn(current=current, reference=then) for current, then in sides]
            yield SegmentWindow(
                column=said.column, value=value, rows=rows, columns=tuple(columns[:-1]), score=columns[-1]
            )


def _current(seen: Segments, segment: int, places: Sequence[int]) -> Iterator[ColumnSide]:
    layout, cells = seen.layout, seen.cells[segment]
    for place in places:
        found = seen.moments(segment, place) if place <= len(layout.numeric) else None
        mean, deviation = found or (None, None)
        yield ColumnSide(
            counts=tuple(cells[layout.span(place)].tolist()), missing=int(cells[layout.cells + place]), mean=mean,
            deviation=deviation,
        )  # fmt: skip


def _reference(profile: Profile, known: SegmentCounts, segment: int) -> Iterator[ColumnSide]:
    bounds = np.cumsum([0, *(len(column.counts) for column in (*profile.columns, profile.score))]).tolist()
    for place, (low, high) in enumerate(pairwise(bounds)):
        mean, deviation = (float(number) for number in known.moments[segment, place])
        yield ColumnSide(
            counts=tuple(known.counts[segment, low:high].tolist()), missing=int(known.lost[segment, place]),
            mean=None if np.isnan(mean) else mean, deviation=None if np.isnan(deviation) else deviation,
        )  # fmt: skip
