"""Count rows on the bins of a reference profile. Bad data is counted, never raised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from everloop.errors import InvalidError
from everloop.profile.cells import (
    ABSENT,
    FIRST_BIN,
    MALFORMED,
    MISSING,
    NONFINITE,
    Cells,
    count_categorical,
    count_numeric,
)
from everloop.sketch.reading import integers

if TYPE_CHECKING:
    from everloop.profile.values import ColumnProfile, Profile

MAX_UNKNOWN: Final = 20
MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class ColumnSketch:
    """Counts of one column. Shape of `cells`: missing, nonfinite, malformed, absent, then one per bin."""

    cells: Cells

    @property
    def counts(self) -> Cells:
        """Rows per bin."""
        return self.cells[FIRST_BIN:]

    @property
    def present(self) -> int:
        """Rows whose value fell into a bin."""
        return int(self.counts.sum())

    @property
    def missing(self) -> int:
        """Rows without a value (None, NaN, or the column was not there)."""
        return int(self.cells[MISSING])

    @property
    def nonfinite(self) -> int:
        """Rows with an infinite value, or one beyond float64."""
        return int(self.cells[NONFINITE])

    @property
    def malformed(self) -> int:
        """Rows whose value had the wrong type."""
        return int(self.cells[MALFORMED])

    @property
    def absent(self) -> int:
        """Rows of records that lacked the column; they are also `missing`."""
        return int(self.cells[ABSENT])

    def __eq__(self, other: object) -> bool:
        """Equal counts in equal bins."""
        return isinstance(other, ColumnSketch) and np.array_equal(self.cells, other.cells)

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.cells.tobytes())

    def __add__(self, other: ColumnSketch) -> ColumnSketch:
        """Add cell by cell; raises `InvalidError` when the bins are not those of one profile."""
        if self.cells.shape != other.cells.shape:
            raise InvalidError(
                "shape", "two sketches of a column have different bins: merge one version's sketches only"
            )
        return ColumnSketch(self.cells + other.cells)


@dataclass(frozen=True, slots=True)
class Sketch:
    """What was seen in some rows of one (version, arm, slice). `score` is None only where nothing was observed."""

    rows: int = 0
    columns: Mapping[str, ColumnSketch] = field(default_factory=dict)
    score: ColumnSketch | None = None
    unknown_columns: Mapping[str, int] = field(default_factory=dict)

    __hash__ = None  # type: ignore[assignment]  # holds mappings

    @classmethod
    def empty(cls) -> Sketch:
        """Give the identity of `merge`."""
        return cls()

    def merge(self, other: Sketch) -> Sketch:
        """Add two sketches of one version."""
        return merge(self, other)

    def to_plain(self) -> dict[str, Any]:
        """Give the sketch as JSON values: a list of integers per column, cells in the order of `ColumnSketch`."""
        return {
            "rows": self.rows,
            "columns": {name: column.cells.tolist() for name, column in self.columns.items()},
            "score": self.score.cells.tolist() if self.score else None,
            "unknown_columns": dict(self.unknown_columns),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Sketch:
        """Read `to_plain`; raises `InvalidError` (`malformed`) for anything else."""
        try:
            return cls(
                rows=int(plain["rows"]),
                columns={str(name): _column(cells) for name, cells in plain["columns"].items()},
                score=None if plain["score"] is None else _column(plain["score"]),
                unknown_columns={str(name): int(rows) for name, rows in plain["unknown_columns"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidError(
                "malformed", "a sketch is rows, columns, score and unknown_columns, in integers"
            ) from error

    def to_json(self) -> bytes:
        """Give canonical bytes: equal sketches have equal bytes."""
        return orjson.dumps(self.to_plain(), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, data: bytes) -> Sketch:
        """Read `to_json`; raises `InvalidError` (`malformed`) for anything else."""
        try:
            return cls.from_plain(orjson.loads(data))
        except orjson.JSONDecodeError as error:
            raise InvalidError("malformed", "a sketch is a JSON object") from error


def _column(cells: object) -> ColumnSketch:
    """Read the cells of one column; raises `ValueError` for what is no list of integers."""
    read = integers(cells)
    if read.size <= FIRST_BIN:
        raise ValueError("too few cells for a bin")
    return ColumnSketch(read)


def observe(profile: Profile, columns: Mapping[str, Any], scores: Any = None, *, rows: int | None = None) -> Sketch:  # noqa: ANN401  # raw data, of any shape
    """Count rows given as columns on the bins of `profile`. Never raises on data.

    `rows` defaults to the number of scores, else to the longest column. A column that is too short counts the rest as
    missing, one that is too long is cut.
    """
    count = rows if rows is not None else _rows(columns, scores)
    known = {column.name for column in profile.columns}
    strangers = sorted(_clean(name) for name in columns if name not in known)
    return Sketch(
        rows=count,
        columns={column.name: _observe(column, columns.get(column.name), count) for column in profile.columns},
        score=_observe(profile.score, scores, count),
        unknown_columns=_capped(Counter({name: strangers.count(name) * count for name in strangers})),
    )


def _rows(columns: Mapping[str, Any], scores: object) -> int:
    """Count the rows of a record: a value without a length is no column."""
    sizes = [_size(values) for values in ([scores] if scores is not None else columns.values())]
    return max((size for size in sizes if size is not None), default=0)


def _size(values: object) -> int | None:
    """Give the length of a column, None for what is no column."""
    if isinstance(values, np.ndarray):
        return values.shape[0] if values.ndim else None
    return len(values) if isinstance(values, Sized) and not isinstance(values, str | bytes | Mapping) else None


def _observe(column: ColumnProfile, values: Any, rows: int) -> ColumnSketch:  # noqa: ANN401  # raw data, of any shape
    """Count one column of `rows` rows."""
    size = 0 if values is None else _size(values)
    part = [] if not size else values if size == rows else values[:rows]
    cells = (
        count_numeric(column.edges, part) if column.kind == "numeric" else count_categorical(column.categories, part)
    )
    rest = rows - min(size or 0, rows)
    cells[MALFORMED if size is None else MISSING] += rest
    cells[ABSENT] += rest if values is None else 0
    return ColumnSketch(cells)


def merge(left: Sketch, right: Sketch) -> Sketch:
    """Add two sketches of one version; raises `InvalidError` (`shape`) when their bins differ."""
    columns = dict(left.columns)
    for name, column in right.columns.items():
        columns[name] = columns[name] + column if name in columns else column
    scores = [score for score in (left.score, right.score) if score is not None]
    return Sketch(
        rows=left.rows + right.rows,
        columns=columns,
        score=scores[0] + scores[1] if len(scores) > 1 else scores[0] if scores else None,
        unknown_columns=_capped(Counter(left.unknown_columns) + Counter(right.unknown_columns)),
    )


def _capped(names: Counter[str]) -> dict[str, int]:
    """Keep the first 20 in order of name: unlike the most frequent, they are the same however the merges are nested."""
    return {name: names[name] for name in sorted(+names)[:MAX_UNKNOWN]}


def _clean(name: object) -> str:
    """Cap the name of an unknown column, and make it encodable."""
    return str(name).encode("utf-8", "replace").decode()[:MAX_NAME]
