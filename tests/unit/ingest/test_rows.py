"""Rows of every form: the same keys for the join and the same archive, and what cannot be said there is left out."""

from __future__ import annotations

import io
import math
import random
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from everloop import topics
from everloop.buckets import bucket
from everloop.events import KeysRouted, ManifestCommitted
from everloop.rows import Rows, rows_of, write_rows
from everloop.rows.values import Categories, Column, listed
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryLog
from everloop.simulation import Simulation
from everloop_ingest.adapters.parquet import arrays_of, to_parquet
from everloop_ingest.domain.archiving import Batch, coverage, prediction_columns
from tests.unit.ingest.builders import NOON, NOON_MS, Worker, apply_loop, beat, keys_of, said, some_predictions, write

EVENT = some_predictions(
    "a", "b", "c", entity_id=("x", "y", "x"), label=(1.0, None, 0.0), source="bootstrap",
    features={"amount": (1.5, None, -0.0), "country": ("CH", None, "DE"), "new": (True, False, True)},
)  # fmt: skip


def archived(broker: MemoryLog, worker: Worker) -> dict[str, list[object]]:
    """The only file of predictions."""
    (manifest,) = [one for one in said(broker, topics.ARCHIVE, ManifestCommitted) if one.kind == "predictions"]
    found: dict[str, list[object]] = pq.read_table(
        io.BytesIO(worker.store.fetch(manifest.uri, manifest.sha256))
    ).to_pydict()
    return found


def test_the_same_rows_leave_the_same_traces_in_json_and_in_arrow() -> None:
    traces = []
    for form in ("json", "arrow"):
        worker = Worker()
        simulation = Simulation(worker.builds(), seed=0)
        log = simulation.client()
        apply_loop(log)
        if form == "json":
            write(log, topics.PREDICTIONS, 0, EVENT)
        else:
            value, headers = write_rows(rows_of(EVENT), source="test", now=NOON)
            log.publish([Message(Place(topics.PREDICTIONS.name, 0), None, value, headers)])
        beat(log, NOON_MS, fraud=NOON_MS)
        simulation.settle()
        keys = [one.model_dump() for one in said(simulation.broker, topics.KEYS, KeysRouted)]
        traces.append((keys, archived(simulation.broker, worker)))
    assert traces[0] == traces[1]
    (keys, file) = traces[0]
    assert sorted(name for one in keys for name in one["prediction_id"]) == ["a", "a", "b", "c", "c"]
    assert (file["f.amount"], file["f.country"], file["f.new"]) == (
        [1.5, None, -0.0],
        ["CH", None, "DE"],
        [1.0, 0.0, 1.0],
    )


def some_rows(**changed: object) -> Rows:
    known = Rows("id", "fraud", ["a", "b", "c"], [NOON_MS] * 3, {})
    for name, value in changed.items():
        setattr(known, name, value)
    return known


def test_what_is_no_score_and_no_label_is_routed_as_none() -> None:
    odd = np.array([0.5, math.inf, math.nan])
    rows = some_rows(score=odd, label=np.array([1.0, -math.inf, math.nan]), shadow_score=odd, shadow_version="8")
    ((_, predictions), (_, labels)) = keys_of(rows, 1, "origin")
    assert (predictions.score, predictions.shadow_score) == ((0.5, None, None), (0.5, None, None))
    assert (labels.kind, labels.prediction_id, labels.label) == ("label", ("a",), (1.0,))
    assert predictions.bucket == tuple(map(bucket, ("a", "b", "c")))


def test_a_value_that_is_none_of_ours_is_archived_as_missing_and_costs_no_row() -> None:
    batch = Batch(0)
    batch.add(0, some_rows(features={"x": [[1], 2.5, {"a": 1}], "y": ["CH", ["CH"], None], "z": [[], [], []]}))
    batch.add(1, some_rows(features={"x": np.array([1, 2, 3])}, score=np.array([0.5, math.nan, 1.0])))
    columns = {name: array.to_pylist() for name, array in arrays_of(prediction_columns(batch)).items()}
    assert columns["f.x"] == [None, 2.5, None, 1.0, 2.0, 3.0]
    assert columns["f.y"] == ["CH", None, None, None, None, None]
    assert columns["f.z"] == [None] * 6
    assert columns["score"] == [None, None, None, 0.5, None, 1.0]
    assert (batch.rows, coverage(batch, timedelta(hours=1))[0].rows) == (6, 6)


ODD: list[list[Any]] = [
    [1, 2, None], [1.5, 2, 3], [True, False, None], ["a", None, "b"], [None, None, None], [1, True, 2.5],
    [2**60, 1.5, None], [2**70, 1, 2], ["a", 1, True], [[1], {"a": 1}, 2], [1e308, -0.0, 5],
]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_columns_are_the_same_as_cell_by_cell_whatever_came_together(seed: int) -> None:
    """As JSON gives them, as Arrow gives them, and rows that lack the feature."""
    chance = random.Random(seed)
    known: list[Column] = [
        *ODD,
        np.array([1.0, math.nan, math.inf]),
        np.array([1, 2, 3]),
        np.array([True, False, True]),
    ]
    known += [Categories(np.array([1, -1, 0], np.int32), ["x", "y"])]
    some = [chance.choice(known) for _ in range(chance.randint(1, 4))]
    batch = Batch(0)
    for number, column in enumerate(some):
        batch.add(number, some_rows(features={"x": column}))
        batch.add(number, some_rows(features={"other": column}))
    cells = [value for column in some for value in [*map(_cell, listed(column)), None, None, None]]
    texts = any(isinstance(value, str) for value in cells)
    expected = [None if value is None else str(value) if texts else float(value) for value in cells]
    array = arrays_of(prediction_columns(batch))["f.x"]
    assert array.to_pylist() == expected
    assert str(array.type) == ("string" if texts else "double")


def _cell(value: Any) -> Any:  # noqa: ANN401 -- whatever JSON has
    return None if isinstance(value, list | dict) else value


def test_files_are_the_same_however_rows_were_cut_into_records() -> None:
    names = [f"t{number}" for number in range(6)]
    whole, parts = Batch(0), Batch(0)
    features: dict[str, list[Any]] = {"a": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "b": ["x", "y", None, "x", "z", "z"]}
    whole.add(0, Rows("id", "fraud", names, [NOON_MS] * 6, {**features}))
    for start in range(0, 6, 2):
        some = {name: values[start : start + 2] for name, values in features.items()}
        parts.add(start, Rows(str(start), "fraud", names[start : start + 2], [NOON_MS] * 2, {**some}))
    assert to_parquet(prediction_columns(whole)) == to_parquet(prediction_columns(parts))
