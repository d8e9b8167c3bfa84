"""`everloop reports`: the full reports of a model's judged windows, and where they lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, FailedError, JsonOption, VarOption, guarded, session_of
from everloop.cli.windows import ModelArgument

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from everloop.artifacts import ArtifactStore
    from everloop.events import Event, ReportWritten

COLUMNS = ("start", "version", "episode", "rows", "auc", "energy_p", "state")


def register(app: typer.Typer) -> None:
    """Add this command to the main application."""
    app.command()(reports)


@guarded
def reports(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    model: ModelArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many of the last reports.")] = 20,
    save: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Copy the newest report there, as HTML and JSON.")
    ] = None,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Show the full reports of judged windows: how far the inputs moved as a whole, and the page with all columns."""
    from everloop import topics
    from everloop.cli.archive import open_store
    from everloop.cli.output import print_json, print_table
    from everloop.cli.reading import applied_loops, read_all, require_model
    from everloop.events import ReportWritten
    from everloop.story import number

    with session_of(context).connect(broker, var) as log:
        require_model(applied_loops(log), model)
        events = [one.event for one in read_all(log, [topics.REPORTS.name], model)]
    if save is not None:
        written = [one for one in events if isinstance(one, ReportWritten)]
        if not written:
            raise FailedError(f"{model} has no report yet: `everloop reports {model}` says what is under way")
        for path in copy(written[-1], open_store(var), save):
            typer.echo(str(path))
        return
    rows = report_rows(events)
    shown = rows[max(0, len(rows) - limit) :]
    if json:
        print_json(shown)
        return
    cells = [[number(c) if isinstance(c, int | float) else str(c or "–") for c in _cells(row)] for row in shown]
    print_table(COLUMNS, cells)
    for row in shown:
        if row["html"]:
            typer.echo(f"{row['start']}  {row['html']}")


def report_rows(events: Iterable[Event]) -> list[dict[str, object]]:
    """One row per window that a report was asked for, by its start; the last event of each wins."""
    from everloop import events as e
    from everloop.story import moment

    rows: dict[object, dict[str, object]] = {}
    begins: dict[object, int] = {}
    for event in events:
        match event:
            case e.ReportRequested() | e.ReportWritten() | e.ReportFailed():
                empty = dict.fromkeys((*COLUMNS, "energy", "html", "data"))
                row = rows.setdefault(event.judged, empty | {"start": moment(event.start), "version": event.version})
                row |= _said(event)
                begins[event.judged] = event.start
            case e.ReportStarted() if event.judged in rows:
                rows[event.judged]["state"] = "under way"
    return [rows[judged] for judged in sorted(rows, key=lambda judged: begins[judged])]


def _said(event: Event) -> Mapping[str, object]:
    from everloop import events as e

    match event:
        case e.ReportWritten():
            return {
                "state": "written", "episode": event.episode.value, "rows": event.rows,
                "auc": event.auc.value if event.auc else None,
                "energy": event.energy.distance if event.energy else None,
                "energy_p": event.energy.p_value if event.energy else None,
                "html": event.html.uri, "data": event.data.uri,
            }  # fmt: skip
        case e.ReportFailed():
            return {"state": f"failed: {event.error}"}
        case e.ReportRequested():
            return {"state": "waits for the archive", "episode": event.episode.value}
    return {}


def _cells(row: Mapping[str, object]) -> list[object]:
    return [row[name] for name in COLUMNS]


def copy(written: ReportWritten, store: ArtifactStore, folder: Path) -> list[Path]:
    """Copy both files, their digests verified, under names that a browser and a person understand."""
    from everloop.artifacts import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for kept, ending in ((written.html, "html"), (written.data, "json")):
        data = store.fetch(kept.uri, kept.sha256)
        paths.append(folder / f"{written.model}-{written.version}-{written.start}.{ending}")
        paths[-1].unlink(missing_ok=True)
        write_atomically(paths[-1], data)
    return paths
