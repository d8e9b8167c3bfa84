"""What of a column adds up: a few independent numbers per window, by chance about 0 with a deviation of 1.

Each bin gets scores that are orthonormal under the reference; what a window shows is how far its mean scores are from
the reference's, over their standard error. Of numbers there are two: normal scores, which see a change of location
(van der Waerden 1952), and their squares, which see one of spread (Klotz 1962); both are about as strong as the tests
of the normal distribution where columns are normal, and have no moments to be led astray by where they are not. Of
categories there is one less than groups, and their squares add up to Pearson's chi-square. Squares of all of them
together are a smooth test (Neyman 1937).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
KEPT: Final = 4096
"""References whose scores are kept: every window of a version has the same."""
LEAST: Final = 0.05
"""Least variance of scores that a reference is believed to have, of 1."""


@lru_cache(KEPT)
def of_numbers(counts: tuple[int, ...]) -> Floats:
    """Scores of bins in ascending order, shape (bins, 0 to 2): fewer than two where fewer than three bins have rows."""
    known = np.asarray(counts, dtype=np.float64)
    below = (np.cumsum(known) - known / 2 + 0.5) / (known.sum() + 1)
    normal = special.ndtri(below)
    powers = np.stack([np.ones_like(normal), normal, normal**2], axis=1)
    filled = int(np.count_nonzero(known))
    return _orthonormal(powers[:, : max(1, min(3, filled))], known)


@lru_cache(KEPT)
def of_categories(counts: tuple[int, ...], groups: tuple[int, ...]) -> Floats:
    """Scores of bins, shape (bins, groups with rows - 1): contrasts of the groups; 0 for a group without rows."""
    members = np.asarray(groups)
    mass: Floats = np.bincount(members, weights=np.asarray(counts, dtype=np.float64)).astype(np.float64)
    filled = np.flatnonzero(mass)
    indicators = np.eye(max(1, len(filled)))
    indicators[:, 0] = 1
    scores = np.zeros((len(mass), len(indicators) - 1))
    scores[filled] = _orthonormal(indicators, mass[filled]) if filled.size else scores[filled]
    found: Floats = scores[members]
    return found


def of_column(counts: tuple[int, ...], groups: tuple[int, ...], *, numeric: bool) -> Floats:
    """The scores of a column's bins by its kind, shape (bins, components)."""
    return of_numbers(counts) if numeric else of_categories(counts, groups)


def moved(scores: Floats, reference: ArrayLike, current: ArrayLike) -> Floats:
    """The difference of mean scores, shape (..., scores), of counts of shape (..., bins); NaN where a side is empty."""
    return _mean(scores, current) - _mean(scores, reference)


def noise(scores: Floats, reference: ArrayLike, inverse_rows: ArrayLike) -> Floats:
    """The variance of that difference where nothing has changed: of the scores under this reference, by 1/n + 1/m.

    At least as if a twentieth of the scores' variance were there: an hour in which a column has stood still is no proof
    that it has to.
    """
    spread = _mean(scores**2, reference) - _mean(scores, reference) ** 2
    return np.asarray(np.maximum(spread, LEAST) * np.asarray(inverse_rows)[..., None])


def standardised(difference: Floats, variance: Floats) -> Floats:
    """The difference over its deviation; 0 where either is not known."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found = difference / np.sqrt(variance)
    return np.where(np.isfinite(found), found, 0.0)


def _orthonormal(columns: Floats, weights: Floats) -> Floats:
    """Gram and Schmidt under the weights; the first column is all ones, and is left out of what is given.

    The diagonal of the triangle is made positive: LAPACKs differ in signs, and windows of two machines are added up.
    """
    share = weights / max(1.0, weights.sum())
    triangle = np.linalg.qr(np.sqrt(share)[:, None] * columns, mode="r")
    signs = np.where(np.diag(triangle) < 0, -1.0, 1.0)
    size = np.abs(np.diag(triangle))
    if size.min() <= 1e-9 * size.max():
        return np.zeros((len(columns), 0))
    return np.asarray(columns @ np.linalg.inv(triangle * signs[:, None]))[:, 1:]


def _mean(scores: Floats, counts: ArrayLike) -> Floats:
    known = np.asarray(counts, dtype=np.float64)
    rows = known.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.asarray((known @ scores) / np.where(rows > 0, rows, np.nan))
