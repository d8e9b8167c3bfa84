"""Labels by entity and time range: which are known, so that predictions that come later have them as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from everloop_ingest.domain.shelves import Floats, Keys, Numbers, grown

MOST_RANGES: Final = 100_000
"""Labels by entity that a partition remembers; beyond it the oldest are forgotten, with a count."""

LUMP: Final = MOST_RANGES // 64
RANGE: Final = np.dtype([
    ("entity", "<u8", (2,)), ("start", "<i8"), ("end", "<i8"), ("label", "<f8"), ("labelled_at", "<i8"),
    ("minute", "<i8"),
])  # fmt: skip
"""A label of all predictions of an entity with times in [start, end), in ms; the minute in which it was appended."""


class Ranges(NamedTuple):
    """Whom the labels of a record are of: digests of model and entity, and times in ms."""

    entities: Keys
    start: Numbers
    end: Numbers


class Known:
    """Labels by entity, in order of arrival."""

    def __init__(self, rows: NDArray[np.void] | None = None) -> None:
        """Those that are known already."""
        self.rows: NDArray[np.void] = np.empty(0, RANGE) if rows is None else rows
        self.used = len(self.rows)
        self.places: dict[int, list[int]] = {}
        self._find(0)

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]]) -> Known:
        """What `columns` gave."""
        return cls(arrays["ranges"])

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """All of it."""
        return {"ranges": self.rows[: self.used]}

    def __len__(self) -> int:
        """How many."""
        return self.used

    def add(self, ranges: Ranges, label: Floats, labelled_at: Numbers, minute: int) -> None:
        """Remember the labels of a record."""
        count = len(label)
        if self.used + count > len(self.rows):
            self.rows = grown(self.rows[: self.used], count)
        new = self.rows[self.used : self.used + count]
        new["entity"], new["start"], new["end"] = ranges
        new["label"], new["labelled_at"], new["minute"] = label, labelled_at, minute
        self.used += count
        self._find(self.used - count)

    def near(self, entities: Keys) -> NDArray[np.bool_]:
        """Which of these digests may be of an entity with a label."""
        if not self.used:
            return np.zeros(len(entities), np.bool_)
        return np.isin(entities[:, 0], self.rows["entity"][: self.used, 0])

    def of(self, entity: tuple[int, ...]) -> NDArray[np.void]:
        """Labels of one entity, in order of arrival."""
        rows = self.rows[np.array(self.places.get(entity[0], []), np.intp)]
        found: NDArray[np.void] = rows[rows["entity"][:, 1] == entity[1]]
        return found

    def forget(self, oldest_minute: int) -> None:
        """Drop those of minutes before."""
        self._drop(int(np.searchsorted(self.rows["minute"][: self.used], oldest_minute)))

    def trim(self) -> int:
        """Where there are too many drop the oldest, and a lump more; how many."""
        surplus = self.used - MOST_RANGES + LUMP if self.used > MOST_RANGES else 0
        self._drop(surplus)
        return surplus

    def _drop(self, count: int) -> None:
        if count:
            self.rows = self.rows[count : self.used].copy()
            self.used = len(self.rows)
            self.places = {}
            self._find(0)

    def _find(self, start: int) -> None:
        for place, entity in enumerate(self.rows["entity"][start : self.used, 0].tolist(), start):
            self.places.setdefault(entity, []).append(place)


def within(rows: NDArray[np.void], time: int) -> list[tuple[float, int]]:
    """Labels of a time, of labels of its entity, and when each was known."""
    at = (rows["start"] <= time) & (time < rows["end"])
    return list(zip(rows["label"][at].tolist(), rows["labelled_at"][at].tolist(), strict=True))
