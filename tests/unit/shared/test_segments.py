"""Rows counted by the values of a column: each row in exactly one segment, in any order and any batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.errors import InvalidError
from everloop.profile import Profile, build_profile, segments
from everloop.profile.segments import Given, bins_of, unpack, with_segments
from everloop.sketch import Inputs, Layout
from tests.unit.shared.test_inputs import ANY

ROW = st.tuples(ANY, st.sampled_from(["a", "b", "c", "new", None, 1, True]), ANY, st.floats(0, 1) | st.none())


def a_profile(most: int = 2, **declared: Any) -> Profile:  # noqa: ANN401  # raw data
    """Columns n (numbers), w (texts) and i (few whole numbers); segments of w and i, or of what is declared."""
    rng = np.random.default_rng(3)
    columns: dict[str, Any] = {
        "n": rng.normal(size=600), "w": ["a"] * 300 + ["b"] * 200 + ["c"] * 100, "i": np.arange(600) % 4 + 0.0,
    }  # fmt: skip
    scores = rng.uniform(size=600)
    by = declared or {"w": columns["w"], "i": columns["i"]}
    profile = build_profile(columns, scores=scores)
    return with_segments(profile, most, Given(by, columns), Given(by, {"score": scores}))


PROFILE = a_profile()
LAYOUT = Layout.of(PROFILE)
WIDTH = LAYOUT.cells + LAYOUT.columns


def counted(rows: list[tuple[Any, ...]], layout: Layout = LAYOUT) -> Inputs:
    made = Inputs(layout, segmented=True)
    n, w, i, scores = ([row[place] for row in rows] for place in range(4))
    made.add({"n": n, "w": w, "i": i}, scores, len(rows))
    return made


def written(inputs: Inputs) -> bytes:
    return orjson.dumps(inputs.to_plain(), option=orjson.OPT_SERIALIZE_NUMPY)


def assert_added_up(whole: Inputs) -> None:
    """The segments of each column are the whole."""
    assert whole.segments is not None
    for split in LAYOUT.splits:
        mine = slice(split.first, split.other + 1)
        assert whole.segments.rows[mine].sum() == whole.rows
        cells = whole.segments.cells[mine].sum(axis=0)
        assert cells[: LAYOUT.cells].tolist() == whole.cells.tolist()
        assert cells[LAYOUT.cells :].tolist() == whole.lost[:3].sum(axis=0).tolist()
        assert whole.segments.first[mine].sum(axis=0).tolist() == whole.first.tolist()
        low, high = whole.segments.second[:, mine].sum(axis=1)
        squares = [int(a) + (int(b) << 32) for a, b in zip(low, high, strict=True)]
        assert squares == [int(a) + (int(b) << 32) for a, b in zip(*whole.second, strict=True)]


@given(st.lists(ROW, min_size=1, max_size=30), st.integers(0, 30), st.randoms())
def test_each_row_is_in_one_segment_and_batches_and_order_change_no_byte(
    rows: list[tuple[Any, ...]],
    cut: int,
    order: Any,  # noqa: ANN401  # `random.Random`
) -> None:
    whole = counted(rows)
    assert_added_up(whole)
    shuffled = list(rows)
    order.shuffle(shuffled)
    merged = Inputs(LAYOUT)
    for part in (shuffled[cut:], shuffled[:cut]):
        if part:
            merged.merge(Inputs.from_plain(LAYOUT, orjson.loads(written(counted(part)))))
    assert written(merged) == written(whole)


def test_a_value_has_the_segment_of_the_reference() -> None:
    seen = counted([(0.5, "a", 1, 0.1), (0.5, "b", 1.0, 0.1), (0.5, "c", True, 0.1), (0.5, None, "1", 0.1),
                    (0.5, "new", 0, 0.1), (0.5, 1, 7, 0.1)])  # fmt: skip
    assert seen.segments is not None
    assert [one.values for one in PROFILE.segments] == [("a", "b"), ("0", "1")]
    assert seen.segments.rows.tolist() == [1, 1, 4, 1, 3, 2]


def test_a_hundred_thousand_values_are_the_most_frequent_ones_and_other() -> None:
    ids = [f"id-{row}" for row in range(100_000)]
    declared = {"id": [*ids, *["often"] * 5, *["twice"] * 2]}
    rows = len(declared["id"])
    profile = build_profile({"n": np.zeros(rows)}, scores=np.zeros(rows))
    made = with_segments(profile, 2, Given(declared, {"n": np.zeros(rows)}), Given(declared, {"score": np.zeros(rows)}))
    assert [(one.values, one.rows) for one in made.segments] == [(("often", "twice"), (5, 2, 100_000))]
    layout = Layout.of(made)
    seen = Inputs(layout, segmented=True)
    seen.add({"n": np.zeros(100_001), "id": [*ids, "often"]}, np.zeros(100_001), 100_001)
    assert seen.segments is not None
    assert seen.segments.rows.tolist() == [1, 0, 100_000]
    assert seen.segments.cells.size == 3 * (layout.cells + layout.columns)


def test_segments_of_the_reference_add_up_to_it() -> None:
    for one in PROFILE.segments:
        found = unpack(one, PROFILE)
        whole = [count for column in (*PROFILE.columns, PROFILE.score) for count in column.counts]
        assert found.counts.sum(axis=0).tolist() == whole
        assert sum(one.rows) == PROFILE.rows
    a, _, _ = unpack(PROFILE.segments[0], PROFILE).moments[:, 0]
    first = np.random.default_rng(3).normal(size=600)[:300]
    assert a.tolist() == pytest.approx([first.mean(), first.std()])
    assert np.isnan(unpack(PROFILE.segments[0], PROFILE).moments[:, 1]).all(), "texts have no mean"


def test_many_different_numbers_have_no_segments() -> None:
    assert a_profile(n=np.arange(600) % segments.MOST_NUMBERS).segments
    assert not a_profile(n=np.arange(600) % (segments.MOST_NUMBERS + 1)).segments


def test_where_there_is_no_room_the_largest_segments_keep_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    width = bins_of(PROFILE) + segments.COLUMN_CELLS * (len(PROFILE.columns) + 1)
    monkeypatch.setattr(segments, "MOST_CELLS", 5 * width)
    kept = a_profile(most=100)
    assert [(one.column, one.values, sum(one.rows)) for one in kept.segments] == [
        ("w", ("a", "b"), 600), ("i", ("0",), 600),
    ]  # fmt: skip
    monkeypatch.setattr(segments, "MOST_CELLS", 2 * width)
    assert not a_profile().segments


def test_counts_that_do_not_fit_are_malformed() -> None:
    plain = orjson.loads(written(counted([(0.5, "a", 1, 0.1)])))
    for name, wrong in (("rows", [1]), ("places", [10**6]), ("places", [-1]), ("counts", [1]), ("first", ["x"])):
        spoiled = {**plain, "segments": {**plain["segments"], name: wrong}}
        with pytest.raises(InvalidError):
            Inputs.from_plain(LAYOUT, spoiled)
