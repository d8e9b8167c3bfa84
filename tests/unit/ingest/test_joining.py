"""What the join remembers, decides and forgets; how late the latest source makes it."""

from __future__ import annotations

from everloop.events import KeysRouted
from everloop.rows import rows_of
from everloop_ingest.domain.joining import HORIZON_MS, Join, Label, Watermarks, grouped, latest
from everloop_ingest.domain.routing import route
from tests.unit.ingest.builders import NOON_MS, some_labels, some_predictions

Rows = list[tuple[str, float, int]]


def _keys(*names: str, label: float | None = None, at: int = NOON_MS, version: str = "v1") -> KeysRouted:
    scored = rows_of(some_predictions(*names, version=version))
    ((_, keys),) = route(scored if label is None else some_labels(label, *names, at=at), 1, "origin")
    return keys


def _rows(join: Join, keys: KeysRouted, appended: int = 0) -> Rows:
    return [(row.prediction_id, row.label.value, row.label.labelled_at) for row in join.take(keys, appended)]


def test_a_label_after_its_prediction() -> None:
    join = Join()
    assert _rows(join, _keys("a", "b")) == []
    assert _rows(join, _keys("a", label=1.0)) == [("a", 1.0, NOON_MS)]


def test_a_label_before_its_prediction_waits() -> None:
    join = Join()
    assert _rows(join, _keys("a", label=1.0)) == []
    assert _rows(join, _keys("b", "a")) == [("a", 1.0, NOON_MS)]
    assert join.parked == {}


def test_a_correction_is_a_new_row_and_the_last_word_wins() -> None:
    join = Join()
    join.take(_keys("a"), 0)
    assert _rows(join, _keys("a", label=1.0, at=NOON_MS)) == [("a", 1.0, NOON_MS)]
    assert _rows(join, _keys("a", label=0.0, at=NOON_MS + 2)) == [("a", 0.0, NOON_MS + 2)]
    assert _rows(join, _keys("a", label=1.0, at=NOON_MS + 1)) == []
    assert join.counts["fraud"].duplicate == 1


def test_of_parked_labels_the_last_word_wins() -> None:
    join = Join()
    join.take(_keys("a", label=0.0, at=NOON_MS + 2), 0)
    join.take(_keys("a", label=1.0, at=NOON_MS + 1), 0)
    assert _rows(join, _keys("a")) == [("a", 0.0, NOON_MS + 2)]


def test_the_same_word_again_is_no_news_but_as_new_as_it_says() -> None:
    assert latest(Label(1.0, 5), Label(1.0, 9)) == (Label(1.0, 9), False)
    assert latest(Label(1.0, 9), Label(0.0, 7)) == (Label(1.0, 9), False)
    assert latest(Label(1.0, 9), Label(0.0, 9)) == (Label(1.0, 9), False)
    assert latest(None, Label(0.0, 9)) == (Label(0.0, 9), True)


def test_a_repeated_prediction_counts_once_the_first() -> None:
    join = Join()
    join.take(_keys("a", version="v1"), 0)
    join.take(_keys("a", version="v2"), 0)
    (row,) = join.take(_keys("a", label=1.0), 0)
    assert (row.prediction.group.version, join.counts["fraud"].duplicate) == ("v1", 1)


def test_rows_are_grouped_by_what_they_have_in_common() -> None:
    join = Join()
    join.take(_keys("a", version="v1"), 0)
    join.take(_keys("b", "c", version="v2"), 0)
    groups = grouped(join.take(_keys("b", "a", "c", label=1.0), 0))
    found = {group.version: [row.prediction_id for row in rows] for group, rows in groups.items()}
    assert found == {"v2": ["b", "c"], "v1": ["a"]}


def test_models_do_not_meet() -> None:
    join = Join()
    ((_, other),) = route(rows_of(some_predictions("a", model="other")), 1, "origin")
    join.take(other, 0)
    assert _rows(join, _keys("a", label=1.0)) == []


def test_what_is_older_than_the_horizon_is_forgotten() -> None:
    join = Join()
    join.take(_keys("a"), 0)
    join.take(_keys("b", label=1.0), 0)
    join.take(_keys("c"), 1)
    join.forget(HORIZON_MS)
    assert ("fraud", "a") in join.open
    join.forget(HORIZON_MS + 1)
    assert (list(join.open), join.parked) == ([("fraud", "c")], {})
    assert join.counts["fraud"].forgotten == 2


def test_a_prediction_that_had_its_label_is_forgotten_silently() -> None:
    join = Join()
    join.take(_keys("a"), 0)
    join.take(_keys("a", label=1.0), 0)
    join.forget(HORIZON_MS + 1)
    assert (join.open, join.counts) == ({}, {})


def test_memory_is_bounded_the_oldest_go_first() -> None:
    join = Join(most=3)
    join.take(_keys(*(f"t{number}" for number in range(5))), 0)
    join.take(_keys(*(f"x{number}" for number in range(5)), label=1.0), 0)
    join.forget(0)
    assert [name for _, name in join.open] == ["t2", "t3", "t4"]
    assert [name for _, name in join.parked] == ["x2", "x3", "x4"]
    assert join.counts["fraud"].forgotten == 4


def test_the_latest_source_holds_all_back() -> None:
    marks = Watermarks(2)
    marks.beat(0, {"*": 9})
    assert marks.passed() == {}
    marks.beat(1, {"*": 5})
    assert marks.passed() == {"*": 5}
    marks.beat(1, {"*": 3})
    assert marks.passed() == {"*": 5}


def test_a_clock_that_one_source_lacks_holds_all_back() -> None:
    """Else the clock of all would close the windows of a model whose own clock is on its way."""
    marks = Watermarks(2)
    marks.beat(0, {"*": 9, "fraud": 1})
    marks.beat(1, {"*": 9})
    assert marks.passed() == {}
    marks.beat(1, {"*": 9, "fraud": 2})
    assert marks.passed() == {"*": 9, "fraud": 1}
