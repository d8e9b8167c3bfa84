"""A replay in a terminal: rows, event time, champion, quality. Elsewhere a line per twentieth of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from everloop.replay.play import Seen, moment
from everloop.replay.served import Served

PARTS: Final = 20


def told(seen: Seen, served: Served) -> str:
    """Event time, champion, quality of the newest labelled rows."""
    quality = "–" if served.recent is None else f"{served.recent:.3f}"
    return f"{moment(seen.now):%Y-%m-%d %H:%M}  champion {served.champion or '–'}  AUC {quality}"


@contextmanager
def progress(console: Console, total: int, served: Served) -> Iterator[Callable[[Seen], None]]:
    """Give the function that is told how far it is."""
    if not console.is_terminal:
        yield _lines(console, total, served)
        return
    columns = (
        BarColumn(), MofNCompleteColumn(), TextColumn("rows  {task.description}", markup=False), TimeElapsedColumn()
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=total)
        yield lambda seen: bar.update(task, completed=seen.rows, description=told(seen, served))


def _lines(console: Console, total: int, served: Served) -> Callable[[Seen], None]:
    said = -1

    def show(seen: Seen) -> None:
        nonlocal said
        part = seen.rows * PARTS // max(1, total)
        if part > said:
            said = part
            console.print(f"{seen.rows} of {total} rows  {told(seen, served)}", soft_wrap=True, highlight=False)

    return show
