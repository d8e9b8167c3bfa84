"""Values of declared columns go with a prediction to its label, as they came and bounded; nothing of them without."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import JsonValue

from everloop import topics
from everloop.events import KeysRouted, LoopApplied, OutcomesJoined
from everloop.loop import Loop
from everloop.metrics import Metrics
from everloop.profile.cells import MAX_CATEGORY_LENGTH
from everloop.rows import Categories, rows_of
from everloop.runtime.data import DataService
from everloop.runtime.log import Place, Record
from everloop.runtime.memory import MemoryLog
from everloop_ingest.adapters.joins import JoinFold
from everloop_ingest.adapters.routes import RouteFold
from everloop_ingest.domain.declared import CARRIED, columns_in, declared_in, name_in, scalars, text_of, values_of
from tests.unit.ingest.builders import (
    LOOP,
    NOON,
    FakeWall,
    a_loop,
    a_range,
    keys_of,
    said,
    some_labels,
    some_predictions,
    write,
)

SHOP: dict[str, JsonValue] = {"columns": ["shop", "size"], "most": 5}


def a_segmented_loop() -> LoopApplied:
    loop = Loop.from_payload({**LOOP.to_payload(), "windows": {"every": "15m", "segments": SHOP}})
    return LoopApplied.named("fraud", NOON, "fraud", loop=loop.to_payload(), digest="0" * 64)


# ------------------------------------------------------------------------------------------------------ one value


def test_values_stay_as_they_came_and_what_has_no_segment_of_its_own_is_none() -> None:
    huge = 10**400
    given = ["x" * 999, True, 1, 1.0, 2.5, None, float("nan"), float("inf"), huge, ["list"], {"a": 1}]
    found = scalars(given, len(given))
    assert found == ["x" * MAX_CATEGORY_LENGTH, True, 1, 1.0, 2.5, None, None, None, None, None, None]
    assert [type(one) for one in found[1:4]] == [bool, int, float]


def test_columns_of_any_form_are_read_and_filled_up_or_cut() -> None:
    assert scalars(np.array([1.5, np.nan]), 3) == [1.5, None, None]
    assert scalars(Categories(np.array([0, -1], np.int32), ["a"]), 1) == ["a"]
    assert scalars(None, 2) == [None, None]


def test_a_text_holds_a_name_and_a_value_of_each_column() -> None:
    texts = [text_of(name, (["a", None], [1, 2.5]), row) for row, name in enumerate(["p\x00", ""])]
    assert [name_in(text) for text in texts] == ["p\x00", ""]
    assert columns_in(texts, ("shop", "size")) == {"shop": ["a", None], "size": [1, 2.5]}


def test_columns_of_other_lengths_are_refused() -> None:
    assert values_of({"shop": ["a"]}, 1) == (["a"],)
    assert values_of(None, 1) is None
    assert values_of({}, 1) is None
    with pytest.raises(ValueError, match="2"):
        values_of({"shop": ["a"]}, 2)


def test_a_loop_file_that_cannot_be_read_declares_nothing() -> None:
    assert declared_in(a_segmented_loop().loop) == ("shop", "size")
    assert declared_in({}) == ()
    assert declared_in({"windows": {"segments": {"columns": 1}}}) == ()


# ----------------------------------------------------------------------------------------------- the way of a row


def test_only_predictions_carry_them_and_history_does_not() -> None:
    event = some_predictions("a", "b", features={"shop": ("x", None)}, label=(1.0, None))
    (_, keys), (_, label) = keys_of(rows_of(event), declared=("shop", "size"))
    assert (keys.segments, label.segments) == ({"shop": ("x", None), "size": (None, None)}, None)
    ((_, old), _) = keys_of(rows_of(event.model_copy(update={"source": "bootstrap"})), declared=("shop",))
    assert old.segments is None


def the_outcomes(*steps: object, loops: tuple[LoopApplied | None, ...] = ()) -> list[OutcomesJoined]:
    """What the two rooms say of records, each taken alone; loops are applied before them, None takes one away."""
    broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
    log, wall, metrics = broker.client(), FakeWall(), Metrics()
    for loop in loops:
        write(log, topics.LOOPS, 0, loop or a_segmented_loop())
    rooms = [
        DataService(RouteFold(wall, metrics), log, replica="0"),
        DataService(JoinFold(wall, metrics), log, replica="0"),
    ]
    for step in steps:
        kind = topics.LABELS if hasattr(step, "labelled_at") else topics.PREDICTIONS
        write(log, kind, 0, step)  # type: ignore[arg-type]
        while any([room.step() for room in rooms]):  # noqa: C419 -- each of them
            pass
    assert not said(broker, topics.DLQ, KeysRouted)
    return sorted(said(broker, topics.OUTCOMES, OutcomesJoined), key=lambda one: one.prediction_id)


SHOPS = some_predictions("a", "b", features={"shop": ("x", "y"), "size": (1, 2.5)}, entity_id=("e", "f"))
TRUTH = some_labels(1.0, "a", "b", at=10)


def rows_in(found: list[OutcomesJoined]) -> dict[str, tuple[object, ...]]:
    return {
        name: tuple(column[row] for column in (one.segments or {}).values())
        for one in found for row, name in enumerate(one.prediction_id)
    }  # fmt: skip


@pytest.mark.parametrize("steps", [(SHOPS, TRUTH), (TRUTH, SHOPS), (SHOPS, a_range(1.0, "e", "f"))])
def test_outcomes_carry_them_whichever_way_labels_come(steps: tuple[object, ...]) -> None:
    found = the_outcomes(*steps, loops=(a_segmented_loop(),))
    assert rows_in(found) == {"a": ("x", 1), "b": ("y", 2.5)}
    assert {tuple(one.segments or ()) for one in found} == {("shop", "size")}


def test_many_rows_with_long_values_fit_into_records() -> None:
    names = [f"t{row}" for row in range(2500)]
    rows = some_predictions(*names, features={"shop": ("é" * 999,) * len(names), "size": tuple(range(len(names)))})
    parts = [keys for _, keys in keys_of(rows_of(rows), 1, declared=("shop", "size"))]
    assert [len(one.prediction_id) for one in parts] == [CARRIED, CARRIED, 500]
    assert len({one.id for one in parts}) == 3
    found = the_outcomes(rows, some_labels(1.0, *names, at=10), loops=(a_segmented_loop(),))
    assert max(len(one.prediction_id) for one in found) <= CARRIED
    assert len({one.id for one in found}) == len(found)
    assert {name: value[1] for name, value in rows_in(found).items()} == {name: row for row, name in enumerate(names)}


def test_of_predictions_with_one_id_the_first_counts() -> None:
    again = some_predictions("a", features={"shop": ("other",), "size": (9,)})
    assert rows_in(the_outcomes(SHOPS, again, TRUTH, loops=(a_segmented_loop(),)))["a"] == ("x", 1)


def test_without_declared_columns_nothing_is_carried() -> None:
    plain = the_outcomes(SHOPS, TRUTH)
    assert {one.segments for one in plain} == {None}
    declared = the_outcomes(SHOPS, TRUTH, loops=(a_segmented_loop(),))
    assert not {one.id for one in plain} & {one.id for one in declared}, "records of other groups have other ids"


def test_a_loop_that_is_taken_away_or_changed_declares_what_it_says_now() -> None:
    room, record = RouteFold(FakeWall(), Metrics()), Record(Place("loops", 0), 0, b"fraud", None)
    room.learn(record, a_segmented_loop())
    assert room.segments == {"fraud": ("shop", "size")}
    room.learn(record, a_loop())
    assert room.segments == {"fraud": ()}
    room.learn(record, a_segmented_loop())
    room.learn(record, None)
    assert room.segments == {}
