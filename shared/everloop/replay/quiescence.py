"""When the stack is at rest: committed offsets of all groups, *then* end offsets; equal, and no work without an end.

Outputs are acknowledged before inputs are committed, so one pass in that order is sound (DESIGN section 5): a group
that had read everything when it was asked has written all that follows from it before the ends were asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from everloop.errors import FatalError
from everloop.replay.watching import Journals
from everloop.runtime.log import Log, Place, places_of

PAUSE_S: Final = 0.02
SHOWN: Final = 6
Committed = Mapping[str, Mapping[Place, int]]
"""Committed offsets by group and place; 0, or nothing, where a group has not committed."""


class Offsets(Protocol):
    """Asks for the committed offsets of many groups at once."""

    def committed(self, wanted: Mapping[str, Sequence[Place]]) -> Committed:
        """What each group has committed on these places."""


@dataclass(frozen=True, slots=True)
class LogOffsets:
    """One question per group: for the log in memory."""

    log: Log

    def committed(self, wanted: Mapping[str, Sequence[Place]]) -> Committed:
        """What each group has committed on these places."""
        return {group: self.log.committed(group, places) for group, places in wanted.items()}


@dataclass(frozen=True, slots=True)
class Patience:
    """How to wait; tests put a scheduler in the place of `sleep`."""

    limit_s: float = 120.0
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def until(self, missing: Callable[[], Sequence[str]], what: str) -> None:
        """Ask again until nothing is missing. Raises `FatalError` that names what is, when the time is over."""
        deadline = self.monotonic() + self.limit_s
        while found := missing():
            if self.monotonic() > deadline:
                more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
                listed = "; ".join([*found[:SHOWN], *more])
                raise FatalError(f"{what} did not come within {self.limit_s:.0f} s: {listed}")
            self.sleep(PAUSE_S)


class Quiescence:
    """Waits until every group has read all that it reads, and no journal shows work without an end."""

    def __init__(
        self, log: Log, offsets: Offsets, groups: Mapping[str, Sequence[str]], journals: Journals, patience: Patience
    ) -> None:
        """`groups`: topics by group, see `everloop.groups.expected`."""
        self.log = log
        self.offsets = offsets
        self.wanted = {group: places_of(log, names) for group, names in groups.items()}
        self.places = sorted({place for places in self.wanted.values() for place in places})
        self.journals = journals
        self.patience = patience
        self.passes = 0

    def wait(self) -> None:
        """Return when the stack is at rest. Raises `FatalError` that names group, topic and lag, or the open work."""
        self.patience.until(self.unrest, "quiescence")

    def unrest(self) -> list[str]:
        """One pass: what is not at rest."""
        self.passes += 1
        self.journals.news()
        found = self._lags() or self._open()
        return found or (["journals: a record came meanwhile"] if self.journals.news() else [])

    def _lags(self) -> list[str]:
        committed = self.offsets.committed(self.wanted)
        ends = self.log.ends(self.places)
        found = []
        for group, places in self.wanted.items():
            known = committed.get(group, {})
            found += [
                lag(group, place, known.get(place, 0), ends[place])
                for place in places
                if known.get(place, 0) < ends[place]
            ]
        return found

    def _open(self) -> list[str]:
        return [
            f"{topic}: {type(event).__name__} of {model} has no end"
            for (topic, model), event in self.journals.open.items()
        ]


def lag(group: str, place: Place, committed: int, end: int) -> str:
    """Say how far a group is behind."""
    return f"{group} is {end - committed} behind on {place.topic}[{place.partition}] ({committed} of {end})"
