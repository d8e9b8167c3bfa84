"""Whoever builds a matrix gives the same rows, the same digest and the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everloop.matrix import LocalBuilder, Matrix, MatrixBuilder
from tests.unit.matrix.archive import Archive, PandasBuilder

BUILDERS: tuple[MatrixBuilder, ...] = (LocalBuilder(), PandasBuilder())
builders = pytest.mark.parametrize("builder", BUILDERS, ids=lambda one: type(one).__name__)


def rows(matrix: Matrix) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(matrix.path).to_pylist()
    return found


@builders
def test_only_labels_known_at_the_moment_are_there(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    archive.predictions(["later", "a", "b", "c"], [51, 10, 20, 30])
    archive.labels(["a", "a", "b", "c", "later"], [0.0, 1.0, 1.0, 1.0, 1.0], [40, 51, 50, 51, 50])
    matrix = builder.build(archive.snapshot(as_of=50), archive.fetch, tmp_path / "m")
    assert [(row["prediction_id"], row["label"], row["labelled_at"]) for row in rows(matrix)] == [
        ("a", 0.0, 40),
        ("b", 1.0, 50),
    ]


@builders
def test_what_came_later_leaks_into_no_past_moment(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    archive.predictions(["a", "b"], [10, 20], amount=[1.0, 2.0])
    archive.labels(["a", "b"], [0.0, 1.0], [30, 31])
    before = builder.build(archive.snapshot(as_of=40), archive.fetch, tmp_path / "before")
    archive.predictions(["new", "a"], [41, 41], amount=[3.0, 9.0], other=["x", "y"])
    archive.labels(["new", "a", "b"], [1.0, 1.0, 0.0], [41, 41, 41])
    after = builder.build(archive.snapshot(as_of=40), archive.fetch, tmp_path / "after")
    assert (after.content, after.path.read_bytes()) == (before.content, before.path.read_bytes())


@builders
def test_only_the_newest_rows_are_left(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    archive.predictions(["c", "b", "a", "d", "none"], [10, 20, 20, 5, 30])
    archive.labels(["a", "b", "c", "d"], [0.0, 1.0, 1.0, 1.0], [40] * 4)
    matrix = builder.build(archive.snapshot(rows=2), archive.fetch, tmp_path / "m")
    assert [row["prediction_id"] for row in rows(matrix)] == ["a", "b"]


@builders
def test_of_two_labels_at_once_the_last_in_the_log_counts(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    archive.predictions(["a"], [10])
    archive.labels(["a", "a"], [0.0, 1.0], [40, 40])
    archive.labels(["a"], [3.0], [40])
    assert rows(builder.build(archive.snapshot(), archive.fetch, tmp_path / "m"))[0]["label"] == 3.0


@builders
def test_features_whose_names_differ_in_case_are_two(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    archive.predictions(["a"], [1], amount=[1.0], Amount=["x"], LABEL=[5.0])
    archive.predictions(["b"], [2], AMOUNT=[3.0])
    archive.labels(["a", "b"], [0.0, 1.0], [1, 1])
    found = [
        {name: value for name, value in row.items() if name.startswith("f.")}
        for row in rows(builder.build(archive.snapshot(), archive.fetch, tmp_path / "m"))
    ]
    assert found == [
        {"f.AMOUNT": None, "f.Amount": "x", "f.LABEL": 5.0, "f.amount": 1.0},
        {"f.AMOUNT": 3.0, "f.Amount": None, "f.LABEL": None, "f.amount": None},
    ]


@builders
def test_a_feature_of_which_no_row_has_a_value_is_none(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    archive.predictions(["a", "b"], [1, 50], amount=[1.0, 2.0], old=[None, "x"])
    archive.labels(["a", "b"], [0.0, 1.0], [1, 1])
    matrix = builder.build(archive.snapshot(0, 10), archive.fetch, tmp_path / "m")
    assert pq.read_schema(matrix.path).names[-3:] == ["f.amount", "label", "labelled_at"]


def test_names_are_no_query(tmp_path: Path) -> None:
    archive, named = Archive(), {'x" FROM nowhere; --': ["1"], "it's": ["x"]}
    archive.predictions(["a"], [1], **named)
    archive.labels(["a"], [0.0], [1])
    folder = tmp_path / "it's here"
    folder.mkdir()
    matrix = LocalBuilder(folder).build(archive.snapshot(), archive.fetch, folder / "m")
    assert rows(matrix)[0] | {'f.x" FROM nowhere; --': "1", "f.it's": "x"} == rows(matrix)[0]
    assert [path.name for path in folder.iterdir()] == ["m"]


def test_more_than_fits_into_memory_spills_and_is_the_same(tmp_path: Path) -> None:
    archive, rows_per_file = Archive(), 20_000
    for number in range(6):
        ids = [f"{number}-{place:06}-" + "x" * 40 for place in range(rows_per_file)]
        times = [(place * 7919) % 100 for place in range(rows_per_file)]
        numbers = {f"n{one}": [one / (place + 1) for place in range(rows_per_file)] for one in range(12)}
        archive.predictions(ids, times, **numbers)
        archive.labels(ids, [1.0] * rows_per_file, times)
    little = LocalBuilder(tmp_path, memory_mb=64).build(archive.snapshot(), archive.fetch, tmp_path / "little")
    much = LocalBuilder(tmp_path).build(archive.snapshot(), archive.fetch, tmp_path / "much")
    assert (little.rows, little.content) == (6 * rows_per_file, much.content)
    assert little.path.read_bytes() == much.path.read_bytes()


@dataclass(frozen=True)
class Drawn:
    """Rows of files: (id, time, number, text) and (id, label, labelled_at); the second file's `mixed` is text."""

    predictions: Sequence[Sequence[tuple[str, int, float | None, str | None]]]
    outcomes: Sequence[Sequence[tuple[str, float, int]]]

    def archive(self) -> Archive:
        archive = Archive()
        for place, file in enumerate(self.predictions):
            ids, times, numbers, texts = zip(*file, strict=True) if file else ((), (), (), ())
            mixed = pa.array(numbers, pa.float64()) if place % 2 else pa.array(texts, pa.string())
            columns = {"prediction_id": pa.array(ids, pa.string()), "time": pa.array(times, pa.int64())}
            columns |= {"f.n": pa.array(numbers, pa.float64()), "f.mixed": mixed}
            archive.add("predictions", pa.table(columns | ({"f.t": pa.array(texts, pa.string())} if place else {})))
        for labels in self.outcomes:
            ids, values, at = zip(*labels, strict=True) if labels else ((), (), ())
            columns = {"prediction_id": pa.array(ids, pa.string()), "time": pa.array(at, pa.int64())}
            columns |= {"label": pa.array(values, pa.float64()), "labelled_at": pa.array(at, pa.int64())}
            archive.add("outcomes", pa.table(columns))
        return archive


