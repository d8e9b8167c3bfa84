"""`docs/performance.md`: what there is to measure, and the figures of a run, put between marks; the rest is by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.figures import Benchmark, Figure
from benchmarks.show import also, head, spread, times
from benchmarks.store import Store
from everloop.docs.text import table
from everloop.errors import UsageError

PAGE: Final = Path("docs", "performance.md")
LIST, FIGURES = "benchmarks", "figures"
DIRECTIONS: Final = {"more": "more is better", "less": "less is better"}


def filled(text: str, name: str, content: str) -> str:
    """A page with what is generated put between its marks. Raises `UsageError` for a page without them."""
    pattern = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise UsageError(f"{PAGE} has no place for its {name}: write <!-- {name}: … --> and <!-- end of {name} -->")
    return pattern.sub(lambda found: f"{found[1]}\n{content}\n\n{found[2]}", text)


def between(text: str, name: str) -> str:
    """What stands between the marks of a page."""
    found = re.search(rf"<!-- {name}: .*? -->\n(.*?)<!-- end of {name} -->", text, re.DOTALL)
    return found[1].strip() if found else ""


def list_of(benchmarks: Iterable[Benchmark]) -> str:
    """What each benchmark measures, and against whom."""
    rows = (
        (f"`{one.name}`", f"{one.unit}, {DIRECTIONS[one.better]}", one.what, one.peer_name or "none", one.note)
        for one in benchmarks
    )
    return table(("name", "unit", "what is measured", "peer", "how to read it"), rows)


def figures_of(figures: Sequence[Figure], machine: Mapping[str, object]) -> str:
    """What was measured, and on what."""
    rows = (
        (
            f"`{one.name}`", one.unit, spread(one.ours, one.ours_all), spread(one.peer, one.peer_all), times(one),
            also(one, ", "), f"{one.at:%Y-%m-%d}, {one.busy:.0f} %",
        )
        for one in figures
    )  # fmt: skip
    names = ("name", "unit", "ours", "peer", "ratio", "also", "measured on, others' load")
    return f"Machine: {head(machine)}.\n\n{table(names, rows)}"


def collected(store: Store, benchmarks: Sequence[Benchmark]) -> list[Figure]:
    """The newest figure of each benchmark. Raises `UsageError` where one is not there, or is one of `--quick`."""
    areas = dict.fromkeys(benchmark.area for benchmark in benchmarks)
    found = {one.name: one for area in areas for one in store.read(area) if not one.quick}
    if missing := [benchmark.name for benchmark in benchmarks if benchmark.name not in found]:
        words = " ".join(missing)
        raise UsageError(f'{store.root} has no whole figure of these: run make bench ARGS="{words}" first')
    return [found[benchmark.name] for benchmark in benchmarks]


def write(root: Path, store: Store, benchmarks: Sequence[Benchmark]) -> Path:
    """Fill the page of the repository `root`. Raises `UsageError` where a figure is missing; the list is new then."""
    path = root / PAGE
    path.write_text(filled(path.read_text("utf-8"), LIST, list_of(benchmarks)), "utf-8")
    content = figures_of(collected(store, benchmarks), store.machine())
    path.write_text(filled(path.read_text("utf-8"), FIGURES, content), "utf-8")
    return path
