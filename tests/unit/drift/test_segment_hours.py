"""Segments are compared with what their reference would be at the window's hour, as the whole is with its own."""

from __future__ import annotations

import numpy as np
import pytest

from everloop import events as e
from everloop.profile.build import build_column
from everloop_drift.domain.segment_hours import at_the_hour
from everloop_drift.domain.segments import judge_segments
from tests.builders import a_loop
from tests.unit.drift.builders import a_side
from tests.unit.drift.segmented import Floats, a_segmented_arm, a_segmented_profile

DRAW = np.random.default_rng(11)
HOURS = np.repeat(np.arange(24), 250)
SWING = 2 * np.sin(2 * np.pi * HOURS / 24)
WHOLE = DRAW.normal(size=len(HOURS)) + SWING
COLUMN = build_column("amount", WHOLE)


def compared(hour: int) -> e.ColumnWindow:
    """The whole beside one of its hours."""
    near = a_side(COLUMN, WHOLE[hour == HOURS])
    overall = a_side(COLUMN, WHOLE)
    return e.ColumnWindow(
        name="amount", kind="numeric", current=near, reference=near, overall=overall, edges=COLUMN.edges
    )


def test_without_an_hour_a_reference_stays_as_it_is() -> None:
    side = a_side(COLUMN, WHOLE[:100])
    assert at_the_hour(compared(6).model_copy(update={"overall": None}), side) is side


def test_the_whole_becomes_its_hour_and_counts_as_no_more_rows() -> None:
    column = compared(6)
    assert column.overall is not None
    found = at_the_hour(column, column.overall)
    shares, expected = (np.array(one.counts) / sum(one.counts) for one in (found, column.reference))
    assert shares == pytest.approx(expected, abs=0.01)
    assert sum(found.counts) <= sum(column.reference.counts)
    assert (found.mean, found.deviation) == pytest.approx((column.reference.mean, column.reference.deviation))


def test_rows_without_a_value_are_as_many_as_the_hour_lets_expect() -> None:
    column = compared(6)
    assert column.overall is not None
    near = column.reference.model_copy(update={"missing": sum(column.reference.counts)})
    overall = column.overall.model_copy(update={"missing": sum(column.overall.counts) // 4})
    side = a_side(COLUMN, WHOLE[::10]).model_copy(update={"missing": len(WHOLE[::10]) // 4})
    found = at_the_hour(column.model_copy(update={"reference": near, "overall": overall}), side)
    assert found.missing == pytest.approx(sum(found.counts), rel=0.02)


@pytest.mark.parametrize(("moved", "verdict"), [(0.0, "stable"), (1.0, "drifted")])
def test_a_segment_that_swings_with_the_whole_is_stable_and_one_that_moves_is_found(moved: float, verdict: str) -> None:
    names = DRAW.choice(["u", "v"], len(HOURS))
    profile = a_segmented_profile("s", 5, 1 / (1 + np.exp(-WHOLE)), amount=WHOLE, s=names.tolist())
    hour, segment = 6, DRAW.choice(["u", "v"], 800)
    amount: Floats = DRAW.normal(size=800) + SWING[hour == HOURS][0] + moved * (segment == "u")
    arm = a_segmented_arm(profile, 1 / (1 + np.exp(-amount)), amount=amount, s=segment.tolist())
    mine = WHOLE[hour == HOURS]
    sides = {"amount": mine, "s": names[hour == HOURS].tolist(), "score": 1 / (1 + np.exp(-mine))}
    known = {one.name: one for one in (*profile.columns, profile.score)}

    def near(one: e.ColumnWindow) -> e.ColumnWindow:
        return one.model_copy(update={"reference": a_side(known[one.name], sides[one.name]), "overall": one.reference})

    assert arm.score is not None
    arm = arm.model_copy(update={"columns": tuple(map(near, arm.columns)), "score": near(arm.score)})
    said = {one.value: one.verdict for one in judge_segments(arm, a_loop(windows={"every": "1h", "min_rows": 50}))}
    assert said == {"u": verdict, "v": "stable"}
