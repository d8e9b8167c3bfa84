"""How good scores are on labelled rows. Pure; classes are given as their place in the model's order.

The metrics are exact. The reference beside them is measured as each window is, by `everloop.quality`: on the same grid
of scores and in the same units, so that a window is compared with its like.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from everloop.profile import QualityProfile, Task
from everloop.quality import estimates
from everloop.sketch import Labelled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Reference = tuple[QualityProfile, ...]
TINY = 1e-15  # probabilities are kept away from 0 before a logarithm


def of_binary(labels: Ints, scores: Floats) -> tuple[dict[str, float], Reference]:
    """Metrics of probabilities (n,) for labels 0 and 1 (n,); no area under the curve where one class is missing."""
    both = np.column_stack([1 - scores, scores])
    metrics = {"brier": float(np.mean((scores - labels) ** 2)), **of_classes(labels, both)[0]}
    if 0 < int(labels.sum()) < len(labels):
        metrics["roc_auc"], metrics["roc_auc_se"] = roc_auc(labels, scores)
    return metrics, _reference("binary", np.asarray(labels, dtype=np.float64), scores)


def of_classes(labels: Ints, probabilities: Floats) -> tuple[dict[str, float], Reference]:
    """Metrics of probabilities (n, classes); a label of -1 is a class that the model does not know."""
    hits = probabilities.argmax(axis=1) == labels
    given = np.where(labels >= 0, probabilities[np.arange(len(labels)), labels], 0.0)
    accuracy = float(hits.mean())
    error = float(np.sqrt(accuracy * (1 - accuracy) / len(labels)))
    quality = QualityProfile(
        metric="accuracy", value=accuracy, standard_error=error, rows=len(labels), positives=int(hits.sum())
    )
    return {"accuracy": accuracy, "log_loss": float(-np.log(np.maximum(given, TINY)).mean())}, (quality,)


def of_numbers(labels: Floats, predictions: Floats) -> tuple[dict[str, float], Reference]:
    """Metrics of a regression, both (n,)."""
    rmse = float(np.sqrt(np.mean((predictions - labels) ** 2)))
    mae = float(np.abs(predictions - labels).mean())
    return {"rmse": rmse, "mae": mae}, _reference("regression", labels, predictions)


def _reference(task: Task, labels: Floats, scores: Floats) -> Reference:
    nothing = np.zeros(len(labels), dtype=np.int64)
    seen = Labelled.observe(task, float(np.std(scores)), scores, labels, nothing, nothing)
    positives = int(seen.scores.positives.sum())
    return tuple(
        QualityProfile(metric=name, value=one.value, standard_error=one.error, rows=one.rows, positives=positives)
        for name, one in estimates(seen).items()
    )


def roc_auc(labels: Ints, scores: Floats) -> tuple[float, float]:
    """Area under the ROC curve and its standard error, ties exact; both classes must be there.

    DeLong, DeLong and Clarke-Pearson (1988), by midranks as in Sun and Xu (2014). Of a class with one row only the
    spread is unknown and counts as zero.
    """
    positive, negative = scores[labels == 1], scores[labels == 0]
    ranks = midranks(np.concatenate([positive, negative]))
    above = (ranks[: len(positive)] - midranks(positive)) / len(negative)
    below = 1 - (ranks[len(positive) :] - midranks(negative)) / len(positive)
    parts = [float(part.var(ddof=1)) / len(part) for part in (above, below) if len(part) > 1]
    return float(above.mean()), float(np.sqrt(sum(parts)))


def midranks(values: Floats) -> Floats:
    """Give ranks from 1, shape (n,); equal values share the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place], dtype=np.float64)
