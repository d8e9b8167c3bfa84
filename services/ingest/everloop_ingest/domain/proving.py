"""Bodies that a few fast tests prove to be good throughout, taken as they are.

The tests are sufficient, not necessary: what they do not prove is left to `reading`, which accepts it or says what is
wrong with it. So speed never decides what is accepted, and a property test holds the two together. Most bodies are
good, and looking at columns costs a tenth of building a value for each cell.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, get_args

from everloop.events import MOST_FEATURES
from everloop_ingest.domain import reading
from everloop_ingest.domain.reading import EARLIEST_MS, LATEST_MS, MOST_ROWS

Data = dict[str, Any]
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_OF_NAMES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
LONGEST_NAME: Final = 128
LONGEST_TEXT: Final = 1_024
LONGEST_FEATURE_NAME: Final = 256
_COLUMNS: Final = frozenset(reading.Columns.model_fields)
_ROW: Final = frozenset(reading.About.model_fields) | frozenset(reading.Row.model_fields)
_LABELS: Final = frozenset(reading.LabelColumns.model_fields)
_SOURCES: Final = frozenset(get_args(reading.Source))
_STATUSES: Final = frozenset(get_args(reading.Status))
_FLOAT: Final = {float}
_INT: Final = {int}
_TEXT: Final = {str}
_NUMBERS: Final = {float, int}
_NUMBERS_OR_NONE: Final = {float, int, type(None)}
_CELLS: Final = {float, int, str, bool, type(None)}


class DoubtError(ValueError):
    """The fast tests do not prove it; the shapes have to say."""


def columns(body: Mapping[str, Any], *, clean: bool, binary: bool) -> Data:
    """The data of the record of these columns of predictions.

    `clean`: no text of the body can have a control character. `binary`: labels are 0 and 1. Raises `DoubtError`, or
    whatever else odd data brings about.
    """
    ids, features, get = body["prediction_id"], body["features"], body.get
    if type(features) is not dict or not _COLUMNS.issuperset(body):
        raise DoubtError
    rows = _rows(ids)
    data = _about(body)
    data["prediction_id"] = ids
    data["times"] = _times(body["times"], rows)
    data["features"] = _features(features, rows, clean=clean)
    if (entities := get("entity_id")) is not None:
        data["entity_id"] = _texts(entities, rows, clean=clean)
    for name in ("score", "label", "latency_ms"):
        if (column := get(name)) is not None:
            data[name] = _numbers(column, rows, _NUMBERS_OR_NONE)
    if (statuses := get("status")) is not None:
        data["status"] = _statuses(statuses, rows)
    if (shadow := get("shadow")) is not None:
        data["shadow"] = _shadow(shadow, rows)
    _judge(data, binary=binary)
    return data


def row(body: Mapping[str, Any], *, clean: bool, binary: bool) -> Data:
    """The same of a plain object of one row."""
    name, features, get = body["prediction_id"], body["features"], body.get
    if type(features) is not dict or len(features) > MOST_FEATURES or not _ROW.issuperset(body):
        raise DoubtError
    data = _about(body)
    data["prediction_id"] = [_named(name)]
    data["times"] = _times([body["time"]], 1)
    data["features"] = _cells(features, clean=clean)
    if (entity := get("entity_id")) is not None:
        data["entity_id"] = _texts([entity], 1, clean=clean)
    for number in ("score", "label", "latency_ms"):
        if (value := get(number)) is not None:
            data[number] = _numbers([value], 1, _NUMBERS)
    data["status"] = _statuses([get("status", "ok")], 1)
    _judge(data, binary=binary)
    return data


def labels(body: Mapping[str, Any], *, binary: bool) -> Data:
    """The data of the record of these columns of labels. Raises as `columns`."""
    if body.keys() != _LABELS:
        raise DoubtError
    _named(body["model"])
    rows = _rows(body["prediction_id"])
    found = _numbers(body["label"], rows, _NUMBERS)
    _classes(found, binary=binary)
    return {"prediction_id": body["prediction_id"], "label": found, "labelled_at": _times(body["labelled_at"], rows)}


def _about(body: Mapping[str, Any]) -> Data:
    """What all rows have in common, but for the model, which is the subject."""
    get = body.get
    source = get("source", "producer")
    data: Data = {"source": source}
    for name in ("version", "arm"):
        if (said := get(name)) is not None:
            data[name] = _named(said)
    if (digest := get("digest")) is not None:
        if type(digest) is not str or not _DIGEST.fullmatch(digest):
            raise DoubtError
        data["digest"] = digest
    if (epoch := get("epoch")) is not None:
        if type(epoch) is not int or epoch < 0:
            raise DoubtError
        data["epoch"] = epoch
    _named(body["model"])
    if source not in _SOURCES:
        raise DoubtError
    return data


def _judge(data: Data, *, binary: bool) -> None:
    """The rules over columns: what a scored row has, and which labels there are."""
    failed = {*data.get("status", ())} == {"error"}
    if data["source"] != "bootstrap" and ("version" not in data or ("score" not in data and not failed)):
        raise DoubtError
    _classes(data.get("label", ()), binary=binary)
    if "latency_ms" in data and any(value is not None and value < 0 for value in data["latency_ms"]):
        raise DoubtError


def _classes(found: Iterable[float | None], *, binary: bool) -> None:
    if binary and not {*found} <= {0.0, 1.0, None}:
        raise DoubtError


def _rows(ids: Any) -> int:  # noqa: ANN401 -- whatever JSON has
    """How many rows there are, named by distinct ids."""
    if type(ids) is not list or not 0 < len(ids) <= MOST_ROWS:
        raise DoubtError
    lengths = [*map(len, ids)]
    joined = "".join(ids)  # raises where one is no text
    if min(lengths) < 1 or max(lengths) > LONGEST_NAME or joined.encode().translate(None, _OF_NAMES):
        raise DoubtError
    if len({*ids}) < len(ids):
        raise DoubtError
    return len(ids)


def _named(value: Any) -> str:  # noqa: ANN401 -- as above
    if type(value) is not str or not _NAME.fullmatch(value):
        raise DoubtError
    return value


def _times(column: Any, rows: int) -> list[int]:  # noqa: ANN401 -- as above
    kinds = _kinds(column, rows)
    if kinds != _INT:
        if not kinds <= {int, str}:
            raise DoubtError
        column = [reading.moment(value) for value in column]
        if _kinds(column, rows) != _INT:
            raise DoubtError
    if min(column) < EARLIEST_MS or max(column) > LATEST_MS:
        raise DoubtError
    found: list[int] = column
    return found


def _numbers(column: Any, rows: int, allowed: Collection[type]) -> list[float | None]:  # noqa: ANN401 -- as above
    kinds = _kinds(column, rows)
    if kinds == _FLOAT:
        found: list[float | None] = column
        return found
    if not kinds.issubset(allowed):
        raise DoubtError
    return [None if value is None else float(value) for value in column]


def _features(features: Mapping[str, Any], rows: int, *, clean: bool) -> Mapping[str, list[Any]]:
    if len(features) > MOST_FEATURES:
        raise DoubtError
    _feature_names(features, clean=clean)
    return {name: _feature(column, rows, clean=clean) for name, column in features.items()}


def _feature_names(names: Collection[str], *, clean: bool) -> None:
    if names:
        _printable(names, LONGEST_FEATURE_NAME, clean=clean)
        if min(map(len, names)) < 1:
            raise DoubtError


def _cells(features: Mapping[str, Any], *, clean: bool) -> Mapping[str, list[Any]]:
    """Columns of one row. All its texts are looked at together."""
    kinds = {*map(type, features.values())}
    if not kinds <= _CELLS:
        raise DoubtError
    texts = [value for value in features.values() if type(value) is str]
    if texts:
        _printable(texts, LONGEST_TEXT, clean=clean)
    _feature_names(features, clean=clean)
    if int in kinds:
        return {name: [float(value) if type(value) is int else value] for name, value in features.items()}
    return {name: [value] for name, value in features.items()}


def _feature(column: Any, rows: int, *, clean: bool) -> list[Any]:  # noqa: ANN401 -- as above
    kinds = _kinds(column, rows)
    if kinds == _FLOAT:
        found: list[Any] = column
        return found
    if kinds == _TEXT:
        _printable(column, LONGEST_TEXT, clean=clean)
        texts: list[Any] = column
        return texts
    if kinds == _INT:
        return [*map(float, column)]
    if not kinds <= _CELLS:
        raise DoubtError
    if str in kinds:
        _printable([value for value in column if type(value) is str], LONGEST_TEXT, clean=clean)
    return [float(value) if type(value) is int else value for value in column]


def _texts(column: Any, rows: int, *, clean: bool) -> list[str]:  # noqa: ANN401 -- as above
    if _kinds(column, rows) != _TEXT:
        raise DoubtError
    _printable(column, LONGEST_TEXT, clean=clean)
    found: list[str] = column
    return found


def _printable(texts: Collection[str], longest: int, *, clean: bool) -> None:
    different = {*texts}
    if max(map(len, different)) > longest or not (clean or reading.are_printable("".join(different))):
        raise DoubtError


def _statuses(column: Any, rows: int) -> list[str]:  # noqa: ANN401 -- as above
    if _kinds(column, rows) != _TEXT or not _STATUSES.issuperset(column):
        raise DoubtError
    found: list[str] = column
    return found


def _shadow(shadow: Any, rows: int) -> Data:  # noqa: ANN401 -- as above
    if type(shadow) is not dict or shadow.keys() != {"version", "score"}:
        raise DoubtError
    return {"version": _named(shadow["version"]), "score": _numbers(shadow["score"], rows, _NUMBERS_OR_NONE)}


def _kinds(column: Any, rows: int) -> set[type]:  # noqa: ANN401 -- as above
    if type(column) is not list or len(column) != rows:
        raise DoubtError
    return {*map(type, column)}
