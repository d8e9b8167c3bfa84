"""What callers give. It is copied on their thread, as shallow as is safe, and taken apart into rows on ours."""

from __future__ import annotations

import copy
import time as clock
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol, TypeGuard, cast

from everloop.codec import moment_of
from everloop.errors import InvalidError

Kind = Literal["predictions", "labels", "feedback"]
CELL_BYTES: Final = 64
"""What a value in the queue is taken to cost, beside the characters of a text."""
ROW_BYTES: Final = 400
SINGLE: Final = (float, int, str, bytes)
COLUMN: Final = (list, tuple)
COLUMNS: Final = ("time", "score", "entity_id", "latency_ms", "status")


class Many(Protocol):
    """A column: a list, a tuple, an array of numpy, a series of pandas."""

    def __len__(self) -> int:
        """Give the number of rows."""

    def __iter__(self) -> Iterator[object]:
        """Give the values in order."""


class Frame(Protocol):
    """A table such as pandas' DataFrame, known by what it can do: pandas is not imported."""

    @property
    def columns(self) -> Iterable[object]:
        """The names of the columns."""

    def __len__(self) -> int:
        """Give the number of rows."""

    def __getitem__(self, name: object, /) -> Many:
        """Give a column."""


Features = Mapping[str, object] | Sequence[Mapping[str, object]] | Frame
NewIds = Callable[[int], list[str]]
OneOrMany = object
"""A value, or as many as there are rows, in any kind of column."""


class About(NamedTuple):
    """What all rows of a batch have in common."""

    kind: Kind
    model: str
    version: str | None = None
    arm: str | None = None
    by_entity: bool = False
    """Whether labels name entities and time ranges, which stand in the features of their rows."""


class Prediction(NamedTuple):
    """What a model was asked and what it has answered: the arguments of `Client.log_predictions`."""

    features: Features
    score: OneOrMany = None
    prediction_id: OneOrMany = None
    entity_id: OneOrMany = None
    time: OneOrMany = None
    latency_ms: OneOrMany = None
    status: OneOrMany = None
    version: str | None = None
    arm: str | None = None


class Ranges(NamedTuple):
    """Labels by entity and time range: the arguments of `Client.log_labels`."""

    entity_id: OneOrMany
    start: OneOrMany
    end: OneOrMany
    label: OneOrMany
    labelled_at: OneOrMany = None


class Row(NamedTuple):
    """One prediction, label or value of feedback. `time` in ms since 1970, None where it was none.

    The score of a label or of feedback is its value, the status of feedback its name.
    """

    prediction_id: str
    time: int | None
    score: object
    features: Mapping[str, object] = {}
    entity_id: object = None
    latency_ms: object = None
    status: object = None


class Held(NamedTuple):
    """What waits in the queue: a copy that nobody else can change, about how much, and how it becomes rows.

    Two tuples and no closure: what waits is walked over by Python's collector, and a call should not set it off.
    """

    rows: int
    size: int
    unfold: Callable[..., tuple[About, list[Row]]]
    parts: tuple[object, ...]


def now_ms() -> int:
    """Read the wall clock, in ms since 1970."""
    return clock.time_ns() // 1_000_000


def hold(about: About, given: Prediction, new_ids: NewIds) -> tuple[Held, list[str]]:
    """Copy a call, which has a time, and give the ids of its rows. Raises as `Client.log_predictions`."""
    if isinstance(given.features, Mapping) and not (is_many(given.score) or is_many(given.prediction_id)):
        return _hold_one(about, given, given.features, new_ids)
    rows, size, features = _copied(given.features)
    ids = new_ids(rows) if given.prediction_id is None else _ids(given.prediction_id)
    _require(len(ids) == rows, "prediction_id", rows)
    columns = tuple(_column(name, getattr(given, name), rows) for name in COLUMNS)
    return Held(rows, size, _unfold, (about, tuple(ids), features, *columns)), ids


