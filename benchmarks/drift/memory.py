"""`drift.memory`: what a worker takes that holds 1,000 models x 3 open windows x 20 columns."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.broker import broker, load, progress
from benchmarks.children import Watched, watch
from benchmarks.drift.carried import LIMIT_S
from benchmarks.drift.records import PLACES, Load
from benchmarks.drift.windows import GROUP, require_counted, worker
from benchmarks.drift.world import introduced, names
from benchmarks.figures import Measured, Say, Size
from benchmarks.repeats import repeats

MODELS: Final = 1_000
WINDOWS: Final = 3
HELD: Final = Load("json", rows=30, records=MODELS * WINDOWS // len(PLACES), models=MODELS, still=True, apart=True)
"""One record in each open window of each model."""
SCATTERED: Final = replace(HELD, records=MODELS * WINDOWS, apart=False)
"""The same in each of the partitions, as where producers have no key: four cells for each window."""
TURN_S: Final = 300
"""Each model has its turn so often (event time), which is how long a window is."""
QUICK: Final = 20


def measure(size: Size, say: Say) -> Measured:
    """MiB that are resident at the most, from the start of the process until all is published and committed."""
    less = size.of(1, QUICK)
    found = repeats(size.of(3, 1), lambda _: (_run(_sized(HELD, less)), _run(_sized(SCATTERED, less))), say)
    return Measured(
        ours=tuple(apart.rss_mb for apart, _ in found),
        also={
            "MiB of its own (USS)": median(apart.uss_mb for apart, _ in found),
            "MiB with every model in all partitions": median(scattered.rss_mb for _, scattered in found),
        },
    )


def _sized(log: Load, less: int) -> Load:
    """With so many times fewer models; `rate` such that all have had their turn when a window is over."""
    records = log.records // less
    return replace(
        log, models=log.models // less, records=records, rate=records * len(PLACES) * log.rows // (WINDOWS * TURN_S)
    )


def _run(log: Load) -> Watched:
    with tempfile.TemporaryDirectory() as scratch, broker(Path(scratch, "kafka")) as address:
        load(address, chain(introduced(names(log.models)), log.messages()))
        with progress(address, GROUP, PLACES, log.counted) as done, worker(address, Path(scratch)) as process:
            found = watch([process], done, total=log.total, limit_s=LIMIT_S)
        require_counted(address, log.total)
    return found
