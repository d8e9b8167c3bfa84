"""`python -m benchmarks`: measure, show, keep. See `benchmarks` for what the figures mean."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson
from rich.console import Console

from benchmarks import page, show
from benchmarks.figures import Benchmark, Size
from benchmarks.machine import ROOT, busy, commit, describe
from benchmarks.registry import BENCHMARKS, select
from benchmarks.running import Outcome, World, run
from benchmarks.store import Store
from everloop.errors import UsageError

FAILED: Final = 1
USAGE: Final = 2


def main(arguments: Sequence[str], benchmarks: Sequence[Benchmark] = BENCHMARKS) -> int:
    """Do what the words ask for; the exit code: 0, 1 when a benchmark failed, 2 when nothing could be tried."""
    asked = _parser().parse_args(arguments)
    try:
        return _do(asked, benchmarks)
    except UsageError as error:
        sys.stderr.write(f"bench: {error}\n")
        return USAGE


def _do(asked: argparse.Namespace, benchmarks: Sequence[Benchmark]) -> int:
    out, store = Console(width=None if sys.stdout.isatty() else 160), Store(asked.out)
    chosen = select(asked.names, benchmarks)
    if asked.list:
        out.print(show.listed(chosen))
        return 0
    if asked.page:
        out.print(f"{page.write(ROOT, store, benchmarks)} is written", highlight=False, soft_wrap=True)
        return 0
    machine = describe(datetime.now(UTC))
    world = World(lambda: datetime.now(UTC), commit(), busy)
    outcome = run(chosen, Size(quick=asked.quick), world, show.watch(Console(stderr=True)))
    store.describe(machine)
    store.keep(outcome.figures, outcome.failed, benchmarks)
    if asked.json:
        sys.stdout.write(orjson.dumps([one.row for one in outcome.figures], option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        out.print(show.result(outcome.figures, machine))
    return _tell(outcome)


def _tell(outcome: Outcome) -> int:
    for name, why in outcome.failed.items():
        sys.stderr.write(f"{name} failed: {why}\n")
    return FAILED if outcome.failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure us and our peers.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="an area (bus) or a benchmark (bus.dispatch); all without"
    )
    parser.add_argument("--list", action="store_true", help="say what there is, measure nothing")
    parser.add_argument("--quick", action="store_true", help="a little of everything, to see that it runs")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON instead of a table")
    parser.add_argument("--page", action="store_true", help="put the kept figures into docs/performance.md")
    parser.add_argument("--out", type=Path, default=Path("var", "bench"), metavar="DIR", help="where the files go")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
