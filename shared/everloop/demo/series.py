"""Quality and traffic over time, and the marks between them: what the picture shows. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from everloop import events as e
from everloop.demo.reading import History
from everloop.demo.served import Row, join, quality, shares
from everloop.demo.summary import millis
from everloop.demo.timetable import Timetable


@dataclass(frozen=True, slots=True)
class Point:
    """One window: AUC of what was served (None without labels), AUC and share of the rows by version."""

    window: int
    quality: float | None
    by_version: dict[str, float]
    traffic: dict[str, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: at which window (a fraction is a place within it), and in what words."""

    window: float
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """Everything that is drawn."""

    points: tuple[Point, ...]
    marks: tuple[Mark, ...]


def series(history: History, table: Timetable) -> Series:
    """Put the rows into their windows, and the journals' news between them."""
    rows: dict[int, list[Row]] = {number: [] for number in range(table.windows)}
    for row in join(history.predictions, history.labels):
        rows.setdefault(table.window(row.time), []).append(row)
    points = tuple(_point(number, found) for number, found in sorted(rows.items()) if found)
    marks = (mark for event in history.journals for mark in _marks(event, table))
    return Series(points, tuple(sorted(marks, key=lambda mark: mark.window)))


def _point(window: int, rows: list[Row]) -> Point:
    versions = sorted({row.version for row in rows})
    each = {version: quality(row for row in rows if row.version == version) for version in versions}
    known = {version: value for version, value in each.items() if value is not None}
    return Point(window, quality(rows), known, shares(rows))


def _marks(event: e.Event, table: Timetable) -> Iterator[Mark]:
    match event:
        case e.WindowJudged(episode=e.Episode.OPENED):
            why = event.reason
            what = "drift" if event.episode_kind == "drift" else "fall of quality"
            text = f"{what} detected: {why.rule} {_figure(why.measured)}, limit {_figure(why.limit)}"
            yield Mark((event.end - table.start) / table.every, "drift", text)
        case e.ModelVersionCreated():
            yield Mark(_at(event, table), "trained", f"version {event.version} trained on {event.train_rows} rows")
        case e.VersionRefused():
            yield Mark(_at(event, table), "refused", f"version {event.version} refused: {', '.join(event.failed)}")
        case e.RolloutStarted():
            yield Mark(_at(event, table), "rollout", f"version {event.version} in shadow of {event.champion}")
        case e.StepTaken():
            yield Mark(_at(event, table), "rollout", f"version {event.version} at {event.weight:.0%}")
        case e.VersionPromoted():
            yield Mark(_at(event, table), "promoted", f"version {event.version} is the champion")
        case e.RolloutAborted():
            yield Mark(_at(event, table), "refused", f"version {event.version} taken back: {event.reason.rule}")


def _at(event: e.Event, table: Timetable) -> float:
    return (millis(event.time) - table.start) / table.every


def _figure(value: float | str | None) -> str:
    return f"{value:.3g}" if isinstance(value, float | int) else str(value)
