"""Columns of raw values as one block of float64: one copy for what is clean, value by value for what is not."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from everloop.profile.cells import listed, to_float

if TYPE_CHECKING:
    Floats = NDArray[np.float64]

_PLAIN: Final = frozenset({float, int, bool, type(None)})
_NUMBERS: Final = "fiub"


def packed(
    columns: Sequence[object], rows: int, absent: NDArray[np.integer]
) -> tuple[NDArray[np.float64], dict[int, int]]:
    """All columns, shape (columns, rows), and how many values of which column are malformed.

    What is missing or malformed is NaN. A column that is None is all missing, and its rows are added to `absent`.
    """
    if (block := _block(columns, rows)) is not None:
        return block, {}
    parts: list[bytes | memoryview] = []
    malformed, pack = dict[int, int](), packer(f"{rows}d").pack
    for place, column in enumerate(columns):
        try:
            if type(column) is list:
                parts.append(pack(*column))
                continue
            if type(column) is np.ndarray and column.dtype == np.float64 and column.shape == (rows,):
                parts.append(np.ascontiguousarray(column).data)
                continue
        except (struct.error, OverflowError):  # None, text, an integer beyond float64, or another number of values
            pass
        part, wrong = _packed(column, rows)
        parts.append(part.data)
        if column is None:
            absent[place] += rows
        elif wrong:
            malformed[place] = wrong
    return np.frombuffer(b"".join(parts)).reshape(len(columns), rows), malformed


def _block(columns: Sequence[object], rows: int) -> Floats | None:
    """Columns that are arrays of numbers, one for each row; None where one is anything else."""
    arrays, shape = list[NDArray[Any]](), (rows,)
    for column in columns:
        if type(column) is not np.ndarray or column.dtype.kind not in _NUMBERS or column.shape != shape:
            return None
        arrays.append(column)
    return np.concatenate(arrays, dtype=np.float64, casting="unsafe").reshape(len(arrays), rows)


@lru_cache(maxsize=1024)
def packer(form: str) -> struct.Struct:
    """The fastest way from a list of numbers to an array, and the fastest check that all of them are numbers."""
    return struct.Struct(form)


def _nothing(rows: int) -> Floats:
    return np.full(rows, np.nan)


def _packed(column: object, rows: int) -> tuple[Floats, int]:
    if column is None:
        return _nothing(rows), 0
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in _NUMBERS:
        return _filled(np.ascontiguousarray(column[:rows], np.float64), rows), 0
    items = column if isinstance(column, list) else listed(column)
    return _one_by_one(items[:rows], rows) if items is not None else (_nothing(rows), rows)


def _one_by_one(items: list[object], rows: int) -> tuple[Floats, int]:
    if _PLAIN.issuperset(map(type, items)):
        try:
            return _filled(np.array(items, dtype=np.float64), rows), 0
        except OverflowError:
            pass
    read = [to_float(item) for item in items]
    numbers = np.array([np.nan if number is None else number for number in read], dtype=np.float64)
    return _filled(numbers, rows), sum(number is None for number in read)


def _filled(numbers: NDArray[np.float64], rows: int) -> Floats:
    """Fill a column that is too short; it was cut before if it was too long."""
    short = rows - numbers.size
    return numbers if not short else np.concatenate([numbers, np.full(short, np.nan)])
