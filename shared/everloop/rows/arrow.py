"""The rows of an Arrow stream: data of a stranger, of which nothing is trusted.

Its size is known before it is decoded; columns of types that are not ours are not decoded at all; every offset, text
and place in a dictionary is proved to lie inside before it is looked at. Nothing but columns, and a few texts of the
metadata of the schema, is taken from it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from everloop.errors import InvalidError
from everloop.events import MOST_FEATURES, MOST_ROWS
from everloop.logs import strip
from everloop.rows.arrays import (
    MOST_BYTES,
    Array,
    feature_of,
    is_ours,
    malformed,
    numbers_of,
    pyarrow,
    refused,
    statuses_of,
    texts_of,
    times_of,
)
from everloop.rows.stream import batches, decoded_bytes
from everloop.rows.values import Rows

FEATURE: Final = "f."
"""Before the name of a feature, as in the archive."""
MOST_CELLS: Final = 8 * 1024 * 1024
"""Rows times columns: that many float64 are as many bytes as `MOST_BYTES`."""
SAID_ONCE: Final = ("source", "version", "digest", "arm", "epoch", "shadow_version")
"""What the metadata of the schema may say of all rows."""
ROW_COLUMNS: Final = ("prediction_id", "time", "entity_id", "score", "label", "latency_ms", "status", "shadow_score")
_SOURCES: Final = ("serving", "producer", "bootstrap")
_EPOCH: Final = re.compile("-?[0-9]{1,18}")
_LONGEST: Final = 64


def read_arrow(value: bytes, identity: str, model: str) -> Rows:
    """The rows of one stream, of any number of batches.

    Raises `InvalidError`: `malformed` for what is no stream, `shape` for columns that no record has, wrong types,
    missing ids or times, and for what is too large.
    """
    rows = _sized(value)
    pa = pyarrow()
    try:
        schema, read = _read(pa, value, rows)
        return _rows(identity, model, schema, _columns(pa, schema, read))
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError):
        # whatever pyarrow, or an extension type that somebody has registered with it, says of these bytes
        raise InvalidError("malformed", "the value is not one Arrow stream, or something in it leads astray") from None


def _sized(value: bytes) -> int:
    """How many rows there are; nothing is decoded yet."""
    found = batches(value)
    rows = sum(one.head.rows for one in found)
    if rows > MOST_ROWS:
        raise refused("record", f"more than {MOST_ROWS} rows")
    if decoded_bytes(value, found) > MOST_BYTES:
        raise refused("record", f"more than {MOST_BYTES} bytes when decompressed")
    return rows


def _rows(identity: str, model: str, schema: Any, columns: Mapping[str, Array]) -> Rows:  # noqa: ANN401 -- untyped
    said = said_of(schema.metadata or {})
    ids, times = texts_of("prediction_id", columns.get("prediction_id")), times_of(columns.get("time"))
    if ids is None or times is None:
        raise refused("prediction_id, time", "missing")
    score, label, latency, shadow = (
        numbers_of(name, columns.get(name)) for name in ("score", "label", "latency_ms", "shadow_score")
    )
    if (shadow is None) != ("shadow_version" not in said):
        raise refused("shadow_score", "comes with a shadow_version in the metadata, and it with that")
    entities, statuses = texts_of("entity_id", columns.get("entity_id")), statuses_of(columns.get("status"))
    features = {
        name[len(FEATURE) :]: feature_of(columns[name]) if name in columns else malformed(len(ids))
        for name in schema.names if name.startswith(FEATURE)
    }  # fmt: skip
    return Rows(
        identity, model, ids, times, features,
        source_of(said), said.get("version"), said.get("digest"), said.get("arm"), epoch_of(said),
        entities, score, label, latency, statuses, said.get("shadow_version"), shadow,
    )  # fmt: skip


def _read(pa: Any, value: bytes, rows: int) -> tuple[Any, list[Any]]:  # noqa: ANN401 -- published without types
    """The schema, and the batches with the columns of our types alone."""
    with pa.ipc.open_stream(value, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
        schema = reader.schema
        ours = [number for number, field in enumerate(schema) if is_ours(field.type)]
        check_columns(schema, ours, rows)
        if len(ours) == len(schema):
            return schema, list(reader)
    options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=ours)
    with pa.ipc.open_stream(value, options=options) as reader:
        return schema, list(reader)


def check_columns(schema: Any, ours: Sequence[int], rows: int) -> None:  # noqa: ANN401 -- as above
    """Of which those numbered in `ours` are of our types. Raises `InvalidError` for what no record has."""
    names = schema.names
    if len(set(names)) < len(names):
        raise refused("record", "two columns have one name")
    if not {"prediction_id", "time"}.issubset(names):
        raise refused("prediction_id, time", "missing")
    if strangers := [name for name in names if not name.startswith(FEATURE) and name not in ROW_COLUMNS]:
        raise refused(strip(strangers[0][:_LONGEST]), f"no column of rows; features are named {FEATURE}NAME")
    if wrong := set(ROW_COLUMNS).intersection(names) - {names[number] for number in ours}:
        raise refused(min(wrong), "of a type that is neither numbers nor texts")
    if sum(name.startswith(FEATURE) for name in names) > MOST_FEATURES or rows * len(names) > MOST_CELLS:
        raise refused("record", f"more than {MOST_FEATURES} features, or more than {MOST_CELLS} values")


def _columns(pa: Any, schema: Any, read: Sequence[Any]) -> dict[str, Array]:  # noqa: ANN401 -- as above
    """Whole columns by name, of which every offset has been proved."""
    for batch in read:
        batch.validate(full=True)
    if not read:
        return {field.name: pa.array([], field.type) for field in schema if is_ours(field.type)}
    if len(read) == 1:
        return dict(zip(read[0].schema.names, read[0].columns, strict=True))
    whole = pa.Table.from_batches(read).unify_dictionaries().combine_chunks()
    return {name: whole.column(name).combine_chunks() for name in whole.column_names}


def said_of(metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    """What is said once; the metadata of others (pandas, Spark) is not ours to judge. Raises where one is not UTF-8."""
    return {name: metadata[name.encode()].decode() for name in SAID_ONCE if name.encode() in metadata}


def source_of(said: Mapping[str, str]) -> str:
    """Who sent the rows. Raises `InvalidError` for what is no such word."""
    source = said.get("source", "producer")
    if source not in _SOURCES:
        raise refused("source", f"one of {', '.join(_SOURCES)}")
    return source


def epoch_of(said: Mapping[str, str]) -> int | None:
    """Raises `InvalidError` for what is no whole number."""
    if "epoch" not in said:
        return None
    if not _EPOCH.fullmatch(said["epoch"]):
        raise refused("epoch", "a whole number as text")
    return int(said["epoch"])
