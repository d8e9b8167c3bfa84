"""A chain of causes as steps with figures: newest first, back to the first window that drifted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from everloop import events as e
from everloop.story.lines import one_line
from everloop.story.links import Book, parent

MOST_MEASURES: Final = 5
STAGES: Final[Mapping[type[e.Event], str]] = {
    e.TrafficPlanned: "traffic",
    e.VersionPromoted: "promoted",
    e.VersionRolledBack: "taken back",
    e.RolloutAborted: "aborted",
    e.StepTaken: "step",
    e.WindowLooked: "look",
    e.RolloutStarted: "shadow",
    e.VersionPassed: "passed",
    e.VersionRefused: "refused",
    e.VersionHeld: "held",
    e.ModelVersionCreated: "version",
    e.TrainingStarted: "training",
    e.TurnOpened: "turn",
    e.TrainingRequested: "request",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value beside its limit. `where` names where the rule was set, `verdict` what it said."""

    name: str
    rule: str
    measured: float | str | None
    limit: float | str | None
    samples: int
    where: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One link of the chain: its stage, its event, the event in one line, and the figures it stands on."""

    stage: str
    event: e.Event
    said: str
    figures: tuple[Figure, ...]


def chain(events: Iterable[e.Event], target: e.Event) -> list[Step]:
    """The steps that led to `target`, itself first. `events` are in log order; other models are skipped."""
    book = Book(event for event in events if event.model == target.model)
    found: dict[UUID, e.Event] = {}
    step: e.Event | None = target
    while step is not None and step.id not in found:
        found[step.id] = step
        step = parent(step, book)
    return [Step(_stage(event), event, one_line(event), tuple(figures(event))) for event in found.values()]


def figures(event: e.Event) -> Iterator[Figure]:
    """All that the event measured, each beside its limit."""
    match event:
        case e.VersionPassed() | e.VersionRefused() | e.VersionHeld():
            for check in event.checks:
                yield _of_reason(check.reason, name=check.name, verdict=check.verdict)
        case e.WindowLooked() | e.RolloutAborted():
            yield from (_of_look(look) for look in event.looks)
        case e.WindowJudged():
            drifted = sorted((one for one in event.measures if one.drifted), key=lambda one: -(one.value or 0))
            yield from (_of_measure(one) for one in drifted[:MOST_MEASURES])
    reason = getattr(event, "reason", None)
    if isinstance(reason, e.Reason):
        yield _of_reason(reason)


def _stage(event: e.Event) -> str:
    if isinstance(event, e.WindowJudged):
        return "episode" if event.episode is not e.Episode.NONE else "window"
    return STAGES.get(type(event), event.TYPE.removeprefix("io.everloop.").removesuffix(".v1"))


def _of_reason(reason: e.Reason, name: str = "", verdict: str = "") -> Figure:
    return Figure(name, reason.rule, reason.measured, reason.limit, reason.samples, reason.where, verdict)


def _of_look(look: e.Look) -> Figure:
    return Figure(look.measure, look.rule, look.estimate, look.limit, look.samples, verdict=look.verdict)


def _of_measure(one: e.Measure) -> Figure:
    return Figure(one.name, one.test, one.value, one.limit, one.rows, verdict="drifted")
