"""Delays on a fixed grid, eight bins per octave: counts of any workers add up, and a delay is known to an eighth.

The grid is that of HdrHistogram (Tene 2012) with three bits: octaves of powers of two, each cut into equal parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from everloop.errors import InvalidError
from everloop.sketch.reading import count, place

Integers = NDArray[np.int64]
STEPS: Final = 8
"""Bins of one octave."""
_OCTAVES: Final = 47
DELAY_BINS: Final = 1 + _OCTAVES * STEPS
"""Bin 0 is no delay, or less; the last one ends after 4,000 years."""
_LONGEST: Final = 2**_OCTAVES - 1


def _upper(number: int) -> int:
    """The longest delay in a bin (ms)."""
    octave, step = divmod(number - 1, STEPS)
    return -(-(2**octave) * (STEPS + step + 1) // STEPS) - 1 if number else 0


UPPERS: Final[Integers] = np.array([_upper(number) for number in range(DELAY_BINS)], dtype=np.int64)
"""The longest delay in each bin (ms), ascending: at most an eighth longer than the shortest one."""


def places_of_delays(delays_ms: Integers) -> Integers:
    """The bin of each delay, shape (n,); exact, since delays are whole numbers below 2^53."""
    whole = np.clip(np.asarray(delays_ms, dtype=np.int64), 0, _LONGEST)
    mantissa, exponent = np.frexp(whole.astype(np.float64))
    steps = np.floor((2 * mantissa - 1) * STEPS).astype(np.int64)
    found: Integers = np.where(whole > 0, 1 + (exponent.astype(np.int64) - 1) * STEPS + steps, 0)
    return found


def count_delays(delays_ms: Integers) -> Integers:
    """Count delays (n,) by bin, shape (`DELAY_BINS`,)."""
    return np.bincount(places_of_delays(delays_ms), minlength=DELAY_BINS).astype(np.int64)


def delays_to_plain(counts: Integers) -> dict[str, int]:
    """Give counts as JSON values, empty bins left out."""
    return {str(one): int(counts[one]) for one in np.flatnonzero(counts)}


def delays_from_plain(plain: Mapping[str, object]) -> Integers:
    """Read `delays_to_plain`. Raises `InvalidError` (`malformed`) for anything else."""
    counts = np.zeros(DELAY_BINS, dtype=np.int64)
    try:
        for text, rows in plain.items():
            counts[place(text, DELAY_BINS)] = count(rows)
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidError("malformed", "delays are counts by bin") from error
    return counts
