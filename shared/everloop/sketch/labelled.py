"""Scores by outcome on a fixed grid: realised quality from integers alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import orjson

from everloop.errors import InvalidError
from everloop.sketch.reading import integers, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

GRID: Final = 1000
_EPSILON: Final = 1e-15  # log loss is infinite at 0 and 1
_FEWEST: Final = 2  # rows of a class for a variance


class Estimate(NamedTuple):
    """A measured value and its standard error."""

    value: float
    standard_error: float


def _no_counts() -> NDArray[np.int64]:
    return np.zeros(GRID, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class LabelledScores:
    """Labelled rows of one arm of a binary model. Shape of the histograms: 1,000 equal bins on [0, 1].

    `correct` counts rows on the right side of 0.5 (0.5 itself is a yes); `rejected` counts rows whose score is outside
    [0, 1] or whose label is neither 0 nor 1: they are in nothing else. Loss sums are in millionths.
    """

    positives: NDArray[np.int64] = field(default_factory=_no_counts)
    negatives: NDArray[np.int64] = field(default_factory=_no_counts)
    correct: int = 0
    log_loss_e6: int = 0
    brier_e6: int = 0
    rejected: int = 0

    @classmethod
    def empty(cls) -> LabelledScores:
        """Give the identity of `merge`."""
        return cls()

    @classmethod
    def observe(
        cls, scores: Sequence[float] | NDArray[np.generic], labels: Sequence[float] | NDArray[np.generic]
    ) -> LabelledScores:
        """Count scores and labels of equal length; None is read as NaN and rejected."""
        score, label = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
        kept = (score >= 0) & (score <= 1) & ((label == 0) | (label == 1))
        score, label = score[kept], label[kept]
        places = np.minimum(score * GRID, GRID - 1).astype(np.int64)
        wrong = np.clip(np.abs(label - score), 0, 1 - _EPSILON)
        return cls(
            positives=np.bincount(places[label == 1], minlength=GRID).astype(np.int64),
            negatives=np.bincount(places[label == 0], minlength=GRID).astype(np.int64),
            correct=int(np.count_nonzero((score >= 0.5) == (label == 1))),  # noqa: PLR2004  # the usual cut
            log_loss_e6=int(np.rint(-np.log1p(-wrong) * 1e6).astype(np.int64).sum()),
            brier_e6=int(np.rint(wrong**2 * 1e6).astype(np.int64).sum()),
            rejected=int(kept.size - np.count_nonzero(kept)),
        )

    @property
    def rows(self) -> int:
        """Labelled rows."""
        return int(self.positives.sum() + self.negatives.sum())

    def auc(self) -> Estimate | None:
        """Area under the ROC curve, ties counted half, with DeLong's standard error, both exact on the binned scores.

        DeLong, DeLong, Clarke-Pearson (1988), Biometrics 44. None with fewer than two rows of either class.
        """
        yes, no = int(self.positives.sum()), int(self.negatives.sum())
        if min(yes, no) < _FEWEST:
            return None
        beaten = (np.cumsum(self.negatives) - self.negatives / 2) / no  # by a positive of this bin
        beating = (yes - np.cumsum(self.positives) + self.positives / 2) / yes  # a negative of this bin
        value = float(self.positives @ beaten) / yes
        first = float(self.positives @ (beaten - value) ** 2) / (yes - 1)
        second = float(self.negatives @ (beating - value) ** 2) / (no - 1)
        return Estimate(value, math.sqrt(first / yes + second / no))

    def accuracy(self) -> Estimate | None:
        """Share of rows on the right side of 0.5, with the binomial standard error; None without rows."""
        if not self.rows:
            return None
        share = self.correct / self.rows
        return Estimate(share, math.sqrt(share * (1 - share) / self.rows))

    def log_loss(self) -> float | None:
        """Mean log loss in nats; None without rows."""
        return self.log_loss_e6 / 1e6 / self.rows if self.rows else None

    def brier(self) -> float | None:
        """Mean squared error of the score; None without rows."""
        return self.brier_e6 / 1e6 / self.rows if self.rows else None

    def positive_rate(self) -> float | None:
        """Share of positives; None without rows."""
        return float(self.positives.sum()) / self.rows if self.rows else None

    def merge(self, other: LabelledScores) -> LabelledScores:
        """Add all counts and sums."""
        return LabelledScores(
            positives=self.positives + other.positives,
            negatives=self.negatives + other.negatives,
            correct=self.correct + other.correct,
            log_loss_e6=self.log_loss_e6 + other.log_loss_e6,
            brier_e6=self.brier_e6 + other.brier_e6,
            rejected=self.rejected + other.rejected,
        )

    def __eq__(self, other: object) -> bool:
        """Equal counts and sums."""
        return isinstance(other, LabelledScores) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.to_json())

    def to_plain(self) -> dict[str, Any]:
        """Give the sums, and the non-empty bins as `{bin: [positives, negatives]}`."""
        filled = np.flatnonzero(self.positives + self.negatives)
        return {
            "bins": {str(one): [int(self.positives[one]), int(self.negatives[one])] for one in filled},
            "correct": self.correct,
            "log_loss_e6": self.log_loss_e6,
            "brier_e6": self.brier_e6,
            "rejected": self.rejected,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> LabelledScores:
        """Read `to_plain`; raises `InvalidError` (`malformed`) for anything else."""
        counts = np.zeros((2, GRID), dtype=np.int64)
        try:
            sums = {name: int(plain[name]) for name in ("correct", "log_loss_e6", "brier_e6", "rejected")}
            for text, pair in plain["bins"].items():
                counts[:, place(text, GRID)] = integers(pair, len(counts))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InvalidError("malformed", "labelled scores are sums and integer pairs per bin 0..999") from error
        return cls(positives=counts[0], negatives=counts[1], **sums)

    def to_json(self) -> bytes:
        """Give canonical bytes: equal counts have equal bytes."""
        return orjson.dumps(self.to_plain(), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, data: bytes) -> LabelledScores:
        """Read `to_json`; raises `InvalidError` (`malformed`) for anything else."""
        try:
            return cls.from_plain(orjson.loads(data))
        except orjson.JSONDecodeError as error:
            raise InvalidError("malformed", "labelled scores are a JSON object") from error
