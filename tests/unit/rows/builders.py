"""Records of the topic `predictions` in every form."""

from __future__ import annotations

from typing import Any, Final

import orjson
import pyarrow as pa

from everloop.codec import ARROW, Headers
from everloop.events import PredictionsLogged
from everloop.rows import Rows
from tests.builders import NOON, millis

IDENTITY: Final = "5b0d3e3c-7f7e-4c61-9a2b-0d3b8f6f2f11"
PLAIN: Final[Headers] = (("content-type", b"application/json"),)
STRUCTURED: Final[Headers] = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
AT: Final = millis(NOON)


def headers(content: bytes = b"application/json", **changed: str | bytes | None) -> Headers:
    """The attributes of a record of `fraud` in binary mode; None leaves one out."""
    named: dict[str, str | bytes | None] = {
        "specversion": "1.0", "id": IDENTITY, "source": "https://shop.example", "type": PredictionsLogged.TYPE,
        "subject": "fraud", "time": "2026-01-05T12:00:00.250Z", **changed,
    }  # fmt: skip
    raw = {name: text.encode() if isinstance(text, str) else text for name, text in named.items()}
    return (*((f"ce_{name}", one) for name, one in raw.items() if one is not None), ("content-type", content))


def columns(**changed: object) -> dict[str, object]:
    """Two rows with everything that a record can have."""
    return {
        "source": "serving", "version": "7", "digest": "0" * 64, "arm": "champion", "epoch": 3,
        "prediction_id": ["tx-1", "tx-2"], "times": [AT, AT + 1], "entity_id": ["card-1", "card-2"],
        "features": {"amount": [1.5, None], "country": ["CH", "é"], "odd": [[1, {"a": []}], True]},
        "score": [0.25, None], "label": [None, 1], "latency_ms": [3, 4.5], "status": ["ok", "error"],
        "shadow": {"version": "8", "score": [None, 0.5]}, **changed,
    }  # fmt: skip


def plain_row(**changed: object) -> dict[str, object]:
    """A scored row of a producer without CloudEvents."""
    return {
        "model": "fraud", "prediction_id": "tx-1", "time": AT, "entity_id": "card-1", "version": "7", "arm": "champion",
        "features": {"amount": 2.5, "country": "CH", "age": None, "odd": [1]}, "score": 0.25, "status": "ok", **changed,
    }  # fmt: skip


def structured(data: object, **changed: object) -> bytes:
    """A whole event as one JSON document."""
    named = {
        "specversion": "1.0", "id": IDENTITY, "source": "s", "type": PredictionsLogged.TYPE, "subject": "fraud",
        "time": "2026-01-05T12:00:00Z", **changed,
    }  # fmt: skip
    return orjson.dumps({**{key: one for key, one in named.items() if one is not None}, "data": data})


def some_rows(**changed: Any) -> Rows:  # noqa: ANN401 -- any field of rows
    """Three rows, read."""
    known: dict[str, Any] = {
        "id": IDENTITY, "model": "fraud", "prediction_id": ["a", "b", "c"], "times": [AT, AT + 1, AT + 2],
        "features": {"amount": [1.5, None, -0.0], "country": ["CH", None, "CH"], "new": [True, False, True]},
        "source": "producer", "version": "7", "score": [0.25, None, 1.0],
    }  # fmt: skip
    return Rows(**known | changed)


def stream(
    named: dict[str, object], *, said: dict[str, str] | None = None, compression: str | None = None,
    batch_rows: int | None = None, end: bool = True,
) -> bytes:  # fmt: skip
    """An Arrow stream of these columns, as a producer writes it with pyarrow alone."""
    table = pa.table(named).replace_schema_metadata(said)
    out = pa.BufferOutputStream()
    writer = pa.ipc.new_stream(out, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression))
    writer.write_table(table, max_chunksize=batch_rows)
    if end:
        writer.close()
    value: bytes = out.getvalue().to_pybytes()
    return value


def arrow(**changed: object) -> dict[str, object]:
    """The columns of three rows; None leaves one out."""
    known = {"prediction_id": ["a", "b", "c"], "time": [AT, AT + 1, AT + 2], **changed}
    return {name: column for name, column in known.items() if column is not None}


ARROW_HEADERS: Final = headers(ARROW)
