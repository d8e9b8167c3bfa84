"""A digest of what stands in a table: of its values in their order, not of a file's bytes.

However the rows were cut into files, groups or batches, whatever engine wrote them and however they are compressed,
the same table has the same digest. It is the SHA-256 of a line of JSON: the name of this form, the number of rows, and
for each column in order of name its name, type, and the SHA-256 of its values:

- `int64`: eight bytes each, little endian, two's complement;
- `double`: eight bytes each, IEEE 754, little endian; missing and each NaN is the one quiet NaN `0x7ff8000000000000`;
- `string`: the SHA-256 of all lengths in bytes (four bytes each, little endian, -1 where it is missing), then the
  SHA-256 of all texts in UTF-8, one after the other.

A feature without a single value is left out: whether a file has such a column depends on the rows beside it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import numpy as np

from everloop.matrix.ports import FEATURE

if TYPE_CHECKING:
    import pyarrow as pa

FORM: Final = "everloop.content.v1"


@dataclass
class Content:
    """The digest of batches that follow each other, all of the same columns."""

    rows: int = 0
    _columns: dict[str, _Values] = field(default_factory=dict)

    def add(self, batch: pa.RecordBatch | pa.Table) -> None:
        """Take the next rows. Columns are int64, double or string. Raises `ValueError` for another type."""
        self.rows += batch.num_rows
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            kind = str(column.type)
            if kind not in _READERS:
                raise ValueError(f"a column of type {kind} has no digest; use int64, double or string")
            self._columns.setdefault(name, _READERS[kind]()).add(column)

    @property
    def empty(self) -> frozenset[str]:
        """The features without a single value."""
        return frozenset(name for name, one in self._columns.items() if name.startswith(FEATURE) and not one.present)

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        empty = self.empty
        columns = [[name, one.kind, one.digest()] for name, one in sorted(self._columns.items()) if name not in empty]
        said = json.dumps([FORM, self.rows, columns], ensure_ascii=True, separators=(",", ":"))
        return sha256(said.encode()).hexdigest()


class _Values:
    """Values of one column; `present` are those that are not missing."""

    kind = ""

    def __init__(self) -> None:
        self.present = 0
        self._hashes = [sha256()]

    def add(self, column: pa.Array | pa.ChunkedArray) -> None:
        raise NotImplementedError

    def digest(self) -> str:
        return " ".join(one.hexdigest() for one in self._hashes)


class _Integers(_Values):
    kind = "int64"

    def add(self, column: pa.Array | pa.ChunkedArray) -> None:
        if column.null_count:
            raise ValueError("a whole number is missing where none may be")
        self.present += len(column)
        self._hashes[0].update(column.to_numpy(zero_copy_only=False).astype("<i8", copy=False).tobytes())


class _Doubles(_Values):
    kind = "double"

    def add(self, column: pa.Array | pa.ChunkedArray) -> None:
        values = np.array(column.to_numpy(zero_copy_only=False), dtype="<f8")
        gone = np.isnan(values)
        values[gone] = np.nan
        self.present += len(values) - int(gone.sum())
        self._hashes[0].update(values.tobytes())


class _Texts(_Values):
    kind = "string"

    def __init__(self) -> None:
        super().__init__()
        self._hashes = [sha256(), sha256()]

    def add(self, column: pa.Array | pa.ChunkedArray) -> None:
        import pyarrow.compute as pc  # noqa: PLC0415 - costs half a second; only who reads rows pays

        lengths, texts = self._hashes
        self.present += len(column) - column.null_count
        sizes = pc.fill_null(pc.binary_length(column), -1)
        lengths.update(sizes.to_numpy(zero_copy_only=False).astype("<i4").tobytes())
        for chunk in getattr(column, "chunks", None) or [column]:
            texts.update(_letters(pc.fill_null(chunk, "")))


_READERS: Final[dict[str, type[_Values]]] = {one.kind: one for one in (_Integers, _Doubles, _Texts)}


def _letters(texts: pa.Array) -> memoryview:
    """The bytes of an Arrow array of texts without a missing one, which lie behind each other there."""
    _, places, data = texts.buffers()
    if data is None or not len(texts):
        return memoryview(b"")
    ends = np.frombuffer(places, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return memoryview(data)[int(ends[0]) : int(ends[-1])]
