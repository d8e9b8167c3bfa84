"""Processes under test: started here, watched from outside, ended with all that they started."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import psutil

from everloop.errors import FatalError
from everloop.local.groups import end_group
from everloop.local.logs import tail

LOOK_EVERY_S: Final = 0.02
OWN_MEMORY_EVERY_S: Final = 0.5
"""What is a process's own memory (USS) costs a walk over its pages, so it is asked for less often."""
MEGABYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """How much was done, and what it had cost by then: CPU seconds of the process, wall seconds."""

    done: int
    cpu_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What some work cost. `count` of things were done; memory is the peak while it was watched, in MiB."""

    count: int
    cpu_s: float
    wall_s: float
    rss_mb: float = 0.0
    uss_mb: float = 0.0

    @property
    def per_cpu_s(self) -> float:
        """Things per CPU-second of the process."""
        return self.count / self.cpu_s

    @property
    def per_s(self) -> float:
        """Things per second on the wall, with whatever else the machine did meanwhile."""
        return self.count / self.wall_s


def cost(samples: Iterable[Sample], warm: int) -> Usage:
    """The cost between the first progress at or above `warm` and the last one.

    Only samples that saw progress count: what was read but not committed is then the least, and the same at both ends.
    Raises `FatalError` where fewer than two are left.
    """
    moved: list[Sample] = []
    for sample in samples:
        if sample.done >= warm and (not moved or sample.done > moved[-1].done):
            moved.append(sample)
    if len(moved) < 2 or moved[-1].cpu_s <= moved[0].cpu_s:  # noqa: PLR2004 -- a beginning and an end
        raise FatalError("all was done between two looks: measure more")
    first, last = moved[0], moved[-1]
    return Usage(last.done - first.done, last.cpu_s - first.cpu_s, last.wall_s - first.wall_s)


@dataclass
class Child:
    """A running process under test; `log` is what it has said."""

    process: subprocess.Popen[bytes]
    log: Path
    watched: psutil.Process = field(init=False)

    def __post_init__(self) -> None:
        """Find it."""
        self.watched = psutil.Process(self.process.pid)

    def cpu_s(self) -> float:
        """User and system seconds of this process, all its threads, none of its children."""
        spent = self.watched.cpu_times()
        return spent.user + spent.system

    def work(self, done: Callable[[], int], *, warm: int, total: int, limit_s: float) -> Usage:
        """`work` of this process alone."""
        return work([self], done, warm=warm, total=total, limit_s=limit_s)

    def require_alive(self) -> None:
        """Raise `FatalError` with the end of its log when the process has ended."""
        if self.process.poll() is not None:
            raise FatalError(f"the process under test ended with {self.process.returncode}; {self.end_of_log()}")

    def end_of_log(self) -> str:
        """Its last lines, for a message."""
        return "\n".join(["the end of its log:", *tail(self.log, 15)])


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of processes until their work was done: looks at all of them together, and their peak memory."""

    samples: Sequence[Sample]
    rss_mb: float
    uss_mb: float


def work(children: Sequence[Child], done: Callable[[], int], *, warm: int, total: int, limit_s: float) -> Usage:
    """Watch until `done()` says `total`; what all children together took for what came after the first `warm`.

    Raises as `watch` and `cost`.
    """
    seen = watch(children, done, total=total, limit_s=limit_s)
    return replace(cost(seen.samples, warm), rss_mb=seen.rss_mb, uss_mb=seen.uss_mb)


def watch(children: Sequence[Child], done: Callable[[], int], *, total: int, limit_s: float) -> Watched:
    """Look at them until `done()` says `total`.

    Raises `FatalError` with the end of a log when a process ends, or when they do not get there in `limit_s`.
    """
    began = own_at = time.monotonic()
    samples: list[Sample] = []
    rss = uss = 0
    while not samples or samples[-1].done < total:
        for one in children:
            one.require_alive()
        samples.append(Sample(done(), sum(one.cpu_s() for one in children), time.monotonic()))
        rss = max(rss, sum(one.watched.memory_info().rss for one in children))
        if time.monotonic() >= own_at:
            uss = max(uss, sum(one.watched.memory_full_info().uss for one in children))
            own_at = time.monotonic() + OWN_MEMORY_EVERY_S
        if time.monotonic() - began > limit_s:
            ends = "\n".join(one.end_of_log() for one in children)
            raise FatalError(f"{samples[-1].done} of {total} were done in {limit_s:.0f} s; {ends}")
        time.sleep(LOOK_EVERY_S)
    return Watched(samples, rss / MEGABYTE, uss / MEGABYTE)


@contextmanager
def child(
    module: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Child]:
    """`python -m MODULE ARGUMENTS`, ended with all its children when the block is left."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield Child(process, log)
    finally:
        end_group(process.pid)
        process.wait()