def _hold_one(
    about: About, given: Prediction, features: Mapping[str, object], new_ids: NewIds
) -> tuple[Held, list[str]]:
    _, score, prediction_id, entity_id, time, latency_ms, status, _, _ = given
    if is_many(entity_id) or is_many(time) or is_many(latency_ms) or is_many(status):
        raise ValueError("features: unequal columns: these are one row, beside columns of many")
    row = dict(features)
    ids = new_ids(1) if prediction_id is None else [str(prediction_id)]
    parts = (about, ids[0], row, time, score, entity_id, latency_ms, status)
    return Held(1, _weight(row), _unfold_one, parts), ids


def _unfold_one(
    about: About, name: str, features: Mapping[str, object], time: object, score: object, *others: object
) -> tuple[About, list[Row]]:
    return about, [Row(name, _millis(time), score, features, *others)]


def _unfold(about: About, ids: Sequence[str], features: Features, *columns: OneOrMany) -> tuple[About, list[Row]]:
    times, scores, *others = (_spread(column, len(ids)) for column in columns)
    together = zip(ids, times, scores, _as_rows(features), *others, strict=True)
    return about, [Row(name, _millis(at), *values) for name, at, *values in together]


def hold_labels(about: About, prediction_id: OneOrMany, label: OneOrMany, labelled_at: OneOrMany) -> Held:
    """Copy labels. Raises as `Client.log_labels`."""
    ids = tuple(_ids(prediction_id))
    labels = _column("label", label, len(ids))
    times = _column("labelled_at", now_ms() if labelled_at is None else labelled_at, len(ids))
    return Held(len(ids), len(ids) * ROW_BYTES, _unfold_labels, (about, ids, times, labels))


def _unfold_labels(about: About, ids: Sequence[str], times: OneOrMany, labels: OneOrMany) -> tuple[About, list[Row]]:
    together = zip(ids, _spread(times, len(ids)), _spread(labels, len(ids)), strict=True)
    return about, [Row(name, _millis(at), value) for name, at, value in together]


def hold_feedback(
    about: About, prediction_id: OneOrMany, name: OneOrMany, value: OneOrMany, said_at: OneOrMany
) -> Held:
    """Copy feedback. Raises as `Client.log_feedback`."""
    ids = _ids(prediction_id)
    names, values = _column("name", name, len(ids)), _column("value", value, len(ids))
    times = _column("said_at", now_ms() if said_at is None else said_at, len(ids))
    return Held(len(ids), len(ids) * ROW_BYTES, _unfold_feedback, (about, ids, names, values, times))


def _unfold_feedback(
    about: About, ids: Sequence[str], names: OneOrMany, values: OneOrMany, times: OneOrMany
) -> tuple[About, list[Row]]:
    columns = (_spread(column, len(ids)) for column in (times, values, names))
    together = zip(ids, *columns, strict=True)
    return about, [Row(name, _millis(at), value, status=of) for name, at, value, of in together]


def hold_ranges(about: About, given: Ranges) -> Held:
    """Copy labels by entity. Raises as `Client.log_labels`."""
    entities = tuple(_ids(given.entity_id))
    times = now_ms() if given.labelled_at is None else given.labelled_at
    named = {"start": given.start, "end": given.end, "label": given.label, "labelled_at": times}
    columns = [_column(name, value, len(entities)) for name, value in named.items()]
    return Held(len(entities), len(entities) * ROW_BYTES, _unfold_ranges, (about, entities, *columns))


def _unfold_ranges(about: About, entities: Sequence[str], *columns: OneOrMany) -> tuple[About, list[Row]]:
    start, end, labels, times = (_spread(column, len(entities)) for column in columns)
    rows = [
        Row(f"{entity}/{begin}/{stop}", _millis(at), value, {"start": begin, "end": stop}, entity)
        for entity, begin, stop, value, at in zip(
            entities, map(_millis, start), map(_millis, end), labels, times, strict=True
        )
    ]
    return about, rows


