"""Per group, topic and partition: the rows of the topic against the newest books that the group has published.

Read in this order, so that it holds while services run: committed offsets, then the books, then the rows. Books are
published before an offset is committed, so they cover all that is committed; where they are ahead, the recount goes as
far as they say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from everloop import topics
from everloop.books.reading import books_of, rows_of
from everloop.runtime.log import Log, Place, Record, places_of, read_up_to

PREFIX: Final = "everloop."
KEEPERS: Final[Mapping[str, tuple[topics.Topic, ...]]] = {
    "ingest.route": (topics.PREDICTIONS, topics.LABELS),
    "ingest.join": (topics.KEYS,),
    "ingest.archive": (topics.PREDICTIONS, topics.OUTCOMES),
    "drift.windows": (topics.PREDICTIONS, topics.OUTCOMES),
}
"""The rooms that keep books, and of which topics."""
KEPT_ON: Final = (topics.PARTIALS, topics.BOOKS)
Rows = Callable[[Record], int]


@dataclass(frozen=True, slots=True)
class Balance:
    """One partition as one group sees it. `end` is how far rows were recounted, `expired` the offsets that are gone.

    Where the broker has deleted old records, the rows that are left cannot be more than the books have.
    """

    group: str
    place: Place
    end: int
    recounted: int
    counts: Mapping[str, int] = field(default_factory=dict)
    behind: int = 0
    expired: int = 0

    @property
    def booked(self) -> int:
        """Rows that the books have, in all counts."""
        return sum(self.counts.values())

    @property
    def difference(self) -> int:
        """Rows of the topic that no book has; below zero: rows of the books that the topic never had."""
        return self.recounted - self.booked

    @property
    def balances(self) -> bool:
        """Whether the two agree."""
        return self.difference <= 0 if self.expired else self.difference == 0


@dataclass(frozen=True, slots=True)
class _Kept:
    offset: int = -1
    counts: Mapping[str, int] = field(default_factory=dict)


def audit(log: Log, rows: Rows = rows_of) -> list[Balance]:
    """Every partition of every group that keeps books. `rows` says how many rows a record has."""
    accounts = [(room, place) for room, heard in KEEPERS.items() for place in places_of(log, [t.name for t in heard])]
    committed = {room: log.committed(PREFIX + room, _mine(accounts, room)) for room in KEEPERS}
    kept = _newest_books(log)
    empty = _Kept()
    ends = {(room, at): max(committed[room][at], kept.get((room, at), empty).offset + 1) for room, at in accounts}
    starts, recounted = _recount(log, ends, rows)
    tips = log.ends(dict.fromkeys(place for _, place in accounts))
    return [
        Balance(
            PREFIX + room, at, ends[room, at], recounted[room, at], kept.get((room, at), empty).counts,
            behind=tips[at] - committed[room][at], expired=min(starts.get(at, ends[room, at]), ends[room, at]),
        )
        for room, at in accounts
    ]  # fmt: skip


def unbalanced(balances: Sequence[Balance]) -> list[Balance]:
    """Partitions where the two differ."""
    return [one for one in balances if not one.balances]


def _mine(accounts: Sequence[tuple[str, Place]], room: str) -> list[Place]:
    return [place for name, place in accounts if name == room]


def _newest_books(log: Log) -> dict[tuple[str, Place], _Kept]:
    """Where two writers met, the larger source offset wins (DESIGN rule 7)."""
    newest: dict[tuple[str, Place], _Kept] = {}
    for record in read_up_to(log, log.ends(places_of(log, [topic.name for topic in KEPT_ON]))):
        said = books_of(record) if record.value is not None else None
        if said is None:
            continue
        group, place, offset, counts = said
        if offset >= newest.get((group, place), _Kept()).offset:
            newest[group, place] = _Kept(offset, counts)
    return newest


def _recount(
    log: Log, ends: Mapping[tuple[str, Place], int], rows: Rows
) -> tuple[dict[Place, int], dict[tuple[str, Place], int]]:
    """First offset of each partition that is still there; rows by group and partition. Each record is read once."""
    starts: dict[Place, int] = {}
    found = dict.fromkeys(ends, 0)
    readers: dict[Place, list[tuple[str, int]]] = {}
    for (room, place), end in ends.items():
        readers.setdefault(place, []).append((room, end))
    for record in read_up_to(log, {place: max(end for _, end in mine) for place, mine in readers.items()}):
        starts.setdefault(record.place, record.offset)
        count = rows(record)
        for room, end in readers[record.place]:
            found[room, record.place] += count if record.offset < end else 0
    return starts, found
