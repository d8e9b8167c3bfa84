"""What a column of a record holds, seen from its first value: only where that surprises are all values looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import numpy as np

from everloop.listed import Listed

Kind = Literal["numeric", "categorical"]
EXPECTED: Final[Mapping[Kind, frozenset[type]]] = {
    "numeric": frozenset({float, int, bool}),
    "categorical": frozenset({str, bool}),
}
"""A column whose first value is of one of these types is not retyped."""
_OTHER: Final[Mapping[Kind, frozenset[type]]] = {"numeric": frozenset({str}), "categorical": frozenset({float, int})}


def is_retyped(column: object, kind: Kind) -> bool:
    """Whether every value that is there is text where numbers are due, or a number where text is due.

    A column without any value, and what is no column at all, is not retyped.
    """
    if isinstance(column, np.ndarray):
        return kind == "categorical" and column.dtype.kind in "fiu" and bool(column.size) and not _all_nan(column)
    if isinstance(column, Listed):
        column = column.tolist()
    if isinstance(column, list):
        if column and type(column[0]) in EXPECTED[kind]:
            return False
        values: Iterable[object] = column
    else:
        values = getattr(column, "texts", ())  # of a coded column: those that occur
        if kind == "categorical":
            return False
    types = {type(value) for value in values} - {type(None)}
    return bool(types) and types <= _OTHER[kind]


def _all_nan(column: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bool:
    return column.dtype.kind == "f" and bool(np.isnan(column).all())
