"""`everloop cycles`: each turn of the loop of one model in one line, the running one too."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import typer

from everloop.cli.context import BrokerOption, JsonOption, VarOption, guarded, session_of
from everloop.cli.windows import ModelArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from everloop.cli.reading import Heard
    from everloop.story.cycles import Cycle, Spent, Told

COLUMNS = ("turn", "opened", "cause", "rows", "version", "verdict", "outcome", "wall seconds", "model seconds")


def register(app: typer.Typer) -> None:
    """Add this command to the main application."""
    app.command()(cycles)


@guarded
def cycles(
    context: typer.Context,
    model: ModelArgument,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Show each turn: cause, rows, version, verdict, outcome, seconds of each stage on the wall and in model time."""
    from everloop import topics
    from everloop.cli.output import print_json, print_table
    from everloop.cli.reading import applied_loops, model_now, read_all, require_model
    from everloop.story.cycles import cycles as told

    session = session_of(context)
    with session.connect(broker, var) as log:
        require_model(applied_loops(log), model)
        heard = read_all(log, [topic.name for topic in (topics.TRAINING, topics.VERDICTS, topics.ROLLOUTS)], model)
        now = model_now(log, model, session.wall())
    values = [cycle_value(one, one.until(session.wall(), now)) for one in told(map(as_told, heard))]
    if json:
        print_json(values)
    else:
        print_table(COLUMNS, [_cells(one) for one in values])


def as_told(heard: Heard) -> Told:
    """The event with the wall time in its header; where it has none, the broker's append time."""
    from datetime import UTC

    from everloop.story.cycles import Told

    said = dict(heard.record.headers).get("ce_recordedtime", b"").decode(errors="replace")
    try:
        recorded = datetime.fromisoformat(said)
    except ValueError:
        recorded = datetime.fromtimestamp(heard.record.appended_ms / 1000, UTC)
    return Told(heard.event, recorded)


def cycle_value(one: Cycle, spent: Mapping[str, Spent]) -> dict[str, object]:
    """One turn as JSON says it; `running` names the stage that has not ended, its seconds are those so far."""
    known = {"turn": one.number, "opened": one.opened.isoformat(), "cause": one.cause, "rows": one.rows}
    said = {"version": one.version, "verdict": one.verdict, "outcome": one.outcome, "running": one.stage}
    wall = {stage: round(each.wall, 3) for stage, each in spent.items()}
    model = {stage: round(each.model, 3) for stage, each in spent.items()}
    total = {"wall": round(sum(wall.values()), 3), "model": round(sum(model.values()), 3)}
    return {**known, **said, "wall_s": wall, "model_s": model, "total_s": total}


def _cells(value: Mapping[str, object]) -> list[str]:
    outcome = value["outcome"] or f"({value['running']})"
    opened = str(value["opened"])[:19].replace("T", " ")
    first = [str(value["turn"]), opened, str(value["cause"]), _word(value["rows"]), _word(value["version"])]
    return [*first, _word(value["verdict"]), str(outcome), _stages(value["wall_s"]), _stages(value["model_s"])]


def _word(value: object) -> str:
    return "–" if value is None else str(value)


def _stages(seconds: object) -> str:
    """`waiting 7200, training 2.4`."""
    known = seconds if isinstance(seconds, dict) else {}
    return ", ".join(f"{stage} {float(f'{value:.3g}'):.6g}" for stage, value in known.items())
