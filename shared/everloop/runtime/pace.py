"""When a data room publishes its state and commits: pure, times in seconds are parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

IDLE_S: Final = 0.05
"""Nothing came for so long: a moment to flush."""
HELD_S: Final = 1.0
CHECKPOINT_S: Final = 5.0
LONGEST_S: Final = 30.0
"""Between two checkpoints, at the least and at the most, while records keep coming."""
SHARE: Final = 0.05
"""Of the time, for checkpoints: with state of many models one takes long, and is made less often."""
LIMIT: Final = 2_000
"""Records, of a fold that does not wait for checkpoints."""


@dataclass
class Pace:
    """When to flush. `fresh` counts the records that were taken since the last flush, which took `lasted_s`.

    A fold that waits for checkpoints is flushed when nothing came for a moment, or after `interval_s`; any other also
    when many records wait. What a lingering fold holds back is asked for again each second.
    """

    steady: bool
    fresh: int = 0
    held: bool = False
    taken_s: float = 0.0
    flushed_s: float = 0.0
    lasted_s: float = 0.0

    @property
    def interval_s(self) -> float:
        """Between checkpoints."""
        return min(max(CHECKPOINT_S, self.lasted_s / SHARE), LONGEST_S)

    def note(self, records: int, now_s: float) -> None:
        """So many more were taken."""
        self.flushed_s = self.flushed_s if self.fresh else now_s
        self.fresh += records
        self.taken_s = now_s

    def flush(self, now_s: float, *, held: bool, lasted_s: float = 0.0) -> None:
        """Everything but what is `held` back has been committed, in so long."""
        self.fresh, self.held, self.flushed_s, self.taken_s, self.lasted_s = 0, held, now_s, now_s, lasted_s

    def is_due(self, now_s: float) -> bool:
        """Whether it is time."""
        if not self.fresh:
            return self.held and now_s - self.taken_s >= HELD_S
        if now_s - self.taken_s >= IDLE_S:
            return True
        return now_s - self.flushed_s >= self.interval_s if self.steady else self.fresh >= LIMIT
