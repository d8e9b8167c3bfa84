"""Is a challenger at least 99 % as good as the champion, on the same labelled rows? Pure: the seed is an argument.

Order everywhere: index 0 is the challenger ("new"), index 1 the champion. Measuring (`delong`, `paired_bootstrap`,
`noninferiority`) and deciding (`judge`) are apart. What leaves this module is plain floats and tuples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Floats: TypeAlias = NDArray[np.float64]
Ids: TypeAlias = NDArray[Any]
Matrix: TypeAlias = tuple[tuple[float, ...], ...]
Judgement: TypeAlias = Literal["pass", "fail", "too_few"]
Metric: TypeAlias = Literal["log_loss", "brier", "accuracy", "mae", "rmse"]

NORMAL = NormalDist()
STATED_POWER = 0.8  # the power at which the detectable margin is stated, as is usual in trial design
ENOUGH = 20  # fewer rows of the smaller class (or clusters) than this and no normal interval is believed
MANY = 1e9  # degrees of freedom at which Student's distribution is the normal one
TINY = 1e-15  # probabilities are clipped away from 0 and 1 before a logarithm
HIGHER_IS_BETTER: Mapping[Metric, bool] = MappingProxyType(
    {"log_loss": False, "brier": False, "accuracy": True, "mae": False, "rmse": False}
)


@dataclass(frozen=True, slots=True)
class AucEstimate:
    """Areas under k ROC curves on the same rows; `covariance` is k by k."""

    auc: tuple[float, ...]
    covariance: Matrix
    positives: int
    negatives: int

    @property
    def samples(self) -> int:
        """Rows of the smaller class."""
        return min(self.positives, self.negatives)

    @property
    def degrees(self) -> float:
        """Degrees of freedom to judge with: 2 (1 - area) for each row of the smaller class, 1 at least.

        Our own rule, by simulation: near an area of 1 only the few badly ranked rows carry spread, and a normal
        interval passed 13 % at the margin in place of 5 % (area 0.995, 100 positives; 0.5 % with this rule).
        """
        return max(1.0, 2 * self.samples * (1 - sum(self.auc) / len(self.auc)))


@dataclass(frozen=True, slots=True)
class MetricEstimate:
    """One metric of k models on the same rows; `covariance` is that of the bootstrap draws; `clusters` were drawn."""

    metric: Metric
    value: tuple[float, ...]
    covariance: Matrix
    rows: int
    clusters: int


@dataclass(frozen=True, slots=True)
class Contrast:
    """`new - ratio * champion` (lower is better: `champion - ratio * new`), zero or more where the challenger suffices.

    `lower` and `upper` each have one-sided error alpha; `p_value` is that of "worse than the margin";
    `detectable_margin` is the loss, as a share of the champion's value, that could be allowed so that an equal
    challenger passes with power 0.8; `power_at_equality` is the chance that an equal challenger passes on these rows.
    `samples` is the count of the smaller class, or of the clusters; None when the caller did not say.
    """

    estimate: float
    standard_error: float
    lower: float
    upper: float
    p_value: float
    detectable_margin: float
    power_at_equality: float
    samples: int | None = None


def delong(labels: Ids, scores: Floats, groups: Ids | None = None) -> AucEstimate:
    """Measure the areas under k ROC curves and their covariance. `labels` is (n,) of 0 and 1, `scores` is (k, n).

    DeLong, DeLong and Clarke-Pearson (1988), computed by midranks in O(n log n) as in Sun and Xu (2014), ties exact.
    With `groups` (n,), rows of one group may depend on one another (Obuchowski 1997: components summed per group).

    Raises:
        ValueError: a class has fewer than two rows, a label is not 0 or 1, or a score is not finite.

    """
    positive = _positives(labels, scores)
    up, down = _components(scores[:, positive], scores[:, ~positive])
    auc = up.mean(axis=1)
    cov = np.cov(up) / up.shape[1] + np.cov(down) / down.shape[1]
    if groups is not None:
        ordered = np.concatenate([groups[positive], groups[~positive]])
        influence = [(part - auc[:, None]) / part.shape[1] for part in (up, down)]
        cov = _clustered(np.concatenate(influence, axis=1), ordered)
    return AucEstimate(_floats(auc), _matrix(cov), up.shape[1], down.shape[1])


def paired_bootstrap(
    metric: Metric, labels: Ids, scores: Floats, groups: Ids | None = None, draws: int = 1000, seed: int = 0
) -> MetricEstimate:
    """Measure a metric of k models and the covariance of its bootstrap draws; all models see the same draws.

    `labels` is (n,). `scores` is (k, n): the probability of class 1 (log_loss, brier), the predicted class (accuracy)
    or the prediction (mae, rmse); or (k, n, c) class probabilities with labels 0..c-1 (log_loss, brier). With `groups`
    whole groups are drawn (cluster bootstrap: Davison and Hinkley 1997, section 3.8), else rows.

    Raises:
        ValueError: fewer than two rows or groups, or a score is not finite.

    """
    _check_finite(scores)
    loss = _ROW_LOSS[metric](labels, scores)
    sums, rows = _per_cluster(loss, groups)
    finish = np.sqrt if metric == "rmse" else np.asarray
    rng = np.random.default_rng(seed)
    drawn = np.array([finish(_draw(sums, rows, rng)) for _ in range(draws)])
    value = finish(sums.sum(axis=1) / rows.sum())
    return MetricEstimate(metric, _floats(value), _matrix(np.cov(drawn.T)), loss.shape[1], rows.size)


def noninferiority(  # noqa: PLR0913 - two estimates, their covariance, and the rule
    new: float,
    champion: float,
    covariance: Matrix,
    ratio: float = 0.99,
    alpha: float = 0.05,
    *,
    higher_is_better: bool = True,
    samples: int | None = None,
    degrees: float = inf,
) -> Contrast:
    """Measure the contrast on which "at least `ratio` of the champion" is judged (`covariance` is 2 by 2).

    The interval is Student's with `degrees` (normal by default; `AucEstimate.degrees` for areas). Lower is better
    means "at most champion / ratio": the same contrast with the two models' roles exchanged. At a ratio of 1 or more
    an equal challenger passes with probability alpha at most; only a better one can pass.

    Raises:
        ValueError: the champion's value is negative (a share of it has no meaning), or alpha is not within 0 and 1.

    """
    if champion < 0 or not 0 < alpha < 1:
        raise ValueError(f"a share of the champion needs a value >= 0 and 0 < alpha < 1, not {champion} and {alpha}")
    gain = (1.0, -ratio) if higher_is_better else (-ratio, 1.0)
    estimate = gain[0] * new + gain[1] * champion
    error = sqrt(max(0.0, sum(gain[i] * gain[j] * float(covariance[i][j]) for i in (0, 1) for j in (0, 1))))
    z = float(stdtrit(min(degrees, MANY), 1 - alpha))
    return Contrast(
        estimate=float(estimate),
        standard_error=error,
        lower=float(estimate - z * error),
        upper=float(estimate + z * error),
        p_value=_tail(estimate, error, degrees),
        detectable_margin=(z + NORMAL.inv_cdf(STATED_POWER)) * error / champion if champion else inf,
        power_at_equality=1 - _tail((1 - ratio) * champion - z * error, error),
        samples=samples,
    )


def judge(contrast: Contrast, required_power: float = 0.5) -> Judgement:
    """Decide. Clearly worse fails however few the rows; too few rows are said, not counted against the challenger."""
    enough = contrast.samples is None or contrast.samples >= ENOUGH
    if contrast.upper < 0:
        return "fail"
    if enough and contrast.lower >= 0:
        return "pass"
    return "fail" if enough and contrast.power_at_equality >= required_power else "too_few"


def alpha_for_attempt(alpha: float, attempt: int) -> float:
    """Share alpha over the measurements of one version (1, 2, ...): alpha / (k (k + 1)), in sum at most alpha.

    A version that is measured again whenever the archive has grown would otherwise pass by patience (Bonferroni
    spending; the shares telescope).
    """
    return alpha / (attempt * (attempt + 1))


def _positives(labels: Ids, scores: Floats) -> NDArray[np.bool_]:
    _check_finite(scores)
    positive: NDArray[np.bool_] = np.asarray(labels) == 1
    if not np.all(positive | (np.asarray(labels) == 0)):
        raise ValueError("labels of a binary task are 0 and 1; found another value")
    counts = int(positive.sum()), int((~positive).sum())
    if min(counts) <= 1:
        raise ValueError(f"an AUC needs two rows of each class, found {counts[0]} positive and {counts[1]} negative")
    return positive


def _check_finite(scores: Floats) -> None:
    if not np.isfinite(scores).all():
        raise ValueError("a score is not a finite number; drop or repair such rows before measuring")


def _components(up: Floats, down: Floats) -> tuple[Floats, Floats]:
    """Structural components: per positive the share of negatives below it, per negative that of positives above it."""
    pooled = _midranks(np.concatenate([up, down], axis=1))
    m, n = up.shape[1], down.shape[1]
    return (pooled[:, :m] - _midranks(up)) / n, 1 - (pooled[:, m:] - _midranks(down)) / m


def _midranks(values: Floats) -> Floats:
    """Rank each row from 1; ties share the mean of their ranks."""
    return np.array([_midrank(row) for row in values])


def _midrank(row: Floats) -> Floats:
    _, place, count = np.unique(row, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks


def _by_group(values: Floats, groups: Ids) -> tuple[Floats, Floats]:
    """Sum (k, n) values within groups: (k, g), and the rows of each group (g,)."""
    _, place = np.unique(groups, return_inverse=True)
    sums = np.array([np.bincount(place, weights=row) for row in values])
    return sums, np.bincount(place).astype(np.float64)


def _clustered(influence: Floats, groups: Ids) -> Floats:
    sums, rows = _by_group(influence, groups)
    _check_clusters(rows)
    cov: Floats = sums @ sums.T * (rows.size / (rows.size - 1))
    return cov


def _per_cluster(loss: Floats, groups: Ids | None) -> tuple[Floats, Floats]:
    sums, rows = (loss, np.ones(loss.shape[1])) if groups is None else _by_group(loss, groups)
    _check_clusters(rows)
    return sums, rows


def _check_clusters(rows: Floats) -> None:
    if rows.size <= 1:
        raise ValueError("an estimate of spread needs at least two independent rows or groups")


def _draw(sums: Floats, rows: Floats, rng: np.random.Generator) -> Floats:
    times = np.bincount(rng.integers(0, rows.size, rows.size), minlength=rows.size)
    mean: Floats = sums @ times / (rows @ times)
    return mean


def _log_loss(labels: Ids, scores: Floats) -> Floats:
    if scores.ndim == 2:  # noqa: PLR2004 - (k, n): the probability of class 1
        truth = np.where(labels == 1, scores, 1 - scores)
    else:
        truth = np.stack([model[np.arange(len(labels)), labels] for model in scores])
    loss: Floats = -np.log(np.clip(truth, TINY, 1))
    return loss


def _brier(labels: Ids, scores: Floats) -> Floats:
    if scores.ndim == 2:  # noqa: PLR2004 - (k, n): the probability of class 1
        return _squared(labels, scores)
    loss: Floats = np.square(scores - np.eye(scores.shape[2])[labels]).sum(axis=2)
    return loss


def _squared(labels: Ids, scores: Floats) -> Floats:
    loss: Floats = np.square(scores - labels)
    return loss


def _absolute(labels: Ids, scores: Floats) -> Floats:
    loss: Floats = np.abs(scores - labels)
    return loss


def _right(labels: Ids, scores: Floats) -> Floats:
    hits: Floats = np.equal(scores, labels).astype(np.float64)
    return hits


_ROW_LOSS: Mapping[Metric, Callable[[Ids, Floats], Floats]] = MappingProxyType(
    {"log_loss": _log_loss, "brier": _brier, "accuracy": _right, "mae": _absolute, "rmse": _squared}
)


def _tail(estimate: float, error: float, degrees: float = inf) -> float:
    """Chance of an estimate this large or larger when the truth is zero; without spread it is 0, 1, or one half."""
    if error > 0:
        return float(stdtr(min(degrees, MANY), -estimate / error))
    return 0.5 - 0.5 * float(np.sign(estimate))


def _floats(values: Floats) -> tuple[float, ...]:
    return tuple(float(value) for value in np.atleast_1d(values))


def _matrix(values: Floats) -> Matrix:
    return tuple(_floats(row) for row in np.atleast_2d(values))
