"""`drift.verdict`: 20 columns x 10,000 rows in memory to the verdict, against an Evidently report on the same."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from statistics import median
from typing import Final

import orjson

from benchmarks.bus.compared import Side, in_turn
from benchmarks.figures import Measured, Say, Size
from benchmarks.repeats import repeats
from everloop.errors import FatalError

MS: Final = 1_000.0


def measure(size: Size, say: Say) -> Measured:
    """CPU-milliseconds from rows to verdict, ours and the peer's, each in a process of its own."""

    def once(number: int) -> Mapping[Side, Mapping[str, float]]:
        return in_turn(number, lambda side: _seconds(side, size))

    runs = repeats(size.of(5, 1), once, say)
    ours = [run["ours"] for run in runs]
    return Measured(
        ours=tuple(one["all"] * MS for one in ours),
        peer=tuple(run["peer"]["all"] * MS for run in runs),
        also={f"ms {part}": median(one[part] for one in ours) * MS for part in ours[0] if part != "all"},
    )


def _seconds(side: Side, size: Size) -> Mapping[str, float]:
    """What the process of one side says: seconds of CPU by part of the work."""
    rounds = size.of(50, 2) if side == "ours" else size.of(3, 1)
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.drift.verdict_{side}", str(rounds)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "DO_NOT_TRACK": "1"}, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise FatalError(f"benchmarks.drift.verdict_{side} failed:\n{done.stderr.decode()[-2000:]}")
    found: Mapping[str, float] = orjson.loads(done.stdout)
    return found
