"""Feedback meets its predictions: in both orders, late, twice, corrected, for nobody; bounded, and a fold of `keys`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from everloop.events import FeedbackRouted, KeysRouted
from everloop.rows import rows_of
from everloop_ingest.domain.feedback import TOLD_PER_PREDICTION
from everloop_ingest.domain.joining import HORIZON_MS, MINUTE_MS, Join
from everloop_ingest.domain.keys import feedback_of, part_of
from tests.unit.ingest.builders import NOON, NOON_MS, keys_of, some_labels, some_predictions
from tests.unit.ingest.naive_feedback import Brought, NaiveFeedback
from tests.unit.ingest.naive_join import Row
from tests.unit.ingest.stories import a_story, cuts_of

Event = KeysRouted | FeedbackRouted
Story = list[tuple[Event, int]]


def _keys(*names: str, label: float | None = None, version: str = "v1") -> KeysRouted:
    scored = rows_of(some_predictions(*names, version=version))
    ((_, keys),) = keys_of(scored if label is None else some_labels(label, *names), 1, "origin")
    return keys


def _brings(value: float, *ids: str, name: str = "revenue", at: int = NOON_MS, model: str = "fraud") -> FeedbackRouted:
    return FeedbackRouted.named(
        f"{name}/{value}/{ids}/{at}", NOON, model, name=name, prediction_id=ids, times=(at,) * len(ids),
        value=(value,) * len(ids),
    )  # fmt: skip


def _folded(join: Join, story: Story) -> list[tuple[list[Row], list[Brought], int]]:
    """Of each record the outcome rows of labels and of feedback, and how many rows said nothing new."""
    parts = [
        feedback_of(event.model, dict(event), appended)
        if isinstance(event, FeedbackRouted)
        else part_of(event.model, dict(event), appended)
        for event, appended in story
    ]
    found: list[tuple[list[Row], list[Brought], int]] = []
    for folded in join.take(parts):
        rows: list[list[Row]] = [[] for _ in folded.parts]
        brought: list[list[Brought]] = [[] for _ in folded.parts]
        for part, name, said, label, at, was in zip(
            folded.part, folded.ids, folded.said, folded.label, folded.labelled_at, folded.before, strict=True
        ):
            score, before = (None if np.isnan(number) else float(number) for number in (said["score"], was))
            rows[part].append((name, join.groups[said["group"]].version, score, float(label), int(at), before))
        for met in folded.feedback:
            for part, name, said, value, at, before in zip(*met[1:], strict=True):
                first = None if np.isnan(before) else float(before)
                version = join.groups[said["group"]].version
                brought[part].append((met.name, name, version, float(value), int(at), first))
        found += zip(rows, brought, folded.again.tolist(), strict=True)
    return found


def _take(join: Join, *events: Event, appended: int = 0) -> list[Brought]:
    return [row for _, brought, _ in _folded(join, [(event, appended) for event in events]) for row in brought]


def test_feedback_after_its_prediction_says_which_version_brought_it() -> None:
    join = Join()
    assert _take(join, _keys("a", "b", version="v7")) == []
    assert _take(join, _brings(12.9, "a")) == [("revenue", "a", "v7", 12.9, NOON_MS, None)]


def test_feedback_before_its_prediction_waits() -> None:
    join = Join()
    assert _take(join, _brings(12.9, "a"), _brings(1.0, "a", name="click")) == []
    assert len(join.feedback.waiting) == 2
    assert _take(join, _keys("b", "a")) == [
        ("revenue", "a", "v1", 12.9, NOON_MS, None),
        ("click", "a", "v1", 1.0, NOON_MS, None),
    ]
    assert len(join.feedback.waiting) == 0


def test_a_correction_says_what_it_takes_the_place_of_and_the_last_word_wins() -> None:
    join = Join()
    _take(join, _keys("a"), _brings(10.0, "a", at=5))
    assert _take(join, _brings(0.0, "a", at=7)) == [("revenue", "a", "v1", 0.0, 7, 10.0)]
    ((_, brought, again),) = _folded(join, [(_brings(10.0, "a", at=6), 0)])
    assert (brought, again) == ([], 1)
    ((_, brought, again),) = _folded(join, [(_brings(0.0, "a", at=9), 0)])
    assert (brought, again) == ([], 1)


def test_names_models_and_labels_do_not_meet() -> None:
    join = Join()
    _take(join, _keys("a"), _brings(1.0, "a", name="click"))
    assert _take(join, _brings(1.0, "a", name="revenue")) == [("revenue", "a", "v1", 1.0, NOON_MS, None)]
    assert _take(join, _brings(1.0, "a", model="other")) == []
    ((labels, brought, _),) = _folded(join, [(_keys("a", label=0.0), 0)])
    assert (labels, brought) == ([("a", "v1", 0.5, 0.0, NOON_MS, None)], [])


def test_feedback_for_nobody_is_forgotten_with_a_count() -> None:
    join = Join()
    _take(join, _brings(1.0, "a", "b"))
    _take(join, _keys("z"), appended=HORIZON_MS)
    assert (len(join.feedback.waiting), join.forgotten) == (0, 2)
    assert _take(join, _keys("a"), appended=HORIZON_MS) == []


def test_memory_is_bounded_and_what_may_be_forgotten_counts_no_second_time() -> None:
    join, most = Join(most=64), 64
    names = [f"n{number}" for number in range(TOLD_PER_PREDICTION + 1)]
    _take(join, _keys(*map(str, range(most))))
    for name in names:
        _take(join, _brings(1.0, *map(str, range(most)), name=name))
    assert len(join.feedback.told) <= TOLD_PER_PREDICTION * most
    assert _take(join, *(_brings(1.0, *map(str, range(most)), name=name) for name in names)) == []
    _take(join, *(_brings(1.0, f"x{number}") for number in range(100)))
    assert len(join.feedback.waiting) <= most
    later = MINUTE_MS * 2
    _take(join, _keys("later"), appended=later)
    assert _take(join, _brings(2.0, "later"), appended=later) == [("revenue", "later", "v1", 2.0, NOON_MS, None)]


def test_a_model_without_feedback_holds_nothing_for_it() -> None:
    join = Join()
    _take(join, _keys("a"), _keys("a", label=1.0))
    assert (join.feedback.names, len(join.feedback.told), len(join.feedback.waiting)) == ({}, 0, 0)


def _event(chance: random.Random, ids: tuple[str, ...], identity: str) -> Event:
    kind, model = chance.choice(["prediction", "label", "feedback", "feedback"]), chance.choice(["a", "b"])
    times = tuple(chance.randint(0, 5) for _ in ids)
    values = tuple(float(chance.randint(0, 2)) for _ in ids)
    if kind == "feedback":
        name = chance.choice(["click", "revenue"])
        return FeedbackRouted.named(identity, NOON, model, name=name, prediction_id=ids, times=times, value=values)
    columns: dict[str, Sequence[float]] = {"score" if kind == "prediction" else "label": values}
    return KeysRouted.named(
        identity, NOON, model, kind=kind, source="x", version=chance.choice("vw"), prediction_id=ids, times=times,
        **columns,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_folded_together_it_is_as_if_row_came_after_row(seed: int) -> None:
    most, story = a_story(seed, _event)
    naive = NaiveFeedback(most)
    expected = [naive.take_any(event, appended) for event, appended in story]
    for cuts in cuts_of(seed, len(story)):
        join = Join(most)
        found = [one for start, end in pairwise(cuts) for one in _folded(join, story[start:end])]
        assert [(rows, brought) for rows, brought, _ in found] == expected
        assert sum(again for _, _, again in found) == naive.duplicate
        assert (len(join.feedback.told), len(join.feedback.waiting)) == (len(naive.told), len(naive.waiting))
        assert join.forgotten == naive.forgotten
