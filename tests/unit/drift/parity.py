"""Each measure beside the implementation that people know: the largest difference over seeded cases.

`PARITY` is the table of docs/drift.md. Differences are absolute up to 1 and relative above.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from river.drift import ADWIN, PageHinkley
from river.drift.binary import DDM, HDDMA
from scipy import stats
from scipy.spatial import distance
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from statsmodels.stats.proportion import proportion_confint, proportions_ztest

from everloop.loop import Detector
from everloop.measures import statistics
from everloop.quality import Estimate, estimates, wilson
from everloop.sketch import GRID, Labelled
from everloop_drift.domain import concept
from everloop_drift.domain.measures import measure
from tests.unit.drift.builders import a_column_window, a_profile, compared, labelled

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Evidently 0.7 touches numpy's old names while it is imported
    from evidently.legacy.calculations.stattests import jensenshannon_stat_test, psi_stat_test
    from evidently.legacy.core import ColumnType

Floats = NDArray[np.float64]
Counts = list[int]
SEED: Final = 20
CASES: Final = 60


@dataclass(frozen=True, slots=True)
class Parity:
    """One line: what is compared with what, what may differ, and a function that measures it.

    `exact` says that both compute the same on the same input; `bound` how far a window's value may be from that of the
    values themselves.
    """

    measure: str
    reference: str
    tolerance: float
    bound: str
    largest: Callable[[], float]


def difference(ours: float, theirs: float) -> float:
    """Absolute up to 1, relative above; two NaN are equal."""
    if math.isnan(ours) and math.isnan(theirs):
        return 0.0
    return abs(ours - theirs) / max(1.0, abs(theirs))


def pairs() -> Iterator[tuple[Counts, Counts]]:
    """Counts of both sides in 2 to 64 bins: even ones, uneven ones, ones with many empty bins."""
    rng = np.random.default_rng(SEED)
    for case in range(CASES):
        bins = int(rng.integers(2, 65))
        weight = rng.dirichlet(np.full(bins, (0.05, 0.5, 5.0)[case % 3]), 2)
        rows = rng.integers(2, 3000, 2)
        first, second = (rng.multinomial(n, w).tolist() for n, w in zip(rows, weight, strict=True))
        yield first, second


PSI: Final = psi_stat_test
JENSEN_SHANNON: Final = jensenshannon_stat_test


def as_rows(counts: Sequence[int]) -> Counts:
    """One code per row."""
    return [place for place, count in enumerate(counts) for _ in range(count)]


def of_pairs(ours: Callable[[Counts, Counts], float], theirs: Callable[[Counts, Counts], float]) -> float:
    """The largest difference over all pairs of counts."""
    return max(difference(float(ours(*pair)), float(theirs(*pair))) for pair in pairs())


def evidently(test: Any, base: float | None = None) -> Callable[[Counts, Counts], float]:  # noqa: ANN401 - untyped
    """A test of Evidently, fed our bin codes as a categorical column."""

    def run(reference: Counts, current: Counts) -> float:
        codes = pd.Series(as_rows(reference)), pd.Series(as_rows(current))
        return float(test.func(*codes, ColumnType.Categorical, 0.1)[0]) / (math.sqrt(math.log(base)) if base else 1)

    return run


def places(bins: int) -> Floats:
    """Where the values of so many bins stand."""
    return np.sort(np.random.default_rng(bins).normal(size=bins))


def scipy_chi_square(reference: Counts, current: Counts) -> Any:  # noqa: ANN401 - scipy's own
    table = np.array([reference, current])
    return stats.chi2_contingency(table[:, table.any(axis=0)], correction=False)


def scipy_wasserstein(reference: Counts, current: Counts) -> float:
    where = places(len(reference))
    return float(stats.wasserstein_distance(where, where, reference, current))


def limit_of_ks(reference: Counts, current: Counts) -> float:
    n, m = sum(reference), sum(current)
    statistic = stats.ks_2samp(as_rows(reference), as_rows(current), method="asymp").statistic
    return float(stats.kstwobign.sf(math.sqrt(n * m / (n + m)) * statistic))


def columns() -> Iterator[tuple[Floats, Floats]]:
    """Values of both sides: shifted, wider, heavy-tailed, far from zero."""
    rng = np.random.default_rng(SEED + 1)
    for case in range(CASES):
        rows = rng.integers(3, 2000, 2)
        shift, width, far = rng.normal(size=2), rng.lognormal(size=2), (0.0, 1e4)[case % 2]
        first, second = (rng.standard_t(4, n) * w + s + far for n, w, s in zip(rows, width, shift, strict=True))
        yield first, second


def of_columns(test: str, theirs: Callable[[Floats, Floats], float]) -> float:
    """The largest difference of one test of whole columns."""
    return max(
        difference(measure([compared(first, second)])[0].by_test[test], theirs(first, second))
        for first, second in columns()
    )


def welch() -> float:
    found = []
    for first, second in columns():
        values = measure([compared(first, second)])[0].by_test
        theirs = stats.ttest_ind(second, first, equal_var=False).statistic
        found.append(difference(values["mean_shift"] / values["mean_shift_error"], theirs))
    return max(found)


def two_proportions() -> float:
    rng = np.random.default_rng(SEED + 2)
    found = []
    for n, m in rng.integers(20, 5000, (CASES, 2)):
        a, b = int(rng.integers(1, n)), int(rng.integers(1, m))
        change = statistics.rate_change(a, n, b, m)
        found.append(difference(float(change.value / change.error), proportions_ztest([b, a], [m, n])[0]))
    return max(found)


def outside(reference: Floats, current: Floats) -> float:
    return float(np.mean((current < reference.min()) | (current > reference.max())))


def unseen() -> float:
    rng = np.random.default_rng(SEED + 3)
    found = []
    for _ in range(CASES):
        first, second = (rng.choice(list("abcdefgh"), n).tolist() for n in rng.integers(2, 12, 2))
        theirs = float(np.mean([word not in first for word in second]))
        found.append(difference(measure([compared(first, second)])[0].by_test["unseen"], theirs))
    return max(found)


def constant() -> float:
    cases = [[5.0] * 9, [5.0] * 8 + [5.0 + 1e-12], [1.0, 2.0]]
    found = [measure([compared([1.0, 2.0, 5.0], values)])[0].by_test["constant"] for values in cases]
    return max(difference(ours, float(len(set(values)) == 1)) for ours, values in zip(found, cases, strict=True))


def positive_rate() -> float:
    found, column = [], a_profile(x=[1.0]).score
    for scores, _ in labelled_scores():
        (seen,) = measure([a_column_window(column, scores)], positive_rate=True)
        found.append(difference(seen.by_test["positive_rate"], float(np.mean(scores >= 0.5))))
    return max(found)


# --------------------------------------------------------------------------------------------------------- on outcomes


def labelled_scores() -> Iterator[tuple[Floats, NDArray[np.int64]]]:
    """Scores of a binary model and their labels: rare positives too, with ties, with 0 and 1 among the scores."""
    rng = np.random.default_rng(SEED + 4)
    for case in range(CASES // 2):
        rows = int(rng.integers(50, 2000))
        labels = (rng.random(rows) < (0.05, 0.3, 0.7)[case % 3]).astype(np.int64)
        labels[:4] = 0, 1, 0, 1
        scores = np.clip(rng.normal(0.3 + 0.3 * labels, 0.25), 0, 1)
        yield scores, labels


def of_scores(name: str, theirs: Callable[[NDArray[np.int64], Floats], float], *, grid: bool = False) -> float:
    """The largest difference of one metric; with `grid` the scores are those of the grid's bins."""
    found = []
    for scores, labels in labelled_scores():
        used = (np.minimum(scores * GRID, GRID - 1).astype(np.int64) + 0.5) / GRID if grid else scores
        found.append(difference(of(labelled(scores, labels), name).value, theirs(labels, used)))
    return max(found)


