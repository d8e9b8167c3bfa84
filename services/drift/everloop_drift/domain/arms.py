"""The arms of one closed window, from the cells of its slices: integers are added, then put beside the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from everloop.events import ArmWindow, ColumnSide, ColumnWindow, SchemaSplit, SegmentOutcomes
from everloop.profile import Season, column_groups
from everloop.profile.seasons import side
from everloop.sketch import Inputs, Labelled, SegmentLabels, Sums
from everloop_drift.domain.cells import CHAMPION, SHADOW, is_plain
from everloop_drift.domain.segmented import segment_outcomes, segment_windows

if TYPE_CHECKING:
    from everloop.loop import Task
    from everloop.profile import ColumnProfile, Profile
    from everloop.sketch.inputs import Integers
    from everloop.sketch.layout import Layout, Schema
    from everloop_drift.domain.cells import Cell, Key
    from everloop_drift.domain.closing import Closing

Cells = Mapping["Key", Sequence["Cell"]]


class Reference(NamedTuple):
    """The profile of a version, and its layout for counting."""

    profile: Profile
    layout: Layout


def arm_windows(
    cells: Cells, closing: Closing, task: Task, references: Mapping[str, Reference]
) -> tuple[ArmWindow, ...]:
    """The arms that have rows, in order of arm and version; `references` by version."""
    named = sorted({(key.arm, key.version) for key in cells})
    made = []
    for arm, version in named:
        mine = {key: found for key, found in sorted(cells.items()) if (key.arm, key.version) == (arm, version)}
        if closing.kind == "inputs":
            made.append(_of_inputs(arm, version, mine, closing, references[version], task))
        else:
            made.append(_of_outcomes(arm, version, mine, closing, references[version], task))
    return tuple(arm for arm in made if arm.rows)


def _of_inputs(arm: str, version: str, cells: Cells, closing: Closing, reference: Reference, task: Task) -> ArmWindow:
    profile, layout = reference
    plain = _merged(layout, (cell for key, found in cells.items() if is_plain(key.schema) for cell in found))
    whole = _merged(layout, _all(cells)) if any(not is_plain(key.schema) for key in cells) else plain
    shown = plain.rows and arm != SHADOW
    return ArmWindow(
        arm=arm,
        version=version,
        rows=whole.rows,
        columns=tuple(
            seasonal(column_window(column, plain, layout.place(column.name)), column, profile.season, closing)
            for column in profile.columns if shown
        ),
        splits=_splits(cells),
        score=seasonal(
            column_window(profile.score, whole, len(layout.numeric)), profile.score, profile.season, closing
        ),
        buckets=_sums(cells, closing),
        task=task,
        segments=segment_windows(profile, plain) if arm == CHAMPION else (),
        season=profile.season,
        calibration=profile.calibration if arm == CHAMPION else None,
    )  # fmt: skip


def _of_outcomes(arm: str, version: str, cells: Cells, closing: Closing, reference: Reference, task: Task) -> ArmWindow:
    labelled = Labelled.empty(task, reference.layout.scale)
    for cell in _all(cells):
        labelled = labelled.merge(cell.labelled) if cell.labelled is not None else labelled
    if not labelled.sound:  # a label was corrected that no window has counted: nothing can be said of the others
        labelled = Labelled.empty(task, reference.layout.scale)
    predicted = closing.predicted or {}
    return ArmWindow(
        arm=arm,
        version=version,
        rows=labelled.rows,
        buckets=_sums(cells, closing),
        quality=labelled.to_plain(),
        reference_quality=_reference_quality(reference.profile),
        predicted=predicted.get(f"{arm}|{version}"),
        task=task,
        outcomes=_segments(cells, closing, reference, labelled, version) if arm == CHAMPION else (),
    )


def _segments(
    cells: Cells, closing: Closing, reference: Reference, labelled: Labelled, version: str
) -> tuple[SegmentOutcomes, ...]:
    """The labelled rows by segment."""
    seen = SegmentLabels(reference.layout, labelled.task)
    for cell in _all(cells):
        if cell.segments is not None:
            seen.merge(cell.segments)
    if not seen.sound:
        seen = SegmentLabels(reference.layout, labelled.task)
    return segment_outcomes(reference.profile, seen, labelled.rows, closing.segments.get(version))


def column_window(column: ColumnProfile, seen: Inputs, place: int) -> ColumnWindow:
    """Put a column of a window beside its reference; `place` as in `Layout.span`."""
    lost, moments = seen.lost[:, place].tolist(), _moments(column, seen, place)
    return ColumnWindow(
        name=column.name,
        kind=column.kind,
        current=ColumnSide(
            counts=_plain(seen.counts(place)), missing=lost[0], nonfinite=lost[1], malformed=lost[2],
            mean=moments[0], deviation=moments[1],
        ),
        reference=ColumnSide(
            counts=column.counts, missing=column.missing, nonfinite=column.nonfinite, malformed=column.malformed,
            mean=column.mean, deviation=column.deviation,
        ),
        edges=column.edges,
        categories=column.categories,
        groups=column_groups(column),
        importance=column.importance,
    )  # fmt: skip


def seasonal(window: ColumnWindow, column: ColumnProfile, season: Season | None, closing: Closing) -> ColumnWindow:
    """Compare with the hours that the window touches, where the profile has them; the whole stands beside it."""
    start, end, _ = closing.bounds
    found = None if season is None else side(column, season, start, end)
    if found is None:
        return window
    missing, nonfinite, malformed = found.lost
    near = ColumnSide(
        counts=found.counts, missing=missing, nonfinite=nonfinite, malformed=malformed, mean=found.mean,
        deviation=found.deviation,
    )  # fmt: skip
    return window.model_copy(update={"reference": near, "overall": window.reference})


def _moments(column: ColumnProfile, seen: Inputs, place: int) -> tuple[float | None, float | None]:
    found = seen.moments(place) if column.kind == "numeric" else None
    return found or (None, None)


def _merged(layout: Layout, cells: Iterable[Cell]) -> Inputs:
    made = Inputs(layout)
    for cell in cells:
        if cell.inputs is not None:
            made.merge(cell.inputs)
    return made


def _sums(cells: Cells, closing: Closing) -> Mapping[str, list[int]]:
    """Of the slices that were in no window before: evidence of a rollout counts once, also where windows overlap."""
    made = Sums()
    for key, found in cells.items():
        for cell in found if key.end > closing.bounds.fresh else ():
            made.merge(cell.sums)
    return made.arm_sums().to_plain()


def _splits(cells: Cells) -> tuple[SchemaSplit, ...]:
    rows: dict[Schema, int] = {}
    for key, found in cells.items():
        if not is_plain(key.schema):
            rows[key.schema] = rows.get(key.schema, 0) + sum(cell.inputs.rows for cell in found if cell.inputs)
    return tuple(
        SchemaSplit(rows=count, added=schema.added, removed=schema.removed, retyped=schema.retyped)
        for schema, count in sorted(rows.items())
    )


def _reference_quality(profile: Profile) -> dict[str, float]:
    return {
        f"{quality.metric}{suffix}": number
        for quality in profile.quality
        for suffix, number in (("", quality.value), ("_se", quality.standard_error))
    }


def _all(cells: Cells) -> Iterable[Cell]:
    return (cell for found in cells.values() for cell in found)


def _plain(counts: Integers) -> tuple[int, ...]:
    return tuple(counts.tolist())
