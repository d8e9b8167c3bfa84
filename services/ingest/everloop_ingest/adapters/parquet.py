"""Bytes of an archive file. The only importer of pyarrow here; the same rows give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from everloop_ingest.domain.archiving import FEATURE, Column

_NUMBERS: Final = {"time": pa.int64(), "labelled_at": pa.int64(), "score": pa.float64(), "label": pa.float64()}


def to_parquet(columns: Mapping[str, Column]) -> bytes:
    """Write one row group, compressed with zstd, in the order of the columns."""
    arrays = {name: pa.array(values, type=_type(name, values)) for name, values in columns.items()}
    out = pa.BufferOutputStream()
    pq.write_table(pa.table(arrays), out, compression="zstd", version="2.6", store_schema=False)
    data: bytes = out.getvalue().to_pybytes()
    return data


def _type(name: str, values: Column) -> pa.DataType:
    """A feature is a double or a string by what stands in it; where nothing does, a double."""
    if not name.startswith(FEATURE):
        return _NUMBERS.get(name, pa.string())
    return pa.string() if any(isinstance(value, str) for value in values) else pa.float64()


def merged(files: Iterable[bytes]) -> bytes:
    """Put the rows of files with the same columns into one file, in their order; the same files give the same bytes."""
    table = pa.concat_tables([pq.read_table(pa.BufferReader(data)) for data in files])
    out = pa.BufferOutputStream()
    pq.write_table(table.combine_chunks(), out, compression="zstd", version="2.6", store_schema=False)
    data: bytes = out.getvalue().to_pybytes()
    return data
