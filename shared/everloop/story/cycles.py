"""Each turn of the loop as one value: its cause, what it trained on, what the gate and the rollout said, and how long.

A turn has one thread, but a standing episode's turns share it (DESIGN section 4); so a turn begins where one is opened,
and what follows belongs to it by its version. Two clocks: the model's time of each event, and the wall time at which it
was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from everloop import events as e
from everloop.story.links import version_of

STAGES: Final = ("waiting", "training", "gate", "handover", "shadow", "canary")
_BEGINS: Final[Mapping[type[e.Event], str]] = {
    e.TurnOpened: "waiting",
    e.TrainingStarted: "training",
    e.ModelVersionCreated: "gate",
    e.VerdictStale: "gate",
    e.VersionPassed: "handover",
    e.RolloutStarted: "shadow",
    e.StepTaken: "canary",
}
"""The stage that an event begins; the one before ends with it."""
_OUTCOMES: Final[Mapping[type[e.Event], str]] = {
    e.TrainingFailed: "failed",
    e.TrainingSkipped: "skipped",
    e.VersionRefused: "refused",
    e.RolloutAborted: "aborted",
    e.VersionPromoted: "promoted",
    e.VersionRolledBack: "rolled back",
}
_VERDICTS: Final[Mapping[type[e.Event], str]] = {
    e.VersionPassed: "passed",
    e.VersionRefused: "refused",
    e.VersionHeld: "held",
}


@dataclass(frozen=True, slots=True)
class Told:
    """An event and the wall time at which it was written."""

    event: e.Event
    recorded: datetime


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds in one stage, on the wall and in the model's time; a stage may be entered more than once."""

    wall: float = 0.0
    model: float = 0.0


@dataclass
class Cycle:
    """One turn. `outcome` is None while it runs; then `stage` is where it stands, and its seconds go on.

    `rows` are the rows that the version was fitted on, before that the fresh labels that the run started with.
    """

    number: int
    cause: str
    opened: datetime
    rows: int | None = None
    version: str | None = None
    verdict: str | None = None
    outcome: str | None = None
    stage: str | None = None
    spent: dict[str, Spent] = field(default_factory=dict)
    mark: Told | None = None

    def move(self, told: Told, stage: str | None) -> None:
        """End the present stage at `told`, and begin `stage`; None ends the turn."""
        if stage == self.stage:
            return
        if self.stage is not None and self.mark is not None:
            self._spend(self.stage, told.recorded, told.event.time, self.mark)
        self.stage, self.mark = stage, told

    def until(self, wall: datetime, now: datetime) -> dict[str, Spent]:
        """Seconds by stage in order, the running one up to now (wall, model time)."""
        whole = Cycle(self.number, self.cause, self.opened, spent=dict(self.spent))
        if self.stage is not None and self.mark is not None:
            whole._spend(self.stage, wall, now, self.mark)
        return {stage: whole.spent[stage] for stage in STAGES if stage in whole.spent}

    def _spend(self, stage: str, wall: datetime, now: datetime, since: Told) -> None:
        known = self.spent.get(stage, Spent())
        spent = ((wall - since.recorded).total_seconds(), (now - since.event.time).total_seconds())
        self.spent[stage] = Spent(known.wall + max(0.0, spent[0]), known.model + max(0.0, spent[1]))


def cycles(story: Iterable[Told]) -> list[Cycle]:
    """The turns of one model; `story` is its training, verdicts and rollouts in the order of the log."""
    found: list[Cycle] = []
    by_version: dict[str, Cycle] = {}
    for told in story:
        if isinstance(told.event, e.TurnOpened):
            found.append(Cycle(len(found) + 1, told.event.cause, told.event.time))
        for cycle in _about(told.event, found, by_version):
            _tell(cycle, told)
    return found


def _about(event: e.Event, found: list[Cycle], by_version: dict[str, Cycle]) -> Iterator[Cycle]:
    """The turn of the event's version; what has none, or begins one, belongs to the turn that was opened last."""
    version = version_of(event)
    if isinstance(event, e.TrainingStarted | e.ModelVersionCreated) and found and version:
        by_version[version] = found[-1]
    if version is None and isinstance(event, e.TurnDeferred | e.EpisodeNoted | e.VetoNoted):
        return
    cycle = by_version.get(version) if version else found[-1] if found else None
    if cycle is not None:
        yield cycle


def _tell(cycle: Cycle, told: Told) -> None:
    event = told.event
    kind = type(event)
    cycle.version = version_of(event) or cycle.version
    cycle.verdict = _VERDICTS.get(kind, cycle.verdict)
    match event:
        case e.TrainingStarted():
            cycle.rows = event.fresh_labels
        case e.ModelVersionCreated():
            cycle.rows = event.train_rows
        case e.TurnClosed() if cycle.outcome is None:
            cycle.outcome = event.outcome
            cycle.move(told, None)
        case _:
            pass
    if kind in _OUTCOMES:
        cycle.outcome = _OUTCOMES[kind]
        cycle.move(told, None)
    elif kind in _BEGINS and cycle.outcome is None:
        cycle.move(told, _BEGINS[kind])
