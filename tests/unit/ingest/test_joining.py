"""What the join remembers, decides and forgets; how late the latest source makes it."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from everloop import topics
from everloop.events import KeysRouted
from everloop.rows import rows_of
from everloop_ingest.domain import ranges
from everloop_ingest.domain.batches import Label, latest
from everloop_ingest.domain.joining import HORIZON_MS, MINUTE_MS, Join, Watermarks
from everloop_ingest.domain.keys import part_of
from tests.unit.ingest.builders import NOON, NOON_MS, a_range, keys_of, some_labels, some_predictions
from tests.unit.ingest.naive_join import NaiveJoin, Row
from tests.unit.ingest.stories import a_story, cuts_of

Rows = list[tuple[str, float, int]]
Story = list[tuple[KeysRouted, int]]


def _keys(*names: str, label: float | None = None, at: int = NOON_MS, version: str = "v1") -> KeysRouted:
    scored = rows_of(some_predictions(*names, version=version))
    ((_, keys),) = keys_of(scored if label is None else some_labels(label, *names, at=at), 1, "origin")
    return keys


def _take(join: Join, *events: KeysRouted, appended: int = 0) -> list[Row]:
    return [row for rows, _ in _folded(join, [(event, appended) for event in events]) for row in rows]


def _rows(join: Join, keys: KeysRouted) -> Rows:
    return [(row[0], *row[3:5]) for row in _take(join, keys)]


def _folded(join: Join, story: Story) -> list[tuple[list[Row], int]]:
    """Of each record the outcome rows, and how many said nothing new."""
    parts = [part_of(event.model, dict(event), appended) for event, appended in story]
    found: list[tuple[list[Row], int]] = []
    for folded in join.take(parts):
        rows: list[list[Row]] = [[] for _ in folded.parts]
        for part, name, said, label, at, before in zip(
            folded.part, folded.ids, folded.said, folded.label, folded.labelled_at, folded.before, strict=True
        ):
            score = None if np.isnan(said["score"]) else float(said["score"])
            version = join.groups[said["group"]].version
            rows[part].append(
                (name, version, score, float(label), int(at), None if np.isnan(before) else float(before))
            )
        found += zip(rows, folded.again.tolist(), strict=True)
    return found


def _open(join: Join) -> int:
    return len(join.open)


def test_a_label_after_its_prediction() -> None:
    join = Join()
    assert _rows(join, _keys("a", "b")) == []
    assert _rows(join, _keys("a", label=1.0)) == [("a", 1.0, NOON_MS)]


def test_a_label_before_its_prediction_waits() -> None:
    join = Join()
    assert _rows(join, _keys("a", label=1.0)) == []
    assert len(join.parked) == 1
    assert _rows(join, _keys("b", "a")) == [("a", 1.0, NOON_MS)]
    assert len(join.parked) == 0


def test_a_correction_is_a_new_row_and_the_last_word_wins() -> None:
    join = Join()
    _take(join, _keys("a"))
    assert _rows(join, _keys("a", label=1.0, at=NOON_MS)) == [("a", 1.0, NOON_MS)]
    assert _rows(join, _keys("a", label=0.0, at=NOON_MS + 2)) == [("a", 0.0, NOON_MS + 2)]
    ((rows, again),) = _folded(join, [(_keys("a", label=1.0, at=NOON_MS + 1), 0)])
    assert (rows, again) == ([], 1)


def test_a_correction_says_which_label_it_takes_the_place_of() -> None:
    join = Join()
    _take(join, _keys("a", label=0.0, at=NOON_MS - 1))
    said = [(_keys("a"), 0), *((_keys("a", label=value, at=NOON_MS + value), 0) for value in (1, 0, 3))]
    assert [row[3:] for rows, _ in _folded(join, said) for row in rows] == [
        (0.0, NOON_MS - 1, None), (1.0, NOON_MS + 1, 0.0), (3.0, NOON_MS + 3, 1.0),
    ]  # fmt: skip


def test_of_parked_labels_the_last_word_wins() -> None:
    join = Join()
    _take(join, _keys("a", label=0.0, at=NOON_MS + 2), _keys("a", label=1.0, at=NOON_MS + 1))
    assert _rows(join, _keys("a")) == [("a", 0.0, NOON_MS + 2)]


def test_the_same_word_again_is_no_news_but_as_new_as_it_says() -> None:
    assert latest(Label(1.0, 5), Label(1.0, 9)) == (Label(1.0, 9), False)
    assert latest(Label(1.0, 9), Label(0.0, 7)) == (Label(1.0, 9), False)
    assert latest(Label(1.0, 9), Label(0.0, 9)) == (Label(1.0, 9), False)
    assert latest(None, Label(0.0, 9)) == (Label(0.0, 9), True)


def test_a_repeated_prediction_counts_once_the_first() -> None:
    join = Join()
    found = _folded(join, [(_keys("a", version="v1"), 0), (_keys("a", version="v2"), 0)])
    assert [again for _, again in found] == [0, 1]
    (row,) = _take(join, _keys("a", label=1.0))
    assert row[1] == "v1"


def test_models_do_not_meet() -> None:
    join = Join()
    ((_, other),) = keys_of(rows_of(some_predictions("a", model="other")), 1, "origin")
    _take(join, other)
    assert _rows(join, _keys("a", label=1.0)) == []


def test_what_is_older_than_the_horizon_is_forgotten_by_the_minute() -> None:
    join = Join()
    _take(join, _keys("a"), _keys("b", label=1.0))
    _take(join, _keys("c"), appended=MINUTE_MS)
    _take(join, _keys("d"), appended=HORIZON_MS - 1)
    assert (_open(join), len(join.parked), join.forgotten) == (3, 1, 0)
    _take(join, _keys("e"), appended=HORIZON_MS)
    assert (_open(join), len(join.parked), join.forgotten) == (3, 0, 2)
    assert _rows(join, _keys("a", "c", label=1.0)) == [("c", 1.0, NOON_MS)]


def test_nothing_is_remembered_for_longer_than_keys_are_kept() -> None:
    assert topics.KEYS.retention_ms is not None
    assert topics.KEYS.retention_ms >= HORIZON_MS


def test_a_prediction_that_had_its_label_is_forgotten_silently() -> None:
    join = Join()
    _take(join, _keys("a"), _keys("a", label=1.0))
    _take(join, _keys("b"), appended=HORIZON_MS)
    assert (_open(join), join.forgotten) == (1, 0)


def test_memory_is_bounded_the_oldest_go_first() -> None:
    join = Join(most=3)
    _take(join, _keys(*(f"t{number}" for number in range(5))))
    _take(join, _keys(*(f"x{number}" for number in range(5)), label=1.0))
    assert (_open(join), len(join.parked), join.forgotten) == (3, 3, 4)
    assert _rows(join, _keys("t1", "t2", "t4", label=1.0)) == [("t2", 1.0, NOON_MS), ("t4", 1.0, NOON_MS)]


def test_where_the_bound_is_met_a_lump_is_forgotten() -> None:
    join = Join(most=640)
    _take(join, _keys(*map(str, range(641))))
    assert (_open(join), join.forgotten) == (630, 11)


def _event(chance: random.Random, names: tuple[str, ...], identity: str) -> KeysRouted:
    """Predictions, most with entities; labels by prediction id; or labels by entity."""
    kind = chance.choice(["prediction", "label", "range"])
    names = names[:20] if kind == "range" else names
    columns: dict[str, object] = {"times": tuple(chance.randint(0, 5) for _ in names)}
    if kind == "prediction":
        columns["score"] = tuple(chance.choice([None, 0.5, 0.1]) for _ in names)
    else:
        columns["label"] = tuple(float(chance.randint(0, 2)) for _ in names)
    if kind == "range" or (kind == "prediction" and chance.random() < 0.7):
        columns["entity_id"] = tuple(chance.choice("xyz") for _ in names)
    if kind == "range":
        start = tuple(chance.randint(0, 5) for _ in names)
        columns |= {"start": start, "end": tuple(begin + chance.randint(1, 4) for begin in start)}
    return KeysRouted.named(
        identity, NOON, chance.choice(["a", "b"]), kind="prediction" if kind == "prediction" else "label",
        source="x", version=chance.choice("vw"), prediction_id=() if kind == "range" else names, **columns,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_folded_together_it_is_as_if_row_came_after_row(seed: int) -> None:
    most, story = a_story(seed, _event)
    naive = NaiveJoin(most)
    expected = [naive.take(event, appended) for event, appended in story]
    for cuts in cuts_of(seed, len(story)):
        join = Join(most)
        found = [one for start, end in pairwise(cuts) for one in _folded(join, story[start:end])]
        assert [rows for rows, _ in found] == expected
        assert sum(again for _, again in found) == naive.duplicate
        assert (len(join.open), len(join.parked)) == (len(naive.open), len(naive.parked))
        assert join.forgotten == naive.forgotten


def test_a_label_by_entity_is_that_of_its_predictions_in_the_time_range_known_or_later() -> None:
    join = Join()
    _take(join, _of("x", "a", "b", "c"))
    assert _take(join, _range("x", 1.0, start=1, end=3)) == [
        ("b", "v1", 0.5, 1.0, NOON_MS, None),
        ("c", "v1", 0.5, 1.0, NOON_MS, None),
    ]
    assert _take(join, _range("y", 1.0)) == []
    assert _take(join, _of("x", "d", "e")) == [("e", "v1", 0.5, 1.0, NOON_MS, None)]
    assert _take(join, _of("y", "f")) == [("f", "v1", 0.5, 1.0, NOON_MS, None)]
    assert _rows(join, _keys("b", label=0.0, at=NOON_MS + 1)) == [("b", 0.0, NOON_MS + 1)]
    assert _take(join, _range("x", 1.0, start=1, end=2)) == []


def test_labels_by_entity_are_bounded_and_forgotten_with_the_horizon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "MOST_RANGES", 3)
    monkeypatch.setattr(ranges, "LUMP", 1)
    join = Join()
    _take(join, *(_range(name, 1.0) for name in "pqrs"))
    assert (len(join.ranges), join.forgotten) == (2, 2)
    assert _take(join, _of("p", "a"), _of("s", "b")) == [("b", "v1", 0.5, 1.0, NOON_MS, None)]
    _take(join, _of("z", "c"), appended=HORIZON_MS)
    assert len(join.ranges) == 0


def _of(entity: str, *names: str) -> KeysRouted:
    """Predictions of one entity, at 0, 1, 2 ... ms."""
    said = some_predictions(*names, at=0, entity_id=(entity,) * len(names))
    ((_, keys),) = keys_of(rows_of(said))
    return keys


def _range(entity: str, label: float, start: int = 0, end: int = 10) -> KeysRouted:
    ((_, keys),) = keys_of(a_range(label, entity, start=start, end=end))
    return keys


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
