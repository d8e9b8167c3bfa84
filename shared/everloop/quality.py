"""Realised quality with intervals, from labelled rows: one rule for the reference (holdout) and for each window.

All intervals are two-sided at 95 %. `error` is the standard error; it is what two measurements are compared by. The
scores of a binary model are on a grid of 1,000 bins here, in the holdout as in a window, so that both lose the same.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from everloop.sketch.classified import CALIBRATION_BINS, CUT, GRID, ScoreCounts
from everloop.sketch.labelled import Labelled
from everloop.sketch.residuals import UNITS, Residuals
from everloop.sketch.segment_labels import SegmentLabels

Z: Final = 1.959963984540054
"""Quantile of the normal distribution for a two-sided interval at 95 %."""
ONE_SIDED: Final = 1.6448536269514722
"""The same for a one-sided bound."""
_MICRO: Final = 1e6
_FEWEST: Final = 2
_YES: Final = round(CUT * GRID)


class Estimate(NamedTuple):
    """A measured value, its standard error, its interval, and the rows that it stands on."""

    value: float
    error: float
    lower: float
    upper: float
    rows: int

    def times(self, unit: float) -> Estimate:
        """The same in another unit."""
        return Estimate(self.value * unit, self.error * unit, self.lower * unit, self.upper * unit, self.rows)


def estimates(seen: Labelled) -> dict[str, Estimate]:
    """Every metric of the task that these rows can carry, by name; empty without rows, and for multiclass.

    Binary: roc_auc, log_loss (nats), brier, accuracy, precision, recall, f1 (a score from 0.5 on is a yes),
    calibration_error, and label_rate, the share of positives. Regression: rmse and mae, in units of the label.
    """
    if seen.task == "binary":
        found = _binary(seen.scores)
    elif seen.task == "regression":
        found = _regression(seen.residuals, seen.scale / UNITS)
    else:
        found = {}
    return {name: one for name, one in found.items() if one is not None}


def of_segment(seen: SegmentLabels, segment: int) -> Estimate | None:
    """The primary metric of the labelled rows of one segment, as of all rows; None without one."""
    if seen.task == "binary":
        return roc_auc(seen.scores_of(segment))
    if seen.task == "regression":
        return _regression(seen.residuals.get(segment, Residuals()), seen.scale / UNITS).get("rmse")
    return None


def wilson(hits: int, rows: int) -> Estimate | None:
    """A share with the score interval of Wilson (1927), JASA 22; its error is the binomial one. None without rows."""
    if not rows:
        return None
    share = hits / rows
    weight = 1 + Z**2 / rows
    middle = (share + Z**2 / (2 * rows)) / weight
    half = Z / weight * math.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2))
    lower = 0.0 if not hits else max(0.0, middle - half)
    upper = 1.0 if hits == rows else min(1.0, middle + half)
    return Estimate(share, math.sqrt(share * (1 - share) / rows), lower, upper, rows)


def _binary(seen: ScoreCounts) -> dict[str, Estimate | None]:
    rows = seen.rows
    hits, missed = int(seen.positives[_YES:].sum()), int(seen.positives[:_YES].sum())
    alarms = int(seen.negatives[_YES:].sum())
    return {
        "roc_auc": roc_auc(seen),
        "log_loss": _mean(seen.log_loss, seen.log_loss_squares, rows),
        "brier": _mean(seen.brier, seen.brier_squares, rows),
        "accuracy": wilson(rows - missed - alarms, rows),
        "precision": wilson(hits, hits + alarms),
        "recall": wilson(hits, hits + missed),
        "f1": f1(hits, missed, alarms),
        "calibration_error": calibration_error(seen),
        "label_rate": wilson(hits + missed, rows),
    }


def roc_auc(seen: ScoreCounts) -> Estimate | None:
    """Area under the ROC curve, ties counted half, with the error of DeLong et al. (1988), Biometrics 44.

    Both are exact on the binned scores. From the area of the scores themselves it differs by at most half the share of
    pairs (positive, negative) that meet in one bin. The interval is on the scale of log odds, which keeps it inside
    [0, 1] (Pepe 2003, section 5.2.4); where the classes do not overlap at all it is Wilson's, as if the smaller class
    were so many trials. None with fewer than two rows of either class.
    """
    positives, negatives = seen.positives, seen.negatives
    yes, no = int(positives.sum()), int(negatives.sum())
    if min(yes, no) < _FEWEST:
        return None
    beaten = (np.cumsum(negatives) - negatives / 2) / no  # by a positive of this bin
    beating = (yes - np.cumsum(positives) + positives / 2) / yes  # a negative of this bin
    value = min(1.0, float(positives @ beaten) / yes)
    first = float(positives @ (beaten - value) ** 2) / (yes - 1)
    second = float(negatives @ (beating - value) ** 2) / (no - 1)
    error = math.sqrt(first / yes + second / no)
    if not 0 < value < 1:
        trials = min(yes, no)
        few = wilson(trials if value else 0, trials)
        return few and Estimate(value, error, few.lower, few.upper, yes + no)
    odds, half = math.log(value / (1 - value)), Z * error / (value * (1 - value))
    return Estimate(value, error, _logistic(odds - half), _logistic(odds + half), yes + no)


def f1(hits: int, missed: int, alarms: int) -> Estimate | None:
    """F1 of the positive class. None where there is neither a positive nor a predicted one.

    With J = hits / (hits + missed + alarms), a share of so many rows, F1 is 2J / (1 + J): the interval is Wilson's for
    J, and the error is J's by the delta method.
    """
    share = wilson(hits, hits + missed + alarms)
    if share is None:
        return None
    slope = 2 / (1 + share.value) ** 2
    value, lower, upper = (2 * one / (1 + one) for one in (share.value, share.lower, share.upper))
    return Estimate(value, slope * share.error, lower, upper, share.rows)


def calibration_error(seen: ScoreCounts) -> Estimate | None:
    """Expected calibration error over ten equal bins of [0, 1] (Naeini, Cooper and Hauskrecht 2015). None without rows.

    The weighted sum over bins of |mean score - share of positives|. It differs from that of exact sums by at most
    5e-7. The interval errs on the wide side: |estimate - truth| is at most the weighted sum T of the bins' absolute
    errors, which are half-normal; the interval reaches as far as the mean of T and 1.96 of its deviations. The spread
    of a bin is taken around 0, so that a bin of one row has some.
    """
    rows = seen.rows
    if not rows:
        return None
    width = GRID // CALIBRATION_BINS
    positives = seen.positives.reshape(-1, width).sum(axis=1)
    counts = positives + seen.negatives.reshape(-1, width).sum(axis=1)
    filled = counts > 0
    counts, positives, sums = counts[filled], positives[filled], seen.calibration[:, filled] / _MICRO
    gaps = (positives - sums[0]) / counts
    spread = (
        np.sqrt(sums[1]) / rows
    )  # of a bin's share of the sum: sqrt(mean square / rows of the bin) times its weight
    value = float(np.abs(gaps) @ counts) / rows
    error = math.sqrt(float(spread @ spread))
    reach = float(spread.sum()) * math.sqrt(2 / math.pi) + Z * error * math.sqrt(1 - 2 / math.pi)
    return Estimate(value, error, max(0.0, value - reach), min(1.0, value + reach), rows)


def _regression(seen: Residuals, unit: float) -> dict[str, Estimate | None]:
    """Root mean square error and mean absolute error; their intervals are normal, that of the RMSE on the mean square.

    The error of the RMSE is that of the mean square by the delta method.
    """
    square = _mean(seen.squares, seen.fourths, seen.rows, unit=1.0)
    absolute = _mean(seen.absolute, seen.squares, seen.rows, unit=1.0)
    if square is None or absolute is None:
        return {}
    root = math.sqrt(square.value)
    error = square.error / (2 * root) if root else 0.0
    rmse = Estimate(root, error, math.sqrt(square.lower), math.sqrt(square.upper), seen.rows)
    return {"rmse": rmse.times(unit), "mae": absolute.times(unit)}


def _mean(total: int, squares: int, rows: int, unit: float = 1 / _MICRO) -> Estimate | None:
    """Mean of a loss from its sum and that of its squares, each in `unit`, with a normal interval not below 0.

    A few rows that carry most of a log loss (certain scores that were wrong) make the interval too narrow.

    The variance is computed in whole numbers, where nothing cancels. None without rows; one row has no spread.
    """
    if not rows:
        return None
    scaled = squares if unit == 1 else squares * round(1 / unit)  # squares in the square of the unit
    excess = max(0, rows * scaled - total**2)
    error = math.sqrt(excess / (rows * rows * max(1, rows - 1))) * unit
    value = total / rows * unit
    return Estimate(value, error, max(0.0, value - Z * error), value + Z * error, rows)


def _logistic(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds > 0 else 1 - 1 / (1 + math.exp(odds))
