"""What is known of one model at the gate: the versions that wait, and those that passed. A fold of the own journal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from everloop.events import (
    ChecksStarted,
    Event,
    ModelVersionCreated,
    VersionHeld,
    VersionPassed,
    VersionReceived,
    VersionRefused,
)

REMEMBERED: Final = 5
"""Passed versions that can be measured again when their verdict is stale."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One version at the gate. `turn` is the thread of all its events, `again` says that it had passed before.

    `started` is the newest attempt to measure it, None when none runs; `held` the last hold.
    """

    created: ModelVersionCreated
    deadline: datetime
    turn: UUID | None
    again: bool = False
    started: ChecksStarted | None = None
    held: VersionHeld | None = None
    measurements: int = 0

    @property
    def version(self) -> str:
        """The version's name."""
        return self.created.version


@dataclass(frozen=True, slots=True)
class State:
    """`waiting` in the order of arrival; one of them is measured at a time."""

    waiting: tuple[Candidate, ...] = ()
    passed: tuple[Candidate, ...] = ()


def initial() -> State:
    """Before the first event of the model's journal."""
    return State()


def evolve(state: State, event: Event) -> State:
    """Fold one event of the journal into the state; any other event leaves it as it is."""
    match event:
        case VersionReceived():
            return _received(state, event)
        case ChecksStarted():
            return _changed(state, event.spec.version, event)
        case VersionHeld():
            return _changed(state, event.version, event)
        case VersionPassed():
            gone = [one for one in state.waiting if one.version == event.version]
            done = [replace(one, started=None, held=None) for one in gone]
            return replace(_without(state, event.version), passed=(*state.passed, *done)[-REMEMBERED:])
        case VersionRefused():
            return _without(state, event.version)
    return state


def running(state: State) -> Candidate | None:
    """The version that is being measured."""
    return next((one for one in state.waiting if one.started), None)


def _received(state: State, event: VersionReceived) -> State:
    again = any(one.version == event.version for one in state.passed)
    new = Candidate(event.created, event.deadline, event.correlation_id, again=again)
    passed = tuple(one for one in state.passed if one.version != event.version)
    return State(waiting=(*_without(state, event.version).waiting, new), passed=passed)


def _without(state: State, version: str) -> State:
    return replace(state, waiting=tuple(one for one in state.waiting if one.version != version))


def _changed(state: State, version: str, event: ChecksStarted | VersionHeld) -> State:
    return replace(state, waiting=tuple(_next(one, event) if one.version == version else one for one in state.waiting))


def _next(one: Candidate, event: ChecksStarted | VersionHeld) -> Candidate:
    if isinstance(event, ChecksStarted):
        return replace(one, started=event, measurements=event.measurement)
    return replace(one, started=None, held=event)
