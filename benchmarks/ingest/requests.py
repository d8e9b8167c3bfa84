"""Requests of the front door's benchmarks: 20 columns, ready but for the ids of their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from benchmarks.drift.world import START_MS, VERSION, columns, scores

MARK: Final = b"@@@@@@@@@@@@"
"""Stands for the number of a request, which makes the ids of its rows its own."""
MODEL: Final = "bench-0000"
TEMPLATES: Final = 20
HEAD: Final = (
    "POST /v1/predictions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
)


def templates(rows: int) -> Sequence[bytes]:
    """Whole requests with so many rows each: one as a plain object, more as columns."""
    return [_request(_plain(_columns(rows, seed)) if rows == 1 else _columns(rows, seed)) for seed in range(TEMPLATES)]


def numbered(template: bytes, number: int) -> bytes:
    """The request with ids of its own."""
    return template.replace(MARK, b"%012d" % number)


def _columns(rows: int, seed: int) -> Mapping[str, Any]:
    return {
        "model": MODEL, "version": VERSION, "prediction_id": [f"{MARK.decode()}-{row}" for row in range(rows)],
        "times": [START_MS + row for row in range(rows)], "features": columns(rows, seed), "score": scores(rows, seed),
    }  # fmt: skip


def _plain(body: Mapping[str, Any]) -> Mapping[str, Any]:
    said = {name: body[name] for name in ("model", "version")}
    features = {name: column[0] for name, column in body["features"].items()}
    row = {"prediction_id": body["prediction_id"][0], "time": body["times"][0], "score": body["score"][0]}
    return {**said, **row, "features": features}


def _request(body: object) -> bytes:
    value = orjson.dumps(body)
    return HEAD.format(len(value)).encode() + value