IDS = st.sampled_from(["a", "b", "B", "ä", "aa", "z", "𝄞", "｡"])  # the last two in UTF-16 are the other way round
TIMES = st.integers(0, 20)
NUMBERS = st.none() | st.sampled_from([0.0, -0.0, 7.0, 0.1, 1e20, 1e-7, float("nan"), float("inf")])
TEXTS = st.none() | st.sampled_from(["", "7", "7.0", "de", "é", "x" * 40])
DRAWN = st.builds(
    Drawn,
    st.lists(st.lists(st.tuples(IDS, TIMES, NUMBERS, TEXTS), max_size=8), max_size=4),
    st.lists(st.lists(st.tuples(IDS, st.sampled_from([0.0, 1.0, 2.5]), TIMES), max_size=8), max_size=3),
)


@settings(max_examples=40, deadline=None)
@given(drawn=DRAWN, bounds=st.tuples(TIMES, TIMES), as_of=st.none() | TIMES, rows=st.none() | st.integers(0, 5))
def test_both_builders_agree_before_and_after_compaction(
    drawn: Drawn, bounds: tuple[int, int], as_of: int | None, rows: int | None
) -> None:
    archive = drawn.archive()
    start, end = min(bounds), max(bounds)
    with TemporaryDirectory() as folder:
        built = [
            builder.build(one.snapshot(start, end, as_of=as_of, rows=rows), one.fetch, Path(folder, f"{number}"))
            for number, (builder, one) in enumerate(
                (builder, one) for builder in BUILDERS for one in (archive, archive.compacted())
            )
        ]
        assert len({(matrix.rows, matrix.content, matrix.path.read_bytes()) for matrix in built}) == 1
