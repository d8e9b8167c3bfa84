"""Benchmarks that measure nothing, and a machine that is always the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from benchmarks.figures import Benchmark, Better, Circumstances, Figure, Measured, Say, Size, figure
from benchmarks.running import World

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
WORLD = World(now=lambda: NOON, commit="abc1234", busy=lambda: 1.5)
MACHINE = {
    "at": "2026-01-05T12:00:00+00:00", "cpu": "a processor", "cores": 2, "memory_mb": 4096, "system": "Linux x86_64",
    "python": "3.11.7", "kafka": "4.3.1", "commit": "abc1234",
}  # fmt: skip
RACE = Measured(ours=(9.0, 30.0, 12.0), peer=(4.0, 3.0, 4.0), also={"wall": 5.0})


def a_benchmark(
    name: str = "bus.race",
    run: Callable[[Size, Say], Measured] = lambda size, say: RACE,
    better: Better = "more",
    peer_name: str | None = "a hare",
) -> Benchmark:
    """Gives the same at once."""
    return Benchmark(name, "rounds/CPU-s", better, "how often it goes round", run, peer_name=peer_name, note="Fair.")


def a_figure(name: str = "bus.race", measured: Measured = RACE, *, quick: bool = False) -> Figure:
    """What comes of it."""
    on = Circumstances(at=NOON, commit="abc1234", busy=1.5, quick=quick, seconds=2.0)
    return figure(a_benchmark(name), measured, on)


@contextmanager
def unseen(_: str) -> Iterator[Say]:
    """Nobody watches."""
    yield lambda text: None
