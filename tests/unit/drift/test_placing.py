"""A row falls into a slice by its own time alone; whether that is open or closed follows from the watermark."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop_drift.domain.placing import AHEAD_MS, Slice, place
from everloop_drift.domain.rules import WindowRules

HOUR, MINUTE = 3_600_000, 60_000
RULES = WindowRules(
    every=HOUR, size=HOUR, rows=None, sliding=False, grace=2 * MINUTE, horizon=3 * HOUR, revise=0, task="binary"
)
REVISED = replace(RULES, revise=HOUR)
NOON = 400_000 * HOUR
TIMES = st.integers(NOON - 5 * HOUR, NOON + 30 * HOUR)


def test_rows_of_one_slice_stay_together() -> None:
    assert place([NOON, NOON + HOUR - 1], NOON, RULES, "inputs").rows == {Slice(NOON, NOON + HOUR, 0): None}


def test_rows_of_several_slices_are_told_apart() -> None:
    placed = place([NOON + HOUR, NOON, NOON + 1], NOON, RULES, "inputs")
    assert placed.rows == {Slice(NOON + HOUR, NOON + 2 * HOUR, 0): [0], Slice(NOON, NOON + HOUR, 0): [1, 2]}


@pytest.mark.parametrize(
    ("watermark", "kind", "rules", "revision"),
    [
        (None, "inputs", RULES, 0),
        (NOON + HOUR + 2 * MINUTE - 1, "inputs", RULES, 0),
        (NOON + HOUR + 2 * MINUTE, "inputs", RULES, None),
        (NOON + HOUR + 2 * MINUTE, "inputs", REVISED, 1),
        (NOON + 2 * HOUR + 2 * MINUTE - 1, "inputs", REVISED, 1),
        (NOON + 2 * HOUR + 2 * MINUTE, "inputs", REVISED, None),
        (NOON + 4 * HOUR - 1, "outcomes", RULES, 0),
        (NOON + 4 * HOUR, "outcomes", RULES, None),
        (NOON + 4 * HOUR, "outcomes", REVISED, 1),
    ],
)
def test_a_slice_is_open_then_revised_then_closed(
    watermark: int | None, kind: str, rules: WindowRules, revision: int | None
) -> None:
    placed = place([NOON + 5], watermark, rules, "inputs" if kind == "inputs" else "outcomes")
    assert list(placed.rows) == ([] if revision is None else [Slice(NOON, NOON + HOUR, revision)])
    assert list(placed.late) == ([0] if revision is None else [])
    assert placed.behind(1) == ([] if revision == 0 else [0])


def test_a_row_dated_years_ahead_is_implausible_and_takes_no_other_with_it() -> None:
    placed = place([NOON, NOON + 10 * 365 * 24 * HOUR, 1 << 80], NOON, RULES, "inputs")
    assert (placed.implausible, placed.rows) == (2, {Slice(NOON, NOON + HOUR, 0): [0]})
    assert place([NOON + AHEAD_MS], NOON, RULES, "inputs").implausible == 0
    assert place([NOON + AHEAD_MS + 1], NOON, RULES, "inputs").implausible == 1


def test_where_a_slice_is_longer_than_a_day_rows_may_be_a_slice_ahead() -> None:
    weekly = replace(RULES, every=7 * 24 * HOUR, size=7 * 24 * HOUR)
    assert place([NOON + 7 * 24 * HOUR], NOON, weekly, "inputs").implausible == 0
    assert place([NOON + 7 * 24 * HOUR + 1], NOON, weekly, "inputs").implausible == 1


def test_a_record_without_rows_goes_nowhere() -> None:
    assert place([], NOON, RULES, "inputs").rows == {}


@given(times=st.lists(TIMES, max_size=12), watermark=st.none() | TIMES, revise=st.sampled_from([0, HOUR, 5 * HOUR]))
def test_each_row_has_one_fate_whatever_record_it_comes_in(
    times: list[int], watermark: int | None, revise: int
) -> None:
    rules = replace(RULES, revise=revise)
    whole, alone = place(times, watermark, rules, "inputs"), [place([one], watermark, rules, "inputs") for one in times]
    assert [*whole.late] == [row for row, one in enumerate(alone) if one.late]
    assert whole.behind(len(times)) == [row for row, one in enumerate(alone) if one.behind(1)]
    assert whole.implausible == sum(one.implausible for one in alone)
    fates = {row: where for where, rows in whole.rows.items() for row in (range(len(times)) if rows is None else rows)}
    assert fates == {row: where for row, one in enumerate(alone) for where in one.rows}
    assert len(fates) + len(whole.late) + whole.implausible == len(times)
