"""What drift hears, says and starts: four literal rooms. Windows and merge fold; judge and reports decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from everloop import topics
from everloop.diagnoses import DATA_FAULTS, SORTS
from everloop.events import AlertRaised, Episode, Event, ReportFailed, ReportStarted, Severity, WindowJudged
from everloop.names import PROBE
from everloop.runtime.room import Decider, Projection
from everloop_drift.domain import judging, reporting, segments

HEARS = (topics.WINDOWS,)
FACTS: tuple[topics.Topic, ...] = ()
JOURNAL = topics.DRIFT
REPORTS_HEAR = (topics.DRIFT,)
REPORTS_FACTS = (topics.ARCHIVE, topics.TRAINING)
REPORTS_JOURNAL = topics.REPORTS
JOBS: Mapping[type[Event], str] = {ReportStarted: "everloop_drift.adapters.report"}
"""The module that a child process runs for the event that starts long work."""
CONSUMES = (
    topics.PREDICTIONS,
    topics.OUTCOMES,
    topics.PARTIALS,
    topics.WINDOWS,
    topics.TRAINING,
    topics.LOOPS,
    topics.CLOCK,
    topics.DRIFT,
    topics.ARCHIVE,
    topics.REPORTS,
)
PRODUCES = (topics.PREDICTIONS, topics.OUTCOMES, topics.PARTIALS, topics.WINDOWS, topics.DRIFT, topics.REPORTS)
ENDS = frozenset({Episode.OPENED, Episode.CLOSED})


def announce(state: judging.State, event: Event) -> Sequence[AlertRaised]:
    """One cause is one alert when it begins and one when it is over, however many measures, detectors or episodes.

    Episodes of segments that open, or close, with one window are one alert together. The probe drifts on purpose: an
    alert says when it is not found.
    """
    if not isinstance(event, WindowJudged) or event.model == PROBE:
        return ()
    why, details = _why(event), {"incident": _incident(state, event)}
    told = tuple(
        AlertRaised.about(
            event, "drift", name=f"{kind}_{stage}", severity=severity if stage is Episode.OPENED else "info",
            summary=f"{event.model} version {event.version}: {kind} {stage} {why}",
            window_start=event.start, window_end=event.end, **_diagnosis(event), **details,
        )
        for kind, stage, severity in _news(state, event)
    )  # fmt: skip
    return (*told, *_of_segments(event), *_of_labels(event))


def _news(state: judging.State, event: WindowJudged) -> Iterator[tuple[str, Episode, Severity]]:
    """What begins or ends with this window, and how urgent its beginning is: a fault leaves the model unwatched."""
    incident = state.incident
    if incident is not None and incident.told == event.id:
        stage = Episode.CLOSED if incident.over else Episode.OPENED
        yield incident.name, stage, "error" if incident.of_data else "warning"
    for fault in event.faults:
        if fault.stage in ENDS and fault.kind not in DATA_FAULTS:
            yield fault.kind, fault.stage, "error"


def _of_segments(event: WindowJudged) -> Iterator[AlertRaised]:
    severities: tuple[tuple[Episode, Severity], ...] = ((Episode.OPENED, "warning"), (Episode.CLOSED, "info"))
    for stage, severity in severities:
        found = [one for one in event.segments if one.episode is stage]
        most = segments.worst(found)
        if most is not None:
            kind = "drift" if event.kind == "inputs" else "quality"
            yield AlertRaised.about(
                event, "drift", name=f"segment_{kind}_{stage}", severity=severity,
                summary=f"{event.model} version {event.version}: {kind} of {segments.described(most)} {stage}"
                + (f", and of {len(found) - 1} more segments" if len(found) > 1 else ""),
                window_start=event.start, window_end=event.end, segments=len(found),
            )  # fmt: skip


def _of_labels(event: WindowJudged) -> Iterator[AlertRaised]:
    """Labels that stopped coming are no episode: nothing is known of the model's quality, and nobody trains for it."""
    flow = event.labels
    if flow is None or flow.stopped not in ENDS:
        return
    if flow.stopped is Episode.CLOSED:
        yield AlertRaised.about(
            event, "drift", name="labels_resumed", severity="info",
            summary=f"{event.model}: labels come again; quality is judged as its windows mature",
            window_start=event.start, window_end=event.end,
        )  # fmt: skip
        return
    said = f"({flow.silent} looks in a row, limit {flow.silent_limit}; usually {flow.usual:.0%} of the rows have one)"
    yield AlertRaised.about(
        event, "drift", name="labels_stopped", severity="error", since=flow.since,
        summary=f"{event.model}: labels have stopped coming {said}; quality is not judged",
        window_start=event.start, window_end=event.end,
    )  # fmt: skip


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


def announce_report(state: reporting.State, event: Event) -> Sequence[AlertRaised]:
    """Say in one sentence that a report cannot be written; what a limit keeps out is counted in the journal alone."""
    del state
    if not isinstance(event, ReportFailed) or event.reason.rule in reporting.SHED:
        return ()
    text = f"{event.model} version {event.version}: no report of a judged window: {event.error}"
    alert = AlertRaised.about(
        event, "drift", name="report_failed", severity="warning", summary=text,
        window_start=event.start, window_end=event.end,
    )  # fmt: skip
    return (alert,)


def reporter() -> Decider[reporting.State]:
    """The writer of full reports as the runtime sees it."""
    return Decider(
        name="drift.reports",
        journal=REPORTS_JOURNAL,
        hears=REPORTS_HEAR,
        facts_from=REPORTS_FACTS,
        initial=reporting.initial,
        decide=reporting.decide,
        evolve=reporting.evolve,
        job=reporting.job,
        projections={ReportFailed: announce_report},
    )