def _copied(features: Features) -> tuple[int, int, Features]:
    """Rows, about how many bytes, and the copy: one level deep, for what stands in a feature is a plain value."""
    if isinstance(features, Mapping):
        return _copied_columns(features)
    if isinstance(features, list | tuple) and all(isinstance(row, Mapping) for row in features):
        copies = [dict(row) for row in features]
        return len(copies), sum(map(_weight, copies)), copies
    if _is_frame(features):
        width = len(list(features.columns))
        return len(features), len(features) * (ROW_BYTES + CELL_BYTES * width), copy.copy(features)
    raise TypeError(
        "features: not rows: give a mapping of names to values, a list of them, a mapping of names to columns, or a "
        "table with named columns"
    )


def _copied_columns(features: Mapping[str, object]) -> tuple[int, int, Features]:
    columns = {name: _copy(column) for name, column in features.items()}
    lengths = {len(column) if is_many(column) else -1 for column in columns.values()}
    if len(lengths) != 1 or -1 in lengths:
        raise ValueError("features: unequal columns: where there are many scores, each feature has as many values")
    (rows,) = lengths
    texts = sum(
        len(value) for column in columns.values() if isinstance(column, list) for value in column if type(value) is str
    )
    return rows, rows * (ROW_BYTES + CELL_BYTES * len(columns)) + texts, columns


def _weight(row: Mapping[str, object]) -> int:
    texts = [len(value) for value in row.values() if type(value) is str]
    return ROW_BYTES + CELL_BYTES * len(row) + sum(texts)


def is_many(value: object) -> TypeGuard[Many]:
    """Whether this is a column of values, and no single one."""
    if value is None or isinstance(value, SINGLE):
        return False
    if isinstance(value, COLUMN):
        return True
    return (
        not isinstance(value, Mapping)
        and hasattr(value, "__len__")
        and hasattr(value, "__iter__")
        and getattr(value, "ndim", 1) == 1
    )


def _is_frame(value: object) -> TypeGuard[Frame]:
    return all(hasattr(value, name) for name in ("columns", "__len__", "__getitem__"))


def _column(name: str, value: OneOrMany, rows: int) -> OneOrMany:
    """Copy a column, which has as many values as there are rows; a single value is that of all rows."""
    if not is_many(value):
        return value
    _require(len(value) == rows, name, rows)
    return _copy(value)


def _copy(value: object) -> object:
    """Give a column that the caller cannot change. A copy of an array or a series is deep; that of a list is enough."""
    return copy.copy(value) if is_many(value) else value


def _require(equal: bool, name: str, rows: int) -> None:  # noqa: FBT001 -- a condition
    if not equal:
        raise ValueError(f"{name}: unequal columns: give one value for each of the {rows} rows")


def _ids(given: OneOrMany) -> list[str]:
    return [str(one) for one in given] if is_many(given) else [str(given)]


def _spread(value: OneOrMany, rows: int) -> Sequence[object]:
    """Give a value for each row, of Python's own types where an array knows them."""
    if not is_many(value):
        return [value] * rows
    as_list = getattr(value, "tolist", None)
    found: Sequence[object] = as_list() if as_list is not None else list(value)
    return found


def _as_rows(features: Features) -> Iterable[Mapping[str, object]]:
    """Take apart what `_copied` has made."""
    if isinstance(features, list):
        return features
    if isinstance(features, Mapping):
        return _zipped(features)
    table = cast("Frame", features)
    return _zipped({str(name): table[name] for name in table.columns})


def _zipped(columns: Mapping[str, object]) -> Iterator[dict[str, object]]:
    lists = [_spread(column, 0) for column in columns.values()]
    return (dict(zip(columns, values, strict=True)) for values in zip(*lists, strict=True))


def _millis(value: object) -> int | None:
    """Give ms since 1970 of an aware datetime, of an ISO 8601 text with a time zone, of ms; None of anything else."""
    if type(value) is int:
        return value
    with suppress(InvalidError, ValueError, OverflowError):
        if not isinstance(value, datetime):
            return round(moment_of(value).timestamp() * 1000)
        return round(value.timestamp() * 1000) if value.tzinfo else None
    return None