def of(seen: Labelled, name: str) -> Estimate:
    """One metric of labelled rows."""
    return estimates(seen)[name]


def yes(scores: Floats) -> NDArray[np.int64]:
    return (scores >= 0.5).astype(np.int64)


def delong() -> float:
    """Against the variance of all placements, which costs positives times negatives."""
    found = []
    for scores, labels in labelled_scores():
        bins = np.minimum(scores * GRID, GRID - 1).astype(np.int64)
        above, below = bins[labels == 1], bins[labels == 0]
        kernel = (above[:, None] > below[None, :]) + 0.5 * (above[:, None] == below[None, :])
        parts = [kernel.mean(axis=axis).var(ddof=1) / kernel.shape[1 - axis] for axis in (0, 1)]
        found.append(difference(of(labelled(scores, labels), "roc_auc").error, math.sqrt(sum(parts))))
    return max(found)


def expected_calibration_error(labels: NDArray[np.int64], scores: Floats) -> float:
    true, said = calibration_curve(labels, scores, n_bins=10)
    counts = np.bincount(np.minimum(scores * 10, 9).astype(np.int64), minlength=10)
    return float(np.abs(true - said) @ counts[counts > 0]) / len(scores)


def of_numbers(name: str, theirs: Callable[[Floats, Floats], float]) -> float:
    rng = np.random.default_rng(SEED + 5)
    found = []
    for _ in range(CASES):
        labels = rng.normal(50, 10, int(rng.integers(2, 2000)))
        scores = labels + rng.standard_t(3, labels.size)
        seen = labelled(scores, labels, task="regression", scale=10.0)
        found.append(difference(of(seen, name).value / 10, theirs(labels, scores) / 10))
    return max(found)


