"""`everloop drift`: which columns drifted, with their histograms; the episodes; and what predictions brought."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, JsonOption, VarOption, guarded, session_of
from everloop.cli.feedback import FEEDBACK, line_cells, stretch_line, stretch_value
from everloop.cli.windows import ModelArgument
from everloop.errors import UsageError

if TYPE_CHECKING:
    from everloop.events import ChangePoint, WindowClosed, WindowJudged
    from everloop.runtime.log import Log
    from everloop.story.drifting import Course, Histogram, Row, Told
    from everloop.story.feedback import Feedback

COLUMNS = (
    "column", "drift", "importance", "score", "p adjusted", "judged by", "against", "missing", "reference", "current",
)  # fmt: skip
EPISODES = ("episode", "diagnosis", "version", "opened", "closed", "windows", "first bad", "began", "between")
BLOCKS = "▁▂▃▄▅▆▇█"
HOURS = {"hour_of_day": "hour of the day", "hour_of_week": "hour of the week"}
WHY = {"shown": "the profile shows it", "loop": "the loop file says so"}
WIDEST = 40
"""Characters of a name; more are cut off, in a terminal."""


def register(app: typer.Typer) -> None:
    """Add this command to the main application."""
    app.command()(drift)


@guarded
def drift(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    model: ModelArgument,
    window: Annotated[
        str | None, typer.Option("--window", "-w", metavar="START", help="Start of a window; else the last compared.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page that stands alone.")] = None,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Show what drifted and what kind of change it is; labels by segment; episodes; feedback."""
    from everloop.cli.drift_page import drift_page
    from everloop.cli.output import print_json

    start = None if window is None else started(window)
    with session_of(context).connect(broker, var) as log:
        told = read(log, model, start)
    if html is not None:
        _write(html, drift_page(model, told))
    if json:
        print_json(value_of(model, told))
    elif html is not None:
        typer.echo(str(html))
    else:
        _show(model, told)


def read(log: Log, model: str, start: int | None) -> Told:
    """What the topics say of a model, and of its window that begins at `start`. Raises `UsageError`."""
    from everloop import topics
    from everloop.cli.reading import applied_loops, read_all, require_model
    from everloop.events import WindowJudged
    from everloop.story.drifting import Told, episodes_of, inputs_of, is_compared, labelled_of, outcome_of, rows_of

    require_model(applied_loops(log), model)
    heard = [one.event for one in read_all(log, [topics.DRIFT.name], model)]
    judged = [one for one in heard if isinstance(one, WindowJudged)]
    course = inputs_of(judged)
    chosen = [one for one in course if (is_compared(one) if start is None else one.start == start)]
    if start is not None and not chosen:
        raise UsageError(f"no window of {model} with this start was judged: `everloop windows {model}` lists them")
    shown = chosen[-1] if chosen else None
    closed, feedback = _windows(log, model, shown)
    rows = rows_of(shown, closed) if shown else ()
    labelled, outcome = labelled_of(judged, start), outcome_of(judged, start)
    why = _season_why(log, model, shown.version) if shown and shown.season else ""
    return Told(shown, rows, course, episodes_of(judged), feedback.stretches(start), labelled, why, outcome)


def _season_why(log: Log, model: str, version: str | None) -> str:
    """Why this version's windows are compared by the hour; empty where its profile is gone."""
    from everloop import topics
    from everloop.cli.reading import read_all
    from everloop.events import ModelVersionCreated

    made = (one.event for one in read_all(log, [topics.TRAINING.name], model))
    found = [one for one in made if isinstance(one, ModelVersionCreated) and one.version == version]
    return found[-1].profile.season_why if found else ""


def _windows(log: Log, model: str, shown: WindowJudged | None) -> tuple[WindowClosed | None, Feedback]:
    """The window record that was judged, and the feedback of all; of many that may be large no other is kept."""
    from everloop import topics
    from everloop.cli.reading import Reader
    from everloop.events import WindowClosed
    from everloop.story.feedback import Feedback

    reader, found, feedback = Reader(log, [topics.WINDOWS.name], model), None, Feedback()
    for one in (one.event for chunk in reader.news() for one in chunk):
        if isinstance(one, WindowClosed):
            feedback.hear(one)
            found = one if shown is not None and one.id == shown.causation_id else found
    reader.close()
    return found, feedback


