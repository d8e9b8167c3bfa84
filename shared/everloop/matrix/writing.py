"""The file of a matrix. The same rows give the same bytes, as long as the library that writes them is the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from everloop.matrix.content import Content
from everloop.matrix.ports import Matrix

if TYPE_CHECKING:
    import pyarrow as pa

GROUP_ROWS: Final = 1 << 16
"""Rows of a row group, however the batches come."""


def write(batches: pa.RecordBatchReader, path: Path) -> Matrix:
    """Write Parquet and digest its content. Features without a single value are left out."""
    content = Content()
    _write(_digested(batches, content), batches.schema, path)
    if content.empty:
        _leave_out(content.empty, path)
    return Matrix(path, content.rows, content.hexdigest())


def _digested(batches: Iterable[pa.RecordBatch], content: Content) -> Iterator[pa.Table]:
    """Tables of `GROUP_ROWS` rows, the last of fewer."""
    import pyarrow as pa  # noqa: PLC0415 - costs half a second; only who reads rows pays

    waiting: list[pa.RecordBatch] = []
    for batch in map(_plain, batches):
        content.add(batch)
        waiting.append(batch)
        while sum(map(len, waiting)) >= GROUP_ROWS:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, GROUP_ROWS)
            waiting = table.slice(GROUP_ROWS).to_batches()
    if waiting:
        yield pa.Table.from_batches(waiting)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """What is not a number is missing."""
    import pyarrow as pa  # noqa: PLC0415 - as above
    import pyarrow.compute as pc  # noqa: PLC0415 - as above

    columns = [
        pc.replace_with_mask(column, pc.fill_null(pc.is_nan(column), False), pa.scalar(None, column.type))  # noqa: FBT003 - a value
        if pa.types.is_floating(column.type)
        else column
        for column in batch.columns
    ]
    return pa.record_batch(columns, schema=batch.schema)


def _write(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    with pq.ParquetWriter(path, schema, compression="zstd", version="2.6", store_schema=False) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=GROUP_ROWS)


def _leave_out(names: frozenset[str], path: Path) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    whole = path.with_suffix(".whole")
    path.replace(whole)
    with pq.ParquetFile(whole) as file:
        kept = [name for name in file.schema_arrow.names if name not in names]
        groups = (file.read_row_group(number, columns=kept) for number in range(file.num_row_groups))
        first = file.schema_arrow.empty_table().select(kept)
        _write(groups, first.schema, path)
    whole.unlink()
