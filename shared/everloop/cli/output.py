"""What commands print: JSON for programs, aligned columns for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from everloop.cli.reading import Heard

SHORT_ID = 8


def print_json(value: object) -> None:
    """One JSON document, indented."""
    import orjson

    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def print_json_line(value: object) -> None:
    """One JSON document on one line, for streams."""
    import orjson

    typer.echo(orjson.dumps(value).decode())


def print_table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, a head in capitals."""
    whole = [[name.upper() for name in names], *rows]
    widths = [max(len(row[column]) for row in whole) for column in range(len(names))]
    for row in whole:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def as_line(heard: Heard) -> str:
    """Append time, topic, id, type, model, sequence and key figures of one event."""
    from everloop.story import moment, one_line

    event = heard.event
    sequence = "–" if event.sequence is None else str(event.sequence)
    topic, kind = short_topic(heard.topic), short_type(event.TYPE)
    head = f"{moment(heard.record.appended_ms)}  {topic:<11}  {str(event.id)[:SHORT_ID]}  {kind:<22}"
    return f"{head}  {event.model} #{sequence}  {one_line(event)}".rstrip()


def as_value(heard: Heard) -> Mapping[str, object]:
    """Place, envelope, and the event's own fields under `data`: some have a `topic` or a `partition` of their own."""
    from everloop.events import ENVELOPE

    record, event = heard.record, heard.event
    place = {"topic": heard.topic, "partition": record.place.partition, "offset": record.offset}
    envelope = event.model_dump(mode="json", include=set(ENVELOPE))
    try:
        data = event.model_dump(mode="json", exclude=set(ENVELOPE))
    except ValueError:  # a value of a feature is nested deeper than JSON is written
        data = event.model_dump(mode="json", exclude={*ENVELOPE, "features"})
    return {**place, "appended_ms": record.appended_ms, "type": event.TYPE, **envelope, "data": data}


def short_topic(name: str) -> str:
    """`drift` for `everloop.drift.v1`."""
    return name.removeprefix("everloop.").removesuffix(".v1")


def short_type(name: str) -> str:
    """`window.judged` for `io.everloop.window.judged.v1`."""
    return name.removeprefix("io.everloop.").removesuffix(".v1")
