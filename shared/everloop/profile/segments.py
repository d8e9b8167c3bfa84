"""Split a reference by the values of declared columns: what each segment looked like when the version was made.

A segment is one value of one column. The most frequent values have one each, all else is `other`: rare and unseen
values, and rows without one. Which segments there are is fixed with the version.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from everloop.profile.build import MAX_BINS, frequent, infer_kind, moments
from everloop.profile.cells import FIRST_BIN, Cells, Values, category, count_categorical, count_numeric, listed, tally
from everloop.profile.values import ColumnProfile, Profile, Segmentation

MOST_CELLS: Final = 1 << 17
"""Bins of all segments together: a megabyte in memory per slice, and about one in the record of a window."""
COLUMN_CELLS: Final = 32
"""As so many bins counts what else a column takes in that record."""
MOST_NUMBERS: Final = MAX_BINS - 2
"""A column of numbers has segments where the reference has at most so many different ones, as bins of their own."""
_INTEGERS: Final = np.dtype("<u4")
_FLOATS: Final = np.dtype("<f8")


class Given(NamedTuple):
    """One side of the reference: values of the declared columns, and what is counted by them; all of one length."""

    declared: Mapping[str, Values]
    counted: Mapping[str, Values]


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """What a segmentation holds, shapes as there."""

    counts: NDArray[np.uint32]
    lost: NDArray[np.uint32]
    moments: NDArray[np.float64]


def with_segments(profile: Profile, most: int, inputs: Given, scores: Given) -> Profile:
    """Add the segments of each declared column that the rows have; `most` values of each.

    `inputs` are the reference rows of the profile's columns, `scores` the holdout's, under the profile's name for them.
    Where bins of all segments would be more than `MOST_CELLS`, only the largest segments keep a place of their own. A
    column of many different numbers has none.
    """
    found = {name: _values(values, most) for name, values in inputs.declared.items() if name in scores.declared}
    kept = _largest({name: values for name, values in found.items() if values}, inputs, profile)
    made = (_segmentation(profile, name, values, inputs, scores) for name, values in kept.items())
    return profile.model_copy(update={"segments": tuple(made)})


def unpack(segmentation: Segmentation, profile: Profile) -> SegmentCounts:
    """Read what is packed. Raises `ValueError` for what does not fit the profile."""
    many, columns = len(segmentation.rows), len(profile.columns) + 1
    return SegmentCounts(
        np.frombuffer(_unpacked(segmentation.counts), _INTEGERS).reshape(many, bins_of(profile)),
        np.frombuffer(_unpacked(segmentation.lost), _INTEGERS).reshape(many, columns),
        np.frombuffer(_unpacked(segmentation.moments), _FLOATS).reshape(many, columns, 2),
    )


def bins_of(profile: Profile) -> int:
    """Bins of all columns and of the scores."""
    return sum(len(column.counts) for column in (*profile.columns, profile.score))


def _values(values: Values, most: int) -> tuple[str, ...]:
    """The most frequent values; of many different numbers none."""
    named = frequent(values)
    if infer_kind(values) == "numeric" and sum(isinstance(key, str) for key in tally(values)) > MOST_NUMBERS:
        return ()
    return named[:most]


def _largest(found: Mapping[str, tuple[str, ...]], inputs: Given, profile: Profile) -> dict[str, tuple[str, ...]]:
    """As many segments as there is room for, `other` of each column among them."""
    room = MOST_CELLS // (bins_of(profile) + COLUMN_CELLS * (len(profile.columns) + 1)) - len(found)
    if room <= 0:
        return {}
    sizes = {name: tally(inputs.declared[name]) for name in found}
    ranked = sorted((-sizes[name][value], name, value) for name, values in found.items() for value in values)
    chosen = {(name, value) for _, name, value in ranked[:room]}
    return {name: tuple(value for value in values if (name, value) in chosen) for name, values in found.items()}


def _segmentation(profile: Profile, name: str, values: tuple[str, ...], inputs: Given, scores: Given) -> Segmentation:
    numbers = _numbers(inputs.declared[name], values), _numbers(scores.declared[name], values)
    segments = range(len(values) + 1)
    columns = [_split(column, inputs.counted[column.name], numbers[0], segments) for column in profile.columns]
    columns.append(_split(profile.score, scores.counted[profile.score.name], numbers[1], segments))
    return Segmentation(
        column=name,
        kind=infer_kind(inputs.declared[name]),
        values=values,
        rows=tuple(np.bincount(numbers[0], minlength=len(segments)).tolist()),
        counts=_packed(np.concatenate([one.counts for one in columns], axis=1), _INTEGERS),
        lost=_packed(np.stack([one.lost for one in columns], axis=1), _INTEGERS),
        moments=_packed(np.stack([one.moments for one in columns], axis=1), _FLOATS),
    )


def _numbers(values: Values, named: Sequence[str]) -> NDArray[np.int64]:
    """The segment of each row."""
    index: dict[str | int, int] = {name: place for place, name in enumerate(named)}
    return np.array([index.get(category(value), len(named)) for value in listed(values) or []], dtype=np.int64)


def _split(column: ColumnProfile, values: Values, numbers: NDArray[np.int64], segments: Iterable[int]) -> SegmentCounts:
    """Count one column by segment, by the rule that the whole is counted by."""
    rows = values if isinstance(values, np.ndarray) else _objects(values)
    parts = [rows[numbers == segment] for segment in segments]
    cells = np.stack([_counted(column, part) for part in parts])
    spread = [moments(part) if column.kind == "numeric" else (None, None) for part in parts]
    return SegmentCounts(
        cells[:, FIRST_BIN:].astype(np.uint32),
        cells[:, :FIRST_BIN].sum(axis=1).astype(np.uint32),
        np.array(spread, dtype=np.float64),
    )


def _counted(column: ColumnProfile, part: Values) -> Cells:
    numeric = column.kind == "numeric"
    return count_numeric(column.edges, part) if numeric else count_categorical(column.categories, part)


def _objects(values: Sequence[object]) -> NDArray[np.object_]:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


def _packed(array: NDArray[Any], kind: np.dtype[Any]) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array, kind).tobytes())).decode()


def _unpacked(text: str) -> bytes:
    try:
        return zlib.decompress(base64.b64decode(text))
    except zlib.error as error:
        raise ValueError("not packed") from error
