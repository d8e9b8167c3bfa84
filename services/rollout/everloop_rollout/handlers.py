"""What rollout hears, says and starts: literal tables. Traffic and alerts are projections; the alias is an effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from everloop import topics
from everloop.events import (
    AlertRaised,
    Event,
    Reason,
    RolloutAborted,
    RolloutStarted,
    Severity,
    StepTaken,
    TrafficPlanned,
    VersionPromoted,
    VersionRolledBack,
)
from everloop.runtime.room import Decider, Effect, Projection
from everloop_rollout.domain.deciding import decide
from everloop_rollout.domain.phases import State, evolve, initial
from everloop_rollout.domain.planning import plan

HEARS = (topics.VERDICTS, topics.WINDOWS, topics.COMMANDS)
FACTS: tuple[topics.Topic, ...] = ()
JOURNAL = topics.ROLLOUTS
CONSUMES = (topics.VERDICTS, topics.WINDOWS, topics.COMMANDS, topics.ROLLOUTS, topics.LOOPS, topics.CLOCK)
PRODUCES = (topics.ROLLOUTS, topics.TRAFFIC)


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


def _alert(event: Event, name: str, severity: Severity, said: str) -> AlertRaised:
    return AlertRaised.about(event, "rollout", name=name, severity=severity, summary=f"{event.model}: {said}")


PROJECTIONS: Mapping[type[Event], Projection[State]] = {
    RolloutStarted: announce,
    StepTaken: announce,
    RolloutAborted: announce,
    VersionPromoted: announce,
    VersionRolledBack: announce,
}


def decider(effects: Mapping[type[Event], Effect] | None = None) -> Decider[State]:
    """The service as the runtime sees it. `effects`: what `app` wires, such as `{VersionPromoted: alias}`."""
    return Decider(
        name="rollout",
        journal=JOURNAL,
        hears=HEARS,
        facts_from=FACTS,
        initial=initial,
        decide=decide,
        evolve=evolve,
        projections=PROJECTIONS,
        effects=effects or {},
        standing=traffic,
    )
