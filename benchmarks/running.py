"""Run benchmarks one after the other: a failure is said, and the others still run."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime

from benchmarks.figures import Benchmark, Circumstances, Figure, Say, Size, figure
from everloop.errors import EverloopError

Watch = Callable[[str], AbstractContextManager[Say]]
"""Shows a benchmark by its name while it runs; gives what it says to a person."""


@dataclass(frozen=True, slots=True)
class World:
    """What is asked of the machine: the wall clock, the commit, how busy it is (percent of all cores)."""

    now: Callable[[], datetime]
    commit: str
    busy: Callable[[], float]


@dataclass
class Outcome:
    """What came of a run. `failed` has the reason of each benchmark without a figure, by its name."""

    figures: list[Figure] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def run(chosen: Iterable[Benchmark], size: Size, world: World, watch: Watch) -> Outcome:
    """Run all of them, in their order."""
    outcome = Outcome()
    for benchmark in chosen:
        try:
            with watch(benchmark.name) as say:
                outcome.figures.append(_run(benchmark, size, world, say))
        except EverloopError as error:
            outcome.failed[benchmark.name] = str(error)
        except Exception:  # noqa: BLE001 -- whatever goes wrong in one, the others still run
            outcome.failed[benchmark.name] = traceback.format_exc()
    return outcome


def _run(benchmark: Benchmark, size: Size, world: World, say: Say) -> Figure:
    at, busy, began = world.now(), world.busy(), time.monotonic()
    measured = benchmark.run(size, say)
    seconds = max(time.monotonic() - began, 1e-3)
    return figure(benchmark, measured, Circumstances(at, world.commit, busy, size.quick, seconds))
