"""What a service hands to the runtime: a decider with its literal tables, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

from everloop.events import AlertRaised, ChecksStarted, Event, ReportStarted, TrafficPlanned, TrainingStarted
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.topics import Topic

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)
Projected = AlertRaised | TrafficPlanned


class Decide(Protocol[S_contra]):
    """`decide(state, input, now, loop, facts)`: one event, or nothing. `facts` is None but on ticks (rule 3)."""

    def __call__(
        self, state: S_contra, cause: Event, now: datetime, rules: Loop, facts: Facts | None, /
    ) -> Event | None:
        """Say what follows from one input."""


MOST_ATTEMPTS: Final = 12
"""Restarts of the service count, too: a job that takes its service down with it must end. Handovers count as well, and
one `kill -9` may cost two of them (another takes over, and gives back to who returns): so this is no small number."""
MOST_FAILURES: Final = 2
"""A job that failed is tried once more."""


@dataclass(frozen=True, slots=True)
class Job:
    """Long work that the folded state shows as started and without an end."""

    started: TrainingStarted | ChecksStarted | ReportStarted
    attempt: int


Projection = Callable[[S, Event], Sequence[Projected]]
"""Short work without a port: the records (`traffic`, `alerts`) that follow from one valid journal record and the state
right after it."""

Effect = Callable[[Event], None]
"""Short work on the outside world, keyed by the event's id, so that a repeat changes nothing. Called in another thread,
and again while it raises; an `InvalidError` is a no that a few more tries may turn (see `reactor`)."""


@dataclass(frozen=True)
class Decider(Generic[S]):
    """One control service as the runtime sees it."""

    name: str
    journal: Topic
    hears: tuple[Topic, ...]
    facts_from: tuple[Topic, ...]
    initial: Callable[[], S]
    decide: Decide[S]
    evolve: Callable[[S, Event], S]
    job: Callable[[S], Job | None] = lambda _: None
    projections: Mapping[type[Event], Projection[S]] = field(default_factory=dict)
    effects: Mapping[type[Event], Effect] = field(default_factory=dict)
    seal: Callable[[Event], Event] = lambda event: event
    standing: Callable[[S], Sequence[Projected]] = lambda _: ()
    """What is repeated while the model is held: leases (`traffic`), with the same id and epoch."""
