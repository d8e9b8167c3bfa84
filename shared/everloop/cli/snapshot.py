"""`everloop snapshot`: what a version learned from, or what one would learn from, and its rows as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, JsonOption, VarOption, guarded, session_of
from everloop.errors import UsageError

if TYPE_CHECKING:
    from everloop.archive.parts import Parts
    from everloop.artifacts import ArtifactStore
    from everloop.cli.snapshot_finding import Found
    from everloop.events import Snapshot
    from everloop.matrix import Fetch, Matrix

NameArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="The id of a snapshot, or its beginning; or a model: what it would learn from."),
]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", metavar="TIME", help="Of a model: as it was known then, ISO 8601 with its zone."),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the main application."""
    group = typer.Typer(no_args_is_help=True, help="What versions learned from: which rows, and their digest.")
    group.command()(show)
    group.command()(export)
    app.add_typer(group, name="snapshot")


@guarded
def show(
    context: typer.Context,
    name: NameArgument,
    as_of: AsOfOption = None,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Show which question was asked of which files, and the digests. No row is read."""
    from everloop.cli.output import print_json
    from everloop.cli.snapshot_finding import find, lines

    with session_of(context).connect(broker, var) as log:
        found = find(log, name, as_of)
    if json:
        print_json(
            {"model": found.model, "versions": found.versions, "snapshot": found.snapshot.model_dump(mode="json")}
        )
    else:
        for line in lines(found):
            typer.echo(line)


@guarded
def export(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    name: NameArgument,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where the rows go, as Parquet.")],
    as_of: AsOfOption = None,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Write the rows once more. Refused when they are not those that the version learned from."""
    from everloop import topics
    from everloop.archive.parts import parts_of
    from everloop.cli.archive import open_store
    from everloop.cli.output import print_json
    from everloop.cli.reading import read_all
    from everloop.cli.snapshot_finding import find

    if out.exists():
        raise UsageError(f"{out} is there already; name another file")
    with session_of(context).connect(broker, var) as log:
        found, parts = find(log, name, as_of), parts_of(heard.event for heard in read_all(log, (topics.ARCHIVE.name,)))
    snapshot, matrix = build(found, reader(open_store(var), parts), out)
    if json:
        print_json({"id": snapshot.id, "content": matrix.content, "rows": matrix.rows, "file": str(out)})
    else:
        typer.echo(f"{matrix.rows} rows of snapshot {snapshot.id}, content {matrix.content}, are in {out}")


def reader(store: ArtifactStore, parts: Parts) -> Fetch:
    """Read files; one that is gone, since it was merged into another, is cut out of that, to the byte."""
    from everloop.errors import InvalidError
    from everloop.events import FileRef

    def fetch(file: FileRef) -> bytes:
        try:
            return store.fetch(file.uri, file.sha256)
        except InvalidError as error:
            if error.reason != "missing":
                raise
        return parts.bytes_of(store, file.sha256)

    return fetch


def build(found: Found, fetch: Fetch, out: Path) -> tuple[Snapshot, Matrix]:
    """Make the file, whole or not at all. Raises `InvalidError`: `snapshot_changed`, and what reading raises."""
    from everloop.matrix import LocalBuilder
    from everloop.snapshots import require_same

    part, builder = out.with_name(f".{out.name}.part"), LocalBuilder(out.parent)
    try:
        if found.question is not None:
            snapshot, matrix = found.question.ask(builder, fetch, part)
        else:
            snapshot, matrix = found.snapshot, builder.build(found.snapshot, fetch, part)
            require_same(snapshot, matrix.content)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return snapshot, matrix
