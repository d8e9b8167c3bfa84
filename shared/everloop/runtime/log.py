"""The log as a port: what the in-memory log and Kafka both are. Places are (topic, partition)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from everloop.codec import Headers

CHUNK: Final = 2_000
"""Records per partition that are in memory at once while a long read goes on."""


class Place(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be written. `repr` shows where, never what: it is the producer's."""

    place: Place
    key: bytes | None = field(repr=False)
    value: bytes | None = field(repr=False)
    headers: Headers = field(default=(), repr=False)


class Record(NamedTuple):
    """What stands in the log. `appended_ms` is the broker's append time. `repr` shows where, as that of `Message`."""

    place: Place
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    appended_ms: int = 0

    def __repr__(self) -> str:
        """Without what is the producer's."""
        return f"Record(place={self.place!r}, offset={self.offset}, appended_ms={self.appended_ms})"


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a member of a group holds; the generation changes with every rebalance."""

    generation: int
    places: frozenset[Place]


class Tail(Protocol):
    """Reads places without a group, each from where it stands to an end that was asked for."""

    def seek(self, positions: Mapping[Place, int]) -> None:
        """Read exactly these places, from these offsets."""

    def read_to(self, ends: Mapping[Place, int]) -> list[Record]:
        """All records up to the ends (exclusive), in order per place; blocks until they are there."""

    def close(self) -> None:
        """Let go of the connection."""


class Consumer(Protocol):
    """A member of a consumer group, with manual commits; starts at the earliest record."""

    def poll(self, timeout_s: float) -> list[Record]:
        """The next records of the held places; empty when nothing came in `timeout_s`."""

    def assignment(self) -> Assignment:
        """What is held now."""

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Commit the next offset to read, per place. Raises `FatalError` when the place is held no more."""

    def rewind(self, offsets: Mapping[Place, int]) -> None:
        """Read again from these offsets."""

    def close(self) -> None:
        """Leave the group."""


class Log(Protocol):
    """One process's connection to the log."""

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""

    def publish(self, messages: Sequence[Message]) -> list[int]:
        """Write, and wait for the acknowledgement of each; their offsets. Raises `FatalError`."""

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The next offset of each place, asked for now."""

    def committed(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        """The committed offsets of a group; 0 where nothing was."""

    def commit_as(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Commit under the name of a group without members (broadcast readers and reactors)."""

    def tail(self) -> Tail:
        """A reader without a group."""

    def record_at(self, place: Place, offset: int) -> Record | None:
        """The record at an offset below the end; None where compaction took it."""

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        """Join a group. All topics must have the same number of partitions: they are assigned together."""


def headers_of(found: Iterable[tuple[str, bytes | None]]) -> Headers:
    """Headers as Kafka has them; one without a value, which any producer may send, says nothing."""
    return tuple([(name, raw or b"") for name, raw in found])


def places_of(log: Log, topics: Iterable[str]) -> list[Place]:
    """All partitions of these topics."""
    return [Place(topic, partition) for topic in topics for partition in range(log.partitions(topic))]


def read_up_to(log: Log, ends: Mapping[Place, int]) -> Iterator[Record]:
    """Every record from the start of the places up to the ends (exclusive), a chunk at a time."""
    at = {place: 0 for place, end in ends.items() if end}
    tail = log.tail()
    tail.seek(at)
    while at:
        at = {place: min(ends[place], position + CHUNK) for place, position in at.items()}
        yield from tail.read_to(at)
        at = {place: position for place, position in at.items() if position < ends[place]}
    tail.close()
