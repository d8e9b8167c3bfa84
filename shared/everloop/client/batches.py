"""Rows become batches: columns of one model, version and arm, written once. Pure: ids and time are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import Final, NamedTuple

import orjson

from everloop.client.limits import Limits
from everloop.client.values import About, Kind, Row

OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY
MOST_TIMES: Final = 2
"""Rows whose texts are longer than they were taken to be make a batch of at most so many times its bound."""
MISSING: Final = frozenset({"NAType", "NaTType"})
"""Types of pandas that say that there is no value."""


class Batch(NamedTuple):
    """What is sent, and sent again, unchanged: `body` are the columns as JSON, `id` names it for ever.

    `made_ms` is when it was made, in ms since 1970.
    """

    id: str
    kind: Kind
    model: str
    rows: int
    made_ms: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Made:
    """Batches in the order of their rows, and how many rows cannot be written."""

    batches: Sequence[Batch]
    refused: int


@dataclass(slots=True)
class _Group:
    rows: list[Row] = field(default_factory=list)
    ids: set[object] = field(default_factory=set)
    size: float = 0.0


def make(rows: Iterable[tuple[About, Row, float]], limits: Limits, new_id: Callable[[], str], now_ms: int) -> Made:
    """Gather rows, each with the bytes that it is taken to have, by what they have in common.

    A batch ends when it is full, or when an id comes again: the front door takes each id once in a request, and of two
    labels the order counts.
    """
    open_groups: dict[About, _Group] = {}
    made: list[Batch] = []
    refused = 0

    def close(about: About) -> None:
        write(about, open_groups.pop(about).rows)

    def write(about: About, rows: Sequence[Row]) -> None:
        nonlocal refused
        good, body = _written(about, rows)
        if len(body) > MOST_TIMES * limits.batch_bytes and len(rows) > 1:
            middle = len(rows) // 2
            write(about, rows[:middle])
            write(about, rows[middle:])
            return
        refused += len(rows) - good
        if good:
            made.append(Batch(new_id(), about.kind, about.model, good, now_ms, body))

    for about, row, size in rows:
        group = open_groups.setdefault(about, _Group())
        named = _name(about, row)
        full = len(group.rows) >= limits.batch_rows or group.size + size > limits.batch_bytes
        if group.rows and (full or named in group.ids):
            close(about)
            group = open_groups.setdefault(about, _Group())
        group.rows.append(row)
        group.ids.add(named)
        group.size += size
    for about in list(open_groups):
        close(about)
    return Made(made, refused)


def _name(about: About, row: Row) -> object:
    """What may stand once in a request: an id, or an id with the name of feedback."""
    return (row.prediction_id, row.status) if about.kind == "feedback" else row.prediction_id


def as_rows(batch: Batch) -> bytes:
    """Say the same as rows: the front door judges each on its own, where it takes columns as a whole."""
    columns = orjson.loads(batch.body)
    common = {name: columns[name] for name in ("version", "arm") if name in columns}
    if batch.kind != "predictions":
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return orjson.dumps({"model": batch.model, "rows": rows})
    features = columns["features"]
    renamed = {("time" if name == "times" else name): columns[name] for name in columns if name not in common}
    del renamed["features"]
    rows = [
        {name: column[place] for name, column in renamed.items() if column[place] is not None}
        | {"features": {name: column[place] for name, column in features.items()}}
        for place in range(batch.rows)
    ]
    return orjson.dumps({"model": batch.model, **common, "rows": rows})


def _written(about: About, rows: Sequence[Row]) -> tuple[int, bytes]:
    """Write rows; where they cannot be written together, those that can by themselves. How many, and the bytes."""
    kept = [row for row in rows if row.time is not None and _is_whole(about, row)]
    body = _tried(about, kept)
    if body is None:
        kept = [row for row in kept if _tried(about, [row]) is not None]
        body = _tried(about, kept)
    return (len(kept), body) if body is not None else (0, b"")


def _is_whole(about: About, row: Row) -> bool:
    """Whether a label or feedback has a value, and a label a time range where it names an entity."""
    if about.kind == "predictions":
        return True
    if about.kind == "feedback" and not isinstance(row.status, str):
        return False
    return _is_label(row.score) and not (about.by_entity and None in row.features.values())


def _is_label(value: object) -> bool:
    return isinstance(_number(value), int | float)


def _tried(about: About, rows: Sequence[Row]) -> bytes | None:
    """Give the bytes; None where a value has no form in JSON, or is of somebody's own kind and fails when looked at."""
    try:
        return _dumps(about, rows)
    except Exception:  # noqa: BLE001 -- code of the caller's may run in here
        return None


def _dumps(about: About, rows: Sequence[Row]) -> bytes:
    columns = _COLUMNS[about.kind](about, rows)
    return orjson.dumps(columns, default=_plain, option=OPTIONS)


def _labels(about: About, rows: Sequence[Row]) -> dict[str, object]:
    named: dict[str, object] = {"prediction_id": [row.prediction_id for row in rows]}
    if about.by_entity:
        ranges = {name: [row.features[name] for row in rows] for name in ("start", "end")}
        named = {"entity_id": [str(row.entity_id) for row in rows], **ranges}
    return {
        **named,
        "label": [_number(row.score) for row in rows],
        "labelled_at": [row.time for row in rows],
    }


def _feedback(about: About, rows: Sequence[Row]) -> dict[str, object]:
    del about
    return {
        "prediction_id": [row.prediction_id for row in rows],
        "name": [row.status for row in rows],
        "value": [_number(row.score) for row in rows],
        "said_at": [row.time for row in rows],
    }


def _predictions(about: About, rows: Sequence[Row]) -> dict[str, object]:
    names = dict.fromkeys(chain.from_iterable(row.features for row in rows))
    common = {"version": about.version, "arm": about.arm}
    return {
        **{name: value for name, value in common.items() if value is not None},
        "prediction_id": [row.prediction_id for row in rows],
        "times": [row.time for row in rows],
        "features": {name: [row.features.get(name) for row in rows] for name in names},
        "score": [_number(row.score) for row in rows],
        **_optional(rows),
    }


_COLUMNS: Final[Mapping[Kind, Callable[[About, Sequence[Row]], dict[str, object]]]] = {
    "predictions": _predictions, "labels": _labels, "feedback": _feedback,
}  # fmt: skip


def _optional(rows: Sequence[Row]) -> dict[str, list[object]]:
    """The columns that some row has; an entity that a row lacks is its prediction id, a status is `ok`."""
    found: dict[str, list[object]] = {}
    if any(row.entity_id is not None for row in rows):
        found["entity_id"] = [row.prediction_id if row.entity_id is None else str(row.entity_id) for row in rows]
    if any(row.latency_ms is not None for row in rows):
        found["latency_ms"] = [_number(row.latency_ms) for row in rows]
    if any(row.status is not None for row in rows):
        found["status"] = ["ok" if row.status is None else row.status for row in rows]
    return found


def _number(value: object) -> object:
    """Give a number as Python's own, None where there is none; anything else as it is, for the reader to refuse."""
    if isinstance(value, float):
        return float(value) if value - value == 0 else None
    if isinstance(value, bool):
        return int(value)
    item = getattr(value, "item", None)
    return _number(item()) if item is not None and not isinstance(value, int | str) else value


def _plain(value: object) -> object:
    """Give JSON's form of what orjson does not know. Raises `TypeError` for what has none: its row is refused."""
    if isinstance(value, Decimal):
        return float(value)
    if type(value).__name__ in MISSING:
        return None
    raise TypeError("a feature is a number, a text, a boolean or None")