def log_loss(labels: NDArray[np.int64], scores: Floats) -> float:
    return float(sk.log_loss(labels, np.maximum(np.column_stack([1 - scores, scores]), 1e-15)))


def wilsons() -> float:
    rng = np.random.default_rng(SEED + 6)
    found = []
    for rows in rng.integers(1, 5000, CASES).tolist():
        hits = int(rng.integers(0, rows + 1))
        ours, theirs = wilson(hits, rows), proportion_confint(hits, rows, method="wilson")
        assert ours is not None
        found += [difference(ours.lower, theirs[0]), difference(ours.upper, theirs[1])]
    return max(found)


# ---------------------------------------------------------------------------------------------- on the stream of errors

RIVER: Final[dict[Detector, Callable[[], Any]]] = {
    "adwin": lambda: ADWIN(delta=0.002, clock=1),  # type: ignore[no-untyped-call]  # River has types in parts
    "page_hinkley": lambda: PageHinkley(min_instances=32, delta=0.1, threshold=15.0, alpha=1.0, mode="up"),
    "ddm": lambda: DDM(warm_start=128),
    "hddm_a": HDDMA,
}


def fires(detector: Detector) -> float:
    """How many firings differ between ours and River's own, fed the same values."""
    wrong = 0
    for seed in range(3):
        rng = np.random.default_rng(SEED + 7 + seed)
        fed = np.concatenate([rng.beta(2, 18, 300), rng.beta(10, 10, 300), rng.beta(2, 18, 300)])
        theirs = RIVER[detector]()
        expected = []
        for place, value in enumerate(fed.tolist()):
            theirs.update(value)
            if theirs.drift_detected:
                expected.append(place)
        assert expected, detector
        wrong += len(set(expected) ^ set(concept.firings(detector, fed.tolist())))
    return float(wrong)


EXACT: Final = "exact"
ROUNDED: Final = "a window rounds values to 1/1024 of the reference deviation: 1/2048"
MERGED: Final = "defined on groups of bins; merging bins can only lower it"
GRIDDED: Final = "half the share of pairs (positive, negative) that meet in one of 1,000 bins"
MILLIONTHS: Final = "rows are rounded to millionths: 5e-7"
UNITS: Final = "residuals are rounded: reference deviation / 2^21"
SAME: Final = "fed means of blocks of rows, not rows"

