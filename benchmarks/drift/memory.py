"""`drift.memory`: what a worker takes that holds 1,000 models x 3 open windows x 20 columns in each partition."""

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
HELD: Final = Load("json", rows=30, records=MODELS * WINDOWS, models=MODELS, rate=400, still=True)
"""One record in each cell. Each model has a turn every 5 minutes of event time, which is how long a window is."""
QUICK: Final = 20


def measure(size: Size, say: Say) -> Measured:
    """MiB that are resident at the most, from the start of the process until all is published and committed."""
    models = MODELS // size.of(1, QUICK)
    log = replace(HELD, models=models, records=models * WINDOWS, rate=HELD.rate // size.of(1, QUICK))
    found = repeats(size.of(3, 1), lambda _: _run(log), say)
    return Measured(
        ours=tuple(one.rss_mb for one in found),
        also={"MiB of its own (USS)": median(one.uss_mb for one in found), "cells": log.records * len(PLACES)},
    )


def _run(log: Load) -> Watched:
    with tempfile.TemporaryDirectory() as scratch, broker(Path(scratch, "kafka")) as address:
        load(address, chain(introduced(names(log.models)), log.messages()))
        with progress(address, GROUP, PLACES, log.counted) as done, worker(address, Path(scratch)) as process:
            found = watch([process], done, total=log.total, limit_s=LIMIT_S)
        require_counted(address, log.total)
    return found
