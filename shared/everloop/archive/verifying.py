"""The whole archive, recomputed: the chain of offsets of each source first, then every file that counts.

Read in this order, so that it holds while services run: how far the writer has committed, then its books, then what
`archive` says. That is read twice and files one by one; in memory is what grows with neither rows nor offsets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from everloop import topics
from everloop.archive.chains import Booked, Chains
from everloop.archive.damages import Damage
from everloop.archive.files import wrong_with
from everloop.archive.keeping import File
from everloop.archive.standing import Shelves
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
    """What was looked at, and what is wrong, the first damage first. `files` are those that count, with their `rows`.

    `void` manifests and merges lost against another writer; `expired` files were given up by the loop file's rule.
    """

    files: int = 0
    rows: int = 0
    bytes: int = 0
    void: int = 0
    expired: int = 0
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
    committed, books = _settled(log)
    chains, report = Chains(committed=committed, booked=books if model is None else {}), Report()
    ends = ends_of(log, model)
    where = follow(log, ends, model, chains, report)
    for record, said in said_of(log, ends, model):
        if isinstance(said, File) and _where(record) in where:
            _examine(store, said, report)
            progress(report.files, len(where))
    return report


def follow(
    log: Log, ends: Mapping[Place, int], model: str | None, chains: Chains, report: Report
) -> frozenset[tuple[int, int]]:
    """The chain of each source, and what became of its files; where those stand in `archive` that count now."""
    shelves = Shelves()
    for record, said in said_of(log, ends, model):
        if not isinstance(said, ManifestCommitted):
            damages = list(shelves.hear(record, said))
        else:
            damages = [gap] if (gap := chains.gap_before(said)) else []
            if chains.accept(said):
                shelves.stand(record, said)
            else:
                report.void += 1
        for damage in damages:
            report.note(damage)
    for damage in chains.damages():
        report.note(damage)
    report.void, report.expired = report.void + shelves.void, shelves.expired
    return shelves.places()


def _examine(store: ArtifactStore, said: File, report: Report) -> None:
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


def _of(said: File, rule: str, found: str) -> Damage:
    """A damage of a file, named by the offsets of its rows."""
    place = (said.topic, said.partition)
    return Damage(rule, found, *place, said.first_offset, said.last_offset, said.model, said.uri)


def _settled(log: Log) -> tuple[dict[Place, int], dict[Place, Booked]]:
    """How far the writer has committed, and then its furthest books."""
    heard = places_of(log, [topics.PREDICTIONS.name, topics.OUTCOMES.name])
    committed = log.committed(f"everloop.{WRITER}", heard)
    books: dict[Place, Booked] = {}
    for _, kept in _events(log, log.ends(places_of(log, [topics.BOOKS.name]))):
        if isinstance(kept, BooksKept) and kept.group == WRITER:
            place = Place(kept.topic, kept.partition)
            if kept.offset > books.get(place, Booked()).offset:
                books[place] = Booked(kept.offset, kept.counted + kept.history)
    return committed, books


def ends_of(log: Log, model: str | None) -> dict[Place, int]:
    """The present ends of the partitions of `archive` that can hold the model, or of all."""
    places = places_of(log, [topics.ARCHIVE.name])
    return log.ends(one for one in places if model is None or one.partition == partition(model, topics.PARTITIONS))


def said_of(log: Log, ends: Mapping[Place, int], model: str | None) -> Iterator[tuple[Record, Event]]:
    """What `archive` says of one model, or of all, up to the ends."""
    return ((record, said) for record, said in _events(log, ends) if model in {None, said.model})


def _events(log: Log, ends: Mapping[Place, int]) -> Iterator[tuple[Record, Event]]:
    """Every event that can be read, in the order of the log within a partition."""
    for record in read_up_to(log, ends):
        try:
            yield record, decode(record.value, record.headers)
        except InvalidError:
            continue


def _where(record: Record) -> tuple[int, int]:
    return record.place.partition, record.offset
