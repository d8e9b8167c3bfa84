"""What a person sees while the stack comes up: one line per process on a terminal, one line per change elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from everloop.local.state import FINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.table import Table

    from everloop.local.state import ProcessState, Stack


def awaited(process: ProcessState) -> str:
    """What is being waited for, or how long it took, in a person's words."""
    match process.phase:
        case "waiting":
            return f"waits for {process.waits_for}" if process.waits_for else ""
        case "restarting":
            return f"ended with {process.exit_code}; next try soon ({process.restarts} so far)"
        case "ready" | "done" if process.started_at and process.ready_at:
            return f"after {(process.ready_at - process.started_at).total_seconds():.1f} s"
        case "starting" if process.started_at:
            return f"{(datetime.now(UTC) - process.started_at).total_seconds():.0f} s"
    return ""


def table_of(stack: Stack) -> Table:
    """One row per process."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for process in stack.processes:
        style = "green" if process.phase in FINE else "yellow" if process.phase == "restarting" else "dim"
        table.add_row(process.name, f"[{style}]{process.phase}[/]", awaited(process))
    return table


@contextmanager
def display(console: Console) -> Iterator[Callable[[Stack], None]]:
    """Yield what to call with each new state of the stack."""
    if not console.is_terminal:
        yield Changes(console).show
        return
    from rich.live import Live

    with Live(console=console, refresh_per_second=8) as live:
        yield lambda stack: live.update(table_of(stack))


class Changes:
    """Prints a process when it becomes ready, and when it has to be started again."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seen: dict[str, tuple[str, int]] = {}

    def show(self, stack: Stack) -> None:
        """Print what has changed since the last call."""
        for process in stack.processes:
            now = (process.phase, process.restarts)
            if self._seen.get(process.name) != now and process.phase in {*FINE, "restarting"}:
                self._console.print(f"{process.name:15} {process.phase:10} {awaited(process)}", highlight=False)
            self._seen[process.name] = now


def fetched(console: Console) -> Callable[[int, int, str], None]:
    """Return a reporter of downloads: the first says what is going on, on a terminal each overwrites the last."""

    def report(done: int, total: int, name: str) -> None:
        if console.is_terminal:
            end = "\n" if done == total else ""
            console.print(f"\rfetching Kafka once: {done} of {total} jars ({name})\x1b[K", end=end, highlight=False)
        elif done in {1, total}:
            console.print(f"fetching Kafka once: {done} of {total} jars", highlight=False)

    return report
