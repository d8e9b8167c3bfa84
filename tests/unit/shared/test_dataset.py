"""A snapshot gives the same rows whatever the files' cut, and each row once."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everloop.artifacts import MemoryStore
from everloop.dataset import feature_columns, load_rows
from everloop.errors import InvalidError
from everloop.events import FileRef, Snapshot


class Archive:
    """The files of a snapshot, in memory."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.files: dict[str, list[FileRef]] = {"predictions": [], "outcomes": []}

    def add(self, kind: str, columns: Mapping[str, Sequence[object]]) -> None:
        sink = io.BytesIO()
        pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), sink)
        kept = self.store.put(sink.getvalue(), kind)
        self.files[kind].append(FileRef(uri=kept.uri, sha256=kept.sha256))

    def predictions(self, ids: Sequence[str], times: Sequence[int], **features: Sequence[object]) -> None:
        named = {f"f.{name}": values for name, values in features.items()}
        self.add("predictions", {"prediction_id": ids, "time": times, "source": ["producer"] * len(ids), **named})

    def labels(self, ids: Sequence[str], labels: Sequence[float], at: Sequence[int]) -> None:
        self.add("outcomes", {"prediction_id": ids, "time": [0] * len(ids), "label": labels, "labelled_at": at})

    def fetch(self, file: FileRef) -> bytes:
        return self.store.fetch(file.uri, file.sha256)

    def rows(self, start: int = 0, end: int = 100) -> pd.DataFrame:
        files = {kind: tuple(found) for kind, found in self.files.items()}
        snapshot = Snapshot(
            start=start, end=end, strategy="full", predictions=files["predictions"], outcomes=files["outcomes"]
        )
        return load_rows(snapshot, self.fetch)


def test_rows_are_labelled_predictions_in_order_of_time_and_id() -> None:
    archive = Archive()
    archive.predictions(["c", "b", "a", "unlabelled"], [20, 10, 10, 15], amount=[3.0, 2.0, 1.0, 4.0])
    archive.labels(["a", "b", "c", "unpredicted"], [0.0, 1.0, 1.0, 1.0], [1, 1, 1, 1])
    rows = archive.rows()
    assert rows["prediction_id"].tolist() == ["a", "b", "c"]
    assert rows["f.amount"].tolist() == [1.0, 2.0, 3.0]
    assert rows["label"].tolist() == [0.0, 1.0, 1.0]


def test_the_range_holds_its_start_and_not_its_end() -> None:
    archive = Archive()
    archive.predictions(["a", "b", "c"], [9, 10, 20])
    archive.labels(["a", "b", "c"], [0.0, 1.0, 1.0], [1, 1, 1])
    assert archive.rows(10, 20)["prediction_id"].tolist() == ["b"]


def test_the_first_prediction_and_the_last_label_count() -> None:
    archive = Archive()
    archive.predictions(["a"], [10], amount=[1.0])
    archive.predictions(["a"], [11], amount=[2.0])
    archive.labels(["a"], [1.0], [7])
    archive.labels(["a"], [0.0], [5])
    rows = archive.rows()
    assert rows[["time", "f.amount", "label", "labelled_at"]].to_numpy().tolist() == [[10, 1.0, 1.0, 7]]


def test_how_rows_were_cut_into_files_does_not_matter() -> None:
    one, two = Archive(), Archive()
    one.predictions(["a", "b"], [1, 2], amount=[1.0, None], country=["de", None])
    two.predictions(["a"], [1], amount=[1.0], country=["de"])
    two.predictions(["b"], [2], amount=[None], country=[None])
    for archive in (one, two):
        archive.labels(["a", "b"], [0.0, 1.0], [1, 1])
    pd.testing.assert_frame_equal(one.rows(), two.rows())


def test_a_feature_that_came_later_is_missing_before() -> None:
    archive = Archive()
    archive.predictions(["a"], [1], amount=[1.0])
    archive.predictions(["b"], [2], amount=[2.0], country=["de"])
    archive.labels(["a", "b"], [0.0, 1.0], [1, 1])
    columns = feature_columns(archive.rows())
    assert columns["country"] == [None, "de"]
    assert np.asarray(columns["amount"]).tolist() == [1.0, 2.0]


def test_a_feature_that_changed_its_type_is_text() -> None:
    archive = Archive()
    archive.predictions(["a"], [1], code=[7.5])
    archive.predictions(["b"], [2], code=["x"])
    archive.labels(["a", "b"], [0.0, 1.0], [1, 1])
    assert feature_columns(archive.rows())["code"] == ["7.5", "x"]


def test_no_files_are_no_rows() -> None:
    rows = Archive().rows()
    assert (len(rows), feature_columns(rows)) == (0, {})
    assert {"prediction_id", "time", "entity_id", "label", "labelled_at"} <= set(rows.columns)


def test_a_file_that_is_none_of_ours_is_refused() -> None:
    archive = Archive()
    kept = archive.store.put(b"no parquet", "predictions")
    archive.files["predictions"] = [FileRef(uri=kept.uri, sha256=kept.sha256)]
    with pytest.raises(InvalidError, match="not Parquet") as refusal:
        archive.rows()
    assert refusal.value.reason == "malformed"
    archive.files["predictions"] = []
    archive.add("predictions", {"prediction_id": ["a"]})
    with pytest.raises(InvalidError, match="lacks the columns time"):
        archive.rows()


def test_bytes_that_are_not_those_of_the_digest_are_refused() -> None:
    archive = Archive()
    archive.predictions(["a"], [1])
    (file,) = archive.files["predictions"]
    archive.store.kept[file.uri] += b"more"
    with pytest.raises(InvalidError, match="damaged or swapped"):
        archive.rows()
