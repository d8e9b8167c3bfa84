"""`drift.models`: what a row costs with 1,000 models over what it costs with one."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.broker import broker, load
from benchmarks.children import Usage
from benchmarks.drift.carried import run
from benchmarks.drift.records import Load
from benchmarks.drift.world import introduced, names
from benchmarks.figures import Measured, Say, Size
from benchmarks.repeats import repeats

MANY: Final = 1_000
ONE: Final = Load("json", rows=100, records=20_000)
QUICK: Final = 10
MICRO: Final = 1e6


def measure(size: Size, say: Say) -> Measured:
    """Cost over cost, in turn which is first; the same rows per second of event time."""
    one = replace(ONE, records=ONE.records // size.of(1, QUICK))
    many = replace(one, models=MANY // size.of(1, QUICK))

    def once(number: int) -> tuple[Usage, Usage]:
        found = {log.models: _run(log, size) for log in ((one, many) if number % 2 == 0 else (many, one))}
        return found[one.models], found[many.models]

    runs = repeats(size.of(3, 1), once, say)
    return Measured(
        ours=tuple(_cost(of_many) / _cost(of_one) for of_one, of_many in runs),
        also={
            "us of CPU per row with one": median(_cost(of_one) for of_one, _ in runs),
            "with many": median(_cost(of_many) for _, of_many in runs),
            "peak RSS MiB with many": max(of_many.rss_mb for _, of_many in runs),
        },
    )


def _cost(usage: Usage) -> float:
    return MICRO / usage.per_cpu_s


def _run(log: Load, size: Size) -> Usage:
    with tempfile.TemporaryDirectory() as scratch, broker(Path(scratch, "kafka")) as address:
        load(address, chain(introduced(names(log.models)), log.messages()))
        return run(address, Path(scratch), log, size)
