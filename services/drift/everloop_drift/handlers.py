"""What drift hears, says and starts: three literal rooms. Windows and merge fold; judge decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from everloop import topics
from everloop.diagnoses import DATA_FAULTS, SORTS
from everloop.events import AlertRaised, Episode, Event, Severity, WindowJudged
from everloop.runtime.room import Decider, Projection
from everloop_drift.domain import judging

HEARS = (topics.WINDOWS,)
FACTS: tuple[topics.Topic, ...] = ()
JOURNAL = topics.DRIFT
CONSUMES = (
    topics.PREDICTIONS,
    topics.OUTCOMES,
    topics.PARTIALS,
    topics.WINDOWS,
    topics.TRAINING,
    topics.LOOPS,
    topics.CLOCK,
)
PRODUCES = (topics.PARTIALS, topics.WINDOWS, topics.DRIFT)
ENDS = frozenset({Episode.OPENED, Episode.CLOSED})


def announce(state: judging.State, event: Event) -> Sequence[AlertRaised]:
    """One cause is one alert when it begins and one when it is over, however many measures, detectors or episodes."""
    if not isinstance(event, WindowJudged):
        return ()
    why, details = _why(event), {"incident": _incident(state, event)}
    return tuple(
        AlertRaised.about(
            event, "drift", name=f"{kind}_{stage}", severity=severity if stage is Episode.OPENED else "info",
            summary=f"{event.model} version {event.version}: {kind} {stage} {why}",
            window_start=event.start, window_end=event.end, **_diagnosis(event), **details,
        )
        for kind, stage, severity in _news(state, event)
    )  # fmt: skip


def _news(state: judging.State, event: WindowJudged) -> Iterator[tuple[str, Episode, Severity]]:
    """What begins or ends with this window, and how urgent its beginning is: a fault leaves the model unwatched."""
    incident = state.incident
    if incident is not None and incident.told == event.id:
        stage = Episode.CLOSED if incident.over else Episode.OPENED
        yield incident.name, stage, "error" if incident.of_data else "warning"
    for fault in event.faults:
        if fault.stage in ENDS and fault.kind not in DATA_FAULTS:
            yield fault.kind, fault.stage, "error"


def _why(event: WindowJudged) -> str:
    """The diagnosis with its first evidence, or the rule that decided."""
    reason, found = event.reason, event.diagnosis
    said = f"({reason.rule} {reason.measured}, limit {reason.limit}, {reason.samples} rows)"
    if found is None:
        return said
    columns = f" in {', '.join(found.columns)}" if found.columns else ""
    return f"{said}: {SORTS[found.kind].sentence}{columns}"


def _diagnosis(event: WindowJudged) -> dict[str, JsonValue]:
    found = event.diagnosis
    return {"diagnosis": found.model_dump(mode="json")} if found else {}


def _incident(state: judging.State, event: WindowJudged) -> str:
    return str(state.incident.identity if state.incident else event.id)


PROJECTIONS: Mapping[type[Event], Projection[judging.State]] = {WindowJudged: announce}


def decider() -> Decider[judging.State]:
    """The judge as the runtime sees it."""
    return Decider(
        name="drift.judge",
        journal=JOURNAL,
        hears=HEARS,
        facts_from=FACTS,
        initial=judging.initial,
        decide=judging.decide,
        evolve=judging.evolve,
        projections=PROJECTIONS,
    )
