"""Streams of rows with a change in them, a window per hour: five kinds of change, three sizes, any seed. Pure.

Eight columns: six of numbers, standard normal, and two of categories. A change of size s moves the mean of one column
by s deviations up and of another down, widens a third by the factor 1 + s, and tilts the mix of one column of
categories by s (its log odds grow by s from one category to the next). The other four stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Values = Floats | NDArray[np.str_]
Window = Mapping[str, Values]
Kind = Literal["abrupt", "gradual", "incremental", "recurring", "seasonal"]
KINDS: Final[tuple[Kind, ...]] = ("abrupt", "gradual", "incremental", "recurring", "seasonal")
SIZES: Final[Mapping[str, float]] = {"small": 0.15, "medium": 0.3, "large": 0.6}
ROWS: Final = 200
"""Rows of one window."""
NUMERIC: Final = tuple(f"number_{place}" for place in range(6))
CATEGORICAL: Final = ("channel", "country")
NAMES: Final = (np.array(["app", "shop", "web"]), np.array(["AT", "CH", "DE", "FR", "IT"]))
RAMP: Final = 24
"""Windows until a gradual or incremental change is whole; of a recurring one it is away and back in as many."""
DAY: Final = 24
SWING: Final = 0.5
"""How far the means of half of the numbers swing in a day, in deviations, where there is a season."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What is changed, by how much, and from which window on; without a size nothing is."""

    kind: Kind
    size: float = 0.0
    onset: int = 0

    @property
    def season(self) -> bool:
        """Whether the hour of the day shows."""
        return self.kind == "seasonal"

    def windows(self, count: int, rng: np.random.Generator, first: int = 0) -> Iterator[Window]:
        """So many windows; `first` is the hour of the first one."""
        for place in range(count):
            yield self._window(place, first + place, rng)

    def level(self, place: int) -> float:
        """How much of the change a row of a window has, or its chance to have all of it (gradual): 0 to 1."""
        since = place - self.onset
        if since < 0:
            return 0.0
        if self.kind in {"gradual", "incremental"}:
            return min(1.0, (since + 1) / RAMP)
        return float(self.kind != "recurring" or since % RAMP < RAMP // 2)

    def _window(self, place: int, hour: int, rng: np.random.Generator) -> Window:
        level = self.level(place)
        shares = (rng.random(ROWS) < level).astype(np.float64) if self.kind == "gradual" else np.full(ROWS, level)
        sizes = shares * self.size
        numbers = rng.standard_normal((len(NUMERIC), ROWS))
        numbers[2] *= 1 + sizes
        numbers[0] += sizes
        numbers[1] -= sizes
        if self.season:
            numbers[::2] += SWING * np.sin(2 * np.pi * hour / DAY)
        chosen = [_categories(NAMES[0], sizes, rng), _categories(NAMES[1], np.zeros(ROWS), rng)]
        return dict(zip(NUMERIC, numbers, strict=True)) | dict(zip(CATEGORICAL, chosen, strict=True))


def _categories(names: NDArray[np.str_], tilts: Floats, rng: np.random.Generator) -> NDArray[np.str_]:
    """One of the names for each row, all as likely without a tilt."""
    weights = np.exp(tilts[:, None] * np.arange(len(names)))
    below = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    places = (rng.random(len(tilts))[:, None] > below[:, :-1]).sum(axis=1)
    return np.asarray(names[places])
