"""A changed world. Rows are selected from more than are wanted, so that what belongs together stays together."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from everloop.faults.batch import Batch, Moment

POOL: Final = 6
"""A selection is given so many times the rows that it gives back."""
MILD, STRONG = 0.8, 2.0
"""Weight of a row, as the power of e to its standardised value."""
ODDS: Final = 4.0
"""How much likelier a positive row is chosen."""
NOISE: Final = 0.25
"""Share of labels that are drawn by lot."""
STEPS: Final = 4
"""Windows until a gradual change is complete."""
SWING: Final = 1.5
"""Half the way of a season, in deviations."""


def shifted_mildly(batch: Batch, moment: Moment) -> Batch:
    """Prefer rows with large values in half of the columns of numbers; what they lead to stays."""
    return _tilted(batch, moment, MILD)


def shifted_strongly(batch: Batch, moment: Moment) -> Batch:
    """Prefer such rows much more."""
    return _tilted(batch, moment, STRONG)


def shifting_slowly(batch: Batch, moment: Moment) -> Batch:
    """Prefer such rows from window to window more."""
    return _tilted(batch, moment, STRONG * min(1.0, (moment.number + 1) / STEPS))


def prior_shifted(batch: Batch, moment: Moment) -> Batch:
    """Prefer positive rows: the same rows lead to the same labels, of which more are positive."""
    return _chosen(batch, moment, np.where(batch.labels > 0, ODDS, 1.0))


def concept_flipped(batch: Batch, moment: Moment) -> Batch:
    """Turn the labels of all rows over whose second number is above its median."""
    del moment
    return _flipped(batch, np.ones(len(batch.labels), dtype=np.bool_))


def concept_turning(batch: Batch, moment: Moment) -> Batch:
    """Turn them over for a share of the rows that grows from window to window."""
    share = min(1.0, (moment.number + 1) / STEPS)
    return _flipped(batch, moment.chance().random(len(batch.labels)) < share)


def noisy_labels(batch: Batch, moment: Moment) -> Batch:
    """Draw a share of the labels by lot, whatever the row."""
    chance = moment.chance()
    drawn = (chance.random(len(batch.labels)) < 0.5).astype(np.float64)  # noqa: PLR2004 - heads or tails
    return replace(batch, labels=np.where(chance.random(len(batch.labels)) < NOISE, drawn, batch.labels))


def daily(batch: Batch, moment: Moment) -> Batch:
    """Raise and lower half of the columns of numbers with the hour of the day."""
    swing = SWING * np.sin(2 * np.pi * moment.hour / 24)
    return batch.having(**{name: batch.columns[name] + swing * np.nanstd(batch.columns[name]) for name in _half(batch)})


def _half(batch: Batch) -> list[str]:
    return batch.numeric[: (len(batch.numeric) + 1) // 2]


def _flipped(batch: Batch, may: NDArray[np.bool_]) -> Batch:
    values = batch.columns[batch.numeric[1]]
    turned = may & (values > np.nanmedian(values))
    return replace(batch, labels=np.where(turned, 1 - batch.labels, batch.labels))


def _tilted(batch: Batch, moment: Moment, power: float) -> Batch:
    """Weights by the rank of a value (its normal score), so that one huge value is not all that is chosen."""
    ranks = [np.argsort(np.argsort(batch.columns[name])) / max(1, len(batch.labels) - 1) for name in _half(batch)]
    mean = np.mean(ranks, axis=0) - 0.5
    return _chosen(batch, moment, np.exp(power * mean / (mean.std() or 1.0)))


def _chosen(batch: Batch, moment: Moment, weights: NDArray[np.float64]) -> Batch:
    """Choose without replacement, with these weights (Efraimidis and Spirakis 2006), in the order of the rows."""
    keys = moment.chance().random(len(weights)) ** (1 / weights)
    kept = np.sort(np.argsort(-keys)[: len(weights) // POOL])
    return batch.at(kept)
