"""Sums per hash bucket of one arm: the unit of evidence of a rollout is the bucket (of the entity), not the row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from everloop.errors import InvalidError
from everloop.sketch.reading import integers, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Numbers = Sequence[float] | NDArray[np.float64]
    Integers = NDArray[np.int64]

BUCKETS: Final = 256
MEASURES: Final = ("rows", "errors", "latency_us", "labelled", "loss_e6", "scored", "score_e6")
_LIMIT: Final = 1e12  # per row, so that millions of rows of nonsense cannot overflow int64


@dataclass(frozen=True, slots=True, eq=False)
class ArmSums:
    """Shape of `cells`: measures x 256. `latency_us` in microseconds, `*_e6` in millionths.

    `loss_e6` sums over the `labelled` rows, `score_e6` over the `scored` rows: a candidate is compared with its own
    shadow by their scores. One row adds at most 10^12 of a unit.
    """

    cells: NDArray[np.int64]

    @property
    def rows(self) -> Integers:
        """Rows per bucket."""
        return self._measure(0)

    @property
    def errors(self) -> Integers:
        """Rows per bucket whose status was an error."""
        return self._measure(1)

    @property
    def latency_us(self) -> Integers:
        """Sum of latency per bucket, in microseconds."""
        return self._measure(2)

    @property
    def labelled(self) -> Integers:
        """Rows per bucket with a loss."""
        return self._measure(3)

    @property
    def loss_e6(self) -> Integers:
        """Sum of label loss per bucket, in millionths."""
        return self._measure(4)

    @property
    def scored(self) -> Integers:
        """Rows per bucket with a score."""
        return self._measure(5)

    @property
    def score_e6(self) -> Integers:
        """Sum of scores per bucket, in millionths."""
        return self._measure(6)

    def _measure(self, place: int) -> Integers:
        """View one measure: writing to it writes to the cells."""
        view: Integers = self.cells[place]
        return view

    @classmethod
    def empty(cls) -> ArmSums:
        """Give the identity of `merge`."""
        return cls(np.zeros((len(MEASURES), BUCKETS), dtype=np.int64))

    @classmethod
    def observe(
        cls,
        buckets: Sequence[int] | NDArray[np.integer],
        *,
        errors: Sequence[bool] | NDArray[np.bool_] | None = None,
        latency_ms: Numbers | None = None,
        loss: Numbers | None = None,
        score: Numbers | None = None,
    ) -> ArmSums:
        """Sum rows given as columns of equal length; what is not finite is not counted as measured."""
        made, places = cls.empty(), np.asarray(buckets, dtype=np.int64) % BUCKETS
        np.add.at(made.rows, places, 1)
        if errors is not None:
            np.add.at(made.errors, places, np.asarray(errors, dtype=np.bool_).astype(np.int64))
        _add(made.latency_us, None, places, latency_ms, 1e3)
        _add(made.loss_e6, made.labelled, places, loss, 1e6)
        _add(made.score_e6, made.scored, places, score, 1e6)
        return made

    def merge(self, other: ArmSums) -> ArmSums:
        """Add bucket by bucket."""
        return ArmSums(self.cells + other.cells)

    def __eq__(self, other: object) -> bool:
        """Equal sums in every bucket."""
        return isinstance(other, ArmSums) and np.array_equal(self.cells, other.cells)

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.cells.tobytes())

    def to_plain(self) -> dict[str, list[int]]:
        """Give the non-empty buckets as `{bucket: [rows, errors, ...]}` in the order of `MEASURES`."""
        return {str(bucket): self.cells[:, bucket].tolist() for bucket in np.flatnonzero(self.cells.any(axis=0))}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ArmSums:
        """Read `to_plain`; raises `InvalidError` (`malformed`) for anything else."""
        made = cls.empty()
        try:
            for bucket, sums in plain.items():
                made.cells[:, place(bucket, BUCKETS)] = integers(sums, len(MEASURES))
        except (TypeError, ValueError, AttributeError) as error:
            message = f"sums of an arm are {len(MEASURES)} integers per bucket 0..{BUCKETS - 1}"
            raise InvalidError("malformed", message) from error
        return made

    def to_json(self) -> bytes:
        """Give canonical bytes: equal sums have equal bytes."""
        return orjson.dumps(self.to_plain(), option=orjson.OPT_SORT_KEYS)

    @classmethod
    def from_json(cls, data: bytes) -> ArmSums:
        """Read `to_json`; raises `InvalidError` (`malformed`) for anything else."""
        try:
            return cls.from_plain(orjson.loads(data))
        except orjson.JSONDecodeError as error:
            raise InvalidError("malformed", "sums of an arm are a JSON object") from error


def _add(sums: Integers, counted: Integers | None, places: Integers, values: Numbers | None, scale: float) -> None:
    """Round each row to an integer, then add: integer sums do not depend on the order."""
    if values is None:
        return
    numbers = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(numbers)
    with np.errstate(over="ignore"):
        units = np.clip(np.rint(numbers[finite] * scale), -_LIMIT, _LIMIT).astype(np.int64)
    np.add.at(sums, places[finite], units)
    if counted is not None:
        np.add.at(counted, places[finite], 1)
