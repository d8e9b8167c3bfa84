"""`drift.scale`: rows per second of two workers in one group over those of one."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.broker import broker, load, progress
from benchmarks.children import Usage, work
from benchmarks.drift.carried import LIMIT_S
from benchmarks.drift.records import PLACES, Load
from benchmarks.drift.windows import GROUP, require_counted, worker
from benchmarks.drift.world import introduced, names
from benchmarks.figures import Measured, Say, Size
from benchmarks.repeats import repeats

LOG: Final = Load("json", rows=100, records=40_000)
QUICK: Final = 10
WARM: Final = 3
"""One part in so many is warm-up: both workers have joined by then."""


def measure(size: Size, say: Say) -> Measured:
    """Wall rate over wall rate, in turn which is first."""
    log = replace(LOG, records=LOG.records // size.of(1, QUICK))

    def once(number: int) -> tuple[Usage, Usage]:
        found = {workers: _run(log, workers) for workers in ((1, 2) if number % 2 == 0 else (2, 1))}
        return found[1], found[2]

    runs = repeats(size.of(3, 1), once, say)
    return Measured(
        ours=tuple(two.per_s / one.per_s for one, two in runs),
        also={
            "rows/s on the wall of one": median(one.per_s for one, _ in runs),
            "of two": median(two.per_s for _, two in runs),
            "rows/CPU-s of one": median(one.per_cpu_s for one, _ in runs),
            "of both together": median(two.per_cpu_s for _, two in runs),
            "CPUs used by two": median(two.cpu_s / two.wall_s for _, two in runs),
        },
    )


def _run(log: Load, workers: int) -> Usage:
    with (
        tempfile.TemporaryDirectory() as scratch,
        broker(Path(scratch, "kafka")) as address,
        progress(address, GROUP, PLACES, log.counted) as done,
        ExitStack() as running,
    ):
        load(address, chain(introduced(names(log.models)), log.messages()))
        found = [running.enter_context(worker(address, Path(scratch), str(number))) for number in range(workers)]
        usage = work(found, done, warm=log.total // WARM, total=log.total, limit_s=LIMIT_S)
        require_counted(address, log.total)
    return usage
