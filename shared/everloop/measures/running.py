"""What adds up over windows and over columns: a change too small for one of them shows in the sum of many.

Each column gives a few standardised numbers per window (`everloop.measures.components`). They are summed over the last
k = 1, 2, 4 .. 32 windows; the square of a sum, over k, is about chi-square: the generalised likelihood ratio of a
change k windows ago (Willsky and Jones 1976; Lai 1995, here on powers of two). Added up over the numbers of one column
it finds what moves one column, over those of all what moves many a little (as in Mei 2010, for many streams). The cube
root of each is nearly normal (Wilson and Hilferty 1931), which makes spans, columns and their sum comparable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
SPANS: Final = (1, 2, 4, 8, 16, 32)
"""Windows that are added up."""
MOST: Final = SPANS[-1]


class Sums(NamedTuple):
    """The running statistics after each window: of each column, shape (windows, columns), and of all, (windows,)."""

    own: Floats
    joint: Floats


def sums(numbers: Floats, owner: Ints, most: int = MOST) -> Sums:
    """Of numbers of shape (windows, components), `owner` the column of each; over at most so many windows.

    A component that is not known in a window counts as 0. A column without components is at 0.
    """
    columns = int(owner.max(initial=-1)) + 1
    member = np.equal.outer(owner, np.arange(columns)).astype(np.float64)
    freedom = member.sum(axis=0)
    own, joint = np.zeros((len(numbers), columns)), np.zeros(len(numbers))
    for squares in _squares(numbers, most):
        by_column = squares @ member
        own = np.maximum(own, normal(by_column, freedom))
        joint = np.maximum(joint, normal(by_column.sum(axis=1), freedom.sum()))
    return Sums(own, joint)


def normal(squares: ArrayLike, freedom: ArrayLike) -> Floats:
    """A chi-square as the standard normal number that is as rare; 0 without degrees of freedom."""
    degrees = np.maximum(np.asarray(freedom, dtype=np.float64), 1e-9)
    variance = 2 / (9 * degrees)
    found = (np.cbrt(np.asarray(squares) / degrees) - (1 - variance)) / np.sqrt(variance)
    return np.where(np.asarray(freedom) > 0, found, 0.0)


def outstanding(numbers: Floats, owner: Ints, usual: float, most: int = MOST) -> list[int]:
    """The columns without which the others together are not above the usual after the last window, strongest first."""
    own = sums(numbers, owner, most).own[-1]
    found: list[int] = []
    for column in np.argsort(-own, kind="stable").tolist():
        others = ~np.isin(owner, found)
        if not others.any() or sums(numbers[:, others], owner[others], most).joint[-1] <= usual:
            break
        found.append(column)
    return found


def _squares(numbers: Floats, most: int) -> Iterator[Floats]:
    """Per span: the square of each component's sum over the last windows, over their number."""
    before = np.vstack([np.zeros(numbers.shape[1]), np.cumsum(np.nan_to_num(numbers), axis=0)])
    after = np.arange(1, len(numbers) + 1)
    for span in SPANS:
        if span <= most:
            since = np.maximum(0, after - span)
            yield (before[after] - before[since]) ** 2 / (after - since)[:, None]


def owners(sizes: Sequence[int]) -> Ints:
    """The column of each component, where column i has so many."""
    return np.repeat(np.arange(len(sizes)), sizes)
