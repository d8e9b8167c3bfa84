"""`everloop why`: from a version, a traffic change or any event back to the window that started it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, JsonOption, ModelOption, VarOption, guarded, session_of

if TYPE_CHECKING:
    from everloop.story import Figure, Step


def register(app: typer.Typer) -> None:
    """Add this command to the main application."""
    app.command()(why)


@guarded
def why(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="ID", help="MODEL/VERSION, MODEL:EPOCH, VERSION with --model, or an event's id.")
    ],
    model: ModelOption = None,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what led to a version, a traffic change or an event: each step with rule, measured value and limit."""
    from everloop.cli.output import print_json
    from everloop.cli.reading import STORY, read_all
    from everloop.story import chain, find

    with session_of(context).connect(broker, var) as log:
        events = [one.event for one in read_all(log, STORY)]
    steps = chain(events, find(events, name, model))
    if json:
        print_json([step_value(step) for step in steps])
    else:
        for line in told(steps):
            typer.echo(line)


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
