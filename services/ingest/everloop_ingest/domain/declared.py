"""Values of declared columns on their way through the join: what segments of labels are told apart by.

They are kept as they came, so that a row is counted with its label in the segment that it was counted in without one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, repeat
from typing import Any, Final, TypeAlias

import orjson
from numpy.typing import NDArray
from pydantic import ValidationError

from everloop.loop import Windows
from everloop.profile.cells import category
from everloop.rows.values import Column, listed

Numbers: TypeAlias = NDArray[Any]
Scalar: TypeAlias = str | int | float | bool | None
Values: TypeAlias = tuple[Sequence[Scalar], ...]
"""A column of values for each declared column, in their order; all of one length."""


CARRIED: Final = 1_000
"""Rows of one record with values, at the most: with four texts of 256 letters each it still fits into 8 MiB."""


def pieces(rows: Numbers, *, carried: bool) -> Iterator[tuple[str, Numbers]]:
    """Rows in so many pieces that each fits into a record; the names of all but the first go behind the record's."""
    for start in range(0, len(rows), CARRIED if carried else max(1, len(rows))):
        yield f"/{start}" if start else "", rows[start : start + CARRIED] if carried else rows


def declared_in(loop: Mapping[str, object]) -> tuple[str, ...]:
    """The declared columns of a loop file as it travels; the rest of it is not looked at, and may be of a newer one."""
    try:
        windows = Windows.model_validate(loop.get("windows", {}))
    except ValidationError:
        return ()
    return windows.segments.columns if windows.segments else ()


def scalars(column: Column | None, rows: int) -> list[Scalar]:
    """The values of one column, bounded; None for what is in no segment of its own: missing, infinite, or no scalar."""
    values = [] if column is None else listed(column)
    return [_scalar(value) for value in islice(chain(values, repeat(None)), rows)]


def text_of(name: str, values: Values, row: int) -> str:
    """A row as the text that is remembered of it: its name, and its value of each column."""
    return orjson.dumps([name, *(column[row] for column in values)]).decode()


def name_in(text: str) -> str:
    """The name in such a text."""
    name: str = orjson.loads(text)[0]
    return name


def columns_in(texts: Sequence[str], columns: Sequence[str]) -> dict[str, list[Scalar]]:
    """The values of these columns in such texts."""
    rows = [orjson.loads(text) for text in texts]
    return {name: [row[place] for row in rows] for place, name in enumerate(columns, 1)}


def values_of(data: Mapping[str, Sequence[Scalar]] | None, rows: int) -> Values | None:
    """Columns as a record has them. Raises `ValueError` where they are not so long."""
    values = tuple(dict(data or {}).values())
    if any(len(column) != rows for column in values):
        raise ValueError(rows)
    return values or None


def _scalar(value: object) -> Scalar:
    """The value, a text cut where categories are."""
    if isinstance(value, str):
        named = category(value)
        return named if isinstance(named, str) else None
    if value is None or isinstance(value, bool):
        return value
    return value if isinstance(value, int | float) and isinstance(category(value), str) else None
