"""Which columns to look at first: by drift x importance. It ranks, and decides nothing.

Drift is on one scale for every kind of column, 0 to 1: the Jensen-Shannon distance of its groups (base 2; Lin 1991),
which is bounded, needs no order and no unit, and means the same for numbers and categories; KS, Wasserstein and PSI do
not have all of that. What chance alone makes of it is taken away first: an important column that has not moved would
else stand above others that have. Values that are lost are no part of that distance, so the change of the missing rate
counts where it is larger: it is the total variation of there being a value, within 0 to 1 as well and never more than a
fifth above that distance (at most 1.18 times, Lin 1991).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from everloop.events import ColumnWindow, MeasureTable, RankedColumn
from everloop_drift.domain.measures import rounded

MOST_RANKED: Final = 20
BITS: Final = 8 * math.log(2)
"""A small PSI is so many times the squared Jensen-Shannon distance in base 2 (second order: both are a chi-square)."""
P_VALUES: Final = ("ks", "chi_square")
"""The p-value of a column: of its order where it has one, else of its categories."""


def rank(columns: Sequence[ColumnWindow], figures: MeasureTable) -> tuple[RankedColumn, ...]:
    """Put the columns of a window in order, at most 20; none where the window was not compared.

    A column whose importance is not known counts like the mean of those that are; without any all count the same.
    """
    measured = {one.name: figures.of(figures.columns[one.name]) for one in columns if one.name in figures.columns}
    moved = {name: drift(found) for name, found in measured.items()}
    importance = {one.name: one.importance for one in columns}
    known = [one for one in importance.values() if one is not None]
    usual = sum(known) / len(known) if known else 1 / max(1, len(columns))
    scores = {name: one * (usual if (own := importance[name]) is None else own) for name, one in moved.items()}
    adjusted = benjamini_hochberg({name: p for name, found in measured.items() if (p := p_value(found)) is not None})
    names = sorted(moved, key=lambda name: (-scores[name], -moved[name], adjusted.get(name, 1.0), name))
    return tuple(
        RankedColumn(
            name=name, drift=rounded(moved[name]) or 0.0, importance=rounded(importance[name]),
            score=rounded(scores[name]) or 0.0, p_value=p_value(measured[name]), p_adjusted=rounded(adjusted.get(name)),
        )
        for name in names[:MOST_RANKED]
    )  # fmt: skip


def drift(found: Mapping[str, float]) -> float:
    """How far one column, or the scores, are from the reference, 0 to 1, of its figures by test.

    Against a constant reference a distance means nothing: there it is the share of rows elsewhere.
    """
    noise = found.get("psi_noise", 0.0) / BITS
    moved = math.sqrt(max(0.0, found.get("jensen_shannon", 0.0) ** 2 - noise)) if math.isfinite(noise) else 0.0
    return min(1.0, max(moved, found.get("outside_constant", 0.0), abs(found.get("missing_rate", 0.0))))


def p_value(found: Mapping[str, float]) -> float | None:
    """The p-value of one column; None where it has no values to compare."""
    return next((found[test] for test in P_VALUES if test in found), None)


def benjamini_hochberg(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values: the smallest false discovery rate at which each would be one (Benjamini and Hochberg 1995).

    The step-up procedure, as `scipy.stats.false_discovery_control`. It holds for columns that depend on each other in
    the usual, positive way (Benjamini and Yekutieli 2001).
    """
    found: dict[str, float] = {}
    smallest, tests = 1.0, len(p_values)
    for place, name in enumerate(sorted(p_values, key=lambda one: p_values[one], reverse=True)):
        smallest = min(smallest, p_values[name] * tests / (tests - place))
        found[name] = smallest
    return found
