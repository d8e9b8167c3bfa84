"""Labelled rows by segment: the same counts in any order and any parts, as integers that can be read again."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.errors import InvalidError
from everloop.profile import Profile, Task, build_profile
from everloop.profile.segments import Given, with_segments
from everloop.quality import estimates, of_segment
from everloop.sketch import GRID, Labelled, Layout, SegmentLabels
from everloop.sketch.segment_labels import MOST_PLACES, bins_of

RNG = np.random.default_rng(3)
SHOPS = RNG.choice(["a", "b", "c"], 600).tolist()
SIZES = RNG.integers(0, 3, 600).tolist()


def a_split_profile(scale: float = 1.0) -> Profile:
    """Segments of shop (texts, two of them named) and size (numbers)."""
    scores = RNG.random(600) * scale
    by, columns = {"shop": SHOPS, "size": SIZES}, {"x": RNG.normal(size=600)}
    return with_segments(build_profile(columns, scores=scores), 2, Given(by, columns), Given(by, {"score": scores}))


LAYOUT = Layout.of(a_split_profile())
WIDE = Layout.of(a_split_profile(50.0))
ROW = st.tuples(
    st.sampled_from(["a", "b", "c", None, 1, "new"]), st.sampled_from([0, 1.0, 2, True, None, "0"]),
    st.floats(0, 1) | st.just(float("nan")), st.sampled_from([0.0, 1.0, 2.0]),
)  # fmt: skip


def seen(rows: list[tuple[Any, Any, float, float]], task: Task = "binary", *names: str) -> SegmentLabels:
    """Rows counted one record after the other, 7 rows each."""
    made = SegmentLabels(LAYOUT, task)
    for low in range(0, len(rows), 7):
        shop, size, scores, labels = zip(*rows[low : low + 7], strict=True)
        columns = {"shop": shop, "size": size}
        made.add({name: columns[name] for name in names or columns}, np.array(scores), np.array(labels))
    return made


def plain(found: SegmentLabels) -> bytes:
    return orjson.dumps(found.to_plain(), option=orjson.OPT_SERIALIZE_NUMPY)


@given(
    st.lists(st.tuples(ROW, st.sampled_from([0.0, 1.0, 2.0])), max_size=30), st.sampled_from(["binary", "regression"])
)
def test_a_corrected_row_counts_once_with_its_last_label(pairs: list[Any], task: Task) -> None:
    rows, last = [row for row, _ in pairs], [(*row[:3], label) for row, label in pairs]
    corrected = seen(rows, task)
    if rows:
        shop, size, scores, _ = zip(*rows, strict=True)
        before, after = (np.array([row[3] for row in some]) for some in (rows, last))
        corrected.add({"shop": shop, "size": size}, np.array(scores), after, before)
    assert plain(SegmentLabels.from_plain(LAYOUT, orjson.loads(plain(corrected)))) == plain(corrected)
    assert corrected.sound
    found, wanted = corrected.to_plain(), seen(last, task).to_plain()
    assert found["rows"].tolist() == wanted["rows"].tolist()
    assert (found["places"].tolist(), found["counts"].tolist()) == (
        wanted["places"].tolist(), wanted["counts"].tolist(),
    )  # fmt: skip


@given(st.lists(ROW, max_size=40), st.integers(0, 40), st.sampled_from(["binary", "regression", "multiclass"]))
def test_parts_add_up_and_are_read_as_they_were_written(rows: list[Any], cut: int, task: Task) -> None:
    whole, first, second = seen(rows, task), seen(rows[:cut], task), seen(rows[cut:], task)
    second.merge(SegmentLabels.from_plain(LAYOUT, orjson.loads(plain(first))))
    assert plain(second) == plain(whole)
    usable = sum(score == score and (task != "binary" or label < 2) for _, _, score, label in rows)  # noqa: PLR0124
    assert [whole.covers(split, usable) for split in LAYOUT.splits] == [True, True]


def test_rows_stand_in_the_segments_that_inputs_would_have_put_them_in() -> None:
    rows = [("a", 0, 0.9, 1.0), ("new", 1.0, 0.2, 0.0), (None, "0", 0.4, 0.0), ("a", True, 0.7, 1.0)]
    found = seen(rows)
    splits = {split.name: found.rows[split.first : split.other + 1].tolist() for split in LAYOUT.splits}
    assert sum(splits["shop"]) == sum(splits["size"]) == len(rows)
    assert splits["shop"][-1] == 2, "new and none"
    assert splits["size"][-1] >= 1, "a text is no number"


def test_a_column_that_is_not_carried_has_no_rows() -> None:
    found = seen([("a", 0, 0.9, 1.0)] * 9, "binary", "shop")
    assert [found.covers(split, 9) for split in LAYOUT.splits] == [True, False]


def test_many_waiting_rows_are_counted_like_few() -> None:
    rows = [("a", 0, score, label) for score, label in zip(RNG.random(3000), RNG.integers(0, 2, 3000), strict=True)]
    one, many = SegmentLabels(LAYOUT, "binary"), seen(rows)
    shop, size, scores, labels = zip(*rows, strict=True)
    one.add({"shop": shop, "size": size}, np.array(scores), np.array(labels, dtype=float))
    assert plain(one) == plain(many)


def test_quality_is_that_of_the_rows() -> None:
    scores = RNG.random(4000)
    labels = (RNG.random(4000) < scores).astype(float)
    shop = np.array(["a", "b"])[RNG.integers(0, 2, 4000)]
    found = SegmentLabels(LAYOUT, "binary")
    found.add({"shop": shop.tolist()}, scores, labels)
    number = next(split for split in LAYOUT.splits if split.name == "shop").of(["a", "a"], 2)[0]
    times = np.zeros(4000, dtype=np.int64)
    mine = shop == "a"
    exact = estimates(Labelled.observe("binary", None, scores[mine], labels[mine], times[mine], times[mine]))["roc_auc"]
    assert of_segment(found, int(number)) == exact
    assert exact.rows == int(mine.sum())


def test_many_segments_are_counted_in_fewer_bins() -> None:
    assert [bins_of(segments) for segments in (1, 65, 66, 404, 10**6)] == [GRID, GRID, 500, 100, 100]
    assert all(segments * 2 * bins_of(segments) <= MOST_PLACES for segments in range(1, 405))


def test_a_regression_has_the_root_mean_square_error_of_each_segment() -> None:
    scores, labels = RNG.random(500) * 50, RNG.random(500) * 50
    found = SegmentLabels(WIDE, "regression")
    found.add({"shop": ["a"] * 200 + ["b"] * 300}, scores, labels)
    number = next(split for split in WIDE.splits if split.name == "shop").of(["a", "a"], 2)[0]
    measured = of_segment(found, int(number))
    assert measured is not None
    assert measured.value == pytest.approx(np.sqrt(np.mean((scores - labels)[:200] ** 2)), rel=1e-5)


def test_without_rows_of_both_classes_and_for_many_classes_there_is_no_quality() -> None:
    assert of_segment(seen([("a", 0, 0.5, 1.0)] * 9), 0) is None
    assert of_segment(seen([("a", 0, 0.5, 1.0)] * 9, "multiclass"), 0) is None
    assert of_segment(SegmentLabels(LAYOUT, "regression"), 0) is None


@pytest.mark.parametrize(
    "change",
    [
        {"rows": [1]}, {"task": "other"}, {"places": [5, 5], "counts": [1, 1]}, {"places": [-1], "counts": [1]},
        {"places": [10**9], "counts": [1]}, {"places": [1], "counts": []},
        {"residuals": {"999": {}}}, {"residuals": None}, {"task": None}, {"rows": "x"},
    ],
)  # fmt: skip
def test_what_is_no_sketch_of_these_segments_is_refused(change: dict[str, object]) -> None:
    good = orjson.loads(plain(seen([("a", 0, 0.5, 1.0)])))
    with pytest.raises(InvalidError):
        SegmentLabels.from_plain(LAYOUT, {**good, **change})


def test_other_segments_are_not_added() -> None:
    with pytest.raises(InvalidError):
        seen([("a", 0, 0.5, 1.0)]).merge(seen([("a", 0, 0.5, 1.0)], "regression"))
