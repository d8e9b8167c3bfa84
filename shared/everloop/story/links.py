"""Which event led to which. The direct cause where it stands on a topic; else the step before in the same turn.

A tick or the end of a job is a cause that no topic carries (DESIGN rule 6); then the thread of the turn, the version
and the order of the log say what came before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from everloop import events as e

E = TypeVar("E", bound=e.Event)
DECISIONS = (e.StepTaken, e.VersionPromoted, e.RolloutAborted, e.VersionRolledBack)
REPORTS = (e.ReportRequested, e.ReportStarted, e.ReportWritten, e.ReportFailed)
GATE = (e.VersionPassed, e.VersionRefused, e.VersionHeld, e.ChecksStarted, e.VersionReceived)


def version_of(event: e.Event) -> str | None:
    """The version that an event of training, gate or rollout is about; None for other events."""
    if isinstance(event, e.TrainingStarted | e.ChecksStarted):
        return event.spec.version
    version = getattr(event, "version", None)
    return version if isinstance(version, str) else None


class Book:
    """The events of one model, in the order of the log. A repeated id stands where it came first."""

    def __init__(self, events: Iterable[e.Event]) -> None:
        """Index them."""
        self.events = list({event.id: event for event in reversed(list(events))}.values())[::-1]
        self.place = {event.id: index for index, event in enumerate(self.events)}

    def cause(self, event: e.Event) -> e.Event | None:
        """The direct input, where a topic carries it. A closed window only carries figures: it is no step.

        A report names its window.
        """
        known = event.judged if isinstance(event, REPORTS) else event.causation_id
        index = self.place.get(known) if known else None
        found = None if index is None else self.events[index]
        return None if isinstance(found, e.WindowClosed) else found

    def before(self, event: e.Event, kinds: tuple[type[E], ...], fits: Callable[[E], bool]) -> E | None:
        """The last event of these kinds before `event` that fits."""
        earlier = reversed(self.events[: self.place.get(event.id, len(self.events))])
        return next((one for one in earlier if isinstance(one, kinds) and fits(one)), None)

    def of_version(self, event: e.Event, *kinds: type[e.Event]) -> e.Event | None:
        """The last event of these kinds before `event` about the same version."""
        return self.before(event, kinds, lambda one: version_of(one) == version_of(event))


def parent(event: e.Event, book: Book) -> e.Event | None:
    """The step before `event`; None where the story begins."""
    match event:
        case e.WindowJudged():
            return _began(event, book)
        case e.TurnOpened() | e.TurnDeferred():
            return _occasion(event, book)
        case e.TrainingStarted() | e.TrainingSkipped():
            return book.before(event, (e.TurnOpened,), lambda one: one.correlation_id == event.correlation_id)
        case e.TrainingFailed():
            return book.before(event, (e.TrainingStarted,), lambda one: one.correlation_id == event.correlation_id)
        case e.TrafficPlanned():
            rollouts = (*DECISIONS, e.RolloutStarted)
            return book.cause(event) or book.before(event, rollouts, lambda one: one.sequence == event.epoch)
    return _about_version(event, book) or book.cause(event)


def _about_version(event: e.Event, book: Book) -> e.Event | None:
    match event:
        case e.ModelVersionCreated():
            return book.of_version(event, e.TrainingStarted)
        case e.WindowLooked():
            return book.of_version(event, e.RolloutStarted, *DECISIONS)
        case e.RolloutStarted() | e.VerdictStale():
            return book.of_version(event, e.VersionPassed)
    if isinstance(event, GATE):
        return book.of_version(event, e.ModelVersionCreated)
    if isinstance(event, DECISIONS):
        rollout = book.of_version(event, e.WindowLooked, e.RolloutStarted, *DECISIONS)
        return rollout or book.of_version(event, e.VersionPassed)
    return None


def _occasion(event: e.TurnOpened | e.TurnDeferred, book: Book) -> e.Event | None:
    """The window that opened the episode, or the person's request; a schedule has none."""
    if event.episode_id is not None:
        return book.before(event, (e.WindowJudged,), lambda one: _opens(one, event.episode_id))
    same = book.before(event, (e.TrainingRequested,), lambda one: one.correlation_id == event.correlation_id)
    return book.cause(event) or same


def _began(event: e.WindowJudged, book: Book) -> e.Event | None:
    """A later window of an episode leads to the one that opened it, that one to the first window that drifted."""
    if event.episode is e.Episode.NONE:
        return None
    if event.episode is not e.Episode.OPENED:
        return book.before(event, (e.WindowJudged,), lambda one: _opens(one, event.episode_id))
    first = (event.kind, event.change_at, event.version, 0)
    return book.before(event, (e.WindowJudged,), lambda one: (one.kind, one.start, one.version, one.revision) == first)


def _opens(window: e.WindowJudged, episode: object) -> bool:
    return window.episode is e.Episode.OPENED and window.episode_id == episode
