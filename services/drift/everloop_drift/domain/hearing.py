"""Whether each detector still hears behind a value that is no number. Pure.

Counts are integers, so that no such value reaches a detector by way of windows. That every value is looked at before a
detector is fed is the second line, and this is its proof: one NaN blinds ADWIN and Page-Hinkley for good, silently.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from everloop.loop import Detector
from everloop_drift.domain.concept import DETECTORS, firings

QUIET: Final = 200
"""Values before the jump, and behind it; DDM says nothing before its 129th."""
_BEFORE: Final = (0.0, 0.2, 0.1, 0.1)
_AFTER: Final = 1.0


def jumping_stream() -> list[float]:
    """A level with a NaN and both infinities in it, then a higher one."""
    level = [_BEFORE[place % len(_BEFORE)] for place in range(QUIET)]
    for place, value in enumerate((math.nan, math.inf, -math.inf)):
        level[10 * (place + 1)] = value
    return [*level, *[_AFTER] * QUIET]


def deaf_detectors() -> tuple[Detector, ...]:
    """The detectors that do not fire behind the jump, fire before it, or cannot be fed at all."""
    fed = jumping_stream()
    return tuple(name for name in DETECTORS if not _hears(name, fed))


def _hears(name: Detector, fed: Sequence[float]) -> bool:
    try:
        first = next(firings(name, fed), 0)
    except Exception:  # noqa: BLE001 -- whatever River says of a NaN, it does not hear the jump
        return False
    return first >= QUIET
