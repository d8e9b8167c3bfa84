"""`everloop windows`, `traffic`: what was judged of a model, and how its traffic is split now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, FailedError, JsonOption, VarOption, guarded, session_of

if TYPE_CHECKING:
    from everloop.cli.reading import Heard
    from everloop.events import TrafficPlanned, WindowJudged
    from everloop.runtime.log import Log

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="A model whose loop file is applied.")]
COLUMNS = (
    "start", "version", "rows", "share", "score", "verdict", "quality", "labelled", "coverage", "needed", "delay_p50",
    "delay_p95", "episode", "diagnosis",
)  # fmt: skip
SCORE = "score"
PRIMARY = ("roc_auc", "rmse")


def register(app: typer.Typer) -> None:
    """Add these commands to the main application."""
    app.command()(windows)
    app.command()(traffic)


@guarded
def windows(
    context: typer.Context,
    model: ModelArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many of the last windows.")] = 50,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Show the judged windows: drift of inputs and scores, quality with its coverage and delay of labels, verdicts.

    `needed` is the coverage from which on quality is judged; delays are those of the model's labels (ms in JSON).
    """
    from everloop import topics
    from everloop.cli.output import print_json, print_table
    from everloop.events import WindowJudged

    with session_of(context).connect(broker, var) as log:
        found = [one.event for one in _known(log, topics.DRIFT.name, model)]
    rows = window_rows([one for one in found if isinstance(one, WindowJudged)])
    shown = rows[max(0, len(rows) - limit) :]
    if json:
        print_json(shown)
    else:
        print_table(COLUMNS, [[_cell(name, row[name]) for name in COLUMNS] for row in shown])


@guarded
def traffic(
    context: typer.Context,
    model: ModelArgument,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Show the plan that serving obeys: arms, versions, weights, epoch, age. Exit code 1 while there is none."""
    from everloop import topics
    from everloop.cli.output import print_json

    session = session_of(context)
    with session.connect(broker, var) as log:
        plan = newest_plan(_known(log, topics.TRAFFIC.name, model))
    if plan is None:
        raise FailedError(f"{model} has no traffic yet: its first version is not promoted")
    said, appended_ms = plan
    age = max(0.0, session.wall().timestamp() - appended_ms / 1000)
    if json:
        print_json({**said.model_dump(mode="json"), "age_s": round(age, 1)})
    else:
        _say_plan(said, age)


def newest_plan(heard: list[Heard]) -> tuple[TrafficPlanned, int] | None:
    """The plan of the largest epoch, and when it was said last (ms)."""
    from everloop.events import TrafficPlanned

    plans = [(one.event, one.record.appended_ms) for one in heard if isinstance(one.event, TrafficPlanned)]
    return max(plans, key=lambda one: (one[0].epoch, one[1]), default=None)


def window_rows(judged: list[WindowJudged]) -> list[dict[str, object]]:
    """One row per window, inputs and outcomes together, the last record of each winning; by start."""
    from everloop.story import moment

    rows: dict[int, dict[str, object]] = {}
    for one in judged:
        row = rows.setdefault(one.start, dict.fromkeys(COLUMNS) | {"start": moment(one.start), "version": one.version})
        row |= _inputs(one) if one.kind == "inputs" else _outcomes(one)
        if one.episode != "none":
            row["episode"] = f"{one.episode_kind} {one.episode}"
        row["diagnosis"] = one.diagnosis.kind if one.diagnosis else row["diagnosis"]
    return [rows[start] for start in sorted(rows)]


def _inputs(one: WindowJudged) -> dict[str, object]:
    columns = {measure.name for measure in one.measures if measure.name != SCORE}
    drifted = {measure.name for measure in one.measures if measure.name != SCORE and measure.drifted}
    share = len(drifted) / len(columns) if columns else None
    score = next((measure.value for measure in one.measures if measure.name == SCORE), None)
    return {"rows": one.rows, "share": share, "score": score, "verdict": one.verdict}


def _outcomes(one: WindowJudged) -> dict[str, object]:
    """The task's own metric: `rmse` of a regression."""
    found = next((one.quality[name] for name in PRIMARY if name in one.quality), None)
    return {"quality": found.value if found else None, "labelled": one.verdict, **_labels(one)}


def _labels(one: WindowJudged) -> dict[str, object]:
    """How complete the labels are, and how long they usually take (ms)."""
    flow = one.labels
    if flow is None:
        return {"coverage": one.coverage}
    nothing = 0.0 if flow.arrived.predicted else None
    coverage = nothing if one.coverage is None else one.coverage
    return {"coverage": coverage, "needed": flow.needed, "delay_p50": flow.p50, "delay_p95": flow.p95}


def lasting(milliseconds: int) -> str:
    """A delay to two digits, in the largest unit of which it is one: `7.8d`."""
    units = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000))
    unit, length = next((one for one in units if milliseconds >= one[1]), ("ms", 1))
    return f"{float(f'{milliseconds / length:.2g}'):g}{unit}"


def _known(log: Log, topic: str, model: str) -> list[Heard]:
    from everloop.cli.reading import applied_loops, read_all, require_model

    require_model(applied_loops(log), model)
    return read_all(log, [topic], model)


def _cell(name: str, value: object) -> str:
    from everloop.story import number

    if name.startswith("delay") and isinstance(value, int):
        return lasting(value)
    return number(value) if isinstance(value, int | float) else str(value or "–")


def _say_plan(plan: TrafficPlanned, age: float) -> None:
    from everloop.cli.output import print_table

    typer.echo(f"{plan.model}: epoch {plan.epoch}, said {age:.0f} s ago, holds {plan.ttl_s:g} s")
    arms = [(one.arm, one.version, f"{one.weight:.0%}", one.verdict.artifact.sha256[:8]) for one in plan.arms]
    shadow = [("shadow", plan.shadow.version, "copies", plan.shadow.verdict.artifact.sha256[:8])] if plan.shadow else []
    print_table(("arm", "version", "weight", "digest"), [*arms, *shadow])