def started(text: str) -> int:
    """A time as `everloop windows` shows it, or ISO 8601, or milliseconds; UTC where it says nothing. In ms."""
    from datetime import UTC, datetime

    if text.isascii() and text.isdigit():
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("--window wants the start of a window, such as '2026-01-05 14:00:00' (UTC)") from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


def head_lines(model: str, told: Told) -> Iterator[str]:
    """What is known of the window, a line for each matter: the window, the reason, the diagnosis, the episode."""
    from everloop.cli.drift_diagnosis import diagnosis_lines
    from everloop.events import Episode
    from everloop.story import moment, said

    window = told.window
    if window is None:
        last = told.course[-1] if told.course else None
        why = f"; the last window, {moment(last.start)}, is {last.verdict}: {said(last.reason)}" if last else ""
        yield plain(f"{model}: no window was compared yet{why}")
        yield from diagnosis_lines(None, told.outcome)
        return
    times = f"{moment(window.start)} to {moment(window.end)}"
    revision = f" (revision {window.revision})" if window.revision else ""
    yield plain(f"{model} version {window.version}, {times}{revision}, {window.rows} rows: {window.verdict}")
    yield plain(said(window.reason))
    yield from diagnosis_lines(window, told.outcome)
    if window.season is not None:
        yield season_line(window.season, told)
    if window.episode is not Episode.NONE:
        yield f"episode of {window.episode_kind} {window.episode}{began(window.change)}"
    if told.rows and all(one.ranked is None or one.ranked.importance is None for one in told.rows):
        yield "importance of columns was not measured: all count the same"


def season_line(season: str, told: Told) -> str:
    """By which hour columns are compared, why so, and how many are not."""
    why = f": {WHY[told.season_why]}" if told.season_why in WHY else ""
    whole = [one.name if one.ranked else "scores" for one in told.rows if one.against == "whole"]
    rest = plain(f"; with the whole reference: {', '.join(map(_cut, whole))}") if whole else ""
    return f"compared with the same {HOURS[season]} (UTC) of the reference{why}{rest}"


def began(change: ChangePoint | None) -> str:
    """Since when, with the interval."""
    from everloop.story import moment

    if change is None:
        return ""
    between = f"95 %: {moment(change.earliest)} to {moment(change.latest)}"
    return f"; it began {moment(change.at)} ({between}), first bad window {moment(change.first_bad)}"


def row_cells(row: Row) -> list[str]:
    """One column as text, in the order of COLUMNS but for the histograms; names are not cut."""
    from everloop.story import number

    ranked, seen = row.ranked, row.histogram
    figures = (ranked.drift, ranked.importance, ranked.score, ranked.p_adjusted) if ranked else (None,) * 4
    held = ", ".join(f"{one.test} {number(one.value)}{' drifted' if one.drifted else ''}" for one in row.measures)
    missing = f"{seen.missing_reference:.1%} → {seen.missing_current:.1%}" if seen else "–"
    name = row.name if ranked else "(scores)"
    against = HOURS.get(row.against or "", row.against) or "–"
    return [plain(name), *(number(one) for one in figures), plain(held) or "–", against, missing]


def episode_cells(one: Course) -> list[str]:
    """One episode as text, in the order of EPISODES."""
    from everloop.story import moment

    change = one.change
    at = change.at if change else one.change_at
    return [
        one.kind, one.diagnosis or "–", plain(one.version or "–"),
        moment(one.opened), "–" if one.closed is None else moment(one.closed),
        str(one.windows), moment(change.first_bad) if change else "–", "–" if at is None else moment(at),
        f"{moment(change.earliest)} to {moment(change.latest)}" if change else "–",
    ]  # fmt: skip


