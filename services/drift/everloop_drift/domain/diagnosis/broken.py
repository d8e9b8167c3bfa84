"""Broken data that one window shows by itself: values that are missing, a column that stands still, new categories."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from everloop.events import Evidence
from everloop_drift.domain.diagnosis.columns import Column, evidence

MISSING: Final = 0.2
"""Rise of the share of values in no bin, as `limits.Rules.missing`."""
CHANCE: Final = 1e-6
"""Below this probability a column that has one value now would not have had it by chance."""
OFTEN: Final = {"numeric": 0.25, "categorical": 0.6}
"""A value that the reference has so often may come alone for a while: no rain, no sun at night."""
LIVELY: Final = -1.1
"""ln(1/3): a column whose usual windows have less than a third of the reference's deviation may well stand still."""
CALM: Final = 0.25
"""A category's usual PSI below this: its windows show all of the reference, not one stretch of it."""
STRANGE, FAMILIAR = 0.9, 0.1
"""Share of values in categories that the reference never had: now at least, and usually at most."""


def missing(columns: Sequence[Column]) -> Iterator[Evidence]:
    """Columns of which far more values are missing, not finite or malformed than in the reference."""
    found = [(rise, one) for one in columns if (rise := one.figures.get("missing_rate", 0.0)) >= MISSING]
    for rise, one in sorted(found, key=lambda pair: -pair[0]):
        yield evidence(one, "missing_rate", rise, MISSING)


def constant(columns: Sequence[Column]) -> Iterator[Evidence]:
    """Columns that varied in their usual windows and have one value now, which cannot be chance.

    If the reference has the value with share p, n rows have it alone with probability p^n. An hour of the day stands
    still in every hourly window, a rare flag in most: what was not lively before is not diagnosed.
    """
    for one in columns:
        if one.varied and one.figures.get("constant") == 1.0 and _lively(one):
            share = _share_of_value(one)
            chance = one.rows * math.log(share) if share > 0 else -math.inf
            if share < OFTEN[one.window.kind] and chance < math.log(CHANCE):
                yield evidence(one, "constant", share, OFTEN[one.window.kind])


def encoding(columns: Sequence[Column]) -> Iterator[Evidence]:
    """Categorical columns whose categories are all new at once, where they were not in the last usual window."""
    for one in columns:
        strange = one.figures.get("unseen", 0.0)
        if one.window.kind != "categorical" or not one.varied or one.usual is None or strange < STRANGE:
            continue
        if (one.usual.outside or 0.0) <= FAMILIAR:
            yield evidence(one, "unseen", strange, STRANGE)


def _lively(one: Column) -> bool:
    usual = one.usual
    if usual is None or usual.constant != 0.0:
        return False
    if one.window.kind == "categorical":
        return (usual.psi or 0.0) < CALM
    return usual.variance_shift is not None and usual.variance_shift >= LIVELY


def _share_of_value(one: Column) -> float:
    """Share of the reference in the bin that all current values are in; where they are in none of its, 0."""
    counts, reference = one.window.current.counts, one.window.reference.counts
    place = max(range(len(counts)), key=counts.__getitem__)
    return reference[place] / max(1, sum(reference))
