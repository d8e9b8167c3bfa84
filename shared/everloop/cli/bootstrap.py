"""`everloop bootstrap`: a file's rows become the first champion."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, FailedError, VarOption, guarded, session_of
from everloop.errors import UsageError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from everloop.cli.context import Session
    from everloop.events import TrainingRequested
    from everloop.loop import Loop
    from everloop.replay.rows import Rows
    from everloop.runtime.log import Log
    from everloop.tokens import Role


PATIENCE_S = 30.0
"""How long ingest may take to hear of a loop file that was applied just now."""


def register(app: typer.Typer) -> None:
    """Add this command to the main application."""
    app.command()(bootstrap)


@guarded
def bootstrap(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    loop: Annotated[Path, typer.Argument(metavar="LOOP", help="A loop file (YAML); it is applied first.")],
    data: Annotated[Path, typer.Option("--data", metavar="FILE", help="Labelled rows: CSV with a header.")],
    model_clock: Annotated[
        bool, typer.Option("--model-clock", help="Set the model's clock to the file's time.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, metavar="SECONDS", help="Longest time for all of it.")] = 600,
    ingest: Annotated[
        str | None, typer.Option(envvar="EVERLOOP_INGEST", metavar="URL", help="Ingest; else that of the stack.")
    ] = None,
    broker: BrokerOption = None,
    var: VarOption = None,
) -> None:
    """Send a file's rows through ingest as history, and train, gate and install the first champion from them."""
    from everloop.cli.apply import read_loop_file
    from everloop.replay.rows import read_csv

    rules, session = read_loop_file(loop), session_of(context)
    rows = read_csv(data, rules.columns, rules.features)
    typer.echo(f"{data}: {len(rows.ids)} rows, {len(rows.features)} features: {', '.join(rows.features)}")
    with session.connect(broker, var) as log:
        clock = Ticker(log, rules.model, end_of(rules, rows)) if model_clock else None
        if clock:
            clock.tick()
        apply_rules(log, rules, session)
        feed(ingest or stack_ingest(var), rules, rows, shown_tokens(var))
        wait = Wait(session, timeout)
        arrive(log, wait)
        follow(log, ask(log, rules.model, session), wait, clock)


def apply_rules(log: Log, rules: Loop, session: Session) -> None:
    """Publish the rules unless they are applied already."""
    from everloop import topics
    from everloop.cli.apply import an_application
    from everloop.cli.reading import applied_loops, model_now
    from everloop.cli.saying import publish

    last = applied_loops(log).get(rules.model)
    event = an_application(rules, last, model_now(log, rules.model, session.wall()))
    if last is None or last.digest != event.digest:
        publish(log, topics.LOOPS, event, session.wall())


class Ticker:
    """The model's own clock, which stands still: each tick is another round at the same time."""

    def __init__(self, log: Log, model: str, now: datetime) -> None:
        """Nothing is said yet."""
        self.log = log
        self.model = model
        self.now = now
        self.round = 0

    def tick(self) -> None:
        """Let the control services decide once more; without it nothing would follow what came after the last tick."""
        from everloop import topics
        from everloop.events import ClockMoved
        from everloop.replay.lockstep import publish_on

        name = f"{self.model}/bootstrap/{self.now.isoformat()}/{self.round}"
        moved = ClockMoved.named(name, self.now, self.model, data=self.now, control=self.now, round=self.round)
        publish_on(self.log, topics.CLOCK, moved)
        self.round += 1


def end_of(rules: Loop, rows: Rows) -> datetime:
    """Give the end of the file's last window, with its labels known: the model's time after the file."""
    known = datetime.fromtimestamp(max(rows.times) / 1000, UTC) + rules.labels.delay
    zero = datetime.fromtimestamp(0, UTC)
    return known + (rules.windows.every - (known - zero) % rules.windows.every)


