"""Rows for training and for the gate: a snapshot's archive files, joined. The same snapshot gives the same rows.

A `predictions` file has `prediction_id`, `time` (ms since 1970), `entity_id`, `source`, `version`, `arm`, `score`, and
one column `f.<feature>` per feature (double or string). An `outcomes` file has `prediction_id`, `time`, `label`,
`labelled_at` (ms), `version`, `score`, `source`. Files of other times may know other features: a row without one has
none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from everloop.errors import InvalidError
from everloop.events import FileRef, Snapshot

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Fetch = Callable[[FileRef], bytes]
"""Gives the bytes of a file and has verified its digest; `ArtifactStore.fetch` does both."""

FEATURE: Final = "f."
_PREDICTION: Final = ("prediction_id", "time", "entity_id", "source", "version", "arm", "score")
_OUTCOME: Final = ("prediction_id", "label", "labelled_at")
_REQUIRED: Final = frozenset({"prediction_id", "time", "label", "labelled_at"})
_TYPES: Final = {"time": "int64", "labelled_at": "int64", "label": "double", "score": "double"}


def load_rows(snapshot: Snapshot, fetch: Fetch) -> pd.DataFrame:
    """Give the labelled rows with `start <= time < end`, sorted by (time, prediction_id), a fresh index.

    Of a prediction that stands twice the first in file order counts, of labels the last `labelled_at`. Columns: those
    of a predictions file (`f.` names included), then `label`, `labelled_at`. Raises `InvalidError`: `malformed` for a
    file that is no such Parquet file, and whatever `fetch` raises.
    """
    predictions = _read(snapshot.predictions, fetch, _PREDICTION)
    predictions = predictions[(predictions["time"] >= snapshot.start) & (predictions["time"] < snapshot.end)]
    predictions = predictions.drop_duplicates("prediction_id", keep="first")
    outcomes = _read(snapshot.outcomes, fetch, _OUTCOME).sort_values("labelled_at", kind="stable")
    outcomes = outcomes[list(_OUTCOME)].drop_duplicates("prediction_id", keep="last")
    rows = predictions.merge(outcomes, on="prediction_id", how="inner", validate="one_to_one")
    return rows.sort_values(["time", "prediction_id"], kind="stable", ignore_index=True)


def feature_columns(rows: pd.DataFrame) -> dict[str, list[object] | NDArray[np.float64]]:
    """Give the features by name: float64 with NaN for missing, or texts with None. In order of name."""
    names = sorted(name.removeprefix(FEATURE) for name in rows.columns if name.startswith(FEATURE))
    return {name: _values(rows[FEATURE + name]) for name in names}


def _values(column: pd.Series[float] | pd.Series[str]) -> list[object] | NDArray[np.float64]:
    if column.dtype.kind in "fiub":
        return np.asarray(column, dtype=np.float64)
    missing = column.isna().to_numpy()
    return [None if gone else value for value, gone in zip(column.tolist(), missing, strict=True)]


def _read(files: Sequence[FileRef], fetch: Fetch, needed: Sequence[str]) -> pd.DataFrame:
    """Stack the files in their order."""
    import pyarrow as pa  # noqa: PLC0415 - costs half a second; only who reads rows pays

    tables = [_table(fetch(file), needed) for file in files] or [pa.table(_empty(needed))]
    kinds = _kinds(tables)
    same = [_cast(table, kinds) for table in tables]
    stacked: pd.DataFrame = pa.concat_tables(same, promote_options="default").to_pandas()
    return stacked


def _table(data: bytes, needed: Sequence[str]) -> pa.Table:
    import pyarrow as pa  # noqa: PLC0415 - as above
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise InvalidError("malformed", "a file of the archive is not Parquet; was it written by ingest?") from error
    missing = [name for name in needed if name in _REQUIRED and name not in table.column_names]
    if missing:
        raise InvalidError("malformed", f"a file of the archive lacks the columns {', '.join(missing)}")
    return table


def _empty(needed: Sequence[str]) -> dict[str, pa.Array]:
    import pyarrow as pa  # noqa: PLC0415 - as above

    return {name: pa.array([], type=pa.type_for_alias(_TYPES.get(name, "string"))) for name in needed}


def _kinds(tables: Sequence[pa.Table]) -> dict[str, pa.DataType]:
    """One type per column: text where a feature was a number in one file and a text in another."""
    import pyarrow as pa  # noqa: PLC0415 - as above

    kinds: dict[str, pa.DataType] = {}
    for field in (field for table in tables for field in table.schema):
        known = kinds.setdefault(field.name, field.type)
        if pa.types.is_null(known):
            kinds[field.name] = field.type
        elif not pa.types.is_null(field.type) and field.type != known:
            kinds[field.name] = pa.string()
    return kinds


def _cast(table: pa.Table, kinds: Mapping[str, pa.DataType]) -> pa.Table:
    for place, field in enumerate(table.schema):
        if field.type != kinds[field.name]:
            column = table.column(place).cast(kinds[field.name])
            table = table.set_column(place, field.name, column)
    return table
