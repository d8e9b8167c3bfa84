"""Labelled rows of one version and arm, in integers: what realised quality and the stream of errors follow from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from everloop.errors import InvalidError
from everloop.profile.build import Task
from everloop.sketch.classified import CUT, ScoreCounts, brier
from everloop.sketch.delays import (
    DELAY_BINS,
    UPPERS,
    count_delays,
    delays_from_plain,
    delays_to_plain,
    places_of_delays,
)
from everloop.sketch.reading import count, integers, place
from everloop.sketch.residuals import UNITS, Residuals, in_units

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
OCTAVES: Final = 48
"""Ages were kept by powers of two before: bin k held 2^(k-1) <= age < 2^k milliseconds. Such counts can be read."""
TASKS: Final[frozenset[str]] = frozenset({"binary", "multiclass", "regression"})
_MALFORMED: Final = "labelled rows are counts and sums in integers, of one task"


def _no_ages() -> Integers:
    return np.zeros(DELAY_BINS, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Counts of labelled rows. `ages` (`DELAY_BINS`,) counts rows by the age of their first label.

    `series` is the stream of errors, by the begin of each interval (ms): rows, wrong rows, and the sum of a loss within
    [0, 1], in millionths. Binary: a row is wrong on the other side of 0.5 (0.5 itself is a yes), its loss is the
    squared error. Regression: the loss is a / (1 + a), a the absolute residual over `scale`; no row is wrong.
    Multiclass: the label alone cannot say whether the predicted class was right, so there is no series, and ages are
    all that counts.

    A row that was corrected counts once, with its last label: what it takes the place of is taken away again.

    `scale` is the reference deviation of a regression's score, the unit of its residuals, and 1 for other tasks. Rows
    in `rejected` are in nothing else: a label or score that is not finite, under binary a score outside [0, 1] or a
    label that is neither 0 nor 1.
    """

    task: Task
    scale: float = 1.0
    scores: ScoreCounts = field(default_factory=ScoreCounts)
    residuals: Residuals = field(default_factory=Residuals)
    ages: Integers = field(default_factory=_no_ages)
    series: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    rejected: int = 0

    @classmethod
    def empty(cls, task: Task, scale: float | None = None) -> Labelled:
        """Give the identity of `merge` for this task and scale; no usable scale (None, 0, not finite) is 1."""
        return cls(task, _scale(task, scale))

    @classmethod
    def observe(  # noqa: PLR0913, PLR0917 -- columns of the same rows
        cls,
        task: Task,
        scale: float | None,
        scores: Floats,
        labels: Floats,
        ages_ms: Integers,
        points: Integers,
        before: Floats | None = None,
    ) -> Labelled:
        """Count rows given as arrays of equal length (n,); `points` is the begin of each row's interval in ms.

        `before` (n,) are the labels that these take the place of, NaN where there was none; None: there was none.
        """
        if before is None or np.isnan(before).all():
            return cls._first(task, scale, scores, labels, ages_ms, points)
        again = ~np.isnan(before)
        known = again & usable(task, np.asarray(scores, dtype=np.float64), before)
        made = cls._first(task, scale, scores, labels, ages_ms, points)
        old = cls._first(task, scale, scores[again], before[again], ages_ms[again], points[again])
        aged = usable(task, scores, labels) & ~known
        return replace(made.merge(old, -1), ages=count_delays(np.asarray(ages_ms, dtype=np.int64)[aged]))

    @classmethod
    def _first(
        cls, task: Task, scale: float | None, scores: Floats, labels: Floats, ages_ms: Integers, points: Integers
    ) -> Labelled:
        """Count rows that have had no label."""
        unit = _scale(task, scale)
        score, label = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
        kept = usable(task, score, label)
        score, label, when = score[kept], label[kept], np.asarray(points, dtype=np.int64)[kept]
        residuals = in_units(score, label, unit) if task == "regression" else np.empty(0, dtype=np.int64)
        return cls(
            task,
            unit,
            ScoreCounts.observe(score, label) if task == "binary" else ScoreCounts(),
            Residuals.observe(residuals),
            count_delays(np.asarray(ages_ms, dtype=np.int64)[kept]),
            _series(when, *_errors(task, score, label, residuals)) if task != "multiclass" else {},
            kept.size - int(np.count_nonzero(kept)),
        )

    @property
    def rows(self) -> int:
        """Labelled rows, without the rejected ones."""
        match self.task:
            case "binary":
                return self.scores.rows
            case "regression":
                return self.residuals.rows
        return int(self.ages.sum())

    @property
    def sound(self) -> bool:
        """Whether no count is below zero: it may be where the label that was corrected has been counted elsewhere."""
        rows = min((rows for rows, _, _ in self.series.values()), default=0)
        return self.scores.sound and self.residuals.sound and min(rows, self.rejected) >= 0

    def merge(self, other: Labelled, sign: int = 1) -> Labelled:
        """Add all counts and sums; with the sign -1 take them away.

        Raises `InvalidError` (`shape`) where task or scale differ.
        """
        if (self.task, self.scale) != (other.task, other.scale):
            message = "labelled rows of two tasks or scales do not add up: merge those of one version only"
            raise InvalidError("shape", message)
        return Labelled(
            self.task,
            self.scale,
            self.scores.merge(other.scores, sign),
            self.residuals.merge(other.residuals, sign),
            self.ages + sign * other.ages,
            _merged(self.series, other.series, sign),
            self.rejected + sign * other.rejected,
        )

    def age_ms(self, share: float) -> int | None:
        """Age of the first label that this share of rows does not exceed: the end of its bin, at most an eighth older.

        None without rows.
        """
        aged = int(self.ages.sum())
        if not aged:
            return None
        passed = np.cumsum(self.ages) >= max(1, math.ceil(share * aged))
        return int(UPPERS[np.argmax(passed)])

    def __eq__(self, other: object) -> bool:
        """Equal counts and sums."""
        return isinstance(other, Labelled) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.to_json())

    def to_plain(self) -> dict[str, Any]:
        """Give all counts and sums as JSON values, empty bins left out."""
        measured = {"binary": self.scores.to_plain, "regression": self.residuals.to_plain}.get(self.task, dict)
        return {
            "task": self.task,
            "scale": self.scale,
            "measured": measured(),
            "delays": delays_to_plain(self.ages),
            "series": {str(start): list(self.series[start]) for start in sorted(self.series)},
            "rejected": self.rejected,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], *, signed: bool = False) -> Labelled:
        """Read `to_plain`, where `signed` also what is not `sound`; raises `InvalidError` (`malformed`) otherwise."""
        try:
            return _read(plain, signed=signed)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidError("malformed", _MALFORMED) from error

    def to_json(self) -> bytes:
        """Give canonical bytes: equal counts have equal bytes."""
        return orjson.dumps(self.to_plain(), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, data: bytes) -> Labelled:
        """Read `to_json`; raises `InvalidError` (`malformed`) for anything else."""
        try:
            return cls.from_plain(orjson.loads(data))
        except orjson.JSONDecodeError as error:
            raise InvalidError("malformed", _MALFORMED) from error


