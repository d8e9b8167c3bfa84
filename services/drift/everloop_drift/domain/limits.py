"""Hold what was measured against the limits of the loop file: which measure is drift. Nothing is measured here.

The limits are the well-known ones. With few rows a PSI of 0.2 comes by chance: its noise stands among the figures, and
below `min_rows` nothing counts as drift.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from everloop.events import Measure
from everloop.loop import P_VALUE_TESTS, Loop, Test
from everloop_drift.domain.measures import Measured

_FOR_CATEGORIES: Final[Mapping[Test, Test]] = {"ks": "chi_square", "wasserstein": "jensen_shannon"}


@dataclass(frozen=True, slots=True)
class Rule:
    """One test and its limit: a p-value for ks and chi_square, a distance for the others."""

    test: Test = "psi"
    limit: float = 0.2


@dataclass(frozen=True, slots=True)
class Rules:
    """A rule per column, and from how many rows on a column is judged.

    `missing` is the limit of the change of the missing rate, as a difference of shares.
    """

    default: Rule = Rule()
    columns: Mapping[str, Rule] = field(default_factory=dict)
    score: Rule = Rule()
    min_rows: int = 500
    missing: float = 0.2

    @classmethod
    def of(cls, loop: Loop) -> Rules:
        """The rules that a loop file sets."""
        drift = loop.drift
        return cls(
            default=Rule(drift.default.test, drift.default.limit),
            columns={name: Rule(limit.test, limit.limit) for name, limit in drift.columns.items()},
            score=Rule(drift.score.test, drift.score.limit),
            min_rows=rows_needed(loop),
        )

    def hold(self, measured: Iterable[Measured]) -> tuple[Measure, ...]:
        """Hold each column against its rule."""
        return tuple(one for m in measured for one in _held(m, self.columns.get(m.name, self.default), self))

    def hold_score(self, measured: Iterable[Measured]) -> tuple[Measure, ...]:
        """Hold the scores against their rule."""
        return tuple(one for m in measured for one in _held(m, self.score, self))


def rows_needed(loop: Loop) -> int:
    """From how many rows on a window is judged. One that closes by its rows: half of them, as the champion may have."""
    needed, rows = loop.windows.min_rows, loop.windows.rows
    return needed if rows is None else min(needed, (rows + 1) // 2)


def is_drift(test: str, value: float | None, limit: float) -> bool:
    """Compare in the direction of the test, as Evidently does: p-values drift below, distances from the limit on.

    A change with a sign is compared by its size.
    """
    if value is None or math.isnan(value):
        return False
    if test == "outside_constant":
        return value > limit
    return value < limit if test in P_VALUE_TESTS else abs(value) >= limit


def share_drifted(measures: Iterable[Measure]) -> float:
    """Share of measured columns with a measure that is drift; 0 when nothing was measured."""
    drifted: dict[str, bool] = {}
    for one in measures:
        drifted[one.name] = drifted.get(one.name, False) or one.drifted
    return sum(drifted.values()) / len(drifted) if drifted else 0.0


def _held(measured: Measured, rule: Rule, rules: Rules) -> tuple[Measure, ...]:
    """The distribution by the rule's test; a changed missing rate beside it where it is drift.

    A column that vanished has no distribution to compare, but is drift.
    """
    lost = _measure(measured, "missing_rate", rules.missing, measured.seen, rules)
    return (_distribution(measured, rule, rules), *([lost] if lost.drifted else []))


def _distribution(measured: Measured, rule: Rule, rules: Rules) -> Measure:
    test = _FOR_CATEGORIES.get(rule.test, rule.test) if measured.kind == "categorical" else rule.test
    if measured.filled <= 1 and test not in P_VALUE_TESTS:
        rows = measured.rows if measured.filled else measured.seen
        return _measure(measured, "outside_constant", rule.limit, rows, rules)
    return _measure(measured, test, rule.limit, measured.rows, rules)


def _measure(measured: Measured, test: str, limit: float, rows: int, rules: Rules) -> Measure:
    """Hold the value to its limit, where there are rows enough."""
    found = measured.by_test[test]
    value = found if math.isfinite(found) else None
    drifted = rows >= rules.min_rows and is_drift(test, value, limit)
    return Measure(name=measured.name, test=test, value=value, limit=limit, drifted=drifted, rows=rows)
