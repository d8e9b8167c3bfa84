"""What drift hears, says and starts: three literal rooms. Windows and merge fold; judge decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from everloop import topics
from everloop.events import AlertRaised, Episode, Event, Severity, WindowJudged
from everloop.names import PROBE
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
PRODUCES = (topics.PREDICTIONS, topics.OUTCOMES, topics.PARTIALS, topics.WINDOWS, topics.DRIFT)
ENDS = frozenset({Episode.OPENED, Episode.CLOSED})


def announce(state: judging.State, event: Event) -> Sequence[AlertRaised]:
    """An episode is one alert when it opens and one when it closes, not one per window; so is a fault.

    The probe drifts on purpose: an alert says when it is not found.
    """
    del state
    if not isinstance(event, WindowJudged) or event.model == PROBE:
        return ()
    reason = event.reason
    why = f"({reason.rule} {reason.measured}, limit {reason.limit}, {reason.samples} rows)"
    return tuple(
        AlertRaised.about(
            event, "drift", name=f"{kind}_{stage}", severity=severity if stage is Episode.OPENED else "info",
            summary=f"{event.model} version {event.version}: {kind} {stage} {why}",
            window_start=event.start, window_end=event.end,
        )
        for kind, stage, severity in _news(event)
    )  # fmt: skip


def _news(event: WindowJudged) -> Iterator[tuple[str, Episode, Severity]]:
    """What begins or ends with this window, and how urgent its beginning is: a fault leaves the model unwatched."""
    if event.episode in ENDS and event.episode_kind:
        yield event.episode_kind, event.episode, "warning"
    for fault in event.faults:
        if fault.stage in ENDS:
            yield fault.kind, fault.stage, "error"


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
