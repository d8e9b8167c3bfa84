"""From models and labelled rows to figures. Pure; scores come in, nothing is decided.

Order everywhere: the candidate first, then the champion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from everloop.models import Task
from everloop_gatekeeper.domain import MetricFigures
from everloop_gatekeeper.domain.noninferiority import Metric, delong, paired_bootstrap

SEED: Final = 0
"""Of the bootstrap: the same rows and scores give the same figures."""
BINS: Final = 10
AT_LEAST: Final = 2
Floats = NDArray[np.float64]
Ids = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one model says of the rows.

    `said` is (n, classes) probabilities in the order of `classes`, or (n,) predictions of a regression.
    """

    said: Floats
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Truth:
    """Labels (n,) of a task, and whom each row is about (n,): rows of one entity may depend on one another."""

    task: Task
    labels: Floats
    entities: Ids

    @property
    def clusters(self) -> int:
        """How many entities there are."""
        return len(set(self.entities.tolist()))


def measure(metrics: Sequence[str], truth: Truth, opinions: Sequence[Opinion]) -> dict[str, MetricFigures]:
    """Measure each metric; one that these rows cannot carry is left out. Raises `ValueError` for impossible labels."""
    if truth.clusters < AT_LEAST:
        return {}
    found = {metric: _measured(metric, truth, opinions) for metric in metrics}
    return {metric: figures for metric, figures in found.items() if figures is not None}


def _measured(metric: str, truth: Truth, opinions: Sequence[Opinion]) -> MetricFigures | None:
    if metric == "roc_auc":
        return _area(truth, np.stack([opinion.said[:, 1] for opinion in opinions]))
    name = cast("Metric", metric)
    labels, scores = _as_asked(name, truth, opinions)
    found = paired_bootstrap(name, labels, scores, truth.entities, seed=SEED)
    return MetricFigures(value=found.value, covariance=found.covariance, samples=found.clusters)


def _area(truth: Truth, scores: Floats) -> MetricFigures | None:
    positives = int((truth.labels == 1).sum())
    if min(positives, len(truth.labels) - positives) < AT_LEAST:
        return None
    found = delong(truth.labels, scores, truth.entities)
    samples = min(found.samples, truth.clusters)
    return MetricFigures(value=found.auc, covariance=found.covariance, samples=samples, degrees=found.degrees)


def _as_asked(metric: Metric, truth: Truth, opinions: Sequence[Opinion]) -> tuple[NDArray[np.int64] | Floats, Floats]:
    """Give labels and scores (k, n) or (k, n, c) in the form that `paired_bootstrap` takes for this metric."""
    if truth.task == "regression":
        return truth.labels, np.stack([opinion.said for opinion in opinions])
    if truth.task == "binary" and metric != "accuracy":
        return truth.labels, np.stack([opinion.said[:, 1] for opinion in opinions])
    names = [_name(label) for label in truth.labels]
    classes = sorted({*names, *(name for opinion in opinions for name in opinion.classes)})
    place = {name: number for number, name in enumerate(classes)}
    labels = np.array([place[name] for name in names], dtype=np.int64)
    scores = np.stack([_spread(opinion, place) for opinion in opinions])
    return labels, scores.argmax(axis=2).astype(np.float64) if metric == "accuracy" else scores


def _name(label: float) -> str:
    """A class as the models write it: whole numbers without a point."""
    return str(int(label)) if float(label).is_integer() else str(label)


def _spread(opinion: Opinion, place: dict[str, int]) -> Floats:
    """Probabilities over all known classes, (n, classes); those that a model does not know have none."""
    spread = np.zeros((len(opinion.said), len(place)))
    spread[:, [place[name] for name in opinion.classes]] = opinion.said
    return spread


def calibration_error(labels: Floats, scores: Floats) -> float | None:
    """Expected calibration error (Naeini, Cooper and Hauskrecht 2015) over ten bins with equally many rows, both (n,).

    None with fewer rows than bins.
    """
    if len(labels) < BINS:
        return None
    parts = np.array_split(np.argsort(scores, kind="stable"), BINS)
    gaps = [abs(float(scores[part].mean() - labels[part].mean())) * len(part) for part in parts]
    return sum(gaps) / len(labels)
