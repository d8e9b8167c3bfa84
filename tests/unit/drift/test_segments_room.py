"""The room that folds rows counts the champion's by segment: however they come, and after a restart."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest

from everloop.events import OutcomesJoined
from everloop.profile import build_profile
from everloop.profile.segments import Given, with_segments
from everloop.rows import Rows
from everloop.runtime.log import Place
from everloop.sketch import Layout
from everloop_drift.adapters import wire
from everloop_drift.domain.cells import Cell, Key
from everloop_drift.domain.lane import Lane
from everloop_drift.domain.rules import WindowRules

HOUR = 3_600_000
RULES = WindowRules.of_payload({"task": "binary", "windows": {"every": "1h"}})
ROWS = 600


def layout(*, split: bool = True) -> Layout:
    """Segments of w, which the model uses, and of region, which it does not."""
    rng = np.random.default_rng(2)
    columns: dict[str, Any] = {"n": rng.normal(size=400), "w": rng.choice(["a", "b"], 400).tolist()}
    by, scores = {"w": columns["w"], "region": ["north"] * 300 + ["south"] * 100}, rng.random(400)
    profile = build_profile(columns, scores=scores).model_copy(update={"ignored": ("region",)})
    if split:
        profile = with_segments(profile, 5, Given(by, columns), Given(by, {"score": scores}))
    return Layout.of(profile)


LAYOUT = layout()
RNG = np.random.default_rng(9)
N, W = RNG.normal(size=ROWS).tolist(), RNG.choice(["a", "b", "c"], ROWS).tolist()
REGION = RNG.choice(["north", "south", "east"], ROWS).tolist()
SCORES = RNG.random(ROWS).tolist()


def a_record(low: int, high: int, *, arm: str = "champion", region: bool = True, **more: Any) -> Rows:  # noqa: ANN401
    features = {"n": N[low:high], "w": W[low:high], **({"region": REGION[low:high]} if region else {}), **more}
    ids = [str(row) for row in range(low, high)]
    return Rows(f"{low}", "m", ids, [1] * (high - low), features, version="1", arm=arm, score=SCORES[low:high])


def taken(*records: Rows, layouts: Layout = LAYOUT) -> dict[Key, Cell]:
    lane = Lane("inputs")
    for lane.offset, one in enumerate(records):
        lane.take_rows(one, RULES, {"1": layouts})
    lane.settle({"m": {"1": layouts}})
    return lane.cells


def sketch(cells: dict[Key, Cell]) -> bytes:
    (cell,) = cells.values()
    assert cell.inputs is not None
    return orjson.dumps(cell.inputs.to_plain(), option=orjson.OPT_SERIALIZE_NUMPY)


def segment_rows(cell: Cell) -> list[int] | None:
    assert cell.inputs is not None
    return None if cell.inputs.segments is None else cell.inputs.segments.rows.tolist()


@pytest.mark.parametrize("size", [1, 7, 16, 100])
def test_records_of_any_size_are_counted_alike(size: int) -> None:
    parts = [a_record(low, min(ROWS, low + size)) for low in range(0, ROWS, size)]
    cells = taken(*parts)
    assert sketch(cells) == sketch(taken(a_record(0, ROWS)))
    (cell,) = cells.values()
    expected = [W.count(name) for name in ("a", "b", "c")], [REGION.count(name) for name in ("north", "south", "east")]
    found = segment_rows(cell)
    assert found is not None
    assert (sorted(found[:2]), found[2]) == (sorted(expected[0][:2]), expected[0][2])
    assert found[3:] == expected[1]


def test_a_small_record_without_the_column_is_other_beside_those_with_it() -> None:
    (cell,) = taken(a_record(0, 5, region=False), a_record(5, 10), a_record(10, 40, region=False)).values()
    found = segment_rows(cell)
    north, south = (REGION[5:10].count(name) for name in ("north", "south"))
    assert found is not None
    assert found[3:] == [north, south, 40 - north - south]


def test_the_champions_rows_with_the_profiles_columns_have_segments_and_no_others() -> None:
    cells = taken(a_record(0, 20), a_record(20, 40, arm="candidate"), a_record(40, 60, added=[1] * 20))
    shown = {(key.arm, key.schema.added): segment_rows(cell) is not None for key, cell in cells.items()}
    assert shown == {("champion", ()): True, ("candidate", ()): False, ("champion", ("added",)): False}


def test_without_segments_nothing_of_them_is_counted_or_written() -> None:
    plain = layout(split=False)
    cells = taken(a_record(0, ROWS), layouts=plain)
    assert b"segments" not in sketch(cells)
    assert list(orjson.loads(sketch(cells))) == ["rows", "cells", "lost", "first", "second"]


def test_a_cell_that_was_published_goes_on_as_if_nothing_had_been() -> None:
    ((key, cell),) = taken(a_record(0, 300)).items()
    cell.offset = 0
    message = wire.cell_message(Place("everloop.predictions.v1", 0), key, cell, wire.Writer("r", wire.EPOCH))
    lane = Lane("inputs", offset=1)
    lane.bring_back(key, wire.read_cell(message.value or b"", LAYOUT))
    lane.take_rows(a_record(300, ROWS), RULES, {"1": LAYOUT})
    lane.settle({"m": {"1": LAYOUT}})
    assert sketch(lane.cells) == sketch(taken(a_record(0, ROWS)))


# --------------------------------------------------------------------------------------------------------- labels


def labels(low: int, high: int, *, arm: str = "champion", carried: tuple[str, ...] = ("w", "region")) -> OutcomesJoined:
    rows, values = range(low, high), {"w": W, "region": REGION}
    return OutcomesJoined.named(
        f"{low}/{arm}", wire.EPOCH, "m", source="serving", version="1", arm=arm,
        prediction_id=[str(row) for row in rows], times=[1] * len(rows), bucket=[0] * len(rows),
        score=SCORES[low:high], label=[row % 2 for row in rows], labelled_at=[2] * len(rows),
        segments={name: values[name][low:high] for name in carried} or None,
    )  # fmt: skip


def labelled(*events: OutcomesJoined, layouts: Layout = LAYOUT, lane: Lane | None = None) -> dict[Key, Cell]:
    lane = lane or Lane("outcomes")
    for one in events:
        lane.offset += 1
        lane.take_labels(one, RULES, {"1": layouts})
    return lane.cells


def counted(cells: dict[Key, Cell]) -> bytes:
    (cell,) = cells.values()
    assert cell.segments is not None
    return orjson.dumps(cell.segments.to_plain(), option=orjson.OPT_SERIALIZE_NUMPY)


def test_labels_are_counted_by_segment_however_they_come() -> None:
    parts = [labels(low, min(ROWS, low + 70)) for low in range(0, ROWS, 70)]
    cells = labelled(*parts)
    assert counted(cells) == counted(labelled(labels(0, ROWS)))
    (cell,) = cells.values()
    assert cell.segments is not None
    assert cell.labelled is not None
    assert [cell.segments.covers(split, cell.labelled.rows) for split in LAYOUT.splits] == [True, True]
    assert cell.segments.rows.tolist()[3:] == [REGION.count(name) for name in ("north", "south", "east")]


def test_only_the_champions_labels_are_and_only_what_they_carry() -> None:
    cells = labelled(labels(0, 50), labels(50, 100, arm="candidate"), labels(100, 150, carried=("w",)))
    shown = {key.arm: cell.segments for key, cell in cells.items()}
    assert shown["candidate"] is None
    assert shown["champion"] is not None
    assert [shown["champion"].covers(split, 100) for split in LAYOUT.splits] == [True, False]
    plain = labelled(labels(0, 50, carried=()), labels(50, 100, carried=()))
    assert [cell.segments for cell in plain.values()] == [None]
    unsplit = labelled(labels(0, 50), layouts=layout(split=False))
    assert [cell.segments for cell in unsplit.values()] == [None]


def test_a_cell_of_labels_that_was_published_goes_on_as_if_nothing_had_been() -> None:
    ((key, cell),) = labelled(labels(0, 300)).items()
    cell.offset = 0
    message = wire.cell_message(Place("everloop.outcomes.v1", 0), key, cell, wire.Writer("r", wire.EPOCH))
    lane = Lane("outcomes", offset=0)
    lane.bring_back(key, wire.read_cell(message.value or b"", LAYOUT))
    assert counted(labelled(labels(300, ROWS), lane=lane)) == counted(labelled(labels(0, ROWS)))
