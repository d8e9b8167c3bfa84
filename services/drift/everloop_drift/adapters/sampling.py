"""A bounded sample of rows from files of the archive, always the same: those with the smallest hash of their id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from xxhash import xxh3_64_intdigest

from everloop.errors import InvalidError
from everloop.events import FileRef
from everloop.matrix.ports import FEATURE
from everloop_drift.domain.cells import CHAMPION

Fetch = Callable[[FileRef], bytes]
_KEYS = ("prediction_id", "time", "version", "arm")
_HASH = "hash"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Rows with `start <= time < end` (ms); with a `version` those alone that it served as champion."""

    start: int
    end: int
    version: str | None = None


def sample(
    files: Sequence[FileRef], fetch: Fetch, wanted: Wanted, features: Mapping[str, str], most: int
) -> pd.DataFrame:
    """Give at most `most` rows in order of their hash, one column per feature: float64 with NaN, or texts with None.

    A text where the feature is numeric is missing. Files are read one after the other, so that one of them and the
    sample are in memory. Raises `InvalidError`: `malformed` for a file that is none of the archive, and whatever
    `fetch` raises.
    """
    kept = pd.DataFrame({name: [] for name in ("prediction_id", _HASH, *features)})
    for file in files:
        more = _typed(_rows(fetch(file), wanted, features), features)
        both = pd.concat([kept, more], ignore_index=True) if len(kept) else more
        both = both.drop_duplicates("prediction_id", keep="first")
        kept = both.sort_values([_HASH, "prediction_id"], kind="stable", ignore_index=True).head(most)
    return _typed(kept, features)[list(features)]


def _rows(data: bytes, wanted: Wanted, features: Mapping[str, str]) -> pd.DataFrame:
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        known = set(file.schema_arrow.names)
        table = file.read([name for name in (*_KEYS, *(FEATURE + one for one in features)) if name in known])
        table = table.filter(_mask(table, wanted))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InvalidError("malformed", "a file of the archive cannot be read; was it written by ingest?") from error
    rows: pd.DataFrame = table.to_pandas()
    rows = rows.rename(columns={FEATURE + name: name for name in features})
    hashes = np.array([xxh3_64_intdigest(one.encode()) for one in rows["prediction_id"]], dtype=np.uint64)
    return rows.assign(**{_HASH: hashes})


def _mask(table: pa.Table, wanted: Wanted) -> pa.ChunkedArray:
    time = table["time"]
    mask = pc.and_(pc.greater_equal(time, wanted.start), pc.less(time, wanted.end))
    if wanted.version is None:
        return mask
    served = pc.equal(pc.cast(table["version"], pa.string()), wanted.version)
    champion = pc.equal(pc.fill_null(pc.cast(table["arm"], pa.string()), CHAMPION), CHAMPION)
    return pc.fill_null(pc.and_(mask, pc.and_(served, champion)), False)  # noqa: FBT003 - the value to fill with


def _typed(rows: pd.DataFrame, features: Mapping[str, str]) -> pd.DataFrame:
    """Every feature as its kind wants it; one that the file does not have is missing in all rows."""
    found = {"prediction_id": rows["prediction_id"], _HASH: rows[_HASH]}
    for name, kind in features.items():
        column: pd.Series[Any] = rows[name] if name in rows else pd.Series(np.nan, index=rows.index)
        found[name] = _numbers(column) if kind == "numeric" else _texts(column)
    return pd.DataFrame(found, index=rows.index)


def _numbers(column: pd.Series[Any]) -> pd.Series[Any]:
    if column.dtype.kind not in "fiub":
        return pd.Series(np.nan, index=column.index)
    return column.astype(np.float64).replace([np.inf, -np.inf], np.nan)


def _texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers as texts without `.0`: the same category may be a number in one file and a text in another."""
    texts = [None if pd.isna(one) else f"{one:.15g}" if isinstance(one, float) else str(one) for one in column]
    return pd.Series(texts, index=column.index, dtype=object)
