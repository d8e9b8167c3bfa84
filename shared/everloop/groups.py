"""Who reads what: every consumer group, one literal row each. Replay waits by it, tests hold the rooms to it.

A room's group is `everloop.<room>`; what it reads by broadcast is committed as `everloop.<room>.broadcast.<replica>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from everloop import topics as t

PREFIX: Final = "everloop."


@dataclass(frozen=True, slots=True)
class Room:
    """One room: which process of the local stack it runs in, what its group shares, what each replica reads in full."""

    name: str
    process: str
    shared: tuple[t.Topic, ...]
    broadcast: tuple[t.Topic, ...]


_WORLD = (t.LOOPS, t.CLOCK)
_FACTS = (*_WORLD, t.ARCHIVE, t.ROLLOUTS)

ROOMS: Final = (
    Room("ingest.door", "ingest", (), (*_WORLD, t.ROLLOUTS)),
    Room("ingest.route", "ingest-worker", (t.PREDICTIONS, t.LABELS), (t.LOOPS,)),
    Room("ingest.join", "ingest-worker", (t.KEYS,), ()),
    Room("ingest.archive", "ingest-worker", (t.PREDICTIONS, t.OUTCOMES), (t.LOOPS, t.ARCHIVE)),
    Room("drift.windows", "drift-windows", (t.PREDICTIONS, t.OUTCOMES), (t.LOOPS, t.TRAINING)),
    Room("drift.merge", "drift-judge", (t.PARTIALS,), (t.LOOPS, t.TRAINING)),
    Room("drift.judge", "drift-judge", (t.DRIFT, t.WINDOWS), _WORLD),
    Room("drift.reports", "drift-reports", (t.REPORTS, t.DRIFT), (*_WORLD, t.ARCHIVE, t.TRAINING)),
    Room("trainer", "trainer", (t.TRAINING, t.DRIFT, t.VERDICTS, t.ROLLOUTS, t.COMMANDS), _FACTS),
    Room("gatekeeper", "gatekeeper", (t.VERDICTS, t.TRAINING, t.ROLLOUTS, t.COMMANDS), _FACTS),
    Room("rollout", "rollout", (t.ROLLOUTS, t.VERDICTS, t.WINDOWS, t.COMMANDS), _WORLD),
    Room("serving", "serving", (), (t.TRAFFIC, t.LOOPS)),
)
"""Every room, in the order of the flow."""


def expected(processes: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Topics by group, for the processes that run: `NAME` is replica 0 of a service, `NAME-1` replica 1.

    Groups of processes that are gone are not in it: nobody waits for the dead.
    """
    found: dict[str, tuple[str, ...]] = {}
    for process in processes:
        for room in ROOMS:
            replica = _replica(process, room.process)
            if replica is not None:
                found |= _groups(room, replica)
    return found


def _replica(process: str, service: str) -> str | None:
    if process == service:
        return "0"
    ordinal = process.removeprefix(f"{service}-")
    return ordinal if ordinal.isdecimal() else None


def _groups(room: Room, replica: str) -> dict[str, tuple[str, ...]]:
    both = {
        f"{PREFIX}{room.name}": tuple(topic.name for topic in room.shared),
        f"{PREFIX}{room.name}.broadcast.{replica}": tuple(topic.name for topic in room.broadcast),
    }
    return {group: topics for group, topics in both.items() if topics}
