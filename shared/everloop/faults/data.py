"""Broken data: what a pipe does to rows. Labels stay: what happened is not changed by how it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from everloop.faults.batch import Batch, Moment, Values

SHARE: Final = 0.6
"""Of the values of a column that are lost."""
FEW: Final = 12
"""Rows of a feed that repeats itself."""


def missing_in_one(batch: Batch, moment: Moment) -> Batch:
    """Lose most values of the first column of numbers."""
    return _lose(batch, moment, batch.numeric[:1], np.nan)


def missing_everywhere(batch: Batch, moment: Moment) -> Batch:
    """Lose most values of every column."""
    lost = _lose(batch, moment, batch.numeric, np.nan)
    hidden = moment.chance().random(len(batch.labels)) < SHARE
    texts = {name: lost.columns[name].astype(object) for name in batch.categorical}
    for values in texts.values():
        values[hidden] = None
    return lost.having(**texts)


def infinite(batch: Batch, moment: Moment) -> Batch:
    """Turn most values of the last column of numbers into infinities, as a division by zero does."""
    return _lose(batch, moment, batch.numeric[-1:], np.inf)


def text_in_numbers(batch: Batch, moment: Moment) -> Batch:
    """Write a word for most numbers of the first column."""
    name = batch.numeric[0]
    hidden = moment.chance().random(len(batch.labels)) < SHARE
    hidden[:1] = False
    return batch.having(**{name: np.where(hidden, "n/a", batch.columns[name].astype(object))})


def scaled_up(batch: Batch, moment: Moment) -> Batch:
    """Send the first column of numbers in a unit a thousand times smaller."""
    del moment
    return _affine(batch, batch.numeric[0], 1000.0)


def scaled_down(batch: Batch, moment: Moment) -> Batch:
    """Send the second column of numbers in a unit sixty times larger: hours for minutes."""
    del moment
    return _affine(batch, batch.numeric[1], 1 / 60)


def fahrenheit(batch: Batch, moment: Moment) -> Batch:
    """Send the column `temperature`, of degrees Celsius, in Fahrenheit."""
    del moment
    return _affine(batch, "temperature", 1.8, 32.0)


def sign_flipped(batch: Batch, moment: Moment) -> Batch:
    """Send the first column of numbers with the other sign."""
    del moment
    return _affine(batch, batch.numeric[0], -1.0)


def constant_number(batch: Batch, moment: Moment) -> Batch:
    """Send the first value of the first column of numbers again and again."""
    del moment
    name = batch.numeric[0]
    return batch.having(**{name: np.full(len(batch.labels), batch.columns[name][0])})


def constant_category(batch: Batch, moment: Moment) -> Batch:
    """Send the rarest category of the first column of text for every row."""
    del moment
    name = batch.categorical[0]
    names, counts = np.unique(batch.columns[name].astype(str), return_counts=True)
    return batch.having(**{name: np.full(len(batch.labels), names[counts.argmin()])})


def frozen_feed(batch: Batch, moment: Moment) -> Batch:
    """Send the rows of the window before, which really had other outcomes."""
    return batch if moment.before is None else Batch(moment.before.columns, batch.labels)


def frozen_column(batch: Batch, moment: Moment) -> Batch:
    """Send the first column of numbers as it was in the window before."""
    if moment.before is None:
        return batch
    name = batch.numeric[0]
    return batch.having(**{name: moment.before.columns[name]})


def looping_rows(batch: Batch, moment: Moment) -> Batch:
    """Send a dozen rows over and over."""
    rows = moment.chance().integers(0, min(FEW, len(batch.labels)), len(batch.labels))
    return replace(batch.at(rows), labels=batch.labels)


def column_dropped(batch: Batch, moment: Moment) -> Batch:
    """Send all columns but the first one of numbers."""
    del moment
    return replace(batch, columns={name: kept for name, kept in batch.columns.items() if name != batch.numeric[0]})


def column_added(batch: Batch, moment: Moment) -> Batch:
    """Send a column that nobody has asked for."""
    return batch.having(surplus=moment.chance().normal(size=len(batch.labels)))


def column_retyped(batch: Batch, moment: Moment) -> Batch:
    """Send the first column of numbers as text."""
    del moment
    name = batch.numeric[0]
    return batch.having(**{name: batch.columns[name].astype(str).astype(object)})


def encoding_changed(batch: Batch, moment: Moment) -> Batch:
    """Send codes for the categories of the first column of text."""
    del moment
    name = batch.categorical[0]
    names, codes = np.unique(batch.columns[name].astype(str), return_inverse=True)
    known = np.array([f"code-{place}" for place in range(len(names))], dtype=object)
    return batch.having(**{name: known[codes]})


def unscaled(batch: Batch, moment: Moment) -> Batch:
    """Standardise every column of numbers at serving, for a model that learnt from them as they were."""
    del moment
    return batch.having(**{name: _standard(batch.columns[name]) for name in batch.numeric})


def _standard(values: Values) -> Values:
    spread = float(np.nanstd(values))
    return np.asarray((values - np.nanmean(values)) / (spread or 1.0))


def _affine(batch: Batch, name: str, factor: float, shift: float = 0.0) -> Batch:
    return batch.having(**{name: shift + factor * batch.columns[name]})


def _lose(batch: Batch, moment: Moment, names: list[str], instead: float) -> Batch:
    chance = moment.chance()
    lost: Mapping[str, Values] = {
        name: np.where(chance.random(len(batch.labels)) < SHARE, instead, batch.columns[name]) for name in names
    }
    return batch.having(**lost)
