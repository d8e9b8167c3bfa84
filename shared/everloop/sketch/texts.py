"""Count a column of categories into the cells of a profile."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np

from everloop.profile.cells import category, listed, tally
from everloop.sketch.numbers import packer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Integers = NDArray[np.integer[Any]]

MISSING, _, MALFORMED, ABSENT = range(4)
_TEXTS: Final = frozenset({str})


@runtime_checkable
class Coded(Protocol):
    """Texts as codes (-1: missing) and the list of texts that they number, as Arrow's dictionaries come."""

    codes: NDArray[np.integer]
    texts: list[str]


class Texts(NamedTuple):
    """The cells of a categorical column: of each category, and of any `other` text."""

    known: Mapping[str, int]
    other: int


def coded(known: Mapping[str, int], column: object, rows: int) -> bytes | None:
    """The cells of a column of known categories alone, as 32-bit numbers; None where anything else is in it."""
    if type(column) is not list or len(column) != rows:
        return None
    try:
        return packer(f"{rows}I").pack(*map(known.get, column))
    except (struct.error, TypeError):  # another text, no text, or what cannot be looked up
        return None


def count_texts(texts: Texts, column: object, rows: int, cells: Integers, lost: Integers) -> None:
    """Add a column of `rows` values to `cells`, and what is no category to `lost`, shape (4,).

    A column that is too short counts the rest as missing, one that is too long is cut.
    """
    if type(column) is not list and isinstance(column, Coded):
        counted, size = _coded(column, rows), min(rows, column.codes.size)
    else:
        items = column if type(column) is list else None if column is None else listed(column)
        if items is None:
            lost[MISSING if column is None else MALFORMED] += rows
            lost[ABSENT] += rows if column is None else 0
            return
        part = items if len(items) <= rows else items[:rows]
        counted, size = _counted(part), len(part)
    lost[MISSING] += rows - size
    for key, count in counted:
        if type(key) is str:
            found = texts.known.get(key)
            cells[texts.known.get(_named(key), texts.other) if found is None else found] += count
        else:
            lost[key if isinstance(key, int) else MISSING] += count


def _named(text: str) -> str:
    """As a profile names it: bounded, and encodable."""
    name = category(text)
    return name if isinstance(name, str) else text


def _coded(column: Coded, rows: int) -> Iterable[tuple[object, int]]:
    counts = np.bincount(column.codes[:rows].astype(np.intp) + 1, minlength=len(column.texts) + 1).tolist()
    return zip([None, *column.texts], counts, strict=True)


def _counted(items: list[object]) -> Iterable[tuple[object, int]]:
    """Count texts at once; anything else is named one by one, since True, 1 and 1.0 hash alike and lists do not."""
    try:
        counted = Counter(items)
    except TypeError:
        return tally(items).items()
    nothing = counted.pop(None, 0)
    if not _TEXTS.issuperset(map(type, counted)):
        return tally(items).items()
    return [*counted.items(), (None, nothing)]
