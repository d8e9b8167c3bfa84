"""Arrays of Arrow as columns of rows. Each array has been proved whole before (`arrow`): no place leads out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from everloop.errors import FatalError, InvalidError
from everloop.events import LATEST_MS, PredictionsLogged
from everloop.rows.values import Categories, Column

Array = Any
"""An array of pyarrow, which is published without types, or None."""
DataType = Any
"""A type of pyarrow."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of all buffers of a record once they are decompressed, and of the texts of a column; a record has 8 MiB at most."""
STATUSES: Final = frozenset({"ok", "error"})
_TEXTS: Final = frozenset({"text", "view", "texts"})
_NUMBERS: Final = frozenset({"float", "int", "decimal"})
_PER_MS: Final = {"us": 1_000, "ns": 1_000_000}
_EXACT: Final = 2**53
"""From here on not every integer is a float64."""


@cache
def pyarrow() -> Any:  # noqa: ANN401 -- published without types
    """The module, loaded when it is first needed. Raises `FatalError` where it is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415 -- costs half a second and 50 MB; only who reads Arrow pays
        import pyarrow.ipc  # noqa: PLC0415 -- as above
    except ModuleNotFoundError:
        raise FatalError("records in Arrow's form need pyarrow: install everloop[arrow]") from None
    return pa


def refused(where: str, rule: str) -> InvalidError:
    """What is wrong with which column, and no value of it."""
    return InvalidError("shape", f"{PredictionsLogged.TYPE} in Arrow: {where}: {rule}")


# ------------------------------------------------------------------------------------------------------ columns of rows


def texts_of(name: str, array: Array) -> list[str] | None:
    """A text in every row; None for what is not there, or of type null. Raises `InvalidError`."""
    kind = _kind(array)
    if kind == "null":
        return None
    found: list[Any] = [None]
    if kind in _TEXTS and not array.null_count:
        _check_views(array)
        plain = array.to_numpy(zero_copy_only=False) if kind != "texts" else _categories(array)
        found = plain.tolist()
    if None in found:
        raise refused(name, "a text in every row")
    return found


def statuses_of(array: Array) -> list[str] | None:
    """`ok` or `error` in every row. Otherwise as `texts_of`."""
    found = texts_of("status", array)
    if found is not None and not STATUSES.issuperset(found):
        raise refused("status", "`ok` or `error` in every row")
    return found


def times_of(array: Array) -> list[int] | None:
    """Milliseconds: of integers, or of timestamps with a time zone to the nearest. Otherwise as `texts_of`."""
    kind = _kind(array)
    if kind == "null":
        return None
    if kind not in {"int", "timestamp"} or array.null_count:
        raise refused("time", "ms since 1970 (integers) or timestamps with a time zone, in every row")
    if kind == "timestamp" and array.type.tz is None:
        raise refused("time", "the timestamps have no time zone; UTC is one")
    unit = array.type.unit if kind == "timestamp" else "ms"
    values = array.to_numpy().view("i8") if kind == "timestamp" else array.to_numpy()
    if unit in _PER_MS:
        values = values // _PER_MS[unit] + (values % _PER_MS[unit] * 2 >= _PER_MS[unit])
    most = LATEST_MS // 1000 if unit == "s" else LATEST_MS
    if values.size and not 0 <= int(values.min()) <= int(values.max()) <= most:
        raise refused("time", "lies outside the years 1970 to 9999")
    times: list[int] = (values * 1000 if unit == "s" else values).tolist()
    return times


def numbers_of(name: str, array: Array) -> NDArray[np.float64] | None:
    """Float64, NaN where missing. Otherwise as `texts_of`."""
    kind = _kind(array)
    if kind == "null":
        return None
    if kind not in _NUMBERS:
        raise refused(name, "numbers")
    return _floats(array)


# ------------------------------------------------------------------------------------------------------------- features


def feature_of(array: Array) -> Column:
    """Numbers, texts or truth values; timestamps are none of these."""
    made = _FEATURES.get(_kind_of(array.type))
    return made(array) if made else malformed(len(array))


def malformed(rows: int) -> Column:
    """A column of which no value is a number, a text or a truth value: an empty list stands for each."""
    return [[]] * rows


def _floats(array: Array) -> NDArray[np.float64]:
    """Float64 of any number, NaN where missing."""
    same = array if array.type == pyarrow().float64() else array.cast(pyarrow().float64(), safe=False)
    found: NDArray[np.float64] = same.to_numpy(zero_copy_only=False)
    return found


def _integers(array: Array) -> Column:
    """Integers as they are; with gaps as float64, unless one is too large for that: then as a list."""
    if not array.null_count:
        whole: NDArray[np.integer] = array.to_numpy()
        return whole
    floats = _floats(array)
    exact = bool((np.abs(floats[~np.isnan(floats)]) < _EXACT).all())
    return floats if exact else list(array.to_pylist())


def _truths(array: Array) -> Column:
    """Truth values as they are; with gaps as a list."""
    found: Column = array.to_pylist() if array.null_count else array.to_numpy(zero_copy_only=False)
    return found


def _nothing(array: Array) -> Column:
    return np.full(len(array), np.nan)


def _encoded(array: Array) -> Column:
    _check_views(array)
    return _categories(array.dictionary_encode())


def _categories(array: Array) -> Categories:
    """Texts that a dictionary numbers: each once, and those alone that occur."""
    indices, dictionary = array.indices, array.dictionary
    codes = indices.to_numpy(zero_copy_only=False)
    if indices.null_count:  # then they are float64, NaN where missing
        codes = np.where(np.isnan(codes), -1, codes)
    codes = codes.astype(np.int32, copy=False)
    if len(dictionary) > len(codes) or not np.bincount(codes + 1, minlength=len(dictionary) + 1)[1:].all():
        dictionary, codes = _used(dictionary, codes)
    _check_views(dictionary)
    texts = dictionary.to_pylist()
    if None in texts or len(set(texts)) < len(texts):
        places: dict[str, int] = {}
        again = [-1 if text is None else places.setdefault(text, len(places)) for text in texts]
        return Categories(np.array([*again, -1], dtype=np.int32)[codes], [*places])
    return Categories(codes, texts)


def _used(dictionary: Array, codes: NDArray[np.int32]) -> tuple[Array, NDArray[np.int32]]:
    """The part of a dictionary that occurs, and the codes into that part."""
    used, places = np.unique(codes, return_inverse=True)
    missing = int(used.size > 0 and used[0] < 0)
    return dictionary.take(pyarrow().array(used[missing:])), (places - missing).astype(np.int32)


def _check_views(array: Array) -> None:
    """Many views may show the same bytes, so what they come to is counted before it is written out."""
    if _kind_of(array.type) == "view":
        lengths = np.frombuffer(array.buffers()[1], dtype=np.int32)[::4][array.offset : array.offset + len(array)]
        if array.null_count:  # what stands where there is no value, nobody has proved
            lengths = lengths[np.asarray(array.is_valid())]
        if int(lengths.sum(dtype=np.int64)) > MOST_BYTES:
            raise refused("record", f"more than {MOST_BYTES} bytes of text")


_FEATURES: Final[Mapping[str, Callable[[Array], Column]]] = {
    "float": _floats,
    "decimal": _floats,
    "int": _integers,
    "bool": _truths,
    "null": _nothing,
    "text": _encoded,
    "view": _encoded,
    "texts": _categories,
    "numbers": lambda array: feature_of(array.dictionary_decode()),
}


# ---------------------------------------------------------------------------------------------------------------- types


def is_ours(kind: DataType) -> bool:
    """Whether an array of this type may hold values of rows."""
    return bool(_kind_of(kind))


def _kind(array: Array) -> str:
    return "null" if array is None else _kind_of(array.type)


def _kind_of(kind: DataType) -> str:
    """What a type holds: a word of `_kinds`, `texts` or `numbers` for dictionaries of such, `""` for none of ours."""
    known = _kinds().get(kind.id, "")
    if known == "decimal" and abs(kind.scale) > kind.precision:
        return ""  # pyarrow 25 looks for such a power of ten beyond the end of its table
    if known or not pyarrow().types.is_dictionary(kind):
        return known
    inside = _kind_of(kind.value_type)
    return "texts" if inside in {"text", "view"} else "numbers" if inside in _NUMBERS else ""


@cache
def _kinds() -> Mapping[int, str]:
    """What the types of Arrow are to us, by their number."""
    pa = pyarrow()
    whole = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())
    named = {
        "float": (pa.float16(), pa.float32(), pa.float64()),
        "int": whole,
        "decimal": (pa.decimal32(1), pa.decimal64(1), pa.decimal128(1), pa.decimal256(1)),
        "bool": (pa.bool_(),),
        "text": (pa.string(), pa.large_string()),
        "view": (pa.string_view(),),
        "timestamp": (pa.timestamp("ms"),),
        "null": (pa.null(),),
    }
    return {kind.id: name for name, kinds in named.items() for kind in kinds}
