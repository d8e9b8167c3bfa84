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
from everloop.matrix.building import memory_for
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


@builders
def test_only_rows_with_one_of_the_values_are_there(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    archive.predictions(
        ["a", "b", "c", "d"], [1, 2, 3, 4], country=["CH", "DE", "FR", None], level=[1.0, 1.0, 1.0, 1.0]
    )
    archive.predictions(["e"], [5], level=[2.0])
    archive.labels(list("abcde"), [0.0] * 5, [9] * 5)

    def found(**where: object) -> list[object]:
        snapshot = archive.snapshot(where=where)
        return [row["prediction_id"] for row in rows(builder.build(snapshot, archive.fetch, tmp_path / "m"))]

    assert found(country=["CH", "DE"]) == ["a", "b"]
    assert found(country=["CH", "DE", 7], level=[1, "CH"]) == ["a", "b"]
    assert found(level=[2.0]) == ["e"]
    assert found(country=["no' OR TRUE --"]) == found(nothing=["CH"]) == found(level=["1"]) == []


@builders
def test_a_golden_row_is_on_one_side_only(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    ids = [f"id-{place}" for place in range(60)]
    entities = [None if place < 20 else f"card-{place % 10}" for place in range(60)]
    columns = {"prediction_id": ids, "time": list(range(60)), "entity_id": entities}
    archive.add("predictions", pa.table(columns))
    archive.labels(ids, [1.0] * 60, [90] * 60)

    def found(golden: dict[str, object]) -> dict[object, object]:
        matrix = builder.build(archive.snapshot(golden=golden), archive.fetch, tmp_path / "m")
        return {row["prediction_id"]: row["entity_id"] for row in rows(matrix)}

    cases: list[dict[str, object]] = [{"share": 0.4}, {"start": 10, "end": 30}]
    for golden in cases:
        learned, kept = found(golden), found(golden | {"inside": True})
        assert len(learned) + len(kept) == 60
        assert min(len(learned), len(kept)) > 5
        assert not learned.keys() & kept.keys()
    learned, kept = found({"share": 0.4}), found({"share": 0.4, "inside": True})
    assert not set(filter(None, learned.values())) & set(filter(None, kept.values()))


@builders
def test_a_golden_entity_is_golden_for_ever(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    kept: set[object] = set()
    for batch in range(3):
        ids = [f"{batch}-{place}" for place in range(20)]
        columns = {"prediction_id": ids, "time": [batch] * 20, "entity_id": [f"card-{place}" for place in range(20)]}
        archive.add("predictions", pa.table(columns))
        archive.labels(ids, [1.0] * 20, [90] * 20)
        snapshot = archive.snapshot(golden={"share": 0.3, "inside": True})
        found = {row["entity_id"] for row in rows(builder.build(snapshot, archive.fetch, tmp_path / "m"))}
        assert found == (kept or found)
        kept = found
    assert 0 < len(kept) < 20


@builders
def test_what_was_in_the_training_rows_is_not_in_the_rows_after_them(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    archive.predictions(["a", "b"], [10, 20])
    archive.predictions(["a", "c"], [60, 60])
    archive.labels(["a", "b", "c"], [0.0, 1.0, 1.0], [70] * 3)
    held = builder.build(archive.snapshot(50, known_since=0), archive.fetch, tmp_path / "m")
    assert [row["prediction_id"] for row in rows(held)] == ["c"]


@builders
def test_older_rows_are_sampled_and_stand_for_all(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    ids = [f"{place:03}" for place in range(300)]
    labels = [float(place % 10 == 0) for place in range(300)]
    archive.predictions(ids, [place // 4 for place in range(300)])
    archive.labels(ids, labels, [90] * 300)

    def found(seed: int) -> list[dict[str, object]]:
        tail = {"before": 50, "rows": 30, "by": "label", "seed": seed}
        return rows(builder.build(archive.snapshot(tail=tail), archive.fetch, tmp_path / "m"))

    older = [row for row in found(7) if row["time"] < 50]  # type: ignore[operator]
    assert [row["weight"] for row in found(7) if row["time"] >= 50] == [1.0] * 100  # type: ignore[operator]
    for label, size in ((0.0, 180), (1.0, 20)):
        weights = [row["weight"] for row in older if row["label"] == label]
        assert weights == [size / 15] * 15
    assert {row["prediction_id"] for row in found(7)} != {row["prediction_id"] for row in found(8)}


@builders
def test_more_rows_beside_a_sample_do_not_change_who_is_drawn_first(builder: MatrixBuilder, tmp_path: Path) -> None:
    archive = Archive()
    ids = [f"{place:03}" for place in range(100)]
    archive.predictions(ids, [1] * 100)
    archive.labels(ids, [1.0] * 100, [90] * 100)

    def found(most: int) -> set[object]:
        snapshot = archive.snapshot(tail={"before": 50, "rows": most})
        return {row["prediction_id"] for row in rows(builder.build(snapshot, archive.fetch, tmp_path / "m"))}

    assert found(10) < found(40) < found(1000) == set(ids)


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
TAILS = st.fixed_dictionaries(
    {"before": TIMES, "rows": st.integers(1, 4)},
    optional={"by": st.sampled_from(["label", "n", "t", "nothing"]), "seed": TIMES},
)
GOLDEN = st.fixed_dictionaries({"share": st.sampled_from([0.2, 0.6]), "inside": st.booleans()}) | st.fixed_dictionaries(
    {"start": TIMES, "end": TIMES, "inside": st.booleans()}
)
WHERE = st.dictionaries(
    st.sampled_from(["n", "t"]), st.lists(st.sampled_from([7.0, 0.1, "7", "de"]), max_size=3), max_size=2
)
ASKED = st.fixed_dictionaries(
    {"start": st.integers(0, 8), "end": st.integers(6, 21)},
    optional={
        "as_of": TIMES, "rows": st.integers(0, 5), "tail": TAILS, "golden": GOLDEN, "where": WHERE,
        "known_since": st.integers(0, 8),
    },
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(drawn=DRAWN, asked=ASKED)
def test_both_builders_agree_before_and_after_compaction(drawn: Drawn, asked: dict[str, object]) -> None:
    archive = drawn.archive()
    with TemporaryDirectory() as folder:
        built = [
            builder.build(one.asked(asked), one.fetch, Path(folder, f"{number}"))
            for number, (builder, one) in enumerate(
                (builder, one) for builder in BUILDERS for one in (archive, archive.compacted())
            )
        ]
        assert len({(matrix.rows, matrix.content, matrix.path.read_bytes()) for matrix in built}) == 1


@pytest.mark.parametrize(("rows", "memory_mb"), [(0, 512), (20_000_000, 512), (50_000_000, 1_250), (10**9, 2_048)])
def test_many_rows_get_more_memory_up_to_a_bound(rows: int, memory_mb: int) -> None:
    assert memory_for(rows) == memory_mb
