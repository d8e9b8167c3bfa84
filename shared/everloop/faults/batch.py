"""Rows as columns, and when they are sent: what a fault is given, and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The rows of one window, n of them. Shapes: each column (n,), `labels` (n,), 0 or 1.

    Numbers are float64, NaN where there is none; text is an array of `object` or `str`, None where there is none.
    """

    columns: Mapping[str, Values]
    labels: NDArray[np.float64]

    @property
    def numeric(self) -> list[str]:
        """Names of the columns of numbers, in their order."""
        return [name for name, values in self.columns.items() if values.dtype.kind == "f"]

    @property
    def categorical(self) -> list[str]:
        """Names of the columns of text, in their order."""
        return [name for name, values in self.columns.items() if values.dtype.kind in "OU"]

    def having(self, **columns: Values) -> Batch:
        """The same rows with these columns instead of theirs, or beside them."""
        return replace(self, columns={**self.columns, **columns})

    def at(self, rows: NDArray[np.int64]) -> Batch:
        """These rows, by place, in this order."""
        return Batch({name: values[rows] for name, values in self.columns.items()}, self.labels[rows])


@dataclass(frozen=True, slots=True)
class Moment:
    """When a batch is sent. `number` counts windows since the fault began, from 0; `hour` is that of the day.

    `before` is what was sent in the window before, None for the first. Equal moments spoil equal rows equally.
    """

    seed: int
    number: int = 0
    hour: int = 0
    before: Batch | None = field(default=None, compare=False)

    def chance(self) -> np.random.Generator:
        """Random numbers of this moment alone."""
        return np.random.default_rng([self.seed, self.number])
