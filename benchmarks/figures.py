"""What a benchmark is, what it measures, and the figure that comes of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from statistics import median
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from everloop.errors import FatalError

Better = Literal["more", "less"]
Also = Mapping[str, float | str]
Say = Callable[[str], None]
"""Tells a person how far a benchmark is, in a few words."""
DIGITS: Final = 6
ROW: Final = ("name", "unit", "ours", "peer", "peer_name", "ratio")
"""The keys of a row of `var/bench/<area>.json`."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: the whole, or a little of it (`--quick`), to see that a benchmark runs at all."""

    quick: bool = False

    def of(self, whole: int, quick: int) -> int:
        """One of the two."""
        return quick if self.quick else whole


@dataclass(frozen=True, slots=True)
class Measured:
    """One value per repeat, in the unit of the benchmark. `also` are further figures, by a name that says the unit."""

    ours: tuple[float, ...]
    peer: tuple[float, ...] = ()
    also: Also = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One row. `what` says what is measured; `note` in what the peer differs, or how the value is to be read."""

    name: str
    unit: str
    better: Better
    what: str
    run: Callable[[Size, Say], Measured]
    peer_name: str | None = None
    note: str = ""

    @property
    def area(self) -> str:
        """The file that the row is in: what stands before the dot."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When and on what a benchmark ran. `busy` is the share of all cores (percent) that others used just before."""

    at: datetime
    commit: str
    busy: float
    quick: bool
    seconds: float


class Figure(BaseModel):
    """What came of a benchmark: the keys of `ROW`, every repeat, the circumstances; it all took `seconds`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    unit: str
    ours: float
    peer: float | None
    peer_name: str | None
    ratio: float | None
    ours_all: tuple[float, ...]
    peer_all: tuple[float, ...]
    also: Mapping[str, float | str] = {}
    at: AwareDatetime
    commit: str
    busy: float
    quick: bool
    seconds: float

    @property
    def row(self) -> dict[str, object]:
        """What others read."""
        return self.model_dump(include=set(ROW))


def figure(benchmark: Benchmark, measured: Measured, on: Circumstances) -> Figure:
    """The medians and their ratio. Raises `FatalError` for values that cannot be: none, below zero, no peer's."""
    ours = _checked(benchmark.name, measured.ours)
    if bool(measured.peer) != bool(benchmark.peer_name):
        raise FatalError(f"{benchmark.name}: a peer is either named and measured, or neither")
    peer = _checked(benchmark.name, measured.peer) if measured.peer else None
    return Figure(
        name=benchmark.name, unit=benchmark.unit, ours=ours, peer=peer, peer_name=benchmark.peer_name,
        ratio=None if peer is None else rounded(ratio(benchmark.better, ours, peer)),
        ours_all=tuple(map(rounded, measured.ours)), peer_all=tuple(map(rounded, measured.peer)),
        also={name: rounded(v) if isinstance(v, float) else v for name, v in measured.also.items()},
        at=on.at, commit=on.commit, busy=rounded(on.busy), quick=on.quick, seconds=rounded(on.seconds),
    )  # fmt: skip


def ratio(better: Better, ours: float, peer: float) -> float:
    """How many times better we are: ours / peer of a rate, peer / ours of a cost."""
    return ours / peer if better == "more" else peer / ours


def rounded(value: float) -> float:
    """Six digits: more than any clock here can tell."""
    return float(f"{value:.{DIGITS}g}")


def _checked(name: str, values: Sequence[float]) -> float:
    if not values or not all(math.isfinite(value) and value > 0 for value in values):
        raise FatalError(f"{name}: measured {list(values)}, and every value must be a number above zero")
    return rounded(median(values))
