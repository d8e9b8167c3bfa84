"""The least that a data room can do, so that what carries it is measured: count the rows of each partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from everloop.events import Event
from everloop.rows import read_rows
from everloop.runtime.log import Log, Message, Place, Record

PARTITIONS: Final = 4


@dataclass(frozen=True, slots=True)
class More:
    """A topic that a benchmark needs beside those of the registry."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


ROWS: Final = More("bench.rows.v1", PARTITIONS)
"""Scored requests."""
COUNTS: Final = More("bench.counts.v1", PARTITIONS, {"cleanup.policy": "compact"})
"""Rows by partition, with the offset that was seen; the peer of `journal` writes its decisions here."""
TOPICS: Final = (ROWS, COUNTS)


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
        """Read the rows, and count them."""
        self.rows[record.place] += len(read_rows(record.value, record.headers))
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
