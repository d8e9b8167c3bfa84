"""Is the candidate worse, good enough, or is it too early to say? Valid at every look, however often one looks. Pure.

A fixed-sample test that is repeated until it speaks aborts most good candidates in the end. An interval here covers the
truth at *all* looks at once with probability 1 - alpha (a confidence sequence), so looking costs nothing and stopping
needs no plan. Two kinds:

- Means (latency, loss, scores): the normal mixture of Robbins (1970) on the information scale I = 1 / SE^2, which is an
  asymptotic confidence sequence (Howard et al. 2021; Waudby-Smith et al. 2021). It needs a normal estimate: hence the
  floors on rows and buckets and the t-like widening for a spread estimated from few buckets.
- Rates (errors): the beta-binomial mixture martingale (Robbins 1970; Howard et al. 2021, section 3), exact for
  independent rows down to zero events; dependent rows are discounted by Rao and Scott's design effect. Two arms are
  compared by the union of their sequences at alpha / 2 each. The conditional test (candidate's errors given all errors)
  is sharper, yet needs an unchanging split, which a rollout is about to change; the union needs nothing between arms
  and costs at most a factor sqrt(2) in width, and alpha / 2.

Alpha is split evenly over the measures of a rollout, and over its steps where evidence starts anew (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, lgamma, log, log1p
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from everloop_rollout.domain.evidence import Difference, Mean, Rate, RatePair

Floats: TypeAlias = NDArray[np.float64]
Verdict: TypeAlias = Literal["advance", "abort", "hold"]
Evidence: TypeAlias = Difference | Mean | Rate | RatePair | None
Interval: TypeAlias = tuple[float, float]

NORMAL = NormalDist()
MIN_BUCKETS = 20  # fewer buckets, or fewer effective ones, and their spread says nothing: the interval is infinite
AIMED_POWER = 0.9  # the mixture is tuned to be sharpest where a fixed test of this power would end
PRIOR_EVENTS = 0.5  # Jeffreys' weight of the beta mixture
HALVINGS = 60  # of a bisection: beyond double precision


@dataclass(frozen=True, slots=True)
class Rule:
    """One measure's limit, in units of the measure, and which side of it is worse.

    `limit` bounds the difference candidate - champion (or the one arm's value): from above where `worse` is "higher",
    from below where it is "lower" (a negative number for "may lose that much"), both ways for "either".
    `effect` is the size that the test is tuned for (any value > 0 is valid; default the limit's own size).
    `must_prove`: advance only when the interval lies within the limit; else as soon as enough was seen without harm.
    """

    name: str
    limit: float
    alpha: float
    worse: Literal["higher", "lower", "either"] = "higher"
    effect: float | None = None
    min_rows: int = 1000
    must_prove: bool = True

    def __post_init__(self) -> None:
        """Refuse a rule that cannot be tested.

        Raises:
            ValueError: alpha is not within 0 and 1, or neither limit nor effect says for which size to tune.

        """
        if not 0 < self.alpha < 1 or not (self.effect or abs(self.limit)) > 0:
            raise ValueError(f"rule {self.name}: needs 0 < alpha < 1, and an effect > 0 where the limit is 0")


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at one measure said, with its figures; None where there was nothing to say."""

    measure: str
    estimate: float | None
    lower: float | None
    upper: float | None
    limit: float
    verdict: Verdict
    rule: str
    samples: int


def share(alpha: float, measures: int, steps: int = 1) -> float:
    """Give each measure (of each step, where evidence starts anew) its part of alpha: Bonferroni."""
    return alpha / (measures * steps)


def size(rule: Rule) -> float:
    """Read the size that the rule's test is tuned for, in units of the measure."""
    return rule.effect or abs(rule.limit)


def information(effect: float, alpha: float) -> float:
    """Information 1 / SE^2 at which a fixed two-sided test at alpha would find `effect` with power 0.9."""
    return ((NORMAL.inv_cdf(1 - alpha / 2) + NORMAL.inv_cdf(AIMED_POWER)) / effect) ** 2


def confidence_sequence(
    estimate: float, standard_error: float, alpha: float, tuning: float, degrees: float = inf
) -> Interval:
    """Bound a mean at all looks at once. `tuning`: the information 1 / SE^2 at which the interval is to be sharpest.

    Without spread, or with fewer than 20 effective degrees of freedom, the interval is infinite: hold.
    """
    if not (standard_error > 0 and degrees >= MIN_BUCKETS - 1):
        return -inf, inf
    width = float(radius(np.float64(standard_error), alpha, tuning, degrees))
    return estimate - width, estimate + width


def radius(standard_error: Floats | np.float64, alpha: float, tuning: float, degrees: Floats | float) -> Floats:
    """Half-width of the normal mixture sequence (arrays broadcast).

    With S = I * estimate Brownian of drift theta in time I, mixing theta over N(0, 1 / phi) gives the martingale
    sqrt(phi / (I + phi)) exp(S^2 / (2 (I + phi))); Ville: it passes 1 / alpha with probability alpha at most.
    phi = tuning / (c + log(1 + c)), c = -2 log alpha, is sharpest near `tuning` (Waudby-Smith et al. 2021, B.2).
    """
    spent = -2 * log(alpha)
    phi = tuning / (spent + log1p(spent))
    time = 1 / np.square(standard_error)
    normal = np.sqrt((1 + phi / time) * (np.log1p(time / phi) + spent))
    width: Floats = np.multiply(standard_error, student(normal, degrees))
    return width


def student(normal: Floats | np.float64, degrees: Floats | float) -> Floats:
    """Student's quantile at the tail of a normal one: Abramowitz and Stegun 26.7.5, for 19 degrees or more."""
    z, v = normal, degrees
    first = (z**3 + z) / (4 * v)
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    quantile: Floats = np.add(z, first + second + third)
    return quantile


def rate_bounds(errors: float, rows: float, alpha: float, typical: float = 0.5) -> Interval:
    """Bound a rate at all looks at once, from zero errors on. `typical`: the rate that the mixture expects.

    The martingale B(a + x, b + n - x) / B(a, b) / (p^x (1 - p)^(n - x)) is convex in p and at most 1 at x / n; the
    interval is where it stays below 1 / alpha. Counts divided by a design effect need not be whole.
    """
    a, b = PRIOR_EVENTS, PRIOR_EVENTS * (1 - typical) / typical
    mixed = _log_beta(a + errors, b + rows - errors) - _log_beta(a, b) + log(alpha)

    def excess(p: float) -> float:
        return mixed - errors * _log(p) - (rows - errors) * _log(1 - p)

    middle = errors / rows if rows else 0.5
    lower = _root(excess, 0.0, middle) if errors else 0.0
    upper = _root(excess, 1.0, middle) if errors < rows else 1.0
    return lower, upper


def look(measure: str, evidence: Evidence, rule: Rule) -> Look:
    """Judge one measure. Nothing to see holds; so does an interval that still contains the limit."""
    if evidence is None:
        return Look(measure, None, None, None, rule.limit, "hold", rule.name, 0)
    estimate, (lower, upper), samples = interval(evidence, rule)
    verdict = decide(lower, upper, rule, enough=samples >= rule.min_rows)
    bounds = (_said(lower), _said(upper))
    return Look(measure, estimate, *bounds, rule.limit, verdict, rule.name, samples)


def interval(evidence: Difference | Mean | Rate | RatePair, rule: Rule) -> tuple[float, Interval, int]:
    """Measure: estimate, anytime-valid interval, and the rows of the smaller arm."""
    match evidence:
        case Difference():
            rows = min(evidence.rows_candidate, evidence.rows_champion)
            return evidence.estimate, _normal(evidence, rows, rule), rows
        case Mean():
            return evidence.estimate, _normal(evidence, evidence.rows, rule), evidence.rows
        case Rate():
            return evidence.events / evidence.rows, _discounted(evidence, rule.alpha, rule), evidence.rows
        case RatePair(one, two):
            (low_1, high_1), (low_2, high_2) = (_discounted(arm, rule.alpha / 2, rule) for arm in (one, two))
            estimate = one.events / one.rows - two.events / two.rows
            return estimate, (low_1 - high_2, high_1 - low_2), min(one.rows, two.rows)


def decide(lower: float, upper: float, rule: Rule, *, enough: bool) -> Verdict:
    """Decide: abort when all of the interval is beyond the limit, advance when none is; advancing needs `min_rows`."""
    floor = -inf if rule.worse == "higher" else rule.limit if rule.worse == "lower" else -rule.limit
    ceiling = inf if rule.worse == "lower" else rule.limit
    if lower > ceiling or upper < floor:
        return "abort"
    seen = enough and not (lower == -inf and upper == inf)
    proven = floor <= lower and upper <= ceiling
    return "advance" if seen and (proven or not rule.must_prove) else "hold"


def combine(looks: Sequence[Look]) -> Verdict:
    """Any abort aborts; all must advance to advance; else hold, also when nothing was looked at."""
    verdicts = {one.verdict for one in looks}
    if "abort" in verdicts:
        return "abort"
    return "advance" if verdicts == {"advance"} else "hold"


def _normal(evidence: Difference | Mean, rows: int, rule: Rule) -> Interval:
    """Bound a mean, which before `min_rows` is not normal enough to be believed either way."""
    if rows < rule.min_rows or evidence.buckets < MIN_BUCKETS:
        return -inf, inf
    tuning = information(size(rule), rule.alpha)
    return confidence_sequence(evidence.estimate, evidence.standard_error, rule.alpha, tuning, evidence.degrees)


def _discounted(arm: Rate, alpha: float, rule: Rule) -> Interval:
    """Bound one arm's rate; too few buckets cannot show whether rows depend on one another."""
    if arm.buckets < MIN_BUCKETS:
        return -inf, inf
    typical = min(PRIOR_EVENTS, size(rule))
    return rate_bounds(arm.events / arm.design_effect, arm.rows / arm.design_effect, alpha, typical)


def _root(excess: Callable[[float], float], outside: float, inside: float) -> float:
    """Bisect between a rate outside the interval and one inside; the returned end is outside, so never too narrow."""
    for _ in range(HALVINGS):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if excess(middle) > 0 else (outside, middle)
    return outside


def _log(p: float) -> float:
    return log(p) if p > 0 else -inf


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _said(bound: float) -> float | None:
    return bound if abs(bound) < inf else None
