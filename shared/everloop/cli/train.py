"""`everloop train`: ask for a training run, and follow its turn to the end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, FailedError, VarOption, guarded, session_of
from everloop.errors import UsageError

if TYPE_CHECKING:
    from uuid import UUID

    from everloop.cli.context import Session
    from everloop.cli.reading import Heard, Reader
    from everloop.events import Event, TrainingRequested


def register(app: typer.Typer) -> None:
    """Add this command to the main application."""
    app.command()(train)


@guarded
def train(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model whose loop file is applied.")],
    recipe: Annotated[str | None, typer.Option(metavar="DOTTED", help="Another recipe than the loop file's.")] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who asks (else the user's name).")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the turn; exit code 1 unless it is promoted.")] = False,
    timeout: Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="Longest time to --wait.")] = None,
    broker: BrokerOption = None,
    var: VarOption = None,
) -> None:
    """Ask for a training run now; gate and rollout follow as always."""
    from everloop import topics
    from everloop.cli.reading import Reader, applied_loops, model_now, require_model
    from everloop.cli.saying import publish

    session = session_of(context)
    with session.connect(broker, var) as log:
        require_model(applied_loops(log), model)
        asked = a_request(model, recipe, by, model_now(log, model, session.wall()))
        followed = Reader(log, [topics.TRAINING.name, topics.VERDICTS.name, topics.ROLLOUTS.name], model)
        publish(log, topics.COMMANDS, asked, session.wall())
        typer.echo(f"asked: {asked.id}; its story: everloop why {str(asked.id)[:8]}")
        if wait:
            _follow(followed, asked, session, timeout)


def a_request(model: str, recipe: str | None, by: str | None, now: datetime) -> TrainingRequested:
    """The command, which opens a turn of its own: its id is the thread of all that follows. Raises `UsageError`."""
    import re
    from uuid import uuid4

    from everloop.events import TrainingRequested
    from everloop.loop.training import RECIPE

    if recipe is not None and not re.fullmatch(RECIPE, recipe):
        raise UsageError(f"--recipe {recipe}: write package.module.Class, or package.module:name")
    identity = uuid4()
    who = by or os.environ.get("USER") or "unknown"
    return TrainingRequested(id=identity, time=now, model=model, correlation_id=identity, by=who, recipe=recipe)


def ending(event: Event) -> bool | None:
    """Whether the turn ended well with this event; None when it goes on."""
    from everloop import events as e

    match event:
        case e.TurnClosed():
            return event.outcome == "promoted"
        case e.TrainingFailed() | e.TrainingSkipped():
            return False
    return None


def turn_of(thread: UUID, heard: Iterable[Heard], versions: set[str]) -> Iterator[Heard]:
    """What belongs to the turn: its thread, or one of its versions (which are noted)."""
    from everloop.events import ModelVersionCreated
    from everloop.story import version_of

    for one in heard:
        mine = one.event.correlation_id == thread
        if mine and isinstance(one.event, ModelVersionCreated):
            versions.add(one.event.version)
        if mine or version_of(one.event) in versions:
            yield one


def _follow(reader: Reader, asked: TrainingRequested, session: Session, timeout: float | None) -> None:
    """Print each stage until the turn ends. Raises `FailedError` unless its version is promoted."""
    from everloop.cli.output import as_line

    latest = session.wall() + timedelta(seconds=timeout) if timeout is not None else None
    versions: set[str] = set()
    while latest is None or session.wall() < latest:
        news = sorted((one for chunk in reader.news() for one in chunk), key=lambda one: one.order)
        for one in turn_of(asked.id, news, versions):
            typer.echo(as_line(one))
            ended = ending(one.event)
            if ended is not None:
                _end(one, ended=ended)
                return
        session.pause()
    raise FailedError(f"the turn is not over after {timeout:g} s; follow it with: everloop why {str(asked.id)[:8]}")


def _end(one: Heard, *, ended: bool) -> None:
    from everloop.story import one_line

    if not ended:
        raise FailedError(f"not promoted: {one_line(one.event)}; why: everloop why {str(one.event.id)[:8]}")
