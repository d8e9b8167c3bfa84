"""What callers may give, that it is copied, and what they are told at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import orjson
import pandas as pd
import pytest

from everloop.client.batches import Batch, Made, as_rows, make
from everloop.client.limits import Limits
from everloop.client.values import About, Held, Prediction, Ranges, Row, hold, hold_labels, hold_ranges
from everloop.events import LabelsLogged, PredictionsLogged
from everloop_ingest.adapters.bodies import read_labels, read_predictions
from everloop_ingest.domain.reading import Stamp

ABOUT = About("predictions", "fraud", "1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_MS = 1_767_268_800_000
STAMP = Stamp("test", NOON)


def held(features: object, score: object = 0.5, **more: object) -> Held:
    given = Prediction(features, score, **{"time": NOON_MS, **more})  # type: ignore[arg-type]  # what is wrong is the test
    return hold(ABOUT, given, lambda rows: [f"new-{place}" for place in range(rows)])[0]


def rows(*calls: Held) -> list[Row]:
    return [row for call in calls for row in call.unfold(*call.parts)[1]]


def made(*calls: Held, limits: Limits | None = None) -> Made:
    ids = iter(map(str, range(1000)))
    unfolded = [
        (about, row, call.size / call.rows)
        for call in calls
        for about, found in [call.unfold(*call.parts)]
        for row in found
    ]
    return make(unfolded, limits or Limits(), lambda: next(ids), NOON_MS)


def columns(batch: Batch) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(batch.body)
    return found


@pytest.mark.parametrize(
    "features",
    [
        [{"a": 1, "b": "x"}, {"a": 2, "b": None}],
        ({"a": 1, "b": "x"}, {"a": 2, "b": None}),
        {"a": [1, 2], "b": ("x", None)},
        {"a": np.array([1, 2]), "b": ["x", None]},
        pd.DataFrame({"a": [1, 2], "b": pd.Series(["x", None], dtype=object)}),
        pd.DataFrame({"a": [1, 2], "b": pd.Series(["x", pd.NA], dtype="string")}),
    ],
)
@pytest.mark.parametrize("score", [[0.1, 0.2], (0.1, 0.2), np.array([0.1, 0.2]), pd.Series([0.1, 0.2], index=[7, 3])])
def test_many_rows_may_come_as_rows_columns_or_a_table(features: object, score: object) -> None:
    (batch,) = made(held(features, score)).batches
    assert columns(batch) | {"times": []} == {
        "version": "1",
        "prediction_id": ["new-0", "new-1"],
        "times": [],
        "features": {"a": [1, 2], "b": ["x", None]},
        "score": [0.1, 0.2],
    }


def test_one_row_has_values_and_one_score() -> None:
    (row,) = rows(held({"a": 1}, np.float32(0.5), prediction_id=7, entity_id="card", time=NOON, latency_ms=3))
    assert row == Row("7", NOON_MS, 0.5, {"a": 1}, "card", 3, None)


@pytest.mark.parametrize(("given", "said"), [(NOON, NOON_MS), (NOON_MS, NOON_MS), ("2026-01-01T12:00:00Z", NOON_MS)])
def test_a_time_has_a_zone_or_is_in_milliseconds(given: object, said: int) -> None:
    assert [row.time for row in rows(held([{}, {}], time=given))] == [said, said]


def test_a_row_whose_time_is_none_is_refused_and_costs_no_other() -> None:
    naive = datetime(2026, 1, 1, 12)  # noqa: DTZ001 -- that is what is wrong with it
    found = made(held([{"a": 1}, {"a": 2}, {"a": 3}], time=[NOON, naive, "soon"]))
    assert found.refused == 2
    assert columns(found.batches[0])["times"] == [NOON_MS]


def test_what_the_caller_changes_later_is_not_sent() -> None:
    row, listed, array, frame = {"a": 1.0}, [1.0], np.array([1.0]), pd.DataFrame({"a": [1.0]})
    calls = [held(row), held([row]), held({"a": listed}, [0.5]), held({"a": array}, array), held(frame, listed)]
    row["a"] = listed[0] = array[0] = 9.0
    frame.loc[0, "a"] = 9.0
    assert [one.features for one in rows(*calls)] == [{"a": 1.0}] * 5
    assert [one.score for one in rows(*calls)] == [0.5, 0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("features", "more", "error", "message"),
    [
        (7, {}, TypeError, "features: not rows: give"),
        ("text", {}, TypeError, "features: not rows: give"),
        ([1, 2], {}, TypeError, "features: not rows: give"),
        (np.zeros((2, 2)), {}, TypeError, "features: not rows: give"),
        ({"a": [1, 2], "b": [1]}, {"score": [1, 2]}, ValueError, "features: unequal columns: where"),
        ({"a": 1}, {"score": [1, 2]}, ValueError, "features: unequal columns: where"),
        ([{}, {}], {"score": [1]}, ValueError, "score: unequal columns: give one value for each of the 2 rows"),
        ([{}, {}], {"prediction_id": ["cnry"]}, ValueError, "prediction_id: unequal columns: give"),
        ({}, {"latency_ms": [1]}, ValueError, "features: unequal columns: these"),
        ([{}, {}], {"time": [1, 2, 3]}, ValueError, "time: unequal columns: give"),
    ],
)
def test_what_is_wrong_in_the_code_is_said_at_once(
    features: object, more: Mapping[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=rf"^{message}"):
        held(features, **more)


def test_labels_are_one_or_many() -> None:
    about = About("labels", "fraud")
    one = hold_labels(about, "a", True, NOON)  # noqa: FBT003 -- a label
    many = hold_labels(about, ["b", "c"], np.array([0, 1]), None)
    assert [(row.prediction_id, row.score) for row in rows(one, many)] == [("a", True), ("b", 0), ("c", 1)]
    with pytest.raises(ValueError, match=r"^label: unequal columns"):
        hold_labels(about, ["b", "c"], [1], None)


def test_values_of_many_types_become_those_of_json() -> None:
    given = {"f": np.float32(0.5), "i": np.int64(3), "d": Decimal("1.5"), "nan": float("nan"), "b": True, "n": pd.NaT}
    (batch,) = made(held(given, np.float64("nan"))).batches
    assert columns(batch)["features"] == {"f": [0.5], "i": [3], "d": [1.5], "nan": [None], "b": [True], "n": [None]}
    assert columns(batch)["score"] == [None]


class Odd:
    """A value of somebody's own, that fails when it is looked at."""

    def __str__(self) -> str:
        raise RuntimeError("cnry")


