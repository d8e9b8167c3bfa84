"""`everloop archive`: what lies in the archive, and whether it is whole."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, FailedError, JsonOption, VarOption, guarded, session_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from everloop.archive.damages import Damage
    from everloop.archive.verifying import Report
    from everloop.artifacts import ArtifactStore

ModelArgument = Annotated[str | None, typer.Argument(metavar="MODEL", help="Only this model; else all.")]
COLUMNS = ("model", "kind", "files", "rows", "history", "bytes", "from", "to", "complete to")


def register(app: typer.Typer) -> None:
    """Add these commands to the main application."""
    group = typer.Typer(no_args_is_help=True, help="What lies in the archive, and whether it is whole.")
    group.command("list")(show)
    group.command()(verify)
    group.command()(restore)
    app.add_typer(group, name="archive")


@guarded
def show(
    context: typer.Context,
    model: ModelArgument = None,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Files that count, by model and kind: rows, bytes, and which time they cover. Times are the rows' own, in UTC."""
    from everloop.archive.listing import holdings
    from everloop.cli.output import print_json, print_table

    with session_of(context).connect(broker, var) as log:
        found = holdings(log, model)
    if json:
        print_json([asdict(one) for one in found])
    elif found:
        print_table(COLUMNS, [one.cells() for one in found])


@guarded
def verify(
    context: typer.Context,
    model: ModelArgument = None,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Recompute digests, rows, columns and coverage of every file, and the chain of offsets. Exit code 1 on damage."""
    from everloop.archive.verifying import verify as look
    from everloop.cli.output import print_json

    with session_of(context).connect(broker, var) as log:
        report = look(log, open_store(var), model, _progress(quiet=json))
    if json:
        print_json(report_value(report))
    judge(report)
    if not json:
        void = f"; {report.void} void, as two writers had met" if report.void else ""
        typer.echo(f"{report.files} files with {report.rows} rows, {report.bytes} bytes, are whole{void}")


@guarded
def restore(
    context: typer.Context,
    digests: Annotated[list[str], typer.Argument(metavar="DIGEST...", help="SHA-256 of files that are gone.")],
    broker: BrokerOption = None,
    var: VarOption = None,
) -> None:
    """Cut files of an old snapshot out of those that they were merged into, to the byte; print where they lie."""
    from everloop.archive.parts import parts_of
    from everloop.archive.verifying import ends_of, said_of

    with session_of(context).connect(broker, var) as log:
        parts = parts_of(said for _, said in said_of(log, ends_of(log, None), None))
    store = open_store(var)
    for digest in digests:
        typer.echo(parts.restore(store, digest).uri)


def report_value(report: Report) -> dict[str, object]:
    """The report as JSON says it: the first damage first, each with its rule, place and fix."""
    figures = {name: value for name, value in asdict(report).items() if name != "damages"}
    return {**figures, "whole": not report.damaged, "damages": list(map(damage_value, report.damages))}


def damage_value(damage: Damage) -> dict[str, object]:
    """One damage as JSON says it."""
    return {**asdict(damage), "fix": damage.fix}


def judge(report: Report) -> None:
    """Raise `FailedError` with the first damage, and how many there are; and when there was nothing to look at."""
    if report.damages:
        more = f" (and {report.damaged - 1} more; `--json` lists them)" if report.damaged > 1 else ""
        raise FailedError(f"the archive is damaged: {report.damages[0]}{more}")
    if not report.files:
        raise FailedError("no file of the archive is announced: there is nothing to recompute, and nothing is proven")


def open_store(var: Path | None) -> ArtifactStore:
    """The store that the environment names, else the folder of the local stack."""
    import os

    from everloop.local.paths import var_directory
    from everloop.settings import ServiceSettings

    named = {
        "EVERLOOP_STORE": os.environ.get("EVERLOOP_STORE", ""),
        "EVERLOOP_VAR": str(var_directory(os.environ, var)),
    }
    return ServiceSettings.from_environment(named).open_store()


def _progress(*, quiet: bool) -> Callable[[int, int], None]:
    """Counts files on a terminal; says nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        return lambda _done, _of: None
    return lambda done, of: typer.echo(f"\r{done} of {of} files", err=True, nl=done == of)
