"""The whole archive, recomputed: the chain of offsets of each source first, then every file that counts.

Read in this order, so that it holds while services run: how far the writer has committed, then its books, then the
manifests. Manifests are read twice and files one by one; in memory is what grows with neither rows nor offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from everloop import topics
from everloop.archive.chains import Booked, Chains
from everloop.archive.damages import Damage
from everloop.archive.files import wrong_with
from everloop.artifacts import ArtifactStore
from everloop.buckets import partition
from everloop.codec import decode
from everloop.errors import InvalidError
from everloop.events import BooksKept, Event, ManifestCommitted
from everloop.runtime.log import Log, Place, Record, places_of, read_up_to

WRITER: Final = "ingest.archive"
MOST_KEPT: Final = 100
"""Damages that a report names; all are counted."""
Progress = Callable[[int, int], None]
"""Hears how many files are done, and of how many."""


@dataclass
class Report:
    """What was looked at, and what is wrong, the first damage first. `files` are those that count."""

    files: int = 0
    rows: int = 0
    bytes: int = 0
    void: int = 0
    damaged: int = 0
    damages: list[Damage] = field(default_factory=list)

    def note(self, damage: Damage) -> None:
        """One more."""
        self.damaged += 1
        if len(self.damages) < MOST_KEPT:
            self.damages.append(damage)


def verify(
    log: Log, store: ArtifactStore, model: str | None = None, progress: Progress = lambda _done, _of: None
) -> Report:
    """Look at the archive of one model, or of all. Damages stand in the order in which they are found."""
    chains = Chains(*_settled(log)) if model is None else Chains(committed=_settled(log)[1])
    places = [one for one in places_of(log, [topics.ARCHIVE.name]) if model is None or _holds(one, model)]
    ends, report = log.ends(places), Report()
    void = _follow(log, ends, model, chains, report)
    for record, said in manifests(log, ends, model):
        if (record.place, record.offset) not in void:
            _examine(store, said, report)
            progress(report.files, chains.counting)
    return report


def _follow(
    log: Log, ends: Mapping[Place, int], model: str | None, chains: Chains, report: Report
) -> set[tuple[Place, int]]:
    """The chain of each source; where the manifests stand that do not count."""
    void = set()
    for record, said in manifests(log, ends, model):
        if damage := chains.gap_before(said):
            report.note(damage)
        if not chains.accept(said):
            void.add((record.place, record.offset))
    for damage in chains.damages():
        report.note(damage)
    report.void = len(void)
    return void


def _examine(store: ArtifactStore, said: ManifestCommitted, report: Report) -> None:
    """Fetch one file, which verifies its digest, and look into it."""
    report.files, report.rows = report.files + 1, report.rows + said.rows
    try:
        data = store.fetch(said.uri, said.sha256)
        report.bytes += len(data)
        for rule, found in wrong_with(data, said):
            report.note(_of(said, rule, found))
    except InvalidError as error:
        report.note(_of(said, error.reason, str(error)))
    except OSError as error:
        report.note(_of(said, "unreadable", f"the store answers {type(error).__name__}"))


def _of(said: ManifestCommitted, rule: str, found: str) -> Damage:
    place = (said.topic, said.partition)
    return Damage(rule, found, *place, said.first_offset, said.last_offset, said.model, said.uri)


def _settled(log: Log) -> tuple[dict[Place, Booked], dict[Place, int]]:
    """The furthest books of the writer, and how far it had committed before they were read."""
    heard = places_of(log, [topics.PREDICTIONS.name, topics.OUTCOMES.name])
    committed = log.committed(f"everloop.{WRITER}", heard)
    books: dict[Place, Booked] = {}
    for _, kept in _events(log, log.ends(places_of(log, [topics.BOOKS.name]))):
        if isinstance(kept, BooksKept) and kept.group == WRITER:
            place = Place(kept.topic, kept.partition)
            if kept.offset > books.get(place, Booked()).offset:
                books[place] = Booked(kept.offset, kept.counted + kept.history)
    return books, committed


def manifests(log: Log, ends: Mapping[Place, int], model: str | None) -> Iterator[tuple[Record, ManifestCommitted]]:
    """Every manifest of one model, or of all, up to the ends; whether it counts or not."""
    for record, said in _events(log, ends):
        if isinstance(said, ManifestCommitted) and model in {None, said.model}:
            yield record, said


def _events(log: Log, ends: Mapping[Place, int]) -> Iterator[tuple[Record, Event]]:
    """Every event that can be read, in the order of the log within a partition."""
    for record in read_up_to(log, ends):
        try:
            yield record, decode(record.value, record.headers)
        except InvalidError:
            continue


def _holds(place: Place, model: str) -> bool:
    return place.partition == partition(model, topics.PARTITIONS)
