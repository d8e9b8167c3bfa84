"""`everloop events`, `alerts`: what stands on the topics, one line per event, in the order of append times."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from everloop.cli.context import BrokerOption, JsonOption, ModelOption, Session, VarOption, guarded, session_of
from everloop.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from everloop.cli.reading import Heard, Reader

FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on as events come; end with Ctrl-C.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=0, help="How many of the last events.")]


def register(app: typer.Typer) -> None:
    """Add these commands to the main application."""
    app.command()(events)
    app.command()(alerts)


@guarded
def events(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    model: ModelOption = None,
    topic: Annotated[
        list[str] | None, typer.Option("--topic", "-t", metavar="TOPIC", help="e.g. drift; `all` for rows too.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option("--type", metavar="TYPE", help="e.g. window.judged.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help="Appended since: 15m, 2h, or a moment (ISO 8601).")
    ] = None,
    follow: FollowOption = False,
    limit: LimitOption = 50,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Show the last events of all topics but those with rows: time, topic, id, type, model, sequence, figures."""
    from everloop.cli.reading import Reader

    names, types = topic_names(topic or []), type_names(kind or [])
    session = session_of(context)
    first = since_ms(since, session.wall()) if since else 0

    def fits(one: Heard) -> bool:
        return one.record.appended_ms >= first and (not types or one.event.TYPE in types)

    with session.connect(broker, var) as log:
        reader = Reader(log, names, model, limit if not types and model is None else None)
        _show(reader, fits, session, limit, follow=follow, json=json)


@guarded
def alerts(  # noqa: PLR0913, PLR0917 - one parameter per option
    context: typer.Context,
    model: ModelOption = None,
    follow: FollowOption = False,
    limit: LimitOption = 50,
    broker: BrokerOption = None,
    var: VarOption = None,
    json: JsonOption = False,
) -> None:
    """Show the last alerts."""
    from everloop import topics
    from everloop.cli.reading import Reader

    session = session_of(context)
    with session.connect(broker, var) as log:
        reader = Reader(log, [topics.ALERTS.name], model)
        _show(reader, lambda _: True, session, limit, follow=follow, json=json)


def since_ms(said: str, wall: datetime) -> int:
    """The append time (ms) of a duration before `wall`, or of a moment, in UTC unless it says. Raises `UsageError`."""
    from datetime import UTC, datetime

    from everloop.durations import RuleError, parse_duration

    try:
        moment = wall - parse_duration(said)
    except (RuleError, OverflowError):
        try:
            moment = datetime.fromisoformat(said)
        except ValueError:
            raise UsageError(f"--since {said}: a duration such as 15m, or a moment such as 2026-01-05T12:00") from None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(zoned.timestamp() * 1000)


def topic_names(wanted: list[str]) -> list[str]:
    """Whole names of topics from short ones; those without rows where none is wanted. Raises `UsageError`."""
    from everloop.cli.output import short_topic
    from everloop.cli.reading import CONTROL
    from everloop.topics import TOPICS

    if "all" in wanted:
        return list(TOPICS)
    known = {short_topic(name): name for name in TOPICS} | {name: name for name in TOPICS}
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"--topic {unknown[0]}: one of all, {', '.join(map(short_topic, TOPICS))}")
    return [known[name] for name in wanted] or list(CONTROL)


def type_names(wanted: list[str]) -> frozenset[str]:
    """Whole CloudEvents types from short ones. Raises `UsageError`."""
    from everloop.cli.output import short_type
    from everloop.events import TYPES

    known = {short_type(name): name for name in TYPES} | {name: name for name in TYPES}
    if unknown := [name for name in wanted if name not in known]:
        raise UsageError(f"--type {unknown[0]}: one of {', '.join(map(short_type, TYPES))}")
    return frozenset(known[name] for name in wanted)


def _show(
    reader: Reader, fits: Callable[[Heard], bool], session: Session, limit: int, *, follow: bool, json: bool
) -> None:
    from everloop.cli.output import as_line, as_value, print_json, print_json_line

    found: list[Heard] = []
    for chunk in reader.news():
        found = sorted([*found, *filter(fits, chunk)], key=lambda one: one.order)
        found = found[len(found) - limit :] if len(found) > limit else found
    if json and not follow:
        print_json([as_value(one) for one in found])
        return
    while True:
        for one in found:
            print_json_line(as_value(one)) if json else typer.echo(as_line(one))
        if not follow:
            return
        session.pause()
        found = sorted((one for chunk in reader.news() for one in chunk if fits(one)), key=lambda one: one.order)