@pytest.mark.parametrize("value", [object(), 1 << 70, "\ud800", Odd()])
def test_a_row_that_cannot_be_written_is_refused_and_costs_no_other(value: object) -> None:
    found = made(held([{"a": 1}, {"a": value}, {"a": 3}]), held({"a": 4}, entity_id=Odd(), prediction_id="odd"))
    assert found.refused == 2
    assert columns(found.batches[0])["features"] == {"a": [1, 3]}


def test_labels_by_entity_name_a_time_range_and_the_front_door_takes_them() -> None:
    about = About("labels", "fraud", by_entity=True)
    one = hold_ranges(about, Ranges("card-7", NOON_MS, NOON, 1, NOON)._replace(end=NOON_MS + 5))
    many = hold_ranges(about, Ranges(["card-7", "card-8"], NOON, [NOON_MS + 1, NOON_MS + 2], [0, None], NOON))
    (batch,) = made(one, many).batches
    expected = {
        "entity_id": ["card-7", "card-7"], "start": [NOON_MS] * 2, "end": [NOON_MS + 5, NOON_MS + 1], "label": [1, 0],
        "labelled_at": [NOON_MS] * 2,
    }  # fmt: skip
    assert (columns(batch), made(one, many).refused) == (expected, 1)
    for body in ({"model": "fraud", **columns(batch)}, orjson.loads(as_rows(batch))):
        judged = read_labels(body, STAMP)
        assert isinstance(judged.event, LabelsLogged)
        assert (judged.accepted, judged.event.entity_id) == (2, ("card-7", "card-7"))


def test_labels_without_a_value_are_refused() -> None:
    found = made(hold_labels(About("labels", "fraud"), ["a", "b", "c"], [None, float("inf"), 1], None))
    assert (found.refused, columns(found.batches[0])["label"]) == (2, [1])


def test_a_batch_has_one_version_and_each_id_once_and_is_not_too_large() -> None:
    other = hold(ABOUT._replace(version="2"), Prediction({"a": 1}, 0.5, "x", time=1), lambda _: [])[0]
    calls = [held({"a": 1}, prediction_id="x"), other, held({"a": 2}, prediction_id="x"), held([{}] * 5)]
    found = made(*calls, limits=Limits(batch_rows=4)).batches
    assert [(columns(one)["version"], columns(one)["prediction_id"]) for one in found] == [
        ("1", ["x"]), ("1", ["x", "new-0", "new-1", "new-2"]), ("2", ["x"]), ("1", ["new-3", "new-4"]),
    ]  # fmt: skip
    small = made(held([{"a": "x" * 1000}] * 3), limits=Limits(batch_bytes=1500)).batches
    assert [batch.rows for batch in small] == [1, 1, 1]
    long = held(pd.DataFrame({"a": ["x" * 5_000] * 4}))
    assert [batch.rows for batch in made(long, limits=Limits(batch_bytes=6_000)).batches] == [2, 2]


def test_features_that_a_row_lacks_are_none_and_an_entity_is_its_id() -> None:
    (batch,) = made(
        held({"a": 1}, prediction_id="x"), held({"b": 2}, prediction_id="y", entity_id=7, status="error")
    ).batches
    assert columns(batch)["features"] == {"a": [1, None], "b": [None, 2]}
    assert columns(batch)["entity_id"] == ["x", "7"]
    assert columns(batch)["status"] == ["ok", "error"]


def test_the_front_door_reads_columns_and_rows_as_the_same() -> None:
    calls = [held({"a": 1}, prediction_id="x"), held({"b": "t"}, prediction_id="y", entity_id="e", latency_ms=1.5)]
    (batch,) = made(*calls).batches
    told = read_predictions({"model": "fraud", **columns(batch)}, STAMP)
    again = read_predictions(orjson.loads(as_rows(batch)), STAMP)
    assert told.wrong == again.wrong == {}
    assert isinstance(told.event, PredictionsLogged)
    assert told.event.model_copy(update={"status": ("ok", "ok")}) == again.event
    (labels,) = made(hold_labels(About("labels", "fraud"), ["a", "b"], [0, 1], NOON)).batches
    assert read_labels({"model": "fraud", **columns(labels)}, STAMP) == read_labels(
        orjson.loads(as_rows(labels)), STAMP
    )