PARITY: Final = (
    Parity("psi", "Evidently `psi` on bin codes", 1e-9, MERGED,
           lambda: of_pairs(lambda r, c: float(statistics.psi(r, c)), evidently(PSI))),
    Parity("jensen_shannon", "`scipy.spatial.distance.jensenshannon`", 1e-9, MERGED,
           lambda: of_pairs(lambda r, c: float(statistics.jensen_shannon(r, c)),
                            lambda r, c: float(distance.jensenshannon(r, c, 2)))),
    Parity("jensen_shannon", "Evidently `jensenshannon` on bin codes", 1e-9, MERGED,
           lambda: of_pairs(lambda r, c: float(statistics.jensen_shannon(r, c)),
                            evidently(JENSEN_SHANNON, base=2))),
    Parity("chi_square, statistic", "`scipy.stats.chi2_contingency`", 1e-9, EXACT,
           lambda: of_pairs(lambda r, c: float(statistics.chi_square(r, c).statistic),
                            lambda r, c: float(scipy_chi_square(r, c).statistic))),
    Parity("chi_square", "its p-value", 1e-9, EXACT,
           lambda: of_pairs(lambda r, c: float(statistics.chi_square(r, c).p_value),
                            lambda r, c: float(scipy_chi_square(r, c).pvalue))),
    Parity("ks_statistic", "`scipy.stats.ks_2samp` on bin codes", 1e-9, "the largest share of a bin, never above",
           lambda: of_pairs(lambda r, c: float(statistics.ks(r, c).statistic),
                            lambda r, c: float(stats.ks_2samp(as_rows(r), as_rows(c), method="asymp").statistic))),
    Parity("ks", "`scipy.stats.kstwobign` of it", 1e-9, "errs towards no drift",
           lambda: of_pairs(lambda r, c: float(statistics.ks(r, c).p_value), limit_of_ks)),
    Parity("wasserstein, before the norm", "`scipy.stats.wasserstein_distance` on the places of bins", 1e-9,
           "sum of (reference share + current share) × half the bin's width, the whole where there are few values",
           lambda: of_pairs(lambda r, c: float(statistics.wasserstein(places(len(r)), r, c)), scipy_wasserstein)),
    Parity("mean_shift", "numpy, on the values", 1e-9, ROUNDED,
           lambda: of_columns("mean_shift", lambda r, c: float((c.mean() - r.mean()) / r.std()))),
    Parity("mean_shift / mean_shift_error", "`scipy.stats.ttest_ind(equal_var=False)`", 1e-9, "as mean_shift", welch),
    Parity("variance_shift", "numpy, on the values", 1e-9, "as mean_shift: 1/1024 of the reference deviation",
           lambda: of_columns("variance_shift", lambda r, c: float(np.log(c.std() / r.std())))),
    Parity("missing_rate, its z", "`statsmodels` `proportions_ztest`", 1e-9, EXACT, two_proportions),
    Parity("out_of_range", "numpy, on the values", 1e-9, EXACT, lambda: of_columns("out_of_range", outside)),
    Parity("unseen", "Python, on the values", 1e-9, EXACT, unseen),
    Parity("constant", "Python, on the values", 1e-9, EXACT, constant),
    Parity("positive_rate", "numpy, on the scores", 1e-9, EXACT, positive_rate),
    Parity("roc_auc", "`sklearn` on binned scores", 1e-9, GRIDDED,
           lambda: of_scores("roc_auc", sk.roc_auc_score, grid=True)),
    Parity("roc_auc, its error", "DeLong by all placements", 1e-9, "of binned scores", delong),
    Parity("log_loss", "`sklearn`", 5e-7, MILLIONTHS, lambda: of_scores("log_loss", log_loss)),
    Parity("brier", "`sklearn`", 5e-7, MILLIONTHS, lambda: of_scores("brier", sk.brier_score_loss)),
    Parity("accuracy", "`sklearn`", 1e-9, EXACT,
           lambda: of_scores("accuracy", lambda y, s: float(sk.accuracy_score(y, yes(s))))),
    Parity("precision", "`sklearn`", 1e-9, EXACT,
           lambda: of_scores("precision", lambda y, s: float(sk.precision_score(y, yes(s))))),
    Parity("recall", "`sklearn`", 1e-9, EXACT,
           lambda: of_scores("recall", lambda y, s: float(sk.recall_score(y, yes(s))))),
    Parity("f1", "`sklearn`", 1e-9, EXACT, lambda: of_scores("f1", lambda y, s: float(sk.f1_score(y, yes(s))))),
    Parity("accuracy, precision, recall: interval", '`statsmodels` `proportion_confint(method="wilson")`', 1e-9,
           EXACT, wilsons),
    Parity("calibration_error", "`sklearn` `calibration_curve(n_bins=10)`, weighted", 5e-7, MILLIONTHS,
           lambda: of_scores("calibration_error", expected_calibration_error)),
    Parity("rmse / scale", "`sklearn`", 2**-21, UNITS, lambda: of_numbers("rmse", sk.root_mean_squared_error)),
    Parity("mae / scale", "`sklearn`", 2**-21, UNITS, lambda: of_numbers("mae", sk.mean_absolute_error)),
    Parity("adwin", "River, fed the same values: firings that differ", 0.0, SAME, lambda: fires("adwin")),
    Parity("page_hinkley", "River, fed the same values: firings that differ", 0.0, SAME,
           lambda: fires("page_hinkley")),
    Parity("ddm", "River, fed the same values: firings that differ", 0.0, SAME, lambda: fires("ddm")),
    Parity("hddm_a", "River, fed the same values: firings that differ", 0.0, SAME, lambda: fires("hddm_a")),
)  # fmt: skip
