"""Scores rows with a fitted estimator, in the order of its manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from everloop.errors import InvalidError
from everloop.models.manifest import ModelManifest, frame

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


class Scorer:
    """A model ready for rows. `manifest` says what it expects."""

    def __init__(self, estimator: BaseEstimator, manifest: ModelManifest) -> None:
        """Raise `InvalidError("shape")` where the manifest is not that of this estimator."""
        _check(estimator, manifest)
        self.manifest: Final = manifest
        self._estimator: Final[Any] = estimator

    def score(self, columns: Mapping[str, Sequence[object]]) -> NDArray[np.float64]:
        """Give one score per row, shape (rows,).

        Binary: the probability of the positive class; regression: the prediction; multiclass: the probability of the
        likeliest class. A missing column counts as missing values, an unknown category as unknown.
        """
        if self.manifest.task == "regression":
            return self._regress(frame(columns, self.manifest.features))
        probabilities = self.probabilities(columns)
        return probabilities[:, 1] if self.manifest.task == "binary" else probabilities.max(axis=1, initial=0.0)

    def probabilities(self, columns: Mapping[str, Sequence[object]]) -> NDArray[np.float64]:
        """Give the probability per class in the manifest's order, shape (rows, classes)."""
        return self._classify(frame(columns, self.manifest.features))

    def outputs(self, table: NDArray[np.object_]) -> NDArray[np.float64]:
        """What the model says of rows that `frame` has made: predictions (rows,), or probabilities (rows, classes)."""
        return self._regress(table) if self.manifest.task == "regression" else self._classify(table)

    def _classify(self, table: NDArray[np.object_]) -> NDArray[np.float64]:
        if not len(table):
            return np.empty((0, len(self.manifest.classes)))
        return np.asarray(self._estimator.predict_proba(table), dtype=np.float64)

    def _regress(self, table: NDArray[np.object_]) -> NDArray[np.float64]:
        if not len(table):
            return np.empty(0)
        return np.asarray(self._estimator.predict(table), dtype=np.float64).reshape(len(table))


def _check(estimator: object, manifest: ModelManifest) -> None:
    """Compare what the estimator says about itself with the manifest."""
    width = getattr(estimator, "n_features_in_", None)
    if width != len(manifest.features):
        raise _differs(f"the model has {width} features, the manifest {len(manifest.features)}")
    if manifest.task == "regression":
        if not hasattr(estimator, "predict"):
            raise _differs("the model cannot predict")
        return
    if not hasattr(estimator, "predict_proba"):
        raise _differs("the model gives no probabilities; choose a loss or a calibration that does")
    classes = tuple(str(label) for label in getattr(estimator, "classes_", ()))
    if classes != manifest.classes:
        raise _differs(f"the model has {len(classes)} classes, and they or their order are not those of the manifest")


def _differs(why: str) -> InvalidError:
    return InvalidError("shape", f"model and manifest do not fit: {why}")
