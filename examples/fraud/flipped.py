"""A recipe that a person should never ship: it learns that fraud is honest and honest is fraud.

`everloop train fraud --recipe examples.fraud.flipped:Recipe` trains it; the gate has to refuse the version. Nothing in
the product knows of it.

A recipe is a class that takes no arguments and has `fit(features, labels, seed)`, which returns a fitted, plain sklearn
estimator with `predict_proba`. Only types of sklearn and numpy come back, because only those are on the allow-list
under which a version is loaded; the recipe itself is never part of the version.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier


class Recipe:
    """Train the usual model on the opposite labels."""

    def fit(
        self, features: NDArray[np.float64], labels: NDArray[np.int64], seed: int
    ) -> HistGradientBoostingClassifier:
        """Fit on features of shape `(rows, columns)`, already numbers, and on labels 0 or 1 of shape `(rows,)`."""
        return HistGradientBoostingClassifier(random_state=seed).fit(features, 1 - labels)