def feed(ingest: str, rules: Loop, rows: Rows, tokens: Mapping[Role, SecretStr] | None = None) -> None:
    """Rows first, then their labels, each acknowledged by the broker."""
    from everloop.replay.door import HttpDoor

    with closing(HttpDoor("", ingest, patience_s=PATIENCE_S, tokens=tokens)) as door:
        for number, batch in enumerate(rows.batches(), start=1):
            door.history(rules.model, batch)
            if number % 10 == 0:
                typer.echo(f"sent {number * len(batch.ids)} rows")
        door.label(rules.model, rows.labelled(rules.labels.delay // timedelta(milliseconds=1)))
    typer.echo(f"sent {len(rows.ids)} rows and their labels")


class Wait:
    """The time that is left for all of it."""

    def __init__(self, session: Session, timeout: float) -> None:
        """It runs from now on."""
        self.session = session
        self.timeout = timeout
        self.latest = session.wall() + timedelta(seconds=timeout)

    def a_moment(self, stage: str) -> None:
        """Pause. Raises `FailedError` with what is waited for when the time is over."""
        if self.session.wall() > self.latest:
            raise FailedError(f"not ended after {self.timeout:g} s, {stage}")
        self.session.pause()


def arrive(log: Log, wait: Wait) -> None:
    """Wait until every row and label that was sent lies in the archive. Raises `FailedError` that names what is not."""
    from everloop.replay.arrival import Arrival

    typer.echo("waiting for the rows in the archive")
    arrival = Arrival(log)
    while missing := arrival.missing():
        wait.a_moment(f"waiting for the rows in the archive: {'; '.join(missing)}")


def ask(log: Log, model: str, session: Session) -> TrainingRequested:
    """Ask for the first version from all labelled rows that the archive holds now.

    Their number is said, since the trainer may read the wish before it reads the last files.
    """
    from uuid import uuid4

    from everloop import topics
    from everloop.cli.reading import archive_of, model_now
    from everloop.cli.saying import publish
    from everloop.events import TrainingRequested

    identity, now = uuid4(), model_now(log, model, session.wall())
    asked = TrainingRequested(
        id=identity, time=now, model=model, correlation_id=identity, by="cli", bootstrap=True,
        rows=archive_of(log, model).archived_outcomes,
    )  # fmt: skip
    publish(log, topics.COMMANDS, asked, session.wall())
    return asked


def follow(log: Log, asked: TrainingRequested, wait: Wait, clock: Ticker | None) -> None:
    """Say each stage until the champion is installed. Raises `FailedError` with the reason when it is not."""
    from everloop.replay.bootstrap import Bootstrap
    from everloop.replay.watching import Journals

    told = Bootstrap(asked.id)
    journals = Journals(log, lambda event: told.hear(event) if event.model == asked.model else None)
    typer.echo(told.stage)
    with closing(journals.follower):
        while not told.ended:
            journals.news()
            while told.seen:
                typer.echo(told.seen.pop(0))
            if not told.ended:
                wait.a_moment(f"{told.stage}; its story: everloop why {asked.id}")
                if clock:
                    clock.tick()
    if told.failure:
        raise FailedError(f"{told.stage}: {told.failure}")


def shown_tokens(var: Path | None) -> Mapping[Role, SecretStr]:
    """Clear tokens of the environment, else those of the stack; none where it asks for none."""
    from everloop.local.paths import Var, var_directory
    from everloop.local.state import read_stack
    from everloop.tokens import from_environment, read_clear

    stack = read_stack(Var(var_directory(os.environ, var)))
    return from_environment(os.environ) or (read_clear(stack.tokens) if stack and stack.tokens else {})


def stack_ingest(var: Path | None) -> str:
    """Ingest's address in `stack.json`. Raises `UsageError` where no stack runs."""
    from everloop.local.paths import Var, var_directory
    from everloop.local.state import running

    url = running(Var(var_directory(os.environ, var))).urls.get("ingest")
    if url is None:
        raise UsageError("the stack runs without ingest: name it with --ingest URL")
    return url
