"""The demo's own stack: always a fresh one, in a directory that holds nothing else."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from everloop.errors import UsageError
from everloop.local.lifecycle import Wish, make_plan, start, stop
from everloop.local.paths import Var, cache_directory
from everloop.local.progress import display, fetched
from everloop.local.stack import Options
from everloop.local.state import Stack, read_stack

REPORT, SUMMARY = "report.html", "summary.json"
READY_SECONDS: Final = 180.0
OURS: Final = frozenset({
    "run", "log", "kafka", "mlflow", "keys", "artifacts", "archive", "faust", "jobs", "ingest", "serving", "drift",
    "trainer", "gatekeeper", "rollout", "models", REPORT, SUMMARY,
})  # fmt: skip
"""What a stack or a demo leaves in its directory."""


@contextmanager
def fresh_stack(root: Path, console: Console) -> Iterator[Stack]:
    """Start a stack in an emptied directory; when the block raises, the stack is stopped."""
    place = Var(root)
    empty(place)
    options = Options(place.root, sys.executable, without=frozenset({"drift-reports"}))  # pages are not what it shows
    wish = Wish(options, cache_directory(os.environ), ports={}, auto=True)
    plan = make_plan(place, wish, fetched(console))
    with display(console) as show:
        stack = start(place, plan, limit_seconds=READY_SECONDS, show=show)
    try:
        yield stack
    except BaseException:
        stop(place)
        raise


def empty(place: Var) -> None:
    """Stop what an earlier demo left running, and remove what it left. Raises `UsageError` for another's directory."""
    if not place.root.exists():
        return
    strange = sorted(found.name for found in place.root.iterdir() if found.name not in OURS)
    if strange or (any(place.root.iterdir()) and read_stack(place) is None):
        named = strange[0] if strange else "what is in it"
        raise UsageError(
            f"{place.root} is not the directory of a demo ({named}): remove it, or choose another --var DIR"
        )
    stop(place)
    shutil.rmtree(place.root)
