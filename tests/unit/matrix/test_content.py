"""The digest of content: what the page says, computed once more in plain Python; blind to how rows are cut."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from hashlib import sha256

import pyarrow as pa
import pytest

from everloop.matrix import Content

TIMES = [3, -4, 5]
NUMBERS = [1.5, None, float("nan")]
TEXTS = ["é", None, ""]
TABLE = pa.table({
    "time": pa.array(TIMES, pa.int64()), "f.n": pa.array(NUMBERS, pa.float64()), "f.t": pa.array(TEXTS, pa.string()),
    "f.none": pa.array([None] * 3, pa.string()),
})  # fmt: skip


def digest(*parts: pa.Table | pa.RecordBatch) -> str:
    content = Content()
    for part in parts:
        content.add(part)
    return content.hexdigest()


def test_it_is_what_is_written() -> None:
    numbers = b"".join(struct.pack("<d", 1.5) if one == 1.5 else b"\0\0\0\0\0\0\xf8\x7f" for one in NUMBERS)
    lengths = struct.pack("<3i", 2, -1, 0)
    columns = [
        ["f.n", "double", sha256(numbers).hexdigest()],
        ["f.t", "string", f"{sha256(lengths).hexdigest()} {sha256('é'.encode()).hexdigest()}"],
        ["time", "int64", sha256(struct.pack("<3q", *TIMES)).hexdigest()],
    ]
    said = json.dumps(["everloop.content.v1", 3, columns], separators=(",", ":"))
    assert digest(TABLE) == sha256(said.encode()).hexdigest()


def test_how_rows_are_cut_does_not_matter() -> None:
    cut = [*TABLE.slice(0, 1).to_batches(), TABLE.slice(1, 0), *TABLE.slice(1).to_batches(max_chunksize=1)]
    chunked = pa.concat_tables([TABLE.slice(2), TABLE]).slice(1)
    assert digest(*cut) == digest(chunked) == digest(TABLE)


def test_the_order_of_columns_does_not_matter() -> None:
    assert digest(TABLE.select(sorted(TABLE.column_names))) == digest(TABLE)


CHANGES: Sequence[pa.Table] = (
    TABLE.take([0, 2, 1]),
    TABLE.slice(0, 2),
    TABLE.rename_columns(["time", "f.m", "f.t", "f.none"]),
    TABLE.set_column(1, "f.n", pa.array([1.5, None, 0.0])),
    TABLE.set_column(1, "f.n", pa.array(["1.5", None, None])),
    TABLE.set_column(2, "f.t", pa.array(["", None, "é"])),
    TABLE.set_column(2, "f.t", pa.array(["é", "", None])),
    TABLE.set_column(0, "time", pa.array([3, -4, 6])),
)


@pytest.mark.parametrize("changed", CHANGES)
def test_whatever_is_changed_changes_it(changed: pa.Table) -> None:
    assert digest(changed) != digest(TABLE)


def test_texts_do_not_run_into_each_other() -> None:
    assert digest(pa.table({"a": ["ab", "c"]})) != digest(pa.table({"a": ["a", "bc"]}))


def test_other_types_have_none() -> None:
    with pytest.raises(ValueError, match="type bool"):
        digest(pa.table({"a": [True]}))
    with pytest.raises(ValueError, match="missing where none may be"):
        digest(pa.table({"a": pa.array([None], pa.int64())}))
