"""Tune all three to the same false alarms, then count windows until a change is found, cell by cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from benchmarks.drift.delay import ours, peers
from benchmarks.drift.delay.streams import KINDS, SIZES, Kind, Stream, Window
from benchmarks.drift.delay.tuning import alarms, delay, tuned

SIDES: Final = ("ours", "evidently", "adwin")
QUIET: Final = 500
"""Windows of a stream in which nothing changes; one false alarm in so many is what each is tuned to."""
TUNING, PROVING = 24, 12
"""Streams that thresholds are tuned on, and others that they are looked at on."""
SEEDS: Final = 60
ONSET: Final = 48
LONGEST: Final = 96
"""Windows that a change has to be found in."""
Fired = dict[str, list[bool]]


@dataclass(frozen=True, slots=True)
class Lived:
    """A stream as each side hears it: the numbers of ours and of Evidently, the rows for ADWIN."""

    rows: list[Window]
    found: list[float]
    distances: list[float]

    @classmethod
    def through(cls, stream: Stream, windows: int, seed: Sequence[int]) -> Lived:
        """From one seed."""
        first = ours.REFERENCE + 24 * (seed[-1] % 7)
        rows = [*stream.windows(windows, np.random.default_rng(seed), first)]
        seen = [*ours.looked_at(stream, rows, first)]
        return cls(rows, [one.found for one in seen], [peers.strongest_distance(one.columns) for one in seen])

    def fired(self, thresholds: dict[str, float]) -> Fired:
        """Where each side is above its threshold."""
        return {
            "ours": [one > thresholds["ours"] for one in self.found],
            "evidently": [one > thresholds["evidently"] for one in self.distances],
            "adwin": peers.adwin(self.rows, thresholds["adwin"]),
        }


def thresholds(kind: Kind, say: Callable[[str], None]) -> dict[str, float]:
    """Of each side, on the same streams without a change: one alarm per `QUIET` windows."""
    lived = [Lived.through(Stream(kind), QUIET, (1, KINDS.index(kind), seed)) for seed in range(TUNING)]
    say(f"{kind}: {TUNING} quiet streams")
    found = tuned(lambda level: [[x > level for x in one.found] for one in lived], 0.2, 20.0, TUNING, 25)
    distance = tuned(lambda level: [[x > level for x in one.distances] for one in lived], 0.01, 5.0, TUNING, 25)
    few, steps = (1e-300, 12) if kind == "seasonal" else (1e-9, 9)  # of ADWIN's delta; a season takes next to nothing
    delta = 1 / tuned(
        lambda level: [peers.adwin(one.rows, 1 / level) for one in lived], 1 / 0.9, 1 / few, TUNING, steps
    )
    return dict(zip(SIDES, (found, distance, delta), strict=True))


def proven(kind: Kind, levels: dict[str, float]) -> dict[str, int]:
    """Alarms of each side on streams that it was not tuned on; `PROVING` are expected."""
    counts = dict.fromkeys(SIDES, 0)
    for seed in range(PROVING):
        fired = Lived.through(Stream(kind), QUIET, (2, KINDS.index(kind), seed)).fired(levels)
        counts = {side: counts[side] + alarms(fired[side]) for side in SIDES}
    return counts


def cell(kind: Kind, size: str, levels: dict[str, float], seeds: int = SEEDS) -> dict[str, object]:
    """Median delay in windows of each side, and in how many runs it found the change; a run without counts as the most.

    The mean tells sides apart that find nearly everything at once.
    """
    found: dict[str, list[int | None]] = {side: [] for side in SIDES}
    for seed in range(seeds):
        stream = Stream(kind, SIZES[size], ONSET)
        fired = Lived.through(stream, ONSET + LONGEST, (3, KINDS.index(kind), [*SIZES].index(size), seed)).fired(levels)
        for side in SIDES:
            found[side].append(delay(fired[side], ONSET))
    whole = {side: [LONGEST if one is None else one for one in found[side]] for side in SIDES}
    return {
        "kind": kind, "size": size, "seeds": seeds,
        "median": {side: median(whole[side]) for side in SIDES},
        "mean": {side: round(sum(whole[side]) / seeds, 2) for side in SIDES},
        "found": {side: sum(one is not None for one in found[side]) for side in SIDES},
    }  # fmt: skip
