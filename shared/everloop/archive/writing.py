"""The bytes of a table in the archive: the same rows give the same bytes, whoever writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def written(table: pa.Table, *, dictionaries: bool = False) -> bytes:
    """Write one row group, compressed with zstd, in the order of the columns; dictionaries for texts alone.

    With `dictionaries` for all columns, as files of before that rule were written.
    """
    import pyarrow as pa  # noqa: PLC0415 - costs half a second; only who writes files pays
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
    out = pa.BufferOutputStream()
    pq.write_table(
        table, out, compression="zstd", version="2.6", store_schema=False, use_dictionary=dictionaries or texts
    )  # fmt: skip
    data: bytes = out.getvalue().to_pybytes()
    return data
