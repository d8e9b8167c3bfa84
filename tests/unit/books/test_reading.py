"""The auditor counts rows by code of its own, and as the rooms that put a record aside: whatever has become of it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from everloop.books import rows_of
from everloop.codec import ARROW, Headers
from everloop.errors import InvalidError
from everloop.events import HeartbeatSent
from everloop.ledger import named_rows
from everloop.rows import read_rows
from everloop.runtime.log import Place, Record
from tests.unit.rows.builders import ARROW_HEADERS, AT, PLAIN, STRUCTURED, arrow, columns, headers, stream, structured


def a_record(value: bytes | None, given_headers: Headers = ARROW_HEADERS) -> Record:
    return Record(Place("everloop.predictions.v1", 0), 0, None, value, given_headers)


def counted(value: bytes | None, given_headers: Headers = ARROW_HEADERS) -> int:
    """What both of them say."""
    rows = rows_of(a_record(value, given_headers))
    assert named_rows(a_record(value, given_headers)) == rows
    return rows


SEVERAL = stream({"prediction_id": list("abcde"), "time": [AT] * 5, "f.x": list("vwxyz")}, batch_rows=2)


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (stream(arrow()), 3),
        (SEVERAL, 5),
        (stream(arrow(), compression="zstd"), 3),
        (stream(arrow(), end=False), 3),
        (stream(arrow(prediction_id=None)), 3),
        (stream({"prediction_id": pa.array([], pa.string())}), 0),
        (stream({"prediction_id": pa.nulls(100_000)}), 100_000),
        (stream({"prediction_id": pa.nulls(100_001)}), 1),
        (SEVERAL + b"x", 1),
        (SEVERAL + SEVERAL, 1),
        (SEVERAL[:-20], 1),
        (b"", 1),
        (None, 1),
        (b'{"prediction_id": ["a", "b"]}', 1),
    ],
)
def test_an_arrow_stream_is_as_many_rows_as_its_batches_say(value: bytes | None, rows: int) -> None:
    assert counted(value) == rows


def test_a_heartbeat_is_no_row_in_whatever_form() -> None:
    assert counted(stream(arrow()), headers(ARROW, type=HeartbeatSent.TYPE)) == 0
    assert counted(b"?", headers(type=HeartbeatSent.TYPE)) == 0
    assert counted(structured({"clocks": {}}, type=HeartbeatSent.TYPE), STRUCTURED) == 0


def test_json_is_as_many_rows_as_it_names() -> None:
    assert counted(structured(columns()), STRUCTURED) == 2
    assert counted(b'{"prediction_id": "one"}', PLAIN) == 1
    assert counted(b'{"prediction_id": ["a", "b", 3]}', headers()) == 3


def test_both_say_the_same_of_damaged_streams_and_that_is_what_is_read() -> None:
    rng = np.random.default_rng(20260105)
    named = {**arrow(), "f.b": pa.array(["x", "y", None]).dictionary_encode(), "f.c": [1.5, None, 2.5]}
    whole = [stream(named), stream(named, compression="lz4"), stream(named, batch_rows=1)]
    sizes = {-1, 0, 1, 7, 2**31 - 1, 2**31, -(2**31), 100_001, 2**62}
    seen: dict[int, int] = {}
    for _ in range(3_000):
        damaged = bytearray(whole[int(rng.integers(len(whole)))])
        for place in rng.integers(0, len(damaged), rng.integers(0, 4)):
            damaged[place] = int(rng.integers(0, 256))
        place = int(rng.integers(0, len(damaged) - 8)) // 4 * 4
        damaged[place : place + 8] = int(rng.choice(sorted(sizes))).to_bytes(8, "little", signed=True)
        value = bytes(damaged[: len(damaged) - int(rng.choice([0, 0, 0, 8, 9]))])
        rows = counted(value)
        seen[rows] = seen.get(rows, 0) + 1
        try:
            assert len(read_rows(value, ARROW_HEADERS)) == rows
        except InvalidError:
            continue
    assert min(seen[1], seen[3]) > 300, "whole and torn ones"
