"""Are the offsets of each source covered from manifest to manifest, and are there as many rows as the books say? Pure.

A source is one kind of rows of one model in one partition. Its files that count follow each other: each begins behind
the one before it; of two that overlap the first in the log counts, the other is void. `covers_from` of a manifest says
behind which file its writer stood: when that lies beyond the last file that is announced, a manifest between them is
gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from everloop.archive.damages import Damage
from everloop.events import ManifestCommitted
from everloop.runtime.log import Place


class Source(NamedTuple):
    """Where rows of a file come from, and what they are."""

    model: str
    place: Place
    kind: str


class Booked(NamedTuple):
    """Rows of a partition that its writer has settled, of all models, up to `offset` (inclusive)."""

    offset: int = -1
    rows: int = 0


@dataclass
class Chains:
    """What was announced so far, in the order of the log.

    `booked` is what the books said before the manifests were read, `committed` how far the writer had come then. Rows
    up to there are in a file that counts.
    """

    booked: Mapping[Place, Booked] = field(default_factory=dict)
    committed: Mapping[Place, int] = field(default_factory=dict)
    reached: dict[Source, int] = field(default_factory=dict)
    void: dict[Source, list[ManifestCommitted]] = field(default_factory=lambda: defaultdict(list))
    whole: dict[Place, int] = field(default_factory=lambda: defaultdict(int))
    partial: dict[Place, int] = field(default_factory=lambda: defaultdict(int))

    def accept(self, said: ManifestCommitted) -> bool:
        """Whether the manifest counts."""
        source = _source(said)
        if said.first_offset <= self.reached.get(source, -1):
            self.void[source].append(said)
            return False
        self.reached[source] = said.last_offset
        self.void[source] = [one for one in self.void[source] if one.last_offset > said.last_offset]
        self._count(said)
        return True

    def gap_before(self, said: ManifestCommitted) -> Damage | None:
        """What lies between the files so far and a manifest that is not accepted yet, where something is gone."""
        source = _source(said)
        behind = self.reached.get(source, -1) + 1
        if said.covers_from is None or said.covers_from <= behind or said.first_offset < behind:
            return None
        lost = [one for one in self.void[source] if one.last_offset >= behind]
        if lost:
            return _overlap(lost[-1], behind)
        found = f"the file from offset {said.first_offset} follows one up to {said.covers_from - 1}, announced is none"
        return Damage("gap", found, *source.place, behind, said.covers_from - 1, said.model)

    def damages(self) -> Iterator[Damage]:
        """What is left when all is read: rows of void files that no other file has, and books that say another sum."""
        for source, void in self.void.items():
            behind = self.reached[source] + 1
            lost = [one for one in void if behind <= one.last_offset < self.committed.get(source.place, 0)]
            if lost:
                yield _overlap(lost[-1], behind)
        for place, booked in self.booked.items():
            yield from self._unbalanced(place, booked)

    def _count(self, said: ManifestCommitted) -> None:
        """Add the rows to those below the books' offset; a file that reaches beyond it may have rows on either side."""
        place = Place(said.topic, said.partition)
        booked = self.booked.get(place, Booked()).offset
        if said.last_offset <= booked:
            self.whole[place] += said.rows
        elif said.first_offset <= booked:
            self.partial[place] += said.rows

    def _unbalanced(self, place: Place, booked: Booked) -> Iterator[Damage]:
        least, most = self.whole[place], self.whole[place] + self.partial[place]
        rule = "rows_missing" if booked.rows > most else "rows_doubled" if booked.rows < least else None
        if rule:
            files = f"{least}" if least == most else f"{least} to {most}"
            found = f"the books of the writer have {booked.rows} rows up to there, the files that count have {files}"
            yield Damage(rule, found, *place, 0, booked.offset)


def _overlap(void: ManifestCommitted, behind: int) -> Damage:
    found = f"the file overlaps an older one and is void, and no file that counts has its rows from offset {behind} on"
    place = (void.topic, void.partition)
    return Damage("overlap", found, *place, behind, void.last_offset, void.model, void.uri)


def _source(said: ManifestCommitted) -> Source:
    return Source(said.model, Place(said.topic, said.partition), said.kind)
