"""What the gatekeeper hears, says and starts: literal tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from everloop import topics
from everloop.events import AlertRaised, ChecksStarted, Event, Severity, VersionHeld, VersionRefused
from everloop.runtime.room import Decider, Projection
from everloop_gatekeeper import domain

HEARS = (topics.TRAINING, topics.ROLLOUTS, topics.COMMANDS)
FACTS = (topics.ARCHIVE, topics.ROLLOUTS)
JOURNAL = topics.VERDICTS
CONSUMES = (
    topics.TRAINING,
    topics.ROLLOUTS,
    topics.COMMANDS,
    topics.ARCHIVE,
    topics.VERDICTS,
    topics.LOOPS,
    topics.CLOCK,
)
PRODUCES = (topics.VERDICTS,)
JOBS: Mapping[type[Event], str] = {ChecksStarted: "everloop_gatekeeper.adapters.job"}
"""The module that a child process runs for the event that starts long work."""


def announce(state: domain.State, event: Event) -> Sequence[AlertRaised]:
    """Say in one sentence what a person should know of: a refusal with its failing checks, a hold."""
    del state
    match event:
        case VersionRefused():
            text = f"version {event.version} was refused: {_named(event, event.failed)}"
            return (_alert(event, "version_refused", "warning", text, event.failed),)
        case VersionHeld():
            lacking = tuple(check.name for check in event.checks if check.verdict == "too_few")
            text = f"version {event.version} is held until {event.until.isoformat()}, too few rows: "
            return (_alert(event, "version_held", "info", text + _named(event, lacking), lacking),)
    return ()


def _named(event: VersionRefused | VersionHeld, names: Sequence[str]) -> str:
    """Each named check with its figures."""
    reasons = {check.name: check.reason for check in event.checks}
    told = [(name, reasons[name]) for name in names if name in reasons]
    return ", ".join(f"{name} ({why.measured}, limit {why.limit}, {why.samples} samples)" for name, why in told)


def _alert(event: Event, name: str, severity: Severity, text: str, checks: Sequence[str]) -> AlertRaised:
    summary = f"{event.model}: {text}"
    return AlertRaised.about(event, "gatekeeper", name=name, severity=severity, summary=summary, checks=list(checks))


PROJECTIONS: Mapping[type[Event], Projection[domain.State]] = {VersionRefused: announce, VersionHeld: announce}


def decider(seal: Callable[[Event], Event]) -> Decider[domain.State]:
    """The gatekeeper as the runtime sees it. `seal` signs the verdict of a version that passed."""
    return Decider(
        name="gatekeeper",
        journal=JOURNAL,
        hears=HEARS,
        facts_from=FACTS,
        initial=domain.initial,
        decide=domain.decide,
        evolve=domain.evolve,
        job=domain.job,
        projections=PROJECTIONS,
        seal=seal,
    )
