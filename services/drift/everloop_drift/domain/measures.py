"""Measure each column of a window against its reference, and say whether the measure passes its limit.

The definitions are the well-known ones. With few rows a PSI of 0.2 comes by chance: `noise` stands beside the value,
and below `min_rows` nothing counts as drift.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from everloop.events import ColumnWindow
from everloop.profile import column_groups, merge_groups
from everloop_drift.domain.statistics import (
    chi_square,
    jensen_shannon,
    ks,
    missing_rate_change,
    psi,
    psi_noise,
    unseen_rate,
    wasserstein,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from everloop.profile import ColumnProfile, Profile
    from everloop.sketch import ColumnSketch, Sketch

__all__ = [
    "ColumnMeasure",
    "Rule",
    "Rules",
    "chi_square",
    "column_window",
    "jensen_shannon",
    "ks",
    "measure",
    "measure_column",
    "measure_score",
    "missing_rate_change",
    "psi",
    "psi_noise",
    "share_drifted",
    "unseen_rate",
    "wasserstein",
]

Test = Literal["psi", "ks", "chi_square", "jensen_shannon", "wasserstein"]
Measured = Literal["psi", "ks", "chi_square", "jensen_shannon", "wasserstein", "outside_constant", "missing_rate"]
P_VALUES: Final = frozenset({"ks", "chi_square"})
_FOR_CATEGORIES: Final[Mapping[Test, Test]] = {"ks": "chi_square", "wasserstein": "jensen_shannon"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One test and its limit: a p-value for ks and chi_square, a distance for the others."""

    test: Test = "psi"
    limit: float = 0.2


@dataclass(frozen=True, slots=True)
class Rules:
    """From the loop file: a rule per column, and from how many rows on a column is judged.

    `missing` is the limit of the change of the missing rate, as a difference of shares.
    """

    default: Rule = Rule()
    columns: Mapping[str, Rule] = field(default_factory=dict)
    score: Rule = Rule()
    min_rows: int = 500
    missing: float = 0.2


@dataclass(frozen=True, slots=True)
class ColumnMeasure:
    """One measured value beside its limit. `value` is a p-value for ks and chi_square, else a distance or a share.

    `rows` are the values that entered the test, `noise` the PSI to expect when nothing has changed (None for other
    tests). A value of NaN was not measurable, and is no drift.
    """

    column: str
    test: Measured
    value: float
    limit: float
    drifted: bool
    rows: int
    noise: float | None = None


def measure(profile: Profile, sketch: Sketch, rules: Rules) -> tuple[ColumnMeasure, ...]:
    """Measure every column of the profile, in its order. A changed missing rate adds a measure where it is drift."""
    measures: list[ColumnMeasure] = []
    for column in profile.columns:
        if column.name not in sketch.columns:
            continue
        window = column_window(column, sketch.columns[column.name])
        rule = rules.columns.get(column.name, rules.default)
        measures += measure_column(window, rule, rules, edges=column.edges)
    return tuple(measures)


def measure_score(profile: Profile, sketch: Sketch, rules: Rules) -> tuple[ColumnMeasure, ...]:
    """Measure the drift of the predictions; nothing when no score was seen."""
    if sketch.score is None:
        return ()
    return measure_column(column_window(profile.score, sketch.score), rules.score, rules, edges=profile.score.edges)


def column_window(column: ColumnProfile, seen: ColumnSketch) -> ColumnWindow:
    """Put a column of a window beside its reference. What is in no bin (not finite, malformed) counts as missing."""
    return ColumnWindow(
        name=column.name,
        kind=column.kind,
        counts=tuple(seen.counts.tolist()),
        missing=seen.missing + seen.nonfinite + seen.malformed,
        reference=column.counts,
        reference_missing=column.missing + column.nonfinite + column.malformed,
        groups=column_groups(column),
    )


def measure_column(
    window: ColumnWindow, rule: Rule, rules: Rules, *, edges: Sequence[float] = ()
) -> tuple[ColumnMeasure, ...]:
    """Measure one column by `rule`; wasserstein needs the `edges` of its bins."""
    lost = _missing(window, rules)
    return (_distribution(window, rule, rules, edges), *([lost] if lost.drifted else []))


def share_drifted(measures: Iterable[ColumnMeasure]) -> float:
    """Share of measured columns with a measure that is drift; 0 when nothing was measured."""
    drifted: dict[str, bool] = {}
    for one in measures:
        drifted[one.column] = drifted.get(one.column, False) or one.drifted
    return sum(drifted.values()) / len(drifted) if drifted else 0.0


def is_drift(test: Measured, value: float, limit: float) -> bool:
    """Compare in the direction of the test, as Evidently does: p-values drift below, distances from the limit on."""
    if math.isnan(value):
        return False
    if test == "outside_constant":
        return value > limit
    return value < limit if test in P_VALUES else value >= limit


def _distribution(window: ColumnWindow, rule: Rule, rules: Rules, edges: Sequence[float]) -> ColumnMeasure:
    """Compare where the values lie. Against a constant reference PSI means nothing: take the share elsewhere."""
    rows = sum(window.counts)
    constant = sum(count > 0 for count in window.reference) <= 1
    test = _FOR_CATEGORIES.get(rule.test, rule.test) if window.kind == "categorical" else rule.test
    if constant and test not in P_VALUES:
        seen = rows if sum(window.reference) else rows + window.missing
        value = _outside(window, seen)
        return _measured(window, "outside_constant", value, rule.limit, seen, rules)
    groups = window.groups or tuple(range(len(window.counts)))
    noise = psi_noise(max(groups) + 1, sum(window.reference), rows) if test == "psi" and rows else None
    measured = _measured(window, test, _value(window, test, groups, edges), rule.limit, rows, rules)
    return replace(measured, noise=noise)


def _value(window: ColumnWindow, test: Test, groups: Sequence[int], edges: Sequence[float]) -> float:
    """Run one test: ks and wasserstein on the fine bins, the others on groups of near-equal reference mass."""
    if test == "ks":
        return ks(window.reference, window.counts).p_value
    if test == "wasserstein":
        return wasserstein(edges, window.reference, window.counts)
    reference, current = merge_groups(window.reference, groups), merge_groups(window.counts, groups)
    if test == "chi_square":
        return chi_square(reference, current).p_value
    return psi(reference, current) if test == "psi" else jensen_shannon(reference, current)


def _outside(window: ColumnWindow, seen: int) -> float:
    """Give the share of rows that left the constant; where the reference had no value at all, of rows with one."""
    left = sum(now for now, then in zip(window.counts, window.reference, strict=True) if not then)
    return left / seen if seen else math.nan


def _missing(window: ColumnWindow, rules: Rules) -> ColumnMeasure:
    """Compare the missing rates: a column that vanished has no distribution to compare, but is drift."""
    rows, reference_rows = sum(window.counts) + window.missing, sum(window.reference) + window.reference_missing
    change = missing_rate_change(window.reference_missing, reference_rows, window.missing, rows)
    return _measured(window, "missing_rate", abs(change.difference), rules.missing, rows, rules)


def _measured(
    window: ColumnWindow, test: Measured, value: float, limit: float, rows: int, rules: Rules
) -> ColumnMeasure:
    """Hold the value to its limit, where there are rows enough."""
    drifted = rows >= rules.min_rows and is_drift(test, value, limit)
    return ColumnMeasure(window.name, test, value, limit, drifted, rows)
