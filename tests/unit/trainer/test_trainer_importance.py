"""Importance of columns: as scikit-learn measures it, bounded, and written into the profile as shares."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.inspection import permutation_importance

from everloop.artifacts import MemoryStore
from everloop.models import Kind, ModelManifest, Scorer, Task, frame
from everloop.profile import Profile, build_profile
from everloop_trainer.adapters.importance import LEAST_ROWS, importances, sample, shares, size_of, with_importance
from everloop_trainer.adapters.recipes import Lesson, fit
from tests.unit.trainer.test_trainer_job import a_spec, created

FEATURES: dict[str, Kind] = {"amount": "numeric", "noise": "numeric", "country": "categorical"}
ROWS = 240
RECIPES = {
    "binary": "sklearn.linear_model.LogisticRegression",
    "multiclass": "sklearn.linear_model.LogisticRegression",
    "regression": "sklearn.linear_model.LinearRegression",
}
SCORING = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "neg_root_mean_squared_error"}


def a_fitted(task: Task) -> tuple[Scorer, NDArray[np.object_], NDArray[Any], Any]:
    """Amount says most of the label, country a little, noise nothing."""
    chance = np.random.default_rng(5)
    amount, country = chance.normal(size=ROWS), chance.choice(["de", "fr"], ROWS)
    signal = 2 * amount + (country == "de") + 0.3 * chance.normal(size=ROWS)
    labels = {"binary": (signal > 0.5).astype(int), "multiclass": np.digitize(signal, [0, 1]), "regression": signal}
    columns = {"amount": amount.tolist(), "noise": chance.normal(size=ROWS).tolist(), "country": country.tolist()}
    table = frame(columns, FEATURES)
    estimator = fit(RECIPES[task], Lesson(table, labels[task], FEATURES), 0)
    classes = () if task == "regression" else tuple(str(label) for label in estimator.classes_)
    manifest = ModelManifest(features=FEATURES, task=task, classes=classes)
    return Scorer(estimator, manifest), table, labels[task], estimator


def shuffles_of_sklearn(seed: int, rows: int, repeats: int) -> list[NDArray[np.int64]]:
    """The orders that its permutation_importance takes: it shuffles what it has shuffled before."""
    chance = np.random.RandomState(np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1))
    order, found, so_far = np.arange(rows), [], np.arange(rows)
    for _ in range(repeats):
        chance.shuffle(order)
        so_far = so_far[order]
        found.append(so_far)
    return found


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_importance_is_that_of_scikit_learn(task: Task) -> None:
    scorer, table, labels, estimator = a_fitted(task)
    theirs = permutation_importance(estimator, table, labels, scoring=SCORING[task], n_repeats=2, random_state=3)
    ours = list(importances(scorer, table, labels, shuffles_of_sklearn(3, ROWS, 2)))
    assert ours == pytest.approx(theirs.importances_mean.tolist(), abs=1e-12)
    assert ours[0] > ours[2] > abs(ours[1])


def test_shares_sum_to_one_and_what_helps_when_shuffled_is_chance() -> None:
    assert shares([3.0, 1.0, -0.5]) == [0.75, 0.25, 0.0]
    assert shares([0.0, -1.0]) == [None, None]
    assert shares([]) == []


def test_the_work_is_bounded_for_any_number_of_columns() -> None:
    assert size_of(0, 3) is None
    assert [(one.rows, one.repeats) for one in (size_of(50, 3), size_of(9000, 30), size_of(9000, 150)) if one] == [
        (50, 3), (2000, 3), (2000, 1),
    ]  # fmt: skip
    assert size_of(50, 2000) is None
    for columns in range(1, 2000, 7):
        size = size_of(100_000, columns)
        if size is None:
            assert columns > 700
        else:
            assert size.rows >= LEAST_ROWS
            assert size.repeats >= 1
            assert size.rows * size.repeats * columns**2 <= 60_000_000


def test_a_sample_has_as_many_of_the_rare_class_as_there_are() -> None:
    labels = np.array([1] * 30 + [0] * 970)
    rows = sample(labels, 200, np.random.default_rng(0), balanced=True)
    assert (len(rows), len(set(rows.tolist())), int(labels[rows].sum())) == (200, 200, 30)
    assert labels[sample(1 - labels, 40, np.random.default_rng(0), balanced=True)].mean() == 0.5
    assert len(sample(labels, 101, np.random.default_rng(0), balanced=True)) == 101
    assert labels[sample(labels, 300, np.random.default_rng(0), balanced=False)].sum() < 30


def a_described(table: NDArray[np.object_]) -> Profile:
    return build_profile({name: table[:, place].tolist() for place, name in enumerate(FEATURES)}, scores=[0.5])


def test_the_profile_carries_it_and_the_same_seed_gives_the_same() -> None:
    scorer, table, labels, _ = a_fitted("binary")
    said = [
        with_importance(a_described(table), scorer, table, labels, seed=seed, in_time=lambda: True)
        for seed in (1, 1, 2)
    ]
    found = [[one.importance for one in profile.columns] for profile in said]
    assert found[0] == found[1] != found[2]
    assert sum(one or 0 for one in found[0]) == pytest.approx(1)
    assert Profile.model_validate_json(said[0].model_dump_json()) == said[0]


def test_without_time_or_a_second_class_nothing_is_said() -> None:
    scorer, table, labels, _ = a_fitted("binary")
    plain, ticks = a_described(table), itertools.count()
    assert with_importance(plain, scorer, table, labels, seed=1, in_time=lambda: next(ticks) < 1) == plain
    assert next(ticks) == 2
    assert with_importance(plain, scorer, table, 0 * labels, seed=1, in_time=lambda: True) == plain


def test_a_version_says_which_column_matters() -> None:
    store = MemoryStore()
    found = {one.name: one.importance or 0 for one in created(a_spec(store), store).profile.columns}
    assert max(found, key=lambda name: found[name]) == "amount"
    assert found["amount"] > 0.8
