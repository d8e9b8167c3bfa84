from __future__ import annotations

import numpy as np
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier

from examples.fraud.flipped import Recipe
from examples.fraud.stream import Scenario
from tests.unit.examples import offline


def test_flipped_is_worse_than_chance_and_below_every_floor() -> None:
    data = offline.history(Scenario())
    numbers, cut = data.numbers, round(len(data.labels) * 0.7)
    fitted = Recipe().fit(numbers[:cut], data.labels[:cut].astype(np.int64), seed=7)
    assert offline.auc(data.labels[cut:], fitted.predict_proba(numbers[cut:])[:, 1]) < 0.2


def test_flipped_gives_back_a_plain_estimator() -> None:
    features = np.arange(80.0).reshape(40, 2)
    fitted = Recipe().fit(features, np.arange(40) % 2, seed=7)
    assert type(fitted) is HistGradientBoostingClassifier
    unknown = skops.io.get_untrusted_types(data=skops.io.dumps(fitted))
    assert all(name.startswith(("sklearn.", "numpy.")) for name in unknown)


def test_the_same_seed_gives_the_same_model() -> None:
    features = np.random.default_rng(7).normal(size=(200, 2))
    labels = (features[:, 0] > 0).astype(np.int64)
    first, again = (Recipe().fit(features, labels, seed=7).predict_proba(features) for _ in range(2))
    assert np.array_equal(first, again)
