"""Rows as a record in Arrow's form: for producers with volume, tests and benchmarks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from everloop.codec import ARROW, Headers
from everloop.errors import InvalidError
from everloop.events import PredictionsLogged, named_id
from everloop.rows.arrays import Array, pyarrow
from everloop.rows.arrow import FEATURE, SAID_ONCE
from everloop.rows.values import Categories, Column, Rows, listed


def write_rows(rows: Rows, *, source: str, now: datetime, compression: str | None = None) -> tuple[bytes, Headers]:
    """Value and headers of a record, said by `source` (a URI) at `now`: one batch, texts as dictionaries.

    `compression` is None, `lz4` or `zstd`; Kafka compresses as well. Raises `InvalidError` (`shape`) for a feature of
    mixed types, which only JSON can carry.
    """
    pa = pyarrow()
    said = {name: str(one) for name in SAID_ONCE if (one := getattr(rows, name)) is not None}
    named = {"prediction_id": pa.array(rows.prediction_id, pa.string()), "time": pa.array(rows.times, pa.int64())}
    for name in ("entity_id", "status"):
        if (texts := getattr(rows, name)) is not None:
            named[name] = pa.array(texts, pa.string())
    for name in ("score", "label", "latency_ms", "shadow_score"):
        if (numbers := getattr(rows, name)) is not None:
            named[name] = pa.array(listed(numbers), pa.float64())
    features = {f"{FEATURE}{name}": _array(name, column) for name, column in rows.features.items()}
    batch = pa.RecordBatch.from_pydict(named | features).replace_schema_metadata(said)
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(batch)
    value: bytes = out.getvalue().to_pybytes()
    return value, _headers(rows, source, now)


def _array(name: str, column: Column) -> Array:
    pa = pyarrow()
    if isinstance(column, Categories):
        codes = pa.array(column.codes, mask=column.codes < 0)
        return pa.DictionaryArray.from_arrays(codes, pa.array(column.texts, pa.string()))
    try:
        array: Any = pa.array(column)
    except (pa.ArrowException, OverflowError):
        raise InvalidError(
            "shape", f"feature {name!r}: a column of Arrow has one type, and no larger integers"
        ) from None
    return array.dictionary_encode() if pa.types.is_string(array.type) else array


def _headers(rows: Rows, source: str, now: datetime) -> Headers:
    try:
        identity = UUID(rows.id)
    except ValueError:  # a plain row is named otherwise
        identity = named_id(PredictionsLogged.__name__, rows.id)
    said = {
        "ce_specversion": "1.0", "ce_id": str(identity), "ce_source": source, "ce_type": PredictionsLogged.TYPE,
        "ce_subject": rows.model, "ce_time": now.astimezone(UTC).isoformat(), "ce_partitionkey": rows.model,
    }  # fmt: skip
    return (*((name, text.encode()) for name, text in said.items()), ("content-type", ARROW))