def blocks(shares: tuple[float, ...], largest: float) -> str:
    """Bars of eight heights; a blank for nothing."""
    return "".join(BLOCKS[min(7, int(8 * one / largest))] if one > 0 else " " for one in shares)


def plain(text: str) -> str:
    """What producers named, without characters that steer a terminal or hide."""
    return "".join(one if one.isprintable() else "�" for one in text)


def value_of(model: str, told: Told) -> dict[str, object]:
    """All of it as data; times as `everloop windows --json` has them."""
    from everloop.cli.drift_diagnosis import diagnosis_value, outcome_value
    from everloop.cli.drift_segments import segments_value

    window = told.window
    shown = None
    if window is not None:
        shown = window.model_dump(
            mode="json",
            include={
                "version", "verdict", "revision", "rows", "reason", "episode", "episode_id", "episode_kind", "season",
            },
        )  # fmt: skip
        shown |= _times(start=window.start, end=window.end) | {"change": _change_value(window.change)}
        shown |= {"season_why": told.season_why or None, "diagnosis": diagnosis_value(window)}
    return {
        "model": model,
        "window": shown,
        "columns": [_row_value(one) for one in told.rows if one.ranked],
        "score": next((_row_value(one) for one in told.rows if not one.ranked), None),
        "outcome": outcome_value(told.outcome),
        "labels": segments_value(told.labelled) if told.labelled else None,
        "episodes": [_course_value(one) for one in told.episodes],
        "feedback": [stretch_value(one) for one in told.feedback],
    }


def _row_value(row: Row) -> dict[str, object]:
    from dataclasses import asdict

    ranked = row.ranked.model_dump(mode="json") if row.ranked else {"name": row.name}
    measures = [one.model_dump(mode="json", exclude={"name"}) for one in row.measures]
    seen: Histogram | None = row.histogram
    drawn = asdict(seen) if seen else None
    return {**ranked, "drifted": row.drifted, "against": row.against, "measures": measures, "histogram": drawn}


def _course_value(one: Course) -> dict[str, object]:
    named = {
        "id": str(one.identity), "kind": one.kind, "diagnosis": one.diagnosis, "version": one.version,
        "windows": one.windows,
    }  # fmt: skip
    times = _times(opened=one.opened, closed=one.closed, change_at=one.change_at)
    return {**named, **times, "change": _change_value(one.change)}


def _change_value(change: ChangePoint | None) -> dict[str, object] | None:
    if change is None:
        return None
    times = _times(at=change.at, earliest=change.earliest, latest=change.latest, first_bad=change.first_bad)
    return {**times, "before": change.before, "after": change.after}


def _times(**times: int | None) -> dict[str, object]:
    from everloop.story import moment

    return {name: None if one is None else moment(one) for name, one in times.items()}


def _show(model: str, told: Told) -> None:
    from everloop.cli.drift_segments import SEGMENTS, labels_line, segment_lines
    from everloop.cli.output import print_table

    for line in head_lines(model, told):
        typer.echo(line)
    if told.rows:
        typer.echo()
        print_table(COLUMNS, [_line(one) for one in told.rows])
    if told.labelled:
        typer.echo()
        typer.echo(labels_line(told.labelled))
        print_table(SEGMENTS, [[_cut(cell) for cell in line] for line in segment_lines(told.labelled)])
    if told.episodes:
        typer.echo()
        print_table(EPISODES, [episode_cells(one) for one in told.episodes])
    for one in told.feedback:
        typer.echo()
        typer.echo(stretch_line(one))
        print_table(FEEDBACK, [line_cells(line) for line in one.lines])


def _line(row: Row) -> list[str]:
    name, *cells = row_cells(row)
    seen = row.histogram
    drawn = [blocks(side, seen.largest) for side in (seen.reference, seen.current)] if seen else ["–", "–"]
    return [_cut(name), *cells, *drawn]


def _cut(name: str) -> str:
    return name if len(name) <= WIDEST else f"{name[: WIDEST - 1]}…"


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        why = type(error).__name__
        raise UsageError(f"--html: the page cannot be written ({why}); name a file in a folder that exists") from error
