"""When what was meant to happen: the stream's windows as times. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BEFORE: Final = 5
AFTER: Final = 5
"""Windows over which quality is measured before the change and after the promotion."""


@dataclass(frozen=True, slots=True)
class Timetable:
    """Windows are counted from zero at `start` (ms), each `every` (ms) long.

    The first `stationary` windows are before any change, the concept changes at `concept_at`; of the `windows` that are
    played the last ones have no labels yet.
    """

    start: int
    every: int
    stationary: int
    concept_at: int
    windows: int

    def window(self, time: int) -> int:
        """The number of the window that a time (ms) is in; negative for history."""
        return (time - self.start) // self.every

    def begin(self, window: int) -> int:
        """When a window begins (ms)."""
        return self.start + window * self.every
