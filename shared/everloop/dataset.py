"""Rows for training and for the gate: a snapshot's archive files, joined. The same snapshot gives the same rows.

A `predictions` file has `prediction_id`, `time` (ms since 1970), `entity_id`, `source`, `version`, `arm`, `score`, and
one column `f.<feature>` per feature (double or string). An `outcomes` file has `prediction_id`, `time`, `label`,
`labelled_at` (ms), `version`, `score`, `source`. Files of other times may know other features: a row without one has
none of it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from everloop.events import Snapshot
from everloop.matrix import Fetch, LocalBuilder, MatrixBuilder
from everloop.matrix.ports import FEATURE
from everloop.snapshots import require_same

if TYPE_CHECKING:
    import pandas as pd


class Loaded(NamedTuple):
    """The rows of a snapshot, and the digest of their content."""

    rows: pd.DataFrame
    content: str


def load(snapshot: Snapshot, fetch: Fetch, builder: MatrixBuilder | None = None) -> Loaded:
    """Give the rows of the snapshot's matrix, which says which they are and what it raises; a fresh index.

    `builder` makes the matrix; None: this machine does.

    Raises `InvalidError("snapshot_changed")` when the snapshot knows the digest of its rows, and it is another.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415 - costs half a second; only who reads rows pays

    with tempfile.TemporaryDirectory(prefix="rows-") as folder:
        matrix = (builder or LocalBuilder()).build(snapshot, fetch, Path(folder, "matrix.parquet"))
        require_same(snapshot, matrix.content)
        return Loaded(pq.read_table(matrix.path).to_pandas(), matrix.content)


def load_rows(snapshot: Snapshot, fetch: Fetch, builder: MatrixBuilder | None = None) -> pd.DataFrame:
    """Give the rows of `load` alone."""
    return load(snapshot, fetch, builder).rows


def feature_columns(rows: pd.DataFrame) -> dict[str, list[object] | NDArray[np.float64]]:
    """Give the features by name: float64 with NaN for missing, or texts with None. In order of name."""
    names = sorted(name.removeprefix(FEATURE) for name in rows.columns if name.startswith(FEATURE))
    return {name: _values(rows[FEATURE + name]) for name in names}


def entities(rows: pd.DataFrame) -> NDArray[np.object_]:
    """Whom each row is about; a row without an entity is its own."""
    own = rows["prediction_id"].astype(object)
    known = rows["entity_id"].astype(object)
    return known.where(known.notna(), own).to_numpy(dtype=object)


def _values(column: pd.Series[float] | pd.Series[str]) -> list[object] | NDArray[np.float64]:
    if column.dtype.kind in "fiub":
        return np.asarray(column, dtype=np.float64)
    missing = column.isna().to_numpy()
    return [None if gone else value for value, gone in zip(column.tolist(), missing, strict=True)]
