"""The least that a data room can do, so that what carries it is measured: count the rows of each partition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import orjson

from everloop.codec import decode
from everloop.events import Event, PredictionsLogged
from everloop.local.topics_admin import Wanted
from everloop.runtime.log import Log, Message, Place, Record
from everloop.topics import Topic

PARTITIONS: Final = 4
ROWS: Final = Topic(
    "bench.rows.v1", "scored requests", (PredictionsLogged,), "any", producers=(), consumers=(), cleanup="time",
    dead_letters=False,
)  # fmt: skip
COUNTS: Final = Topic(
    "bench.counts.v1", "rows by partition, with the offset seen", (), "partition", producers=(), consumers=(),
    cleanup="compact", dead_letters=False,
)  # fmt: skip
TOPICS: Final[tuple[Wanted, ...]] = (ROWS, COUNTS)


class CountingFold:
    """Rows by partition; its state is published with the offset that it has seen, as rule 7 wants it."""

    hears = (ROWS.name,)
    broadcasts: tuple[str, ...] = ()

    def __init__(self, name: str) -> None:
        """The group is `everloop.<name>`."""
        self.name = name
        self.rows: dict[Place, int] = {}
        self.seen: dict[Place, int] = {}
        self.dirty: set[Place] = set()

    def restore(self, log: Log, committed: dict[Place, int]) -> None:
        """Begin anew: a benchmark is not started twice in one group."""
        del log
        self.rows = dict.fromkeys(committed, 0)
        self.seen = dict(committed)

    def learn(self, record: Record, event: Event | None) -> None:
        """Nothing is broadcast."""

    def take(self, record: Record) -> None:
        """Decode by the contract, and count."""
        event = decode(record.value, record.headers)
        if isinstance(event, PredictionsLogged):
            self.rows[record.place] += len(event.prediction_id)
        self.seen[record.place] = record.offset
        self.dirty.add(record.place)

    def flush(self) -> Sequence[Message]:
        """One record per partition that has moved."""
        moved, self.dirty = sorted(self.dirty), set()
        return [count(place.partition, self.rows[place], self.seen[place]) for place in moved]


def count(partition: int, rows: int, offset: int) -> Message:
    """The state of one partition as a record; the peer writes the same."""
    value = orjson.dumps({"rows": rows, "offset": offset})
    return Message(Place(COUNTS.name, partition), str(partition).encode(), value)
