"""The rules of drift and gate, written once more and small, to judge the example stream without a broker.

Shares no code with the services on purpose: the stream has to be clear enough for any honest reading of the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.preprocessing import OrdinalEncoder

from examples.fraud.stream import Rows, Scenario, bootstrap_rows, rows
from examples.fraud.world import CATEGORICAL, NUMERIC

Floats = NDArray[np.float64]

GROUPS, PSI_LIMIT, SHARE_LIMIT, AUC_LIMIT, CONFIRM, Z95 = 10, 0.2, 0.3, 0.03, 2, 1.645
HOLDOUT = 0.3


@dataclass(frozen=True)
class Table:
    """Rows as arrays: `numbers` has shape (rows, 16), `kinds` (rows, 4), `labels` (rows,)."""

    numbers: Floats
    kinds: NDArray[np.str_]
    labels: Floats

    def __getitem__(self, part: slice) -> Table:
        """Take contiguous rows."""
        return Table(self.numbers[part], self.kinds[part], self.labels[part])


def table(made: Rows) -> Table:
    """Turn the lists of the stream into arrays."""
    numbers = np.array([made.columns[name] for name in NUMERIC], dtype=np.float64).T
    kinds = np.array([made.columns[name] for name in CATEGORICAL], dtype=np.str_).T
    return Table(numbers, kinds, np.array(made.labels, dtype=np.float64))


def join(parts: list[Table]) -> Table:
    """Put tables under each other."""
    return Table(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.kinds for part in parts]),
        np.concatenate([part.labels for part in parts]),
    )


def window(scenario: Scenario, index: int) -> Table:
    """Make one window of the stream."""
    return table(rows(scenario, index))


def history(scenario: Scenario) -> Table:
    """Make the rows before window zero."""
    return table(bootstrap_rows(scenario))


@dataclass(frozen=True)
class Model:
    """A champion with its reference profile: inputs and scores of the newest 30 % of its rows, never trained on."""

    encoder: OrdinalEncoder
    estimator: HistGradientBoostingClassifier
    holdout: Table

    def score(self, data: Table) -> Floats:
        """Return the probability of fraud, shape (rows,)."""
        chances: Floats = self.estimator.predict_proba(encode(self.encoder, data))[:, 1]
        return chances

    @cached_property
    def reference_scores(self) -> Floats:
        """Scores of the holdout rows."""
        return self.score(self.holdout)

    @cached_property
    def reference_auc(self) -> float:
        """AUC on the holdout rows."""
        return auc(self.holdout.labels, self.reference_scores)


def encode(encoder: OrdinalEncoder, data: Table) -> Floats:
    """Put numbers and encoded categories side by side."""
    return np.hstack([data.numbers, encoder.transform(data.kinds)])


def train(data: Table, seed: int = 0, *, flip: bool = False) -> Model:
    """Fit on the oldest 70 % and keep the newest 30 % as holdout, in the order of time."""
    cut = round(len(data.labels) * (1 - HOLDOUT))
    old = data[:cut]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(old.kinds)
    target = 1 - old.labels if flip else old.labels
    estimator = HistGradientBoostingClassifier(random_state=seed).fit(encode(encoder, old), target)
    return Model(encoder, estimator, data[cut:])


def psi(reference: NDArray[np.generic], current: NDArray[np.generic]) -> float:
    """Population stability index over groups of the reference; empty groups count as half a row."""
    before, after = _counts(reference, current)
    p, q = (np.maximum(counts, 0.5) / counts.sum() for counts in (before, after))
    return float(np.sum((q - p) * np.log(q / p)))


def _counts(reference: NDArray[np.generic], current: NDArray[np.generic]) -> tuple[Floats, Floats]:
    if reference.dtype.kind == "U":
        names = np.union1d(reference, current)
        before, after = (np.searchsorted(names, values) for values in (reference, current))
        size = len(names)
    else:
        edges = np.unique(np.quantile(reference.astype(np.float64), np.linspace(0, 1, GROUPS + 1)[1:-1]))
        before, after = (np.searchsorted(edges, values, side="left") for values in (reference, current))
        size = len(edges) + 1
    used = (np.bincount(side, minlength=size).astype(np.float64) for side in (before, after))
    return next(used), next(used)


@dataclass(frozen=True)
class Look:
    """What the drift rule sees in one window: share of drifted columns, PSI of the scores, PSI of each column."""

    share: float
    score: float
    columns: dict[str, float]

    @property
    def drifted(self) -> bool:
        """Apply the default rule."""
        return self.share >= SHARE_LIMIT or self.score >= PSI_LIMIT


def look(model: Model, data: Table) -> Look:
    """Measure one window against the model's reference."""
    each = {name: psi(model.holdout.numbers[:, i], data.numbers[:, i]) for i, name in enumerate(NUMERIC)}
    each |= {name: psi(model.holdout.kinds[:, i], data.kinds[:, i]) for i, name in enumerate(CATEGORICAL)}
    share = sum(value >= PSI_LIMIT for value in each.values()) / len(each)
    return Look(share, psi(model.reference_scores, model.score(data)), each)


def placements(labels: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return DeLong's components: for each positive the share of negatives below it, and the other way round."""
    good, bad = np.sort(scores[labels == 0]), np.sort(scores[labels == 1])
    pos, neg = scores[labels == 1], scores[labels == 0]
    below = (np.searchsorted(good, pos, "left") + np.searchsorted(good, pos, "right")) / (2 * len(good))
    above = 1 - (np.searchsorted(bad, neg, "left") + np.searchsorted(bad, neg, "right")) / (2 * len(bad))
    return below, above


def auc(labels: Floats, scores: Floats) -> float:
    """Area under the ROC curve, ties counted as one half."""
    return float(np.mean(placements(labels, scores)[0]))


def contrast(labels: Floats, new: Floats, old: Floats, at_least: float = 0.99) -> tuple[float, float]:
    """Estimate AUC(new) - at_least x AUC(old) on the same rows, with DeLong's standard error (DeLong et al. 1988)."""
    (new_pos, new_neg), (old_pos, old_neg) = placements(labels, new), placements(labels, old)
    pos, neg = new_pos - at_least * old_pos, new_neg - at_least * old_neg
    error = np.sqrt(np.var(pos, ddof=1) / len(pos) + np.var(neg, ddof=1) / len(neg))
    return float(np.mean(pos)), float(error)


def loss_bound(model: Model, data: Table) -> float:
    """Return the lower 95 % bound of (reference AUC - AUC on the window), the two samples being independent."""
    (was, spread), (is_now, noise) = (
        _auc_and_variance(model.holdout.labels, model.reference_scores),
        _auc_and_variance(data.labels, model.score(data)),
    )
    return was - is_now - Z95 * float(np.sqrt(spread + noise))


def _auc_and_variance(labels: Floats, scores: Floats) -> tuple[float, float]:
    pos, neg = placements(labels, scores)
    return float(np.mean(pos)), float(np.var(pos, ddof=1) / len(pos) + np.var(neg, ddof=1) / len(neg))


def alarms(signs: list[bool]) -> int:
    """Count the runs of at least two signs: each opens one episode."""
    padded = [False, *signs]
    return sum(
        first and second and not before for before, first, second in zip(padded, padded[1:], padded[2:], strict=False)
    )
