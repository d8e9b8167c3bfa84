"""What drift hears, says and starts: three literal rooms. Windows and merge fold; judge decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from everloop import topics
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


def announce(state: judging.State, event: Event) -> Sequence[AlertRaised]:
    """An episode is one alert when it opens and one when it closes, not one per window."""
    del state
    if not isinstance(event, WindowJudged) or event.episode not in {Episode.OPENED, Episode.CLOSED}:
        return ()
    name = f"{event.episode_kind}_{event.episode}"
    reason = event.reason
    summary = (
        f"{event.model} version {event.version}: {event.episode_kind} {event.episode} "
        f"({reason.rule} {reason.measured}, limit {reason.limit}, {reason.samples} rows)"
    )
    severity: Severity = "warning" if event.episode is Episode.OPENED else "info"
    alert = AlertRaised.about(
        event, "drift", name=name, severity=severity, summary=summary, window_start=event.start, window_end=event.end
    )
    return (alert,)


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
