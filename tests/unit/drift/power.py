"""`python -m tests.unit.drift.power`: how often a shift of one column is found within a day, and how soon.

A minute of work; docs/drift-power.json keeps what it gives, docs/drift.md shows it, the soak holds both to it.
"""

from __future__ import annotations

import json
import sys
from statistics import median
from typing import Final

from everloop.events import Episode
from tests.docs.pages import ROOT
from tests.unit.drift.worlds import Lived, World

KEPT: Final = ROOT / "docs/drift-power.json"
SHIFTS: Final = (0.1, 0.25, 0.5, 1.0)
WORLDS: Final[tuple[World, ...]] = ("stationary", "autocorrelated", "seasonal")
SEEDS: Final = 20
DAY: Final = 24
FIRST: Final = 500
"""Of the seeds."""


def measured(seeds: int = SEEDS) -> list[dict[str, object]]:
    """A row per world and shift: share found within 24 windows, median windows until the episode opened."""
    rows: list[dict[str, object]] = []
    for world in WORLDS:
        lived = [Lived(world, FIRST + seed) for seed in range(seeds)]
        for shift in SHIFTS:
            found = [opened for one in lived if (opened := _opened(one.moved_by(shift))) is not None]
            share, soon = len(found) / seeds, median(found) if found else None
            rows.append({"world": world, "shift": shift, "found": share, "windows": soon, "seeds": seeds})
        sys.stdout.write(f"{world}: done\n")
    return rows


def _opened(lived: Lived) -> int | None:
    stages = [stage for _, stage in lived.looks(DAY)]
    return stages.index(Episode.OPENED) + 1 if Episode.OPENED in stages else None


if __name__ == "__main__":
    KEPT.write_text(json.dumps(measured(), indent=1) + "\n", "utf-8")
