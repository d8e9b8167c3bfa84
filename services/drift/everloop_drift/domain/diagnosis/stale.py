"""A feed that repeats itself: the window before again, or a few rows over and over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from everloop.events import Evidence
from everloop_drift.domain.diagnosis.columns import Column, evidence

LIVELY: Final = 6
"""A column that has changed so often in a row, and at every window so far, is expected to change."""
WHOLE: Final = 3
"""Fewer columns of few values agree by chance."""
HOLLOW: Final = 0.5
"""Share of the bins between the lowest and the highest filled one that are empty."""
WIDE: Final = 16
FILLED: Final = 8
"""Bins that the values have to span, and rows per bin from which on an empty one is no chance: e^-8 each."""


def repeated(columns: Sequence[Column], *, overlaps: bool) -> Iterator[Evidence]:
    """Columns whose mean, deviation and PSI are those of the window before, to five digits.

    Two windows of a living column of many values agree in all three with a probability far below 1e-9. Windows that
    overlap may have the same rows. Columns of few values count only together: all of them, and three at least.
    """
    known = [one for one in columns if one.before is not None and one.now.psi is not None]
    same = [one for one in known if _same(one)] if not overlaps else []
    whole = len(same) >= WHOLE and len(same) == len(known)
    for one in same:
        if whole or one.fine:
            yield evidence(one, "repeated", one.now.psi, one.before.psi if one.before else None)


def hollow(columns: Sequence[Column]) -> Iterator[Evidence]:
    """Columns of many values that now have a few scattered ones: a comb over bins which the reference fills.

    Rows that come again and again do that to every column; so at least half of them, and two, must show it. A smooth
    distribution that became narrow leaves no gaps.
    """
    fine = [one for one in columns if one.fine]
    found = [(gaps, one) for one in fine if (gaps := empty_between(one)) >= HOLLOW]
    if len(found) >= 2 and 2 * len(found) >= len(fine):  # noqa: PLR2004 - two columns at least, and half of them
        for gaps, one in sorted(found, key=lambda pair: -pair[0]):
            yield evidence(one, "empty_bins", gaps, HOLLOW)


def empty_between(one: Column) -> float:
    """Share of empty bins between the outermost filled ones, of bins that the reference fills; 0 where too few."""
    counts, reference = one.window.current.counts, one.window.reference.counts
    filled = [place for place, count in enumerate(counts) if count and reference[place]]
    if not filled:
        return 0.0
    inner = [counts[place] for place in range(filled[0], filled[-1] + 1) if reference[place]]
    if len(inner) < WIDE or sum(inner) < FILLED * len(inner):
        return 0.0
    return sum(count == 0 for count in inner) / len(inner)


def _same(one: Column) -> bool:
    moving = one.changes >= LIVELY and one.figures.get("constant") != 1.0
    return moving and one.before is not None and one.before.content == one.now.content
