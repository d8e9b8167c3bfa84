"""A small archive in memory, and the matrix of it as pandas makes it: all rows read, filtered, sorted, merged."""

from __future__ import annotations

import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from everloop.artifacts import MemoryStore
from everloop.events import FileRef, Snapshot, Tail
from everloop.matrix import Fetch, Matrix
from everloop.matrix.ports import FEATURE, LABEL, OUTCOME, PREDICTION, WEIGHT
from everloop.matrix.writing import write


class Archive:
    """The files of a snapshot."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.files: dict[str, list[FileRef]] = {"predictions": [], "outcomes": []}

    def add(self, kind: str, table: pa.Table) -> None:
        sink = io.BytesIO()
        pq.write_table(table, sink)
        kept = self.store.put(sink.getvalue(), kind)
        self.files[kind].append(FileRef(uri=kept.uri, sha256=kept.sha256))

    def predictions(self, ids: Sequence[str], times: Sequence[int], **features: Sequence[object]) -> None:
        named = {f"f.{name}": values for name, values in features.items()}
        columns = {"prediction_id": ids, "time": times, "source": ["producer"] * len(ids), **named}
        self.add("predictions", pa.table({name: pa.array(values) for name, values in columns.items()}))

    def labels(self, ids: Sequence[str], labels: Sequence[float], at: Sequence[int]) -> None:
        columns = {"prediction_id": ids, "time": [0] * len(ids), "label": labels, "labelled_at": at}
        self.add("outcomes", pa.table(columns))

    def fetch(self, file: FileRef) -> bytes:
        return self.store.fetch(file.uri, file.sha256)

    def snapshot(self, start: int = 0, end: int = 100, **more: object) -> Snapshot:
        return self.asked({"start": start, "end": end, **more})

    def asked(self, query: Mapping[str, object]) -> Snapshot:
        files = {kind: tuple(found) for kind, found in self.files.items()}
        return Snapshot.model_validate({"strategy": "full", **files, **query})

    def compacted(self) -> Archive:
        """The same rows in one file of each kind."""
        whole = Archive()
        for kind, files in self.files.items():
            tables = [pq.read_table(io.BytesIO(self.fetch(file))) for file in files]
            if tables:
                whole.add(kind, pa.concat_tables(_alike(tables), promote_options="default"))
        return whole


@dataclass(frozen=True, slots=True)
class PandasBuilder:
    """The second implementation: what the first is held against."""

    def build(self, snapshot: Snapshot, fetch: Fetch, path: Path) -> Matrix:
        predictions = _read(snapshot.predictions, fetch, PREDICTION)
        end = snapshot.end if snapshot.as_of is None else min(snapshot.end, snapshot.as_of + 1)
        since = snapshot.start if snapshot.known_since is None else snapshot.known_since
        predictions = predictions[(predictions["time"] >= since) & (predictions["time"] < end)]
        predictions = predictions.drop_duplicates("prediction_id", keep="first")
        predictions = predictions[predictions["time"] >= snapshot.start]
        outcomes = _read(snapshot.outcomes, fetch, OUTCOME)[list(OUTCOME)]
        if snapshot.as_of is not None:
            outcomes = outcomes[outcomes["labelled_at"] <= snapshot.as_of]
        outcomes = outcomes.sort_values("labelled_at", kind="stable").drop_duplicates("prediction_id", keep="last")
        rows = predictions.merge(outcomes, on="prediction_id", how="inner", validate="one_to_one")
        rows = rows.sort_values(["time", "prediction_id"], kind="stable", ignore_index=True)
        rows = rows[np.array([_asked_for(row, snapshot) for row in rows.to_dict("records")], dtype=bool)]
        if snapshot.tail is not None:
            rows = _sampled(rows, snapshot.tail)
        elif snapshot.rows is not None:
            rows = rows.tail(snapshot.rows)
        return write(_as_matrix(rows).to_reader(), path)


def draw(salt: object, text: object) -> float:
    """A number from 0 to below 1."""
    return int(sha256(f"{salt}:{text}".encode()).hexdigest()[:13], 16) / 16**13


def _asked_for(row: Mapping[Hashable, Any], snapshot: Snapshot) -> bool:
    asked = all(row.get(FEATURE + name) in values for name, values in snapshot.where.items())
    golden = snapshot.golden
    if golden is None or not asked:
        return asked
    if golden.share is not None:
        entity = row["prediction_id"] if pd.isna(row["entity_id"]) else row["entity_id"]
        inside = draw("golden", entity) < golden.share
    else:
        inside = (golden.start or 0) <= row["time"] < (golden.end or 0)
    return inside == golden.inside


def _sampled(rows: pd.DataFrame, tail: Tail) -> pd.DataFrame:
    rows = rows.assign(weight=1.0)
    older, recent = rows[rows["time"] < tail.before], rows[rows["time"] >= tail.before]
    name = "label" if tail.by == "label" else f"{FEATURE}{tail.by}"
    by = older.get(name, pd.Series(None, older.index))  # a column that no file has
    strata = by.where(by.notna(), None).astype(object) if tail.by else pd.Series("", older.index)
    groups = [older[strata.isna()], *(older[strata == one] for one in strata.dropna().unique())]
    groups = [group for group in groups if len(group)]
    room = max(1, tail.rows // max(1, len(groups)))
    drawn = [
        group.loc[sorted(group.index, key=lambda at: draw(tail.seed, rows["prediction_id"][at]))[:room]].assign(
            weight=max(1.0, len(group) / room)
        )
        for group in groups
    ]
    sampled: pd.DataFrame = pd.concat([*drawn, recent]).sort_index(kind="stable")
    return sampled


def _read(files: Sequence[FileRef], fetch: Fetch, needed: Mapping[str, str]) -> pd.DataFrame:
    empty = pa.table({name: pa.array([], type=pa.type_for_alias(kind)) for name, kind in needed.items()})
    tables = [pq.read_table(io.BytesIO(fetch(file))) for file in files]
    stacked: pd.DataFrame = pa.concat_tables([*_alike(tables), empty], promote_options="default").to_pandas()
    return stacked


def _alike(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """A column that is a number here and a text there is text in all."""
    kinds: dict[str, set[str]] = {}
    for field in (field for table in tables for field in table.schema):
        kinds.setdefault(field.name, set()).add(str(field.type))
    mixed = {name for name, found in kinds.items() if {"double", "string"} <= found}
    return [
        pa.table({
            name: table.column(name).cast(pa.string()) if name in mixed else table.column(name)
            for name in table.column_names
        })
        for table in tables
    ]  # fmt: skip


def _as_matrix(rows: pd.DataFrame) -> pa.Table:
    features = sorted(name for name in rows.columns if name.startswith(FEATURE))
    names = [*PREDICTION, *features, *LABEL, *([WEIGHT] if WEIGHT in rows else [])]
    columns = {name: pa.array(rows[name], type=_type(rows, name)) for name in names}
    return pa.table(columns)


def _type(rows: pd.DataFrame, name: str) -> pa.DataType:
    known = PREDICTION | OUTCOME
    if name in known:
        return pa.type_for_alias(known[name])
    return pa.float64() if rows[name].dtype.kind in "fiub" else pa.string()
