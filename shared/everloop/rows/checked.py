"""The columns of a JSON record, taken as they are where a few fast tests prove that the contract accepts them.

The tests are sufficient, not necessary: what they do not prove is left to `codec.decode`, which accepts it or says why
not. So speed never decides what is accepted. Each is the fastest of its kind on CPython 3.11 (per value: joining texts
5 ns, counting types 13 ns, packing integers 18 ns).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final

import numpy as np

from everloop.codec import moment_of
from everloop.events import LATEST_MS, MOST_FEATURES, MOST_ROWS
from everloop.listed import Quoted, Whole, ends_of
from everloop.rows.values import Column, Rows

_ONCE: Final = frozenset({"source", "version", "digest", "arm", "epoch"})
_COLUMNS: Final = frozenset({
    "prediction_id", "times", "entity_id", "features", "score", "label", "latency_ms", "status", "shadow",
})  # fmt: skip
_RECORD: Final = _ONCE | _COLUMNS
PLAIN: Final = _RECORD - {"times", "shadow"} | {"model", "time"}
_SHADOW: Final = frozenset({"version", "score"})
_SOURCES: Final = frozenset({"serving", "producer", "bootstrap"})
_STATUSES: Final = frozenset({"ok", "error"})
_NUMBERS: Final = frozenset({float, int, type(None)})
_TEXT_OR_NONE: Final = frozenset({str, type(None)})
_INT_OR_NONE: Final = frozenset({int, type(None)})


_KINDS: Final = frozenset({list, np.ndarray, Quoted})
"""A column as orjson makes it, and as `simd` does."""
_MANY: Final = 20
"""Times for which it pays to look at their bytes."""


class DoubtError(ValueError):
    """The fast tests do not prove that this is a record; the contract has to say."""


def record(identity: str, model: str, data: Mapping[str, Any]) -> Rows:
    """The rows of a record of columns. Raises `DoubtError`, or whatever else the odd data brings about."""
    ids, times, features = data["prediction_id"], data["times"], data["features"]
    if type(ids) is not list or type(features) is not dict or not _RECORD.issuperset(data):
        raise DoubtError
    rows = len(ids)
    if rows > MOST_ROWS or len(features) > MOST_FEATURES:
        raise DoubtError
    columns = features.values()
    if not _KINDS.issuperset(map(type, columns)) or [*map(len, columns)].count(rows) != len(columns):
        raise DoubtError
    get = data.get
    source, version, digest, arm, epoch = _once(data)
    shadow, entities, score, status = get("shadow"), get("entity_id"), get("score"), get("status")
    label, latency = get("label"), get("latency_ms")
    return Rows(
        identity, model, _texts(ids, rows), _times(times, rows), features, source, version, digest, arm, epoch,
        None if entities is None else _texts(entities, rows),
        None if score is None else _numbers(score, rows),
        None if label is None else _numbers(label, rows),
        None if latency is None else _numbers(latency, rows),
        None if status is None else _statuses(status, rows),
        None if shadow is None else _shadow_version(shadow),
        None if shadow is None else _numbers(shadow["score"], rows),
    )  # fmt: skip


def plain(row: Mapping[str, Any]) -> Rows:
    """The only row of a plain JSON object, whose features become columns: see `codec.plain_prediction`.

    Raises as `record`.
    """
    name, model, moment, features = row["prediction_id"], row["model"], row["time"], row["features"]
    if type(name) is not str or type(model) is not str or not model or type(features) is not dict:
        raise DoubtError
    if len(features) > MOST_FEATURES or not PLAIN.issuperset(row):
        raise DoubtError
    moment = ms_of(moment)
    if not 0 <= moment <= LATEST_MS:
        raise DoubtError
    source, version, digest, arm, epoch = _once(row)
    get = row.get
    entity, score, status, label, latency = (
        get("entity_id"),
        get("score"),
        get("status"),
        get("label"),
        get("latency_ms"),
    )
    if type(entity) not in _TEXT_OR_NONE or not (status is None or status in _STATUSES):
        raise DoubtError
    if type(score) not in _NUMBERS or type(label) not in _NUMBERS or type(latency) not in _NUMBERS:
        raise DoubtError
    for key, value in features.items():  # in place, since a second dictionary would cost as much again
        features[key] = [value]
    return Rows(
        plain_identity(model, name), model, [name], [moment], features,
        source, version, digest, arm, epoch,
        None if entity is None else [entity],
        None if score is None else [score],
        None if label is None else [label],
        None if latency is None else [latency],
        None if status is None else [status],
    )  # fmt: skip


def plain_identity(model: str, prediction_id: str) -> str:
    """What names a plain row: its model and its prediction id, of which no other pair makes the same text."""
    return f"{len(model)}/{model}/{prediction_id}"


def ms_of(moment: Any) -> int:  # noqa: ANN401 -- whatever JSON has
    """The time of a plain row in ms since 1970. Raises as `codec.moment_of`."""
    return moment if type(moment) is int else round(moment_of(moment).timestamp() * 1000)


def _once(data: Mapping[str, Any]) -> tuple[str, str | None, str | None, str | None, int | None]:
    get = data.get
    source, version, digest, arm, epoch = get("source"), get("version"), get("digest"), get("arm"), get("epoch")
    if source is None:
        source = "producer"
        if "source" in data:
            raise DoubtError
    if source not in _SOURCES or type(epoch) not in _INT_OR_NONE:
        raise DoubtError
    if type(version) not in _TEXT_OR_NONE or type(digest) not in _TEXT_OR_NONE or type(arm) not in _TEXT_OR_NONE:
        raise DoubtError
    return source, version, digest, arm, epoch


def _texts(column: Any, rows: int) -> list[str]:  # noqa: ANN401 -- whatever JSON has
    if type(column) is not list or len(column) != rows:
        raise DoubtError
    "".join(column)  # raises where one is no text
    return column


def _times(column: Any, rows: int) -> Sequence[int]:  # noqa: ANN401 -- as above
    if type(column) is Whole:
        first, last = ends_of(column)
        if len(column) != rows or first < 0 or last > LATEST_MS:
            raise DoubtError
        return column
    if type(column) is not list or len(column) != rows:
        raise DoubtError
    usual = rows >= _MANY and _are_usual(column, rows)
    if rows and not usual and (_count(column, int) != rows or min(column) < 0 or max(column) > LATEST_MS):
        raise DoubtError
    return column


def _are_usual(column: list[Any], rows: int) -> bool:
    """Whether all are integers of the years 2004 to 6429, by the bytes of each: the last two 0, before them 1 to 127.

    Truth values pass as 1 and 0, and so are none of these. Raises where one is no integer, or below 0.
    """
    packed = _packer(rows).pack(*column)
    years = packed[5::8]
    return years.isascii() and b"\0" not in years and not packed[6::8].strip(b"\0") and not packed[7::8].strip(b"\0")


@lru_cache
def _packer(rows: int) -> Struct:
    return Struct(f"<{rows}Q")


def _numbers(column: Any, rows: int) -> Column:  # noqa: ANN401 -- as above
    if type(column) is np.ndarray and len(column) == rows:
        return column
    if type(column) is not list or len(column) != rows:
        raise DoubtError
    if _count(column, float) != rows and not _NUMBERS.issuperset(map(type, column)):
        raise DoubtError
    return column


def _statuses(column: Any, rows: int) -> list[str]:  # noqa: ANN401 -- as above
    if type(column) is not list or len(column) != rows or not _STATUSES.issuperset(column):
        raise DoubtError
    return column


def _shadow_version(shadow: Any) -> str:  # noqa: ANN401 -- as above
    version = shadow["version"]
    if type(version) is not str or not _SHADOW.issuperset(shadow):
        raise DoubtError
    return version


def _count(column: Iterable[object], kind: type) -> int:
    """How many are of exactly this type: True is an int to `isinstance`, and none here."""
    return [*map(type, column)].count(kind)
