"""Usual records of columns in JSON, parsed by simdjson: columns become arrays without an object for each value.

The tests are sufficient, not necessary: what they do not prove is left to orjson. A record is usual where no text has
an escape, a bracket or a brace, and nothing is nested deeper than the contract nests it: then brackets in the bytes are
those of columns, and quotes those of names and texts. simdjson and orjson round numbers alike, to the bit, which a
property test holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np

from everloop.listed import Quoted, Whole

Proxy: TypeAlias = Any
"""An object or an array of simdjson: a view into its parser, which refuses to parse while there is one."""
Parts: TypeAlias = dict[str, Any]
LEAST_BYTES: Final = 64 * 1024
"""A smaller record costs more in arrays than its values cost as objects."""
MOST_BYTES: Final = 1024 * 1024
"""The parser keeps what it has once needed, some 13 times the largest record."""
MOST_PARTS: Final = 256
"""Of one object: simdjson looks for each name from the first on."""
_SAMPLES: Final = 16
_SAMPLE_BYTES: Final = 512
_MOST_GAPS: Final = 6
"""Samples with a gap. Columns with gaps become objects after all: where most have them, orjson does that at once."""
_EXACT: Final = 2.0**53
"""From here on not every integer is a float64."""
_NUMBERS: Final = frozenset({int, float})


class UnusualError(ValueError):
    """It is not proved that orjson would say the same."""


def parsed(value: bytes) -> Parts | None:
    """What orjson gives for an object, no object in which has a key twice; None where that is not proved.

    Instead of lists there are, where no value is missing: float64 of shape (rows,) for numbers, if no integer reaches
    2^53; `Quoted` for features that are texts, `Whole` for times.
    """
    usual = LEAST_BYTES <= len(value) <= MOST_BYTES and value.startswith(b"{") and b"\\" not in value
    parse = _parser() if usual and not _has_gaps(value) else None
    try:
        return None if parse is None else _record(parse(value), value)
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError):
        return None  # no JSON, numbers beyond 64 bits, other parts than usual, or a parser in use


def _has_gaps(value: bytes) -> bool:
    """Whether many columns miss values, by some parts of the record: to look at all of it takes too long."""
    starts = range(0, len(value), len(value) // _SAMPLES)
    return sum(b"null" in value[start : start + _SAMPLE_BYTES] for start in starts) > _MOST_GAPS


@cache
def _parser() -> Callable[[bytes], Proxy] | None:
    """Of the one parser of the process, loaded when it is first needed; None where simdjson is not installed."""
    try:
        import simdjson  # noqa: PLC0415 -- only who counts rows has it
    except (ImportError, RuntimeError):
        return None
    return simdjson.Parser().parse


def _record(document: Proxy, value: bytes) -> Parts:
    data = _parts(document)
    nested = {name: _parts(data[name]) for name in ("features", "shadow") if data.get(name) is not None}
    data |= nested
    arrays, starts, ends = [*_arrays(data)], _places(value, b"["), _places(value, b"]")
    if not len(arrays) == len(starts) == len(ends) or len(_places(value, b"{")) != 1 + len(nested):
        raise UnusualError  # simdjson makes one array of nested ones
    texts: list[tuple[str, Proxy, bytes]] = []
    numbers: list[tuple[Parts, str, Any]] = []
    for (part, name, array), start, end in zip(arrays, starts, ends, strict=True):
        kind = type(array[0])
        if kind is str and part is data["features"]:
            texts.append((name, array, value[start + 1 : end]))
        elif name == "times" and part is data:
            part[name] = Whole(np.frombuffer(array.as_buffer(of_type="i"), np.int64))
        elif kind not in _NUMBERS or (found := _floats(array)) is None:
            part[name] = array.as_list()
        else:
            numbers.append((part, name, found))
    data["features"] |= _texts(texts)
    _fill(numbers)
    return data


def _parts(document: Proxy) -> Parts:
    """Names and parts of an object, in their order. Raises `UnusualError` where a name stands twice."""
    names = [*document.keys()]
    if len(names) > MOST_PARTS or len(set(names)) < len(names):
        raise UnusualError
    return {name: document[name] for name in names}


def _arrays(part: Parts) -> Iterator[tuple[Parts, str, Proxy]]:
    """Each with its name and what it is a part of, as they stand in the document."""
    for name, one in part.items():
        if type(one) is dict:
            yield from _arrays(one)
        elif hasattr(one, "as_buffer"):
            yield part, name, one


def _places(value: bytes, byte: bytes) -> list[int]:
    """Where a rare byte stands. `bytes.count` takes half as long as parsing does."""
    found: list[int] = []
    at = value.find(byte)
    while at >= 0 and len(found) < 3 * MOST_PARTS:
        found.append(at)
        at = value.find(byte, at + 1)
    return found


def _texts(arrays: Sequence[tuple[str, Proxy, bytes]]) -> Parts:
    """Columns by name, of arrays and their bytes. Raises `UnusualError` where columns differ in length."""
    lengths = {len(array) for _, array, _ in arrays}
    if len(lengths) > 1:
        raise UnusualError
    found = Quoted.of([data for *_, data in arrays], lengths.pop()) if arrays else []
    columns = [array.as_list() for _, array, _ in arrays] if found is None else found
    return dict(zip([name for name, *_ in arrays], columns, strict=True))


def _floats(array: Proxy) -> Any | None:  # noqa: ANN401 -- a buffer of simdjson
    """The numbers of an array; None where there is anything else."""
    try:
        return array.as_buffer(of_type="d")
    except TypeError:
        return None


def _fill(numbers: Sequence[tuple[Parts, str, Any]]) -> None:
    """Put them into their places. Raises `UnusualError` for large ones, `ValueError` where columns differ in length."""
    block = np.frombuffer(b"".join([found for *_, found in numbers])).reshape(len(numbers), -1)
    if block.size and not -_EXACT < block.min() <= block.max() < _EXACT:
        raise UnusualError
    for (part, name, _), column in zip(numbers, block, strict=True):
        part[name] = column
