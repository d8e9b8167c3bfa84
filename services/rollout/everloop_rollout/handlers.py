"""What rollout hears, says and starts: literal tables. Traffic and alerts are projections; the alias is an effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID

import structlog

from everloop import topics
from everloop.errors import EverloopError
from everloop.events import (
    AlertRaised,
    Event,
    Reason,
    RolloutAborted,
    RolloutStarted,
    SignedVerdict,
    StepTaken,
    TrafficPlanned,
    VersionPromoted,
    VersionRolledBack,
    named_id,
)
from everloop.runtime.room import Decider, Projection
from everloop_rollout.domain.deciding import decide
from everloop_rollout.domain.phases import State, evolve, initial
from everloop_rollout.domain.planning import plan

HEARS = (topics.VERDICTS, topics.WINDOWS, topics.COMMANDS)
FACTS: tuple[topics.Topic, ...] = ()
JOURNAL = topics.ROLLOUTS
CONSUMES = (topics.VERDICTS, topics.WINDOWS, topics.COMMANDS, topics.ROLLOUTS, topics.LOOPS, topics.CLOCK)
PRODUCES = (topics.ROLLOUTS, topics.TRAFFIC)

MOST_ATTEMPTS = 10
"""Attempts to write one alias, one per renewal of the leases; after them the next decision is the next try."""
Severity = Literal["info", "warning", "error"]
Ends = VersionPromoted | VersionRolledBack
logger = structlog.get_logger()


class RegistryError(EverloopError):
    """The registry could not be told; it displays decisions and is never the lock, so the rollout goes on."""


class Registry(Protocol):
    """Where people look up which version is the champion."""

    def set_champion(self, model: str, version: str, event_id: UUID) -> None:
        """Let the alias `champion` show this version; a repeat changes nothing. Raises `RegistryError`."""


@dataclass
class Aliases:
    """Writes aliases, and tries again a bounded number of times. Only what still holds is written later."""

    registry: Registry
    waiting: dict[str, tuple[Ends, int]] = field(default_factory=dict)

    def show(self, event: Event) -> None:
        """Effect of a promotion or rollback."""
        if isinstance(event, VersionPromoted | VersionRolledBack):
            self._try(event, 1)

    def again(self, champion: SignedVerdict) -> Sequence[AlertRaised]:
        """Try once more what did not work; a failure that outlasts one renewal is said as an alert, once."""
        event, attempts = self.waiting.pop(champion.model, (None, 0))
        if event is None or event.verdict != champion:
            return ()
        self._try(event, attempts + 1)
        return (_alias_not_set(event),) if attempts == 1 and champion.model in self.waiting else ()

    def _try(self, event: Ends, attempt: int) -> None:
        self.waiting.pop(event.model, None)
        try:
            self.registry.set_champion(event.model, event.verdict.version, event.id)
        except RegistryError as error:
            logger.warning("alias_not_set", model=event.model, attempt=attempt, error=str(error))
            if attempt < MOST_ATTEMPTS:
                self.waiting[event.model] = (event, attempt)


def traffic(state: State) -> Sequence[TrafficPlanned]:
    """The present split as a record."""
    planned = plan(state)
    return (planned,) if planned else ()


def announce(state: State, event: Event) -> Sequence[TrafficPlanned | AlertRaised]:
    """A record that changes traffic: its plan, and a sentence for people."""
    return (*traffic(state), *_alerts(event))


def _alerts(event: Event) -> Sequence[AlertRaised]:
    match event:
        case RolloutStarted():
            said = f"version {event.version} enters shadow, {event.champion} serves"
            return (_alert(event, "rollout_started", "info", said),)
        case VersionPromoted():
            said = f"version {event.version} is the champion" + (f", after {event.previous}" if event.previous else "")
            return (_alert(event, "version_promoted", "info", said),)
        case RolloutAborted(reason=why):
            said = f"version {event.version} goes out of {event.phase}, {event.champion} serves all {_because(why)}"
            return (_alert(event, "rollout_aborted", "warning", said),)
        case VersionRolledBack(reason=why):
            said = f"version {event.version} is rolled back, {event.champion} serves all {_because(why)}"
            return (_alert(event, "version_rolled_back", "error", said),)
    return ()


def _because(why: Reason) -> str:
    return f"({why.rule} {why.measured}, limit {why.limit}, {why.samples} rows)"


def _alias_not_set(event: Ends) -> AlertRaised:
    said = f"the registry does not show version {event.verdict.version} as champion; traffic is not affected"
    return _alert(event, "alias_not_set", "warning", said)


def _alert(event: Event, name: str, severity: Severity, said: str) -> AlertRaised:
    return AlertRaised(
        id=named_id("AlertRaised", f"rollout/{name}/{event.id}"), time=event.time, model=event.model,
        correlation_id=event.correlation_id, causation_id=event.id, name=name, severity=severity,
        summary=f"{event.model}: {said}",
    )  # fmt: skip


PROJECTIONS: Mapping[type[Event], Projection[State]] = {
    RolloutStarted: announce,
    StepTaken: announce,
    RolloutAborted: announce,
    VersionPromoted: announce,
    VersionRolledBack: announce,
}


def decider(registry: Registry) -> Decider[State]:
    """The service as the runtime sees it."""
    aliases = Aliases(registry)

    def standing(state: State) -> Sequence[TrafficPlanned | AlertRaised]:
        """Renew the lease; and let a registry that was unreachable catch up."""
        return (*traffic(state), *(aliases.again(state.champion) if state.champion else ()))

    return Decider(
        name="rollout",
        journal=JOURNAL,
        hears=HEARS,
        facts_from=FACTS,
        initial=initial,
        decide=decide,
        evolve=evolve,
        projections=PROJECTIONS,
        effects={VersionPromoted: aliases.show, VersionRolledBack: aliases.show},
        standing=standing,
    )
