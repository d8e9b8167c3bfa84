"""Rows with their labels as columns, cut into batches. Pure, but for reading a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from everloop.errors import UsageError
from everloop.loop.watching import Columns

Cell = float | str | None
BATCH: Final = 400
MISSING: Final = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """What really happened, by prediction id; `at` in ms. All columns have the same length."""

    ids: tuple[str, ...]
    labels: tuple[float, ...]
    at: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as columns of equal length; `times` in ms since 1970 (UTC)."""

    ids: tuple[str, ...]
    times: tuple[int, ...]
    entities: tuple[str, ...] | None
    features: Mapping[str, tuple[Cell, ...]]
    labels: tuple[float, ...]

    def batches(self, size: int = BATCH) -> Iterator[Rows]:
        """The same rows, at most `size` at a time, in their order."""
        for start in range(0, len(self.ids), size):
            yield self.cut(slice(start, start + size))

    def labelled(self, delay_ms: int) -> Labels:
        """Their labels, known `delay_ms` after each row."""
        return Labels(self.ids, self.labels, tuple(time + delay_ms for time in self.times))

    def cut(self, part: slice) -> Rows:
        """A part of these rows."""
        return Rows(
            ids=self.ids[part],
            times=self.times[part],
            entities=self.entities[part] if self.entities is not None else None,
            features={name: values[part] for name, values in self.features.items()},
            labels=self.labels[part],
        )


def read_csv(path: Path, columns: Columns, kinds: Mapping[str, str] | None = None, *, numbered: bool = False) -> Rows:
    """Read rows with their labels. `kinds` names the features (`numeric`, `categorical`); None: all other columns.

    A feature whose cells are all numbers (or empty) is numeric, unless `kinds` says otherwise. With `numbered` the
    number of a row (from 1) is its id where the file has no column of ids. Raises `UsageError` that names file, row and
    column, never a value.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            count = numbered and columns.id not in header
            _require_columns(path, [columns.id, *header] if count else header, columns, kinds or {})
            table = list(_checked(path, header, reader))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"{path}: cannot be read as CSV in UTF-8 ({type(error).__name__}): check path and encoding"
        ) from None
    if not table:
        raise UsageError(f"{path}: has a header and no rows; at least one row is needed")
    named = dict(zip(header, zip(*table, strict=True), strict=True))
    if count:
        named[columns.id] = tuple(str(row) for row, _ in enumerate(table, start=1))
    return _rows(path, named, columns, kinds)


def _rows(path: Path, named: Mapping[str, tuple[str, ...]], columns: Columns, kinds: Mapping[str, str] | None) -> Rows:
    roles = {columns.id, columns.time, columns.label, columns.entity}
    features = [name for name in named if name not in roles] if kinds is None else list(kinds)
    ids = _filled(path, columns.id, named[columns.id])
    _require_unique(path, columns.id, ids)
    return Rows(
        ids=ids,
        times=tuple(_time(path, columns.time, row, text) for row, text in _numbered(named[columns.time])),
        entities=_filled(path, columns.entity, named[columns.entity]) if columns.entity else None,
        features={name: _feature(path, name, named[name], (kinds or {}).get(name)) for name in features},
        labels=tuple(_number(path, columns.label, row, text) for row, text in _numbered(named[columns.label])),
    )


def _require_columns(path: Path, header: list[str], columns: Columns, kinds: Mapping[str, str]) -> None:
    if len(set(header)) < len(header):
        raise UsageError(f"{path}: a column name stands twice in the header; give each column its own name")
    roles = {"id": columns.id, "time": columns.time, "label": columns.label, "entity": columns.entity}
    for role, name in roles.items():
        if name is not None and name not in header:
            raise UsageError(f"{path}: no column {name!r}, which the loop file names as columns.{role}")
    for name in kinds:
        if name not in header:
            raise UsageError(f"{path}: no column {name!r}, which the loop file names under features")


def _checked(path: Path, header: list[str], reader: Iterable[list[str]]) -> Iterator[list[str]]:
    for row, cells in enumerate(reader, start=1):
        if cells and len(cells) != len(header):
            raise UsageError(f"{path}: row {row}: has {len(cells)} cells, the header has {len(header)}")
        if cells:
            yield cells


def _numbered(cells: Iterable[str]) -> Iterator[tuple[int, str]]:
    return enumerate(cells, start=1)


def _filled(path: Path, column: str, cells: tuple[str, ...]) -> tuple[str, ...]:
    for row, text in _numbered(cells):
        if text == MISSING:
            raise UsageError(f"{path}: row {row}: column {column!r} is empty; every row needs it")
    return cells


def _require_unique(path: Path, column: str, ids: tuple[str, ...]) -> None:
    seen: dict[str, int] = {}
    for row, text in _numbered(ids):
        if seen.setdefault(text, row) != row:
            raise UsageError(f"{path}: row {row}: column {column!r} repeats row {seen[text]}; ids must differ")


def _time(path: Path, column: str, row: int, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{path}: row {row}: column {column!r} is no ISO 8601 time, like 2026-01-05T10:00:00Z"
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _number(path: Path, column: str, row: int, text: str) -> float:
    found = _finite(text)
    if found is None:
        raise UsageError(f"{path}: row {row}: column {column!r} is not a finite number")
    return found


def _feature(path: Path, name: str, cells: tuple[str, ...], kind: str | None) -> tuple[Cell, ...]:
    if kind == "categorical":
        return tuple(text if text != MISSING else None for text in cells)
    numbers = [None if text == MISSING else _finite(text) for text in cells]
    bad = next((row for row, (n, text) in enumerate(zip(numbers, cells, strict=True), 1) if n is None and text), None)
    if bad is None:
        return tuple(numbers)
    if kind == "numeric":
        raise UsageError(f"{path}: row {bad}: column {name!r} is not a finite number, and the loop file says numeric")
    return tuple(text if text != MISSING else None for text in cells)


def _finite(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
