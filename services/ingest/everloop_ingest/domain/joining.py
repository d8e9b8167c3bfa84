"""Labels meet their predictions, in whichever order they come. One partition of `keys`; a fold of its records alone.

Many records are folded at once. That changes nothing: whatever was folded together, the outcomes are those of one row
after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from everloop_ingest.domain.batches import Folded, Group, Memory, Part, fold
from everloop_ingest.domain.feedback import Feedback
from everloop_ingest.domain.ranges import Known
from everloop_ingest.domain.shelves import CHUNK, LUMP, MemoryShelf, Shelf, Table

HORIZON_MS: Final = 30 * 24 * 60 * 60 * 1000
"""How long predictions and labels are remembered after they were appended at most: as long as `keys` is kept."""
MINUTE_MS: Final = 60_000
"""Ages are counted in whole minutes."""
MOST_REMEMBERED: Final = 500_000
"""Predictions, and labels without one, in one partition; beyond it the oldest are forgotten, with a count."""


@dataclass(slots=True)
class Join:
    """What one partition remembers. `forgotten`: rows since the last count that never met their other half.

    `declared` are the places of groups whose rows have values of declared columns.
    """

    most: int = MOST_REMEMBERED
    shelf: Shelf = field(default_factory=MemoryShelf)
    open: Table = field(init=False)
    parked: Table = field(init=False)
    ranges: Known = field(default_factory=Known)
    feedback: Feedback = field(default_factory=Feedback)
    groups: list[Group] = field(default_factory=list)
    places: dict[Group, int] = field(default_factory=dict)
    declared: list[int] = field(default_factory=list)
    minute: int = 0
    forgotten: int = 0

    def __post_init__(self) -> None:
        """Nothing is remembered."""
        self.open, self.parked = Table(self.shelf), Table(MemoryShelf(), holes=True)

    def take(self, parts: Sequence[Part]) -> Iterator[Folded]:
        """Fold records, in order; what follows from each few of them."""
        for some in self._together(parts):
            self._forget(some[0].appended_ms // MINUTE_MS)
            yield self._fold(some)
            self._trim()

    def _fold(self, parts: Sequence[Part]) -> Folded:
        """Parts of one kind."""
        if parts[0].feedback is not None:
            return self.feedback.fold(parts, self.open, self.minute)
        memory = Memory(self.open, self.parked, self.ranges, self.feedback, self.declared)
        return fold(memory, parts, [self.place_of(part.group) for part in parts], self.minute)

    def place_of(self, group: Group) -> int:
        """The place of a group in the list of them: there are many rows and few groups."""
        if group not in self.places:
            self.places[group] = len(self.groups)
            self.declared += [len(self.groups)] if group.segments else []
            self.groups.append(group)
        return self.places[group]

    def _together(self, parts: Sequence[Part]) -> Iterator[list[Part]]:
        """Records of one minute between which nothing can be forgotten, so that it is as if each came alone."""
        some: list[Part] = []
        rows = 0
        for part in parts:
            minute = part.appended_ms // MINUTE_MS
            later = bool(some) and minute > max(self.minute, some[0].appended_ms // MINUTE_MS)
            other = bool(some) and _kind(part) != _kind(some[0])
            if some and (later or other or rows + len(part.ids) > self._room()):
                yield some
                some, rows = [], 0
            some.append(part)
            rows += len(part.ids)
        if some:
            yield some

    def _room(self) -> int:
        return min(CHUNK, self.most - max(len(self.open), len(self.parked)), self.feedback.room(self.most))

    def _forget(self, minute: int) -> None:
        """Drop what was appended longer than the horizon before this minute."""
        if minute > self.minute:
            self.minute = minute
            oldest = minute - HORIZON_MS // MINUTE_MS + 1
            self.ranges.forget(oldest)
            self.forgotten += self.feedback.forget(oldest)
            for table in (self.open, self.parked):
                self._drop(table, table.old(oldest))

    def _trim(self) -> None:
        """Drop the oldest beyond the bound, and a lump more, so that it is not done for each record."""
        for table in (self.open, self.parked):
            if len(table) > self.most:
                self._drop(table, table.surplus(self.most - self.most // LUMP))
        self.forgotten += self.ranges.trim() + self.feedback.trim(self.most)
        if self.parked.lost > len(self.parked) + CHUNK:
            self.parked = self.parked.shrunk(MemoryShelf())

    def _drop(self, table: Table, before: int) -> None:
        if before > table.first:
            self.forgotten += table.drop(before)


def _kind(part: Part) -> tuple[bool, bool]:
    """What is folded together: predictions with labels, labels by entity, or feedback."""
    return part.ranges is None, part.feedback is None


@dataclass(slots=True)
class Watermarks:
    """Heartbeats that came through each source partition; together they are as late as the latest of them."""

    sources: int
    heard: dict[int, dict[str, int]] = field(default_factory=dict)

    def beat(self, source: int, clocks: Mapping[str, int]) -> None:
        """A heartbeat came through `source`; clocks never go back."""
        known = self.heard.setdefault(source, {})
        for name, now in clocks.items():
            known[name] = max(now, known.get(name, 0))

    def passed(self) -> dict[str, int]:
        """The minimum over all sources per clock; empty while one source is silent, or lacks a clock that another has.

        A model's own clock hides the clock of all, so to pass on the one without the other would close its windows.
        """
        names = {name for known in self.heard.values() for name in known}
        whole = len(self.heard) == self.sources and all(known.keys() == names for known in self.heard.values())
        return {name: min(known[name] for known in self.heard.values()) for name in sorted(names)} if whole else {}
