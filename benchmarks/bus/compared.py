"""Ours and the peer's runs of one kind, as what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Final, Literal, TypeVar

from benchmarks.children import Usage
from benchmarks.figures import Measured

Side = Literal["ours", "peer"]
SIDES: Final[tuple[Side, Side]] = ("ours", "peer")
Runs = list[Mapping[Side, Usage]]
Found = TypeVar("Found")


def in_turn(number: int, run: Callable[[Side], Found]) -> Mapping[Side, Found]:
    """Run both; whoever was first in one repeat is second in the next."""
    return {side: run(side) for side in (SIDES if number % 2 == 0 else reversed(SIDES))}


def compared(runs: Runs, things: str) -> Measured:
    """Things per CPU-second; beside them what the wall says, and how much memory ours took."""
    ours, peer = [run["ours"] for run in runs], [run["peer"] for run in runs]
    return Measured(
        ours=tuple(one.per_cpu_s for one in ours),
        peer=tuple(one.per_cpu_s for one in peer),
        also={
            f"{things}/s on the wall": median(one.per_s for one in ours),
            "the peer's": median(one.per_s for one in peer),
            "peak RSS MiB": max(one.rss_mb for one in ours),
        },
    )
