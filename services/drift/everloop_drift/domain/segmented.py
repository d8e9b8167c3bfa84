"""The segments of one closed window beside their references: one value of one declared column each. Pure.

A column of which some labelled rows carried no value has no segments in a window of outcomes: what is missing would
look like labels that are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from everloop.events import ColumnSide, QualityMeasure, SegmentColumn, SegmentOutcomes, SegmentWindow
from everloop.profile.segments import SegmentCounts, unpack
from everloop.quality import of_segment
from everloop_drift.domain.cells import CHAMPION

if TYPE_CHECKING:
    from everloop.events import ArmWindow
    from everloop.profile import Profile, QualityProfile, Segmentation
    from everloop.quality import Estimate
    from everloop.sketch import Inputs, SegmentLabels
    from everloop.sketch.segments import Segments
    from everloop_drift.domain.arms import Reference


def segment_windows(profile: Profile, seen: Inputs) -> tuple[SegmentWindow, ...]:
    """The segments that have rows, in the order of the profile."""
    if seen.segments is None:
        return ()
    splits = zip(profile.segments, seen.layout.splits, strict=True)
    return tuple(one for said, split in splits for one in _windows(profile, said, split.first, seen.segments))


def segment_outcomes(
    profile: Profile, seen: SegmentLabels, rows: int, predicted: Sequence[int] | None
) -> tuple[SegmentOutcomes, ...]:
    """The segments of so many labelled rows that have some, predicted or labelled, in the order of the profile.

    `predicted` are rows by segment; None where they are not known.
    """
    splits = zip(profile.segments, seen.layout.splits, strict=True)
    return tuple(
        _outcomes(said, number, seen, split.first + number, predicted)
        for said, split in splits if seen.covers(split, rows)
        for number in range(len(said.values) + 1)
        if seen.rows[split.first + number] or (predicted and predicted[split.first + number])
    )  # fmt: skip


def segment_rows(arms: Sequence[ArmWindow], references: Mapping[str, Reference]) -> dict[str, tuple[int, ...]]:
    """Rows of each segment of a window of inputs by version; without those whose rows are not all in segments."""
    return {
        arm.version: _rows(arm, references[arm.version].profile)
        for arm in arms if arm.arm == CHAMPION and arm.segments and not arm.splits
    }  # fmt: skip


def _rows(arm: ArmWindow, profile: Profile) -> tuple[int, ...]:
    rows = {(one.column, one.value): one.rows for one in arm.segments}
    return tuple(rows.get((said.column, value), 0) for said in profile.segments for value in (*said.values, None))


def _outcomes(
    said: Segmentation, number: int, seen: SegmentLabels, segment: int, predicted: Sequence[int] | None
) -> SegmentOutcomes:
    found, reference = of_segment(seen, segment), said.quality[number] if said.quality else None
    return SegmentOutcomes(
        column=said.column, value=said.values[number] if number < len(said.values) else None,
        rows=int(seen.rows[segment]), predicted=predicted[segment] if predicted else None,
        positives=int(seen.scores_of(segment).positives.sum()) if seen.task == "binary" else None,
        quality=found and _quality(found, reference), reference=reference,
    )  # fmt: skip


def _quality(found: Estimate, reference: QualityProfile | None) -> QualityMeasure:
    """Rounded to what does not depend on the machine."""
    value, error, lower, upper = (float(f"{number:.9g}") for number in found[:4])
    then = reference.value if reference else None
    return QualityMeasure(value=value, error=error, lower=lower, upper=upper, rows=found.rows, reference=then)


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
