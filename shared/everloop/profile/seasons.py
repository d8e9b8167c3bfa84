"""Counts by the hour of the day, or of the week: how they travel, and which of them a window is compared with. UTC."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from everloop.profile.values import ColumnProfile, Season, SlotCounts

HOUR_MS: Final = 3_600_000
SLOTS: Final[dict[Season, int]] = {"hour_of_day": 24, "hour_of_week": 168}
LOST: Final = 3
"""Behind the bins: missing, not finite, malformed."""
LEAST_ROWS: Final = 100
"""Rows that the slots of a window must have together, ten for each group of PSI; with fewer the whole reference says
more."""
_MONDAY: Final = 4 * 24 * HOUR_MS
"""1970 began on a Thursday; the first Monday was the fifth of January."""


@dataclass(frozen=True, slots=True)
class Slots:
    """A column by slot: counts (slots, bins + 3), means and deviations (slots,), NaN where not known."""

    counts: NDArray[np.int64]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Side:
    """The slots of one window together."""

    counts: tuple[int, ...]
    lost: tuple[int, int, int]
    mean: float | None
    deviation: float | None


def slot_of(times: NDArray[np.int64], season: Season) -> NDArray[np.int64]:
    """The slot of each time (ms since 1970, UTC); weeks begin on Monday."""
    hours = (times - (_MONDAY if season == "hour_of_week" else 0)) // HOUR_MS
    return np.asarray(hours % SLOTS[season], dtype=np.int64)


def slots_between(start: int, end: int, season: Season) -> list[int]:
    """The slots that a window from `start` to `end` (ms) touches."""
    first, last = start // HOUR_MS, max(start, end - 1) // HOUR_MS
    hours = np.arange(first, min(last, first + SLOTS[season] - 1) + 1, dtype=np.int64) * HOUR_MS
    return sorted(set(slot_of(hours, season).tolist()))


def pack(slots: Slots) -> SlotCounts:
    """As a profile carries it: 32-bit numbers, little-endian, deflated, in base64."""
    data = zlib.compress(slots.counts.astype("<u4").tobytes(), 9)
    return SlotCounts(counts=base64.b64encode(data).decode(), mean=_said(slots.mean), deviation=_said(slots.deviation))


def unpack(column: ColumnProfile, season: Season) -> Slots | None:
    """The slots of a column; None where it has none, or none that fit its bins."""
    return None if column.slots is None else _unpacked(column.slots, len(column.counts) + LOST, SLOTS[season])


def side(column: ColumnProfile, season: Season, start: int, end: int) -> Side | None:
    """What a window is compared with; None where the slots it touches have too few rows, or are all there are."""
    slots = unpack(column, season)
    touched = slots_between(start, end, season)
    if slots is None or len(touched) == SLOTS[season]:
        return None
    counts = slots.counts[touched].sum(axis=0)
    if counts.sum() < LEAST_ROWS:
        return None
    mean, deviation = together(slots, touched)
    bins, lost = counts[:-LOST].tolist(), counts[-LOST:].tolist()
    return Side(tuple(bins), (lost[0], lost[1], lost[2]), mean, deviation)


def together(slots: Slots, touched: Sequence[int]) -> tuple[float | None, float | None]:
    """Mean and population deviation of several slots; None where one of them that has values has no moments."""
    rows = slots.counts[touched, :-LOST].sum(axis=1).astype(np.float64)
    held = rows > 0
    rows, mean, deviation = rows[held], slots.mean[touched][held], slots.deviation[touched][held]
    if not rows.size or not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
        return None, None
    whole = float((rows * mean).sum() / rows.sum())
    spread = math.sqrt(float((rows * (deviation**2 + (mean - whole) ** 2)).sum() / rows.sum()))
    return (whole, spread) if math.isfinite(whole) and math.isfinite(spread) else (None, None)


@lru_cache(maxsize=4096)
def _unpacked(packed: SlotCounts, width: int, slots: int) -> Slots | None:
    try:
        numbers = np.frombuffer(zlib.decompress(base64.b64decode(packed.counts)), dtype="<u4").astype(np.int64)
    except (binascii.Error, zlib.error, ValueError):
        return None
    if numbers.size != slots * width:
        return None
    return Slots(numbers.reshape(slots, width), _read(packed.mean, slots), _read(packed.deviation, slots))


def _said(numbers: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(float(one) if math.isfinite(one) else None for one in numbers)


def _read(said: Sequence[float | None], slots: int) -> NDArray[np.float64]:
    known = said if len(said) == slots else (None,) * slots
    return np.array([math.nan if one is None else one for one in known], dtype=np.float64)
