"""What was served: each id once, its newest label, and AUC as textbooks have it."""

from __future__ import annotations

import random

import pytest
from sklearn.metrics import roc_auc_score

from everloop.demo.served import auc, between, join, quality, shares
from everloop.events import LabelsLogged
from everloop.rows import Rows
from tests.builders import NOON, a_fresh_id


def said(ids: tuple[str, ...], score: tuple[float | None, ...], source: str = "serving", version: str = "1") -> Rows:
    times = list(range(len(ids)))
    return Rows(str(a_fresh_id()), "fraud", list(ids), times, {}, source, version, score=list(score))


def known(ids: tuple[str, ...], label: tuple[float, ...], at: int) -> LabelsLogged:
    ats = (at,) * len(ids)
    return LabelsLogged(id=a_fresh_id(), time=NOON, model="fraud", prediction_id=ids, label=label, labelled_at=ats)


@pytest.mark.parametrize("levels", [3, 1000])
def test_auc_is_that_of_sklearn_with_ties_and_without(levels: int) -> None:
    chance = random.Random(7)
    labels = [float(chance.random() < 0.15) for _ in range(500)]
    scores = [chance.randrange(levels) / levels + 0.3 * label for label in labels]
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("labels", [[], [0.0, 0.0], [1.0]])
def test_auc_of_one_class_is_not_said(labels: list[float]) -> None:
    assert auc([0.5] * len(labels), labels) is None


def test_an_id_that_comes_twice_counts_once_with_its_first_score() -> None:
    rows = join([said(("a",), (0.9,)), said(("a",), (0.1,))], [])
    assert [row.score for row in rows] == [0.9]


def test_the_label_that_was_known_last_wins_whatever_the_order() -> None:
    labels = [known(("a",), (1.0,), at=20), known(("a",), (0.0,), at=10)]
    assert [row.label for row in join([said(("a",), (0.9,))], labels)] == [1.0]


def test_history_and_rows_without_a_score_were_not_served() -> None:
    assert join([said(("a",), (0.9,), source="bootstrap"), said(("b",), (None,))], []) == []


def test_quality_is_measured_on_labelled_rows_alone() -> None:
    rows = join([said(("a", "b", "c"), (0.9, 0.1, 0.5))], [known(("a", "b"), (1.0, 0.0), at=1)])
    assert quality(rows) == 1.0


def test_ranges_are_half_open_and_shares_add_up() -> None:
    rows = join([said(("a", "b", "c"), (0.9, 0.1, 0.5)), said(("d",), (0.2,), version="2")], [])
    assert [row.score for row in between(rows, 1, 3)] == [0.1, 0.5]
    assert shares(rows) == {"1": 0.75, "2": 0.25}
