"""What nobody should train: recipes for versions that have to be refused."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression


class Flipped:
    """The opposite of what the labels say."""

    def fit(self, features: NDArray[np.float64], labels: NDArray[np.int64], seed: int) -> LogisticRegression:
        """Fit on features of shape (rows, columns) and the opposite of labels of shape (rows,)."""
        return LogisticRegression(random_state=seed).fit(features, 1 - labels)


class Broken:
    """A recipe with a bug."""

    def fit(self, features: NDArray[np.float64], labels: NDArray[np.int64], seed: int) -> LogisticRegression:
        """Raise."""
        raise ZeroDivisionError
