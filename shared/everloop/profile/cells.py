"""Count raw values into cells: four for what is no value, then one per bin. Never raises on data.

How a value is counted depends on the value alone, not on its neighbours: batches add up to the whole. In a numeric
column a bool is 0 or 1 (JSON and Arrow blur the two), text is malformed even where it spells a number.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from decimal import Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = Sequence[object] | NDArray[np.generic]
Cells = NDArray[np.int64]
MISSING: Final = 0
NONFINITE: Final = 1
MALFORMED: Final = 2
ABSENT: Final = 3
FIRST_BIN: Final = 4
MAX_CATEGORY_LENGTH: Final = 256
_MAX_FLOAT_BITS: Final = 1024
_PLAIN: Final = frozenset({float, int, bool, type(None)})
_HASHED: Final = frozenset({float, int, bool, str})
_NOTHING: Final = frozenset({"NAType", "NaTType"})  # pandas' own words for None, recognised without importing it


def listed(values: object) -> list[object] | None:
    """Give the values of a column as Python objects; None when it is no column at all (a scalar, one text)."""
    if isinstance(values, np.ndarray):
        return list(values.tolist()) if values.ndim else None
    if isinstance(values, list):
        return values
    if isinstance(values, str | bytes | Mapping) or not (isinstance(values, Iterable) and isinstance(values, Sized)):
        return None
    return list(values)


def to_float(value: object) -> float | None:
    """Read one value as a number: NaN when it is missing, infinite when too large, None when it is no number."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value).__name__ in _NOTHING:
        return math.nan
    if not isinstance(value, int | float | Decimal):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf
    except ValueError:  # Decimal's signalling NaN
        return math.nan


def to_floats(values: object) -> tuple[NDArray[np.float64], int]:
    """Read a column as float64, NaN for missing; return the numbers and how many values were malformed."""
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "fiub":
        with np.errstate(over="ignore"):
            return values.astype(np.float64), 0
    items = listed(values)
    if items is None:
        return np.empty(0), 0
    if _PLAIN.issuperset(map(type, items)):
        try:
            return np.array(items, dtype=np.float64), 0
        except OverflowError:  # an integer beyond float64: one by one below
            pass
    read = [to_float(item) for item in items]
    numbers = [number for number in read if number is not None]
    return np.array(numbers, dtype=np.float64), len(read) - len(numbers)


def category(value: object) -> str | int:
    """Name the category of one value, or the cell of what is none. 1 and 1.0 are one category; True is `true`."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()[:MAX_CATEGORY_LENGTH]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)[:MAX_CATEGORY_LENGTH] if value.bit_length() <= _MAX_FLOAT_BITS else NONFINITE
    number = to_float(value)
    if number is None:
        return MALFORMED
    if not math.isfinite(number):
        return MISSING if math.isnan(number) else NONFINITE
    return (str(int(number)) if number.is_integer() else repr(number))[:MAX_CATEGORY_LENGTH]


def tally(values: object) -> Counter[str | int]:
    """Count the categories of a column (text keys) and what is none (keys MISSING, NONFINITE, MALFORMED)."""
    items = listed(values) or []
    types = set(map(type, items)) - {type(None)}
    if len(types) > 1 or not types <= _HASHED:  # True, 1 and 1.0 hash alike, lists do not hash: name each one
        return Counter(map(category, items))
    counted: Counter[str | int] = Counter()
    for value, count in Counter(items).items():
        counted[category(value)] += count
    return counted


def count_numeric(edges: Sequence[float], values: object) -> Cells:
    """Count a column into `len(edges) + 1` bins behind the four cells of what is no value."""
    numbers, malformed = to_floats(values)
    finite = np.isfinite(numbers)
    kept = numbers if finite.all() else numbers[finite]
    bins = np.searchsorted(np.asarray(edges, dtype=np.float64), kept, side="right")
    cells = np.zeros(FIRST_BIN + len(edges) + 1, dtype=np.int64)
    cells[FIRST_BIN:] = np.bincount(bins, minlength=len(edges) + 1)
    cells[MISSING] = np.count_nonzero(np.isnan(numbers))
    cells[NONFINITE] = numbers.size - kept.size - cells[MISSING]
    cells[MALFORMED] = malformed
    return cells


def count_categorical(categories: Sequence[str], values: object) -> Cells:
    """Count a column into a bin per category, `other` last, behind the four cells of what is no value."""
    index = {name: FIRST_BIN + place for place, name in enumerate(categories)}
    other = FIRST_BIN + len(categories)
    cells = np.zeros(other + 1, dtype=np.int64)
    for key, count in tally(values).items():
        cells[key if isinstance(key, int) else index.get(key, other)] += count
    return cells
