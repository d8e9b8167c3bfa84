"""Which windows there are: by time or by rows, one after the other or sliding, revised once, and none without end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop_drift.domain.closing import (
    MOST_EMPTY,
    MOST_OWED,
    Bounds,
    Chain,
    Closing,
    closed,
    next_closing,
    passed_over,
)
from everloop_drift.domain.rules import WindowRules

HOUR = 60
"""An hour has sixty ms here."""
RULES = WindowRules(every=HOUR, size=HOUR, rows=None, sliding=False, grace=2, horizon=100, revise=0, task="binary")
SLIDING = replace(RULES, size=3 * HOUR, sliding=True)
BY_ROWS = replace(RULES, rows=100)
NEWEST_ROWS = replace(RULES, rows=100, sliding=True)


@dataclass
class Held:
    """Rows by the end of their slice."""

    slices: Mapping[int, int] = field(default_factory=dict)

    @property
    def begin(self) -> int | None:
        return min(self.slices, default=HOUR) - HOUR if self.slices else None

    @property
    def rows(self) -> Sequence[tuple[int, int]]:
        return sorted(self.slices.items())


def until(watermark: int, rules: WindowRules, slices: Mapping[int, int], chain: Chain | None = None) -> list[Closing]:
    """All that closes up to a watermark, of inputs and outcomes alike."""
    return following(watermark, rules, slices, chain or Chain())[0]


def following(
    watermark: int, rules: WindowRules, slices: Mapping[int, int], chain: Chain
) -> tuple[list[Closing], Chain]:
    found: list[Closing] = []
    while True:
        chain = passed_over(chain, rules, Held(slices), watermark)
        one = next_closing(chain, rules, Held(slices))
        if one is None or one.at > watermark:
            return found, chain
        rows = sum(rows for end, rows in slices.items() if one.bounds.start < end <= one.bounds.end)
        chain = closed(chain, one, rules, {"champion|1": rows})
        found.append(one)


def spans(closings: Sequence[Closing], kind: str = "inputs") -> list[tuple[int, int]]:
    return [(one.bounds.start // HOUR, one.bounds.end // HOUR) for one in closings if one.kind == kind]


def hours(*rows: int, start: int = 0) -> dict[int, int]:
    return {(start + place + 1) * HOUR: count for place, count in enumerate(rows) if count}


def test_windows_by_time_follow_one_another_and_silence_closes_them() -> None:
    assert spans(until(4 * HOUR + 2, RULES, hours(5, 0, 7))) == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_a_window_closes_when_the_watermark_has_passed_its_grace() -> None:
    assert until(HOUR + 1, RULES, hours(5)) == []
    (one,) = until(HOUR + 2, RULES, hours(5))
    assert (one.kind, one.at, one.revision) == ("inputs", HOUR + 2, 0)


def test_outcomes_close_with_the_bounds_of_their_window_after_the_horizon_with_what_was_predicted() -> None:
    found = until(HOUR + 100, RULES, hours(5))
    assert [(one.kind, one.bounds.end, one.at, one.predicted) for one in found] == [
        ("inputs", HOUR, HOUR + 2, None), ("inputs", 2 * HOUR, 2 * HOUR + 2, None),
        ("outcomes", HOUR, HOUR + 100, {"champion|1": 5}),
    ]  # fmt: skip


def test_sliding_windows_are_whole_and_each_has_its_new_slice() -> None:
    found = until(5 * HOUR + 2, SLIDING, hours(1, 1, 1, 1, 1))
    assert spans(found) == [(0, 3), (1, 4), (2, 5)]
    assert [one.bounds.fresh // HOUR for one in found if one.kind == "inputs"] == [0, 3, 4]


def test_a_window_by_rows_closes_at_the_first_boundary_where_it_has_them() -> None:
    assert spans(until(9 * HOUR, BY_ROWS, hours(60, 30, 50, 100, 0, 99))) == [(0, 3), (3, 4)]


def test_the_newest_rows_are_looked_at_whenever_new_ones_have_come() -> None:
    found = until(9 * HOUR, NEWEST_ROWS, hours(60, 60, 0, 30, 200))
    assert spans(found) == [(0, 2), (0, 4), (4, 5)]
    assert [one.bounds.fresh // HOUR for one in found if one.kind == "inputs"] == [0, 2, 4]


def test_by_rows_silence_closes_nothing() -> None:
    assert until(10**9, BY_ROWS, hours(99)) == []


def test_a_closed_window_is_revised_once() -> None:
    found = until(HOUR + 200, replace(RULES, revise=50), hours(5))
    revised = [(one.kind, one.bounds.end, one.at) for one in found if one.revision]
    assert revised == [
        ("inputs", HOUR, HOUR + 52), ("inputs", 2 * HOUR, 2 * HOUR + 52), ("outcomes", HOUR, HOUR + 150),
        ("inputs", 3 * HOUR, 3 * HOUR + 52),
    ]  # fmt: skip


def test_after_many_empty_windows_the_others_are_passed_over_until_rows_come() -> None:
    later = {(10_000) * HOUR: 5}
    found = until(10_003 * HOUR, RULES, {HOUR: 1} | later)
    said = spans(found)
    assert said[: MOST_EMPTY + 1] == [(hour, hour + 1) for hour in range(MOST_EMPTY + 1)]
    assert said[MOST_EMPTY + 1 :] == [(9_999, 10_000), (10_000, 10_001), (10_001, 10_002)]


@given(
    rows=st.lists(st.sampled_from([0, 0, 0, 40, 130]), min_size=1, max_size=250),
    stops=st.lists(st.integers(0, 260 * HOUR), max_size=6).map(sorted),
    rules=st.sampled_from(
        [RULES, SLIDING, BY_ROWS, NEWEST_ROWS, replace(RULES, revise=70), replace(SLIDING, horizon=2)]
    ),
)  # fmt: skip
def test_who_looks_often_closes_what_one_look_closes(rows: list[int], stops: list[int], rules: WindowRules) -> None:
    """Catching up, restarts and late readers change nothing: a slice is known when its watermark has passed."""
    slices, end = hours(*rows), 260 * HOUR
    if not slices:
        return
    chain, found = Chain(), list[Closing]()
    for stop in [*stops, end]:
        known = {slice_end: count for slice_end, count in slices.items() if slice_end + rules.grace <= stop}
        if known:
            more, chain = following(stop, rules, known, chain)
            found += more
    whole = until(end, rules, slices)
    assert found == whole
    assert [one.at for one in whole] == sorted(one.at for one in whole)


@given(st.lists(st.sampled_from([0, 40, 130]), min_size=1, max_size=40), st.sampled_from([RULES, BY_ROWS]))
def test_windows_that_follow_one_another_hold_each_slice_once(rows: list[int], rules: WindowRules) -> None:
    inputs = [one.bounds for one in until(41 * HOUR, rules, hours(*rows)) if one.kind == "inputs"]
    assert all(one.end == two.start for one, two in pairwise(inputs))
    assert all(one.fresh == one.start for one in inputs)


@pytest.mark.parametrize(
    ("rules", "kind", "needed_from"),
    [
        (RULES, "inputs", 5), (SLIDING, "inputs", 3), (BY_ROWS, "inputs", 5), (NEWEST_ROWS, "inputs", 4),
        (replace(RULES, revise=400), "inputs", 0), (RULES, "outcomes", 3),
        (replace(RULES, horizon=1000), "outcomes", 0),
    ],
)  # fmt: skip
def test_slices_are_needed_as_long_as_a_window_may_still_want_them(
    rules: WindowRules, kind: str, needed_from: int
) -> None:
    _, chain = following(5 * HOUR + 2, rules, hours(120, 120, 120, 120, 120), Chain())
    assert chain.needs("inputs" if kind == "inputs" else "outcomes", rules) == needed_from * HOUR


def test_before_the_first_window_all_is_needed() -> None:
    assert Chain().needs("inputs", RULES) is None


def test_a_change_of_the_rules_goes_on_where_the_old_ones_ended() -> None:
    """A slice is in the window in which it ends, so that no row is lost where slices of both lengths meet."""
    found, chain = following(5 * HOUR + 2, RULES, hours(1, 1, 1, 1, 1), Chain())
    assert spans(found)[-1] == (4, 5)
    longer = replace(RULES, every=4 * HOUR, size=4 * HOUR)
    assert spans(until(9 * HOUR, longer, hours(1, 1, 1, 1, 1), chain)) == [(4, 8)]
    shorter = replace(RULES, every=HOUR // 2, size=HOUR // 2)
    assert until(6 * HOUR + 2, shorter, hours(1, 1, 1, 1, 1), chain)[0].bounds == (5 * HOUR, 5 * HOUR + 30, 5 * HOUR)


def test_rows_by_segment_are_remembered_with_the_window_until_its_outcomes_and_no_more_than_there_is_room_for() -> None:
    chain, many = Chain(), [1] * (MOST_OWED // 2)
    for start in (0, HOUR, 2 * HOUR):
        closing = Closing("inputs", Bounds(start, start + HOUR, start), 0, start + HOUR + 2)
        chain = closed(chain, closing, RULES, {"champion|1": 5}, 5, {"1": many})
    assert [len(owed.segments.get("1", ())) for owed in chain.owed] == [MOST_OWED // 2, MOST_OWED // 2, 0]
    outcomes = next_closing(chain, RULES, Held({HOUR: 5}))
    assert outcomes is not None
    assert (outcomes.kind, outcomes.segments) == ("outcomes", {"1": many})
