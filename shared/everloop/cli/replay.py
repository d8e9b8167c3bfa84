"""`everloop replay`: a file of the past, streamed through the running stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.archive import open_store
from everloop.cli.context import FailedError, VarOption, guarded, session_of
from everloop.errors import UsageError

if TYPE_CHECKING:
    from everloop.cli.context import Session
    from everloop.loop import Loop
    from everloop.replay.course import Course
    from everloop.replay.summary import Summary

MAX = "max"


def register(app: typer.Typer) -> None:
    """Add this command to the main application."""
    app.command()(replay)


@guarded
def replay(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Labelled rows: CSV with a header.")],
    loop: Annotated[Path, typer.Option("--loop", metavar="LOOP", help="A loop file (YAML).")],
    warmup: Annotated[int, typer.Option(min=1, metavar="ROWS", help="Rows that the first champion is made of.")] = 5000,
    speed: Annotated[
        str, typer.Option(metavar="N|max", help="N times real time, or max: each window when the last is decided.")
    ] = MAX,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Decisions of an earlier replay that must be met again.")
    ] = None,
    var: VarOption = None,
) -> None:
    """Stream a file through the running stack and see what the loop makes of it. Exit code 1 when --against differs."""
    import os

    from rich.console import Console

    from everloop.local.paths import Var, var_directory
    from everloop.local.state import running
    from everloop.replay.run import FOLDER, Replay, Target

    pace, expected = _pace(speed), _expected(against, speed)
    place = Var(var_directory(os.environ, var))
    stack = running(place)
    course = _course(file, loop, warmup, session_of(context), stack.broker)
    names = [process.name for process in stack.processes]
    target = Target(stack.broker, stack.urls, names, open_store(place.root), stack.tokens)
    summary, said = Replay(course, place.root / FOLDER, Console(), pace).run(target)
    _say(summary, place.root / FOLDER)
    _compare(expected, said, against)


def _pace(speed: str) -> float | None:
    """None is the lock-step. Raises `UsageError`."""
    if speed == MAX:
        return None
    try:
        pace = float(speed)
    except ValueError:
        pace = 0.0
    if not 0 < pace < float("inf"):
        raise UsageError(f"--speed {speed}: write max, or how many times faster than real time, such as 3600")
    return pace


def _expected(against: Path | None, speed: str) -> bytes | None:
    """Read first: the file may be the one that this replay writes. Raises `UsageError`."""
    if against is None:
        return None
    if speed != MAX:
        raise UsageError("--against: only --speed max decides the same on every machine; leave one of them out")
    try:
        return against.read_bytes()
    except OSError as error:
        raise UsageError(f"--against {against}: cannot be read ({error.strerror})") from None


def _course(file: Path, loop: Path, warmup: int, session: Session, broker: str) -> Course:
    from everloop.cli.apply import read_loop_file
    from everloop.replay.course import Course
    from everloop.replay.rows import read_csv

    rules = read_loop_file(loop)
    course = Course(rules, read_csv(file, rules.columns, rules.features, numbered=True), warmup)
    return Course(_fresh(rules, session, broker), course.rows, warmup)


def _fresh(rules: Loop, session: Session, broker: str) -> Loop:
    """The same rules for a model that the log does not know."""
    from everloop.cli.reading import applied_loops
    from everloop.names import next_replay

    with session.connect(broker, None) as log:
        return rules.model_copy(update={"model": next_replay(rules.model, applied_loops(log))})


def _say(summary: Summary, folder: Path) -> None:
    for name, value in summary.to_plain().items():
        typer.echo(f"{name:15} {value}")
    typer.echo(f"written to      {folder}")


def _compare(expected: bytes | None, said: bytes, against: Path | None) -> None:
    from everloop.replay.decisions import first_difference

    if expected is None:
        return
    difference = first_difference(expected, said)
    if difference is not None:
        raise FailedError(f"not the decisions of {against}: {difference}")
    typer.echo(f"decisions       the {len(said.splitlines())} of {against}, met again")