def _scale(task: Task, scale: float | None) -> float:
    usable = task == "regression" and scale is not None and math.isfinite(scale) and scale > 0
    return float(scale) if usable and scale is not None else 1.0


def usable(task: Task, score: Floats, label: Floats) -> NDArray[np.bool_]:
    """Which rows are not rejected, shape (n,)."""
    if task != "binary":
        return np.asarray(np.isfinite(score) & np.isfinite(label))
    return np.asarray((score >= 0) & (score <= 1) & ((label == 0) | (label == 1)))


def _errors(task: Task, score: Floats, label: Floats, residuals: Integers) -> tuple[Integers, Integers]:
    """Whether each row is wrong (0 or 1), and its loss in millionths."""
    if task == "binary":
        return ((score >= CUT) != (label == 1)).astype(np.int64), brier(score, label)
    over = residuals / UNITS
    return np.zeros_like(residuals), np.rint(over / (1 + over) * 1e6).astype(np.int64)


def _series(points: Integers, wrong: Integers, loss: Integers) -> dict[int, tuple[int, int, int]]:
    starts, place = np.unique(points, return_inverse=True)
    sums = np.zeros((starts.size, 3), dtype=np.int64)
    np.add.at(sums, place, np.stack([np.ones_like(wrong), wrong, loss], axis=1))
    return {int(start): (int(rows), int(bad), int(lost)) for start, (rows, bad, lost) in zip(starts, sums, strict=True)}


def _merged(
    one: Mapping[int, tuple[int, int, int]], two: Mapping[int, tuple[int, int, int]], sign: int
) -> dict[int, tuple[int, int, int]]:
    nothing = (0, 0, 0)
    both = {start: (one.get(start, nothing), two.get(start, nothing)) for start in {**one, **two}}
    sums = {start: (a[0] + sign * b[0], a[1] + sign * b[1], a[2] + sign * b[2]) for start, (a, b) in both.items()}
    return {start: found for start, found in sums.items() if any(found)}


def _read_ages(plain: Mapping[str, Any]) -> Integers:
    """Ages by bin; those by powers of two stand at the end of their octave."""
    ages = _no_ages()
    for text, rows in plain.get("ages", {}).items():
        ages[places_of_delays(np.array([2 ** place(text, OCTAVES) - 1]))] += count(rows)
    return ages + delays_from_plain(plain.get("delays", {}))


def _read(plain: Mapping[str, Any], *, signed: bool) -> Labelled:
    task, scale = plain["task"], plain["scale"]
    if task not in TASKS or type(scale) is not float or scale != _scale(task, scale):
        raise ValueError("no task, or a scale that is none")
    ages, series = _read_ages(plain), {}
    for text, sums in plain["series"].items():
        rows, wrong, loss = (count(number, signed=signed) for number in integers(sums, 3).tolist())
        series[int(text)] = (rows, wrong, loss)
    scores = ScoreCounts.from_plain(plain["measured"], signed=signed) if task == "binary" else ScoreCounts()
    residuals = Residuals.from_plain(plain["measured"], signed=signed) if task == "regression" else Residuals()
    read = Labelled(task, scale, scores, residuals, ages, series, count(plain["rejected"], signed=signed))
    listed = sum(rows for rows, _, _ in series.values()) if task != "multiclass" else read.rows
    if listed != read.rows or int(ages.sum()) < read.rows:  # a row whose label was withdrawn keeps its age
        raise ValueError("the parts are of different rows")
    return read
