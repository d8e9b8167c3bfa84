"""What a worker finds on `partials` when partitions are given to it: the furthest state that any replica has sealed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from everloop import topics
from everloop.codec import decode
from everloop.errors import InvalidError
from everloop.events import BooksKept, IdsRemembered
from everloop.runtime.log import Log, Place, Record, places_of
from everloop_drift.adapters import wire
from everloop_drift.adapters.wire import Published
from everloop_drift.domain.cells import Key
from everloop_drift.domain.lane import Books
from everloop_drift.domain.recent import Block, Recent


@dataclass
class State:
    """Of one place: its furthest checkpoint, its cells by key and replica, its blocks of ids."""

    books: BooksKept | None = None
    published: dict[tuple[Key, str], Published] = field(default_factory=dict)
    blocks: dict[tuple[int, str], Block] = field(default_factory=dict)

    @property
    def offset(self) -> int:
        """All up to this record is in the state; -1 where nothing is."""
        return -1 if self.books is None else self.books.offset

    @property
    def clocks(self) -> Mapping[str, int]:
        """The clocks that had been heard by then."""
        return {} if self.books is None else self.books.clocks

    def cells(self) -> Iterator[Published]:
        """The furthest cell of each key."""
        best: dict[Key, Published] = {}
        for (key, _), one in sorted(self.published.items()):
            if key not in best or one.saved.offset > best[key].saved.offset:
                best[key] = one
        yield from best.values()

    def accounts(self) -> Books:
        """The books of the checkpoint."""
        kept = self.books
        if kept is None:
            return Books()
        return Books(kept.counted, kept.history, kept.late, kept.duplicate, kept.quarantined)

    def recent(self) -> Recent:
        """The ids that were known at the checkpoint."""
        return Recent.restored(self.blocks.values(), self.offset) if self.books is not None else Recent()


def read_states(log: Log, places: Iterable[Place]) -> dict[Place, State]:
    """The state of each place: `partials`, read from the start to an end that is asked for now."""
    states = {place: State() for place in places}
    for key, record in sorted(newest(log).items()):
        if record.value is None:
            continue
        try:
            _take(states, key, record)
        except InvalidError:
            continue
    return states


def newest(log: Log) -> dict[bytes, Record]:
    """The last record of each key, as compaction would leave it."""
    places = places_of(log, [topics.PARTIALS.name])
    tail = log.tail()
    tail.seek(dict.fromkeys(places, 0))
    ends = log.ends(places)
    found = {(record.key or b"") + b"@%d" % record.place.partition: record for record in tail.read_to(ends)}
    tail.close()
    return found


def _take(states: Mapping[Place, State], key: bytes, record: Record) -> None:
    if key.startswith(b"cell|"):
        one = wire.read_published(wire.model_of(record.key or b""), record.value or b"")
        state = states.get(Place(one.source.topic, one.source.partition))
        if state is not None:
            state.published[one.key, one.source.replica] = one
        return
    if not key.startswith((b"books|", b"ids|")):
        return
    match decode(record.value, record.headers):
        case BooksKept() as books:
            state = states.get(Place(books.topic, books.partition))
            if state is not None and (state.books is None or books.offset > state.books.offset):
                state.books = books
        case IdsRemembered() as ids:
            state = states.get(Place(ids.topic, ids.partition))
            if state is not None:
                state.blocks[ids.start, ids.replica] = wire.read_block(ids)
        case _:
            pass
