"""The rollout's statistics: parity with slow references, and error rates by simulation over clustered traffic."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, replace
from math import inf, log
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray
from scipy import integrate, stats

from everloop_rollout.domain.evidence import (
    BUCKETS,
    MICRO,
    BucketSums,
    Difference,
    Rate,
    arm_difference,
    difference,
    one_sample,
    rate,
    rates,
    shadow_shift,
    spread,
    stratified,
)
from everloop_rollout.domain.sequential import (
    Look,
    Rule,
    combine,
    confidence_sequence,
    information,
    look,
    radius,
    rate_bounds,
    share,
    student,
)

Floats: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = NDArray[np.float64] | NDArray[np.int64] | NDArray[np.signedinteger]
RUNS, LOOKS, ALPHA = 2000, 30, 0.05
PHI = NormalDist()
RULE = Rule(name="latency", limit=0.1, alpha=ALPHA, min_rows=100)


def sums(rows: Numbers, total: Numbers) -> BucketSums:
    return BucketSums(tuple(int(n) for n in rows), tuple(round(float(x) * MICRO) for x in total))


def even(mean: float, per_bucket: int = 40, wobble: float = 0.1) -> BucketSums:
    """Same rows in each bucket, means alternating around `mean`."""
    rows = np.full(BUCKETS, per_bucket)
    return sums(rows, rows * (mean + wobble * np.where(np.arange(BUCKETS) % 2, 1, -1)))


@dataclass(frozen=True)
class Traffic:
    """Cumulative bucket sums, (runs, looks, buckets): rows, total, and total of squares over rows."""

    rows: Floats
    total: Floats
    squares: Floats


def traffic(rng: np.random.Generator, runs: int, mean: float, per_bucket: float, entity: float) -> Traffic:
    """One arm: entities (one per bucket) of unequal activity, each with a lasting effect; skewed noise of sd 1."""
    rows = np.broadcast_to(rng.geometric(1 / per_bucket, (runs, 1, BUCKETS)), (runs, LOOKS, BUCKETS)).astype(np.float64)
    own = mean + entity * rng.normal(size=(runs, 1, BUCKETS))
    noise = rng.standard_gamma(rows) - rows  # a sum of `rows` centred exponential values
    squares = rows * (own**2 + 1) + 2 * own * noise
    return Traffic(rows.cumsum(axis=1), (rows * own + noise).cumsum(axis=1), squares.cumsum(axis=1))


def by_bucket(one: Traffic, two: Traffic) -> tuple[Floats, Floats, Floats]:
    estimate, residual = arm_difference(one.rows, one.total, two.rows, two.total)
    return estimate, *spread(residual, one.rows + two.rows > 0)


def by_row(one: Traffic, two: Traffic) -> tuple[Floats, Floats]:
    """What a judge would compute who takes rows for independent."""
    n = [arm.rows.sum(axis=-1) for arm in (one, two)]
    mean = [arm.total.sum(axis=-1) / m for arm, m in zip((one, two), n, strict=True)]
    variance = [arm.squares.sum(axis=-1) / m - x**2 for arm, m, x in zip((one, two), n, mean, strict=True)]
    return mean[0] - mean[1], np.sqrt(variance[0] / n[0] + variance[1] / n[1])


def ever(beyond: NDArray[np.bool_]) -> float:
    return float(beyond.any(axis=1).mean())


def binomial_ceiling(rate_: float, runs: int) -> float:
    return float(rate_ + 3.1 * np.sqrt(rate_ * (1 - rate_) / runs))


# ── evidence ──


def test_merging_is_exact_associative_and_commutative() -> None:
    rng = np.random.default_rng(1)
    a, b, c = (sums(rng.integers(0, 9, BUCKETS), rng.normal(size=BUCKETS)) for _ in range(3))
    assert (a + b) + c == a + (b + c) == c + (b + a)
    assert a + BucketSums() == a


@pytest.mark.parametrize(("rows", "total"), [((1,), (1,)), ((-1,) * BUCKETS, (0,) * BUCKETS)])
def test_a_wrong_shape_is_refused(rows: tuple[int, ...], total: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="256"):
        BucketSums(rows, total)


def test_no_rows_are_no_evidence() -> None:
    empty, some = BucketSums(), even(1)
    assert [difference(empty, some), difference(some, empty), one_sample(empty), rate(empty)] == [None] * 4
    assert rates(empty, some) is None


def test_the_spread_is_the_paired_linearised_one() -> None:
    rng = np.random.default_rng(2)
    rows, totals = rng.integers(1, 9, (2, BUCKETS)), rng.normal(2, 1, (2, BUCKETS))
    said = difference(sums(rows[0], totals[0]), sums(rows[1], totals[1]))
    assert said is not None
    means = totals.sum(axis=1) / rows.sum(axis=1)
    residual = (totals - means[:, None] * rows) / rows.sum(axis=1, keepdims=True)
    assert said.estimate == pytest.approx(means[0] - means[1], abs=1e-6)
    assert said.standard_error == pytest.approx(np.std(residual[0] - residual[1], ddof=1) * np.sqrt(BUCKETS), rel=1e-4)
    assert (said.buckets, said.rows_candidate) == (BUCKETS, rows[0].sum())


def test_entities_in_both_arms_cancel() -> None:
    said = difference(even(1.5, wobble=3), even(1, wobble=3))
    assert said is not None
    assert said.estimate == pytest.approx(0.5)
    assert said.standard_error == pytest.approx(0, abs=1e-6)


def test_one_whale_leaves_few_degrees_of_freedom() -> None:
    whale = np.ones(BUCKETS)
    whale[7] = 5000
    said = difference(sums(whale, whale * 1.0 + np.arange(BUCKETS) % 2), even(1))
    assert said is not None
    assert said.degrees < BUCKETS / 2
    assert look("latency", replace(said, degrees=5), RULE).verdict == "hold"


def test_a_change_of_the_world_between_steps_is_not_a_difference_of_arms() -> None:
    before, after = (even(1, per_bucket=9), even(1, per_bucket=90)), (even(5, per_bucket=90), even(5, per_bucket=9))
    split = stratified([before, after])
    pooled = difference(before[0] + after[0], before[1] + after[1])
    assert split is not None
    assert pooled is not None
    assert split.estimate == pytest.approx(0, abs=1e-6)
    assert pooled.estimate > 2
    assert stratified([before, after, (BucketSums(), even(3))]) == split


def test_a_shift_against_the_own_shadow_is_a_difference() -> None:
    said = shadow_shift(even(0.4, wobble=0.1), even(0.3, wobble=-0.1))
    assert said is not None
    assert said.estimate == pytest.approx(0.1)


def test_dependent_errors_have_a_design_effect_and_independent_ones_have_none() -> None:
    rng = np.random.default_rng(3)
    rows = np.full(BUCKETS, 50)
    alone, together = rng.binomial(rows, 0.1), 50 * (rng.random(BUCKETS) < 0.1)
    said = rate(sums(rows, alone)), rate(sums(rows, together))
    assert said[0] is not None
    assert said[1] is not None
    assert said[0].design_effect == pytest.approx(1, abs=0.3)
    assert said[1].design_effect == pytest.approx(50, rel=0.05)


# ── boundaries ──


def test_the_normal_boundary_is_where_the_integrated_mixture_reaches_one_over_alpha() -> None:
    tuning, spent = 400.0, -2 * log(ALPHA)
    phi = tuning / (spent + np.log1p(spent))
    for time in (50.0, 400.0, 5000.0):
        end = float(radius(np.float64(time**-0.5), ALPHA, tuning, inf)) * time
        mixed, _ = integrate.quad(
            lambda drift, s=end, t=time: np.exp(drift * s - drift**2 * t / 2) * stats.norm.pdf(drift, scale=phi**-0.5),
            *(end / (time + phi) + np.array([-1, 1]) * 12 / np.sqrt(time + phi)),
        )
        assert mixed == pytest.approx(1 / ALPHA, rel=1e-6)


def test_the_interval_is_sharpest_near_its_tuning() -> None:
    error = 0.05
    widths = [float(radius(np.float64(error), ALPHA, factor / error**2, inf)) for factor in (0.1, 1, 10)]
    assert widths[1] < min(widths[0], widths[2])
    assert widths[1] == pytest.approx(
        min(float(radius(np.float64(error), ALPHA, f / error**2, inf)) for f in np.geomspace(0.1, 10, 400)), rel=0.005
    )


def test_widening_for_few_buckets_is_students() -> None:
    for degrees in (19, 60, 255):
        for normal in (2.0, 3.0, 4.0):
            exact = stats.t.isf(stats.norm.sf(normal), degrees)
            assert float(student(np.float64(normal), degrees)) == pytest.approx(exact, rel=0.005)


def test_without_spread_or_degrees_the_interval_is_infinite() -> None:
    assert confidence_sequence(1, 0, ALPHA, 1) == (-inf, inf)
    assert confidence_sequence(1, 0.1, ALPHA, 1, degrees=18) == (-inf, inf)


def test_rate_bounds_are_where_the_integrated_mixture_reaches_one_over_alpha() -> None:
    for errors, rows, typical in ((3, 200, 0.5), (12, 1500, 0.01)):
        a, b = 0.5, 0.5 * (1 - typical) / typical
        for bound in rate_bounds(errors, rows, ALPHA, typical):
            mixed, _ = integrate.quad(
                lambda q, p=bound, x=errors, n=rows, a=a, b=b: np.exp(
                    x * np.log(q / p) + (n - x) * np.log((1 - q) / (1 - p)) + stats.beta.logpdf(q, a, b)
                ),
                *(0, 1),
                points=[errors / rows, bound],
                limit=500,
            )
            assert mixed == pytest.approx(1 / ALPHA, rel=1e-4)


def test_no_errors_bound_the_rate_from_above_alone() -> None:
    lower, upper = rate_bounds(0, 1000, ALPHA, typical=0.01)
    assert lower == 0
    assert 0.003 < upper < 0.01
    assert rate_bounds(0, 0, ALPHA) == (0, 1)
    assert rate_bounds(50, 50, ALPHA)[1] == 1


# ── verdicts ──


def test_each_side_of_the_limit_has_its_verdict() -> None:
    quiet = even(1, wobble=-0.1)
    said = [look("latency", difference(even(1 + shift), quiet), RULE).verdict for shift in (0, 0.1, 0.3)]
    assert said == ["advance", "hold", "abort"]


def test_lower_is_worse_and_either_way() -> None:
    quiet = even(1, wobble=-0.1)
    lower, either = replace(RULE, worse="lower", limit=-0.1), replace(RULE, worse="either")
    shifts = [difference(even(1 + shift), quiet) for shift in (-0.3, 0, 0.3)]
    assert [look("auc", one, lower).verdict for one in shifts] == ["abort", "advance", "advance"]
    assert [look("score", one, either).verdict for one in shifts] == ["abort", "advance", "abort"]


def test_missing_few_rows_and_few_buckets_hold() -> None:
    few = np.where(np.arange(BUCKETS) < 19, 100, 0)
    wild = difference(sums(few, few * (3.0 + np.arange(BUCKETS) % 2)), even(1))
    assert [look("latency", evidence, RULE).verdict for evidence in (None, wild)] == ["hold", "hold"]
    assert look("latency", difference(even(9), even(1)), replace(RULE, min_rows=10**6)).verdict == "hold"
    assert look("latency", wild, replace(RULE, must_prove=False)).verdict == "hold"
    assert look("errors", Rate(9, 9, buckets=3, design_effect=1), RULE).verdict == "hold"


def test_without_the_duty_to_prove_harmless_is_enough() -> None:
    unsure = difference(even(1.1), even(1, wobble=-0.1))
    assert look("latency", unsure, replace(RULE, must_prove=False)).verdict == "advance"


def test_an_outage_aborts_before_the_floor_of_rows_but_nothing_advances_before_it() -> None:
    rule = Rule(name="error_rate", limit=0.01, alpha=ALPHA, min_rows=10000)
    down, fine = sums(np.ones(BUCKETS), np.ones(BUCKETS)), sums(np.full(BUCKETS, 30), np.zeros(BUCKETS))
    assert look("errors", rate(down), rule).verdict == "abort"
    assert look("errors", rate(fine), rule).verdict == "hold"
    assert look("errors", rate(fine), replace(rule, min_rows=1000)).verdict == "advance"


def test_few_errors_against_none_are_judged_without_a_normal_spread() -> None:
    rule = Rule(name="errors", limit=0.0, effect=0.01, alpha=ALPHA)
    rows, errors = np.full(BUCKETS, 8), (np.arange(BUCKETS) % 16 == 0).astype(np.float64)
    none = sums(rows * 9, np.zeros(BUCKETS))
    said = look("errors", rates(sums(rows, errors), none), rule)
    assert said.verdict == "abort"
    assert look("errors", rates(sums(rows, errors * (np.arange(BUCKETS) < 33)), none), rule).verdict == "hold"


def test_two_arms_share_alpha_in_halves() -> None:
    rule = Rule(name="errors", limit=0.01, alpha=ALPHA)
    arms = [BucketSums.counted([20] * BUCKETS, [each] + [0] * (BUCKETS - 1)) for each in (1, 0)]
    said = look("errors", rates(*arms), rule)
    (low, high), (_, champion) = (rate_bounds(each, 20 * BUCKETS, ALPHA / 2, 0.01) for each in (1, 0))
    assert said.lower == pytest.approx(low - champion, rel=1e-3)
    assert said.upper == pytest.approx(high, rel=1e-3)


def test_a_look_is_plain_data() -> None:
    for evidence in (None, difference(even(1), even(1.2)), one_sample(even(1))):
        said = asdict(look("latency", evidence, RULE))
        assert orjson.loads(orjson.dumps(said)) == said


def test_a_rule_needs_a_size_to_look_for() -> None:
    with pytest.raises(ValueError, match="effect"):
        Rule(name="loss", limit=0, alpha=ALPHA)


def test_any_abort_aborts_and_all_must_advance() -> None:
    def said(*verdicts: str) -> str:
        return combine([Look("m", 0, 0, 0, 0, verdict, "r", 1) for verdict in verdicts])  # type: ignore[arg-type]

    assert said("advance", "hold", "abort") == "abort"
    assert said("advance", "hold") == "hold"
    assert said("advance", "advance") == "advance"
    assert said() == "hold"
    assert share(0.05, measures=4, steps=3) * 12 == pytest.approx(0.05)


# ── error rates ──


def test_equal_arms_are_aborted_with_probability_alpha_at_most_and_rows_are_no_unit() -> None:
    rng = np.random.default_rng(20)
    one, two = (traffic(rng, RUNS, 0, size, entity=0.5) for size in (3, 6))
    tuning = information(0.15, ALPHA)
    estimate, error, degrees = by_bucket(one, two)
    wide = radius(error, ALPHA, tuning, degrees)
    aborted, missed = ever(estimate > wide), ever(np.abs(estimate) > wide)
    naive_estimate, naive_error = by_row(one, two)
    by_rows = ever(np.abs(naive_estimate) > radius(naive_error, ALPHA, tuning, inf))
    repeated = ever(np.abs(estimate) > 1.96 * error)
    sys.stdout.write(
        f"\nA/A, {RUNS} rollouts, {LOOKS} looks: aborted {aborted:.4f}, truth missed {missed:.4f};"
        f" with the spread of rows {by_rows:.3f}; with a repeated fixed test {repeated:.3f}"
    )
    assert missed <= ALPHA
    assert by_rows > binomial_ceiling(ALPHA, RUNS)
    assert repeated > binomial_ceiling(ALPHA, RUNS)
    said = difference(sums(one.rows[0, 9], one.total[0, 9]), sums(two.rows[0, 9], two.total[0, 9]))
    assert isinstance(said, Difference)
    figures = (said.estimate, said.standard_error, said.degrees)
    assert figures == pytest.approx((estimate[0, 9], error[0, 9], degrees[0, 9]), rel=1e-4)


def test_independent_rows_growing_in_number_keep_alpha_as_well() -> None:
    rng = np.random.default_rng(21)
    one, two = (traffic(rng, RUNS, 0, size, entity=0.0) for size in (1.5, 12))
    estimate, error, degrees = by_bucket(one, two)
    missed = ever(np.abs(estimate) > radius(error, ALPHA, information(0.05, ALPHA), degrees))
    sys.stdout.write(f"\nA/A without entity effects, arms 1:8: truth missed {missed:.4f}")
    assert missed <= ALPHA


def test_a_planted_regression_is_caught_early() -> None:
    rng, effect = np.random.default_rng(22), 0.15
    one, two = traffic(rng, 500, effect, 3, entity=0.0), traffic(rng, 500, 0, 3, entity=0.0)
    estimate, error, degrees = by_bucket(one, two)
    beyond = estimate > radius(error, ALPHA, information(effect, ALPHA), degrees)
    rows = np.where(beyond.any(axis=1), one.rows.sum(axis=-1)[np.arange(500), beyond.argmax(axis=1)], inf)
    fixed = information(effect, ALPHA) * 2
    sys.stdout.write(
        f"\nregression of {effect} sd: caught {ever(beyond):.3f}; rows per arm until then: mean {rows.mean():.0f},"
        f" median {np.median(rows):.0f}, a fixed test of power 0.9 needs {fixed:.0f}"
    )
    assert ever(beyond) > 0.99
    assert rows.mean() < 2 * fixed


def errors_of(rng: np.random.Generator, runs: int, mean: float, per_bucket: int, spread_: float) -> tuple[Floats, int]:
    """Cumulative errors (runs, looks, buckets); entities differ by a gamma factor of variance `spread_`."""
    own = np.minimum(1, mean * (rng.gamma(1 / spread_, spread_, (runs, 1, BUCKETS)) if spread_ else 1.0))
    return rng.binomial(per_bucket, np.broadcast_to(own, (runs, LOOKS, BUCKETS))).cumsum(axis=1), per_bucket


def looks_at_rates(one: tuple[Floats, int], two: tuple[Floats, int] | None, rule: Rule) -> list[list[Look]]:
    """Look at each rollout until it says abort."""
    said: list[list[Look]] = []
    for run in range(len(one[0])):
        said.append([])
        for at in range(0, LOOKS, 3):
            arms = [sums(np.full(BUCKETS, n * (at + 1)), e[run, at]) for e, n in ([one, two] if two else [one])]
            said[-1].append(look("errors", rates(*arms) if two else rate(arms[0]), rule))
            if said[-1][-1].verdict == "abort":
                break
    return said


@pytest.mark.parametrize(("entity", "level"), [(0.0, 0.001), (0.0, 0.01), (2.0, 0.01)])
def test_an_arm_at_the_limit_is_aborted_with_probability_alpha_at_most(entity: float, level: float) -> None:
    rng = np.random.default_rng(23)
    rule = Rule(name="error_rate", limit=level, alpha=ALPHA)
    said = looks_at_rates(errors_of(rng, 400, level, 4, entity), None, rule)
    aborted = float(np.mean([one[-1].verdict == "abort" for one in said]))
    advanced = float(np.mean([any(each.verdict == "advance" for each in one) for one in said]))
    sys.stdout.write(f"\nrate at the limit {level}, entity variance {entity}: aborted {aborted}, advanced {advanced}")
    assert aborted <= ALPHA
    assert advanced <= binomial_ceiling(ALPHA, 400)


@pytest.mark.parametrize("entity", [0.0, 2.0])
def test_equal_error_rates_rarely_abort_and_a_tripled_one_does(entity: float) -> None:
    rng = np.random.default_rng(24)
    rule = Rule(name="errors", limit=0.0, effect=0.005, alpha=ALPHA)
    champion = errors_of(rng, 200, 0.005, 12, entity)
    equal = looks_at_rates(errors_of(rng, 200, 0.005, 3, entity), champion, rule)
    worse = looks_at_rates(errors_of(rng, 200, 0.015, 3, entity), champion, rule)
    aborted = [float(np.mean([one[-1].verdict == "abort" for one in each])) for each in (equal, worse)]
    rows = np.mean([one[-1].samples for one in worse])
    z = PHI.inv_cdf(1 - ALPHA / 2) + PHI.inv_cdf(0.9)
    fixed = z**2 * (0.015 + 0.005 / 4) / 0.01**2
    sys.stdout.write(
        f"\nerrors 0.5 % in both arms, entity variance {entity}: aborted {aborted[0]}; 1.5 %: aborted {aborted[1]}"
        f" after {rows:.0f} rows on average (fixed test over independent rows {fixed:.0f})"
    )
    assert aborted[0] <= ALPHA
    assert aborted[1] > 0.9
