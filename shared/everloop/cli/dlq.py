"""`everloop dlq list`, `show`, `replay`: what could not be handled, why, and once more."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, FailedError, JsonOption, ModelOption, VarOption, guarded, session_of
from everloop.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from everloop.cli.resending import Letter
    from everloop.runtime.log import Log

SHORT = 8
MOST_NAMED = 3
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="REASON", help="Only this reason, e.g. shape.")]
COLUMNS = ("when", "id", "reason", "stage", "from", "model", "times", "bytes", "where")


def register(app: typer.Typer) -> None:
    """Add these commands to the main application, as a group."""
    group = typer.Typer(help="What could not be handled: list it, show one, replay it.", no_args_is_help=True)
    group.command("list")(list_)
    group.command()(show)
    group.command()(replay)
    app.add_typer(group, name="dlq")


@guarded
def list_(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    model: ModelOption = None,
    reason: ReasonOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many of the last letters.")] = 50,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """List the last dead letters, each once: when, id, reason, where it was refused, and where it came from."""
    from everloop.cli.output import print_json, print_table

    with session_of(context).connect(broker, var) as log:
        found = _fitting(log, model, reason)
    found = found[len(found) - limit :] if len(found) > limit else found
    if json:
        print_json([letter_value(one) for one in found])
    elif found:
        print_table(COLUMNS, [_cells(one) for one in found])


@guarded
def show(
    context: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help="Of a dead letter, or how it begins.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the original bytes, and nothing else: they may hold data of people.")
    ] = False,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Show one dead letter: reason, place, headers; its bytes only with --raw."""
    from everloop.cli.output import print_json
    from everloop.cli.resending import value_of

    with session_of(context).connect(broker, var) as log:
        letter = _one(log, id_)
        if raw:
            typer.echo(value_of(log, letter), nl=False)
            return
    if json:
        print_json(letter_value(letter))
    else:
        for name, value in letter_value(letter).items():
            typer.echo(f"{name}: {_text(value)}")


@guarded
def replay(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Letters, or how their ids begin.")] = None,
    model: ModelOption = None,
    reason: ReasonOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it, only say what would be done.")] = False,
    ingest: Annotated[
        str | None, typer.Option("--ingest", metavar="URL", help="The front door; else that of the stack.")
    ] = None,
    broker: BrokerOption = None,
    var: VarOption = None,
) -> None:
    """Send dead letters once more: records to their topic, requests through the front door. Repeats are known by id.

    Letters are named by id, or chosen by --reason and --model. Exit code 1 when one could not be sent or was refused.
    """
    from everloop.cli.resending import why_not

    if not ids and model is None and reason is None:
        raise UsageError("say which: ids of dead letters (`everloop dlq list`), or --reason and --model")
    with session_of(context).connect(broker, var) as log:
        chosen = [_one(log, one) for one in ids] if ids else _fitting(log, model, reason)
        failed = 0
        for letter in chosen:
            refusal = why_not(letter)
            said = refusal or (_send(log, letter, ingest, var) if yes else _would(letter))
            failed += bool(refusal) or said.startswith("refused")
            typer.echo(f"{str(letter.id)[:SHORT]}  {said}")
    if not yes:
        typer.echo("nothing was sent: add --yes", err=True)
    elif failed:
        raise FailedError(f"{failed} of {len(chosen)} dead letters were not taken")


def letter_value(letter: Letter) -> Mapping[str, object]:
    """One letter as JSON says it, without its bytes."""
    place = {"topic": letter.event.topic, "partition": letter.event.partition, "offset": letter.event.offset}
    return {
        "id": str(letter.id), "when": letter.when, "model": letter.event.model, "reason": letter.event.reason,
        "stage": letter.event.stage, **place, "where": letter.event.where, "error": letter.event.error,
        "times": letter.times, "bytes": letter.event.size, "kept": letter.kept,
        "headers": letter.shown_headers,
    }  # fmt: skip


def _cells(letter: Letter) -> list[str]:
    from everloop.cli.output import short_topic

    event = letter.event
    topic = short_topic(event.topic)
    place = topic if event.offset < 0 else f"{topic}/{event.partition}@{event.offset}"
    size = "–" if event.size is None else str(event.size)
    return [
        letter.when, str(letter.id)[:SHORT], event.reason, event.stage, place, event.model, str(letter.times), size,
        event.where or event.error,
    ]  # fmt: skip


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return "".join(f"\n  {name}: {text}" for name, text in value.items()) or "none"
    return "–" if value is None or value == "" else str(value)


def _fitting(log: Log, model: str | None, reason: str | None) -> Sequence[Letter]:
    from everloop.cli.resending import letters

    return [
        one for one in letters(log)
        if (model is None or one.event.model == model) and (reason is None or one.event.reason == reason)
    ]  # fmt: skip


def _one(log: Log, begins: str) -> Letter:
    """The letter whose id begins so. Raises `UsageError` for none and for several."""
    from everloop.cli.resending import letters

    found = [one for one in letters(log) if str(one.id).startswith(begins)] if begins else []
    if not found:
        raise UsageError(f"no dead letter {begins!r}: `everloop dlq list` shows all; they are kept for 30 days")
    if len(found) > 1:
        named = ", ".join(str(one.id) for one in found[:MOST_NAMED])
        raise UsageError(f"{len(found)} dead letters begin with {begins!r}: {named}; give more of the id")
    return found[0]


def _would(letter: Letter) -> str:
    from everloop.cli.resending import target

    return f"would go to {target(letter)}, {letter.kept} bytes"


def _send(log: Log, letter: Letter, ingest: str | None, var: Path | None) -> str:
    from everloop.cli.bootstrap import shown_tokens, stack_ingest
    from everloop.cli.resending import by_door, publish, send
    from everloop.tokens import from_environment

    if not by_door(letter):
        return publish(log, letter)
    tokens = from_environment(os.environ) if ingest else shown_tokens(var)
    return send(log, letter, ingest or stack_ingest(var), tokens)
