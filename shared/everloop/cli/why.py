"""`everloop why`: from a version, a traffic change, any event or a prediction back to the window that started it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, JsonOption, ModelOption, VarOption, guarded, session_of
from everloop.errors import UsageError

if TYPE_CHECKING:
    from everloop.events import Event
    from everloop.runtime.log import Log
    from everloop.story import Figure, Step

MOST_RECORDS = 1_000_000
WORTH_SAYING = 20_000
"""Records after which a person is told how far the search has come."""


def register(app: typer.Typer) -> None:
    """Add this command to the main application."""
    app.command()(why)


@guarded
def why(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="MODEL/VERSION, MODEL:EPOCH, VERSION with --model; the id of an event or a row."
        ),
    ],
    model: ModelOption = None,
    prediction: Annotated[bool, typer.Option("--prediction", "-p", help="ID is that of a prediction.")] = False,
    records: Annotated[
        int, typer.Option("--records", min=1, help="How many records of predictions to look through, from the end.")
    ] = MOST_RECORDS,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what led to a version, a traffic change, an event or a prediction: each step with rule, value and limit."""
    from everloop.cli.output import print_json
    from everloop.cli.reading import STORY, read_all

    with session_of(context).connect(broker, var) as log:
        events = [one.event for one in read_all(log, STORY)]
        if prediction:
            steps = _of_a_prediction(log, events, (name, model), records, f"{name} is not in the log")
        else:
            steps = _steps(log, events, name, model, records)
    if json:
        print_json([step_value(step) for step in steps])
    else:
        for line in told(steps):
            typer.echo(line)


def _steps(log: Log, events: Sequence[Event], name: str, model: str | None, most: int) -> list[Step]:
    """The chain of an event, else of a prediction. Raises `UnknownIdError`.

    A version or an epoch of a model that is known is no prediction's id: what is near it is said at once.
    """
    from everloop.story import UnknownIdError, chain, find
    from everloop.story.finding import EPOCH, VERSION

    try:
        return chain(events, find(events, name, model))
    except (UnknownIdError, UsageError) as error:
        named = VERSION.fullmatch(name) or EPOCH.fullmatch(name)
        if named and any(one.model == named["model"] for one in events):
            raise
        return _of_a_prediction(log, events, (name, model), most, str(error))


def _of_a_prediction(
    log: Log, events: Sequence[Event], name: tuple[str, str | None], most: int, otherwise: str
) -> list[Step]:
    """The chain of a row. Raises `UnknownIdError`: what was said `otherwise`, and what was looked through."""
    from everloop.cli.predictions import find_prediction
    from everloop.story import UnknownIdError
    from everloop.story.served import chain_of

    row, looked = find_prediction(log, *name, most, _say_progress)
    if row is None:
        raise UnknownIdError(f"{otherwise}; among the last {looked} records of predictions no row has this id")
    return chain_of(events, row)


def _say_progress(looked: int) -> None:
    if looked >= WORTH_SAYING:
        typer.echo(f"everloop: looked through {looked} records of predictions", err=True)


def step_value(step: Step) -> dict[str, object]:
    """One step as JSON says it: stage, identity, the line, the figures, and the whole event."""
    from dataclasses import asdict

    event = step.event
    identity = {"id": str(event.id), "type": event.TYPE, "time": event.time.isoformat(), "model": event.model}
    data = event.model_dump(mode="json", exclude={"profile"})
    figures = [asdict(one) for one in step.figures]
    return {"stage": step.stage, **identity, "said": step.said, "figures": figures, "event": data}


def told(steps: list[Step]) -> Iterator[str]:
    """The chain as lines, newest first; each is followed by its checks, looks or measures.

    The step's own reason stands in its line already.
    """
    for number, step in enumerate(steps):
        if number:
            yield "  because"
        yield f"{step.event.time:%Y-%m-%d %H:%M:%S}  {step.stage:<10}  {step.said}  [{str(step.event.id)[:8]}]"
        yield from (f"{'':21}{figure_line(one)}" for one in step.figures if one.name)


def figure_line(one: Figure) -> str:
    """`roc_auc: pass, gate.champion 0.91, limit 0.9, 4000 samples (set in: loop)`."""
    from everloop.story import number

    head = ": ".join(part for part in (one.name, one.verdict) if part)
    limit = "" if one.limit is None else f", limit {number(one.limit)}"
    samples = f", {one.samples} samples" if one.samples else ""
    where = f" (set in: {one.where})" if one.where else ""
    return f"{head}{', ' if head else ''}{one.rule} {number(one.measured)}{limit}{samples}{where}"
