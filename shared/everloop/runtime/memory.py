"""The log in memory: partitions, offsets, groups, redelivery, a virtual clock. A fake that passes the bus suite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from everloop.errors import FatalError
from everloop.runtime.log import Assignment, Message, Place, Record

Effect = Literal["publish", "acknowledge", "commit"]
Moment = Literal["before", "after"]
Hook = Callable[[Effect, Moment, str], None]
"""Called around every effect with its detail (topic or group); may raise, as a crash does."""


def no_hook(_effect: Effect, _moment: Moment, _detail: str) -> None:
    """Nothing happens."""


@dataclass
class _Group:
    topics: tuple[str, ...] = ()
    members: list[MemoryConsumer] = field(default_factory=list)
    generation: int = 0


class MemoryLog:
    """The broker: what all clients share. `now_ms` is the virtual append time."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        """Create the topics."""
        self.counts = dict(partitions)
        self.records: dict[Place, list[Record]] = {
            Place(topic, number): [] for topic, count in partitions.items() for number in range(count)
        }
        self.offsets: dict[str, dict[Place, int]] = {}
        self.groups: dict[str, _Group] = {}
        self.holes: set[tuple[Place, int]] = set()
        self.now_ms = 0

    def client(self, hook: Hook = no_hook) -> MemoryClient:
        """A connection; `hook` sees each of its effects."""
        return MemoryClient(self, hook)

    def append(self, message: Message) -> int:
        """Write one record; its offset."""
        stored = self.records[message.place]
        offset = len(stored)
        stored.append(Record(message.place, offset, message.key, message.value, message.headers, self.now_ms))
        return offset

    def compact(self, topic: str) -> None:
        """Do what a cleaner does: of each key the last record stays, at its offset; the others leave holes."""
        for place, stored in self.records.items():
            if place.topic == topic:
                newest = {record.key: record.offset for record in stored}
                for record in stored:
                    if newest[record.key] != record.offset:
                        self.holes.add((place, record.offset))

    def read(self, place: Place, start: int, end: int) -> list[Record]:
        """The records from `start` on, up to `end` (exclusive), holes left out."""
        return [one for one in self.records[place][start:end] if (place, one.offset) not in self.holes]

    def rebalance(self, group: _Group) -> None:
        """Range assignor over co-partitioned topics: partition n of every topic goes to the same member."""
        group.generation += 1
        for index, member in enumerate(group.members):
            mine = {
                Place(topic, number)
                for topic in group.topics
                for number in range(self.counts[topic])
                if number * len(group.members) // self.counts[topic] == index
            }
            member.assign(Assignment(group.generation, frozenset(mine)))


class MemoryClient:
    """One process's connection to a `MemoryLog`."""

    def __init__(self, broker: MemoryLog, hook: Hook) -> None:
        """See `MemoryLog.client`."""
        self.broker = broker
        self.hook = hook
        self.about = ""
        """What the present effect is about, for a hook that wants to know it again."""

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        return self.broker.counts[topic]

    def publish(self, messages: Sequence[Message]) -> list[int]:
        """Write all, then acknowledge all; a crash between them leaves records that nobody was told of."""
        offsets = []
        for message in messages:
            self.about = _about(message)
            self.hook("publish", "before", message.place.topic)
            offsets.append(self.broker.append(message))
            self.hook("publish", "after", message.place.topic)
        if messages:
            self.hook("acknowledge", "after", messages[-1].place.topic)
        return offsets

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The next offset of each place."""
        return {place: len(self.broker.records[place]) for place in places}

    def committed(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        """The committed offsets of a group; 0 where nothing was."""
        known = self.broker.offsets.get(group, {})
        return {place: known.get(place, 0) for place in places}

    def commit_as(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Commit under the name of a group."""
        self.about = " ".join(f"{place.topic}/{place.partition}:{end}" for place, end in sorted(offsets.items()))
        self.hook("commit", "before", group)
        self.broker.offsets.setdefault(group, {}).update(offsets)
        self.hook("commit", "after", group)

    def tail(self) -> MemoryTail:
        """A reader without a group."""
        return MemoryTail(self.broker)

    def record_at(self, place: Place, offset: int) -> Record | None:
        """The record at an offset; None where there is none."""
        return next(iter(self.broker.read(place, offset, offset + 1)), None)

    def consumer(self, group: str, topics: Sequence[str]) -> MemoryConsumer:
        """Join a group."""
        joined = self.broker.groups.setdefault(group, _Group())
        joined.topics = tuple(topics)
        member = MemoryConsumer(self, group, joined)
        joined.members.append(member)
        self.broker.rebalance(joined)
        return member


def _about(message: Message) -> str:
    identity = dict(message.headers).get("ce_id", b"tombstone").decode()
    return f"{message.place.partition} {message.key!r} {identity}"


class MemoryTail:
    """Reads places without a group."""

    def __init__(self, broker: MemoryLog) -> None:
        """Nothing is read until `seek`."""
        self.broker = broker
        self.positions: dict[Place, int] = {}

    def seek(self, positions: Mapping[Place, int]) -> None:
        """Read exactly these places, from these offsets."""
        self.positions = dict(positions)

    def read_to(self, ends: Mapping[Place, int]) -> list[Record]:
        """All records up to the ends (exclusive)."""
        found: list[Record] = []
        for place, end in ends.items():
            found += self.broker.read(place, self.positions[place], end)
            self.positions[place] = max(end, self.positions[place])
        return found

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryConsumer:
    """A member of a group; `max_records` bounds a poll, so that rebalances fall between records."""

    max_records = 50

    def __init__(self, client: MemoryClient, name: str, group: _Group) -> None:
        """See `MemoryClient.consumer`."""
        self.client = client
        self.name = name
        self.group = group
        self.held = Assignment(0, frozenset())
        self.positions: dict[Place, int] = {}

    def assign(self, held: Assignment) -> None:
        """Start at the committed offsets of what is held now."""
        self.held = held
        self.positions = self.client.committed(self.name, held.places)

    def poll(self, timeout_s: float) -> list[Record]:
        """The next records; virtual time does not wait."""
        del timeout_s
        found: list[Record] = []
        for place in sorted(self.positions):
            start = self.positions[place]
            stop = min(start + self.max_records - len(found), len(self.client.broker.records[place]))
            found += self.client.broker.read(place, start, stop)
            self.positions[place] = max(start, stop)
        return found

    def assignment(self) -> Assignment:
        """What is held now."""
        return self.held

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Commit; a member that lost the place is fenced, as the broker fences an old generation."""
        if self not in self.group.members or not self.held.places >= offsets.keys():
            raise FatalError("commit refused: the partition belongs to another member of the group")
        self.client.commit_as(self.name, offsets)

    def rewind(self, offsets: Mapping[Place, int]) -> None:
        """Read again from these offsets."""
        self.positions.update(offsets)

    def close(self) -> None:
        """Leave the group; the others take over."""
        if self in self.group.members:
            self.group.members.remove(self)
            self.client.broker.rebalance(self.group)
