"""Merge fine bins into the few groups that PSI is defined on. Pure, from the reference counts alone."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from everloop.profile.values import ColumnProfile

PSI_GROUPS: Final = 10


def psi_groups(counts: Sequence[int], groups: int = PSI_GROUPS) -> tuple[int, ...]:
    """Give each bin the number of its group: at most `groups`, neighbours together, near-equal reference mass.

    A bin goes where the middle of its mass lies; a bin without reference mass joins the one before it, so that every
    group has mass and no PSI is made of zeros alone. Few enough bins with mass stay apart.
    """
    total, filled = sum(counts), sum(count > 0 for count in counts)
    chosen: list[int] = []
    below = place = 0
    for count in counts:
        if count:
            chosen.append(place if filled <= groups else (2 * below + count) * groups // (2 * total))
            place += 1
        else:
            chosen.append(chosen[-1] if chosen else -1)
        below += count
    first = min((group for group in chosen if group >= 0), default=0)
    numbers = {group: number for number, group in enumerate(sorted({max(group, first) for group in chosen}))}
    return tuple(numbers[max(group, first)] for group in chosen)


def column_groups(column: ColumnProfile, groups: int = PSI_GROUPS) -> tuple[int, ...]:
    """Give each bin of a column its group. `other` without reference mass stays apart: a new category is news."""
    if column.kind == "numeric" or column.counts[-1] or not column.categories:
        return psi_groups(column.counts, groups)
    known = psi_groups(column.counts[:-1], groups)
    return (*known, known[-1] + 1)


def merge_groups(counts: Sequence[int] | NDArray[np.int64], groups: Sequence[int]) -> NDArray[np.int64]:
    """Add up the counts of each group. Shapes: bins and bins, giving `max(groups) + 1`."""
    merged = np.zeros(max(groups) + 1, dtype=np.int64)
    np.add.at(merged, np.asarray(groups), np.asarray(counts, dtype=np.int64))
    return merged
