"""`everloop apply`, `validate`: check a loop file, say what it changes, and publish it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, JsonOption, VarOption, guarded, session_of
from everloop.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import JsonValue

    from everloop.events import LoopApplied
    from everloop.loop import Loop

LoopArgument = Annotated[Path, typer.Argument(metavar="LOOP", help="A loop file (YAML).")]


def register(app: typer.Typer) -> None:
    """Add these commands to the main application."""
    app.command()(apply)
    app.command()(validate)


@guarded
def apply(
    context: typer.Context,
    loop: LoopArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Validate a loop file and publish it: from then on all services decide by it."""
    from everloop import topics
    from everloop.cli.output import print_json
    from everloop.cli.reading import applied_loops, model_now
    from everloop.cli.saying import publish
    from everloop.loop import loop_digest

    rules, session = read_loop_file(loop), session_of(context)
    with session.connect(broker, var) as log:
        last = applied_loops(log).get(rules.model)
        changes = list(changed(last.loop if last else {}, rules.to_payload()))
        done = bool(changes) and not dry_run
        if done:
            event = an_application(rules, last, model_now(log, rules.model, session.wall()))
            publish(log, topics.LOOPS, event, session.wall())
    if json:
        identity = {"model": rules.model, "digest": loop_digest(rules), "first": last is None}
        print_json({**identity, "applied": done, "changes": changes})
    else:
        _say(rules.model, changes, first=last is None, done=done)


@guarded
def validate(loops: Annotated[list[Path], typer.Argument(metavar="LOOP...", help="Loop files (YAML).")]) -> None:
    """Check loop files without a stack: every error with file, line, key and what is allowed."""
    for path in loops:
        typer.echo(f"{path}: valid, model {read_loop_file(path).model}")


def read_loop_file(path: Path) -> Loop:
    """Read and check a loop file. Raises `UsageError`, with a line per problem where its content is at fault."""
    from everloop.loopfile import read_loop

    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
        raise UsageError(f"cannot read loop file {path}: {why}") from None
    return read_loop(text, str(path))


def an_application(rules: Loop, last: LoopApplied | None, now: datetime) -> LoopApplied:
    """The event; its id comes from the rules and from what they replace, so that a retry says the same event."""
    from everloop.events import LoopApplied
    from everloop.loop import loop_digest

    digest = loop_digest(rules)
    name = f"{rules.model}/{digest}/{last.id if last else 'first'}"
    return LoopApplied.named(name, now, rules.model, loop=rules.to_payload(), digest=digest)


def changed(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> Iterator[dict[str, JsonValue]]:
    """Each dotted key whose value differs, with both values; None where the key is not set."""
    before, after = dict(_flat(old)), dict(_flat(new))
    for key in [*before, *(key for key in after if key not in before)]:
        if before.get(key) != after.get(key):
            yield {"key": key, "old": before.get(key), "new": after.get(key)}


def _flat(value: Mapping[str, JsonValue], above: str = "") -> Iterator[tuple[str, JsonValue]]:
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _flat(inner, f"{above}{key}.")
        else:
            yield f"{above}{key}", inner


def _say(model: str, changes: list[dict[str, JsonValue]], *, first: bool, done: bool) -> None:
    word = "applied" if done else "not applied (--dry-run)"
    if not changes:
        typer.echo(f"{model}: nothing has changed")
    elif first:
        typer.echo(f"{model}: {word}, for the first time")
    else:
        typer.echo(f"{model}: {word}, {len(changes)} keys change")
        for one in changes:
            typer.echo(f"  {one['key']}: {_written(one['old'])} -> {_written(one['new'])}")


def _written(value: JsonValue) -> str:
    import orjson

    return "not set" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
