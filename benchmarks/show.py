"""What a person sees: a line while a benchmark runs, and a table at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.table import Table

from benchmarks.figures import Benchmark, Figure, Say
from benchmarks.running import Watch

WORTH_SAYING = 10.0
"""Percent of all cores that others may use before a table says so."""


def watch(console: Console) -> Watch:
    """On a terminal one line that changes, elsewhere a line for each thing said."""

    @contextmanager
    def live(name: str) -> Iterator[Say]:
        with console.status(name) as status:
            yield lambda text: status.update(f"{name}: {text}")

    @contextmanager
    def lines(name: str) -> Iterator[Say]:
        yield lambda text: console.print(f"{name}: {text}", highlight=False, soft_wrap=True)

    return live if console.is_terminal else lines


def listed(benchmarks: Iterable[Benchmark]) -> Table:
    """Names and what they measure."""
    table = Table("name", "unit", "what", "peer", box=None, padding=(0, 2, 0, 0))
    for one in benchmarks:
        table.add_row(one.name, one.unit, one.what, one.peer_name or "–")
    return table


def result(figures: Sequence[Figure], machine: Mapping[str, object]) -> Group:
    """Every figure with its spread; above it the machine, below what must be known."""
    table = Table("name", "unit", "ours", "peer", "ratio", "also", box=None, padding=(0, 2, 0, 0))
    for one in figures:
        peer = f"{spread(one.peer, one.peer_all)}\n{one.peer_name}" if one.peer_name else "–"
        table.add_row(one.name, one.unit, spread(one.ours, one.ours_all), peer, times(one), also(one, "\n"))
    return Group(f"{head(machine)}, commit {machine['commit']}", "", table, "", tail(figures))


def head(machine: Mapping[str, object]) -> str:
    """The machine on one line."""
    return "{cpu}, {cores} cores, {memory_mb} MiB, {system}, Python {python}, Kafka {kafka}".format_map(machine)


def tail(figures: Iterable[Figure]) -> str:
    """How to read the table, and whether the machine was quiet."""
    said = "ratio: how many times better we are. In brackets: the smallest and the largest repeat."
    loud = [f"{one.name} ({one.busy:.0f} %)" for one in figures if one.busy > WORTH_SAYING]
    return f"{said} Others used the machine just before: {', '.join(loud)}." if loud else said


def spread(value: float | None, repeats: Sequence[float]) -> str:
    """The median, and in brackets the smallest and the largest of several."""
    if value is None:
        return "–"
    several = len(repeats) > 1
    return f"{number(value)} ({number(min(repeats))} to {number(max(repeats))})" if several else number(value)


def times(one: Figure) -> str:
    """The ratio."""
    return "–" if one.ratio is None else f"{one.ratio:.3g}"


def also(one: Figure, between: str) -> str:
    """Further figures, each with its name."""
    found = (f"{name} {number(value) if isinstance(value, float) else value}" for name, value in one.also.items())
    return between.join(found)


def number(value: float) -> str:
    """Three digits, and never an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 -- three digits
