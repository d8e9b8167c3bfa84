"""The rule of data services: fold, publish state with its source offset, then commit (DESIGN rule 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Protocol, runtime_checkable

from everloop.events import Event
from everloop.runtime.broadcast import Broadcast
from everloop.runtime.log import Assignment, Log, Message, Place, Record


class Fold(Protocol):
    """A data room: state is a function of the records alone. Pure but for `restore` and adapters that it was given."""

    @property
    def name(self) -> str:
        """The group is `everloop.<name>`."""

    @property
    def hears(self) -> tuple[str, ...]:
        """The topics that are folded; all have the same number of partitions."""

    @property
    def broadcasts(self) -> tuple[str, ...]:
        """The topics that every replica reads."""

    def restore(self, log: Log, committed: dict[Place, int]) -> None:
        """Hold exactly these places from now on; rebuild their state up to the committed offsets, say nothing."""

    def learn(self, record: Record, event: Event | None) -> None:
        """Take note of a broadcast record (`training` for profiles, `loops`); None stands for a tombstone."""

    def take(self, record: Record) -> None:
        """Fold one record. Never raises on content: what is bad is counted or quarantined."""

    def flush(self) -> Sequence[Message]:
        """State and outputs that are due. Asked again when they are acknowledged, until there are none.

        So a fold that says first what holds, and then that it holds, is never believed too early. When nothing is left
        the offsets may be committed. Nothing is taken meanwhile.
        """


@runtime_checkable
class Lingering(Protocol):
    """What a fold has in addition when records wait in its memory for longer than one flush."""

    def committable(self, positions: Mapping[Place, int]) -> dict[Place, int]:
        """How far may be committed, of what was read up to `positions` (next offsets).

        Asked when all that a flush has given is acknowledged.
        """


@runtime_checkable
class Stepwise(Protocol):
    """What a fold has in addition when a flush of all its state costs much, and some of it cannot wait for the next."""

    urgent: bool
    """Whether something waits that others are waiting for."""

    def flush_final(self) -> Sequence[Message]:
        """What cannot wait, by stages as `flush`; it does not allow to commit."""


@runtime_checkable
class Gathering(Protocol):
    """What a fold has in addition when many records at once cost it less than one after the other."""

    def take_many(self, records: Sequence[Record]) -> None:
        """Fold records of one place, in order, as `take` does each."""


@runtime_checkable
class Curious(Protocol):
    """What a fold has in addition when it wants to hear the broadcasts to their present end, now."""

    refresh: Callable[[], object]


@runtime_checkable
class Bounded(Protocol):
    """What a fold has in addition when at times it cannot take more: then nothing is read, and it is flushed on."""

    def accepts(self) -> bool:
        """Whether more may come."""


def accepts(fold: Fold) -> bool:
    """Whether a carrier may hand it records."""
    return fold.accepts() if isinstance(fold, Bounded) else True


def take(fold: Fold, records: Sequence[Record]) -> None:
    """Fold records of one place, in order."""
    if isinstance(fold, Gathering):
        fold.take_many(records)
    else:
        for record in records:
            fold.take(record)


def committable(fold: Fold, positions: Mapping[Place, int]) -> dict[Place, int]:
    """How far a carrier may commit after a flush: as far as was read, or as far as a lingering fold says."""
    return fold.committable(positions) if isinstance(fold, Lingering) else dict(positions)


class DataService:
    """One replica of a data room on a carrier that polls. Flushes when nothing came, or when `limit` records wait."""

    def __init__(self, fold: Fold, log: Log, *, replica: str, limit: int = 500) -> None:
        """Join the group `everloop.<fold.name>` and open the broadcasts."""
        self.fold = fold
        self.log = log
        self.limit = limit
        self.group = f"everloop.{fold.name}"
        self.assigned = Assignment(-1, frozenset())
        self.positions: dict[Place, int] = {}
        self.done: dict[Place, int] = {}
        self.waiting = 0
        self.broadcast = Broadcast(log, fold.broadcasts, f"{self.group}.broadcast.{replica}")
        self.consumer = log.consumer(self.group, fold.hears)
        if isinstance(fold, Curious):
            fold.refresh = self.hear_broadcasts

    def step(self, timeout_s: float = 0.0) -> bool:
        """One round: broadcasts, records, and a flush when it is time; whether there was anything to do."""
        records = self.consumer.poll(timeout_s) if accepts(self.fold) else []
        news = self.hear_broadcasts()
        if self._take_over():
            return True
        for place, some in groupby(records, lambda record: record.place):
            together = list(some)
            take(self.fold, together)
            self.positions[place] = together[-1].offset + 1
        self.waiting += len(records)
        due = bool(self.positions) and (not records or self.waiting >= self.limit)
        moved = due and self.flush()
        return bool(records or news or moved)

    def flush(self) -> bool:
        """Publish, wait for the acknowledgement, commit: in this order. Whether there was anything to do."""
        said = False
        while messages := self.fold.flush():
            self.log.publish(messages)
            said = True
        ends = committable(self.fold, self.positions)
        fresh = {place: end for place, end in ends.items() if end > self.done.get(place, 0)}
        if fresh:
            self.consumer.commit(fresh)
        self.done |= fresh
        self.positions = {place: end for place, end in self.positions.items() if ends.get(place, 0) < end}
        self.waiting = 0
        return bool(said or fresh)

    def hear_broadcasts(self) -> bool:
        """Read the broadcasts to their present end; whether anything came."""
        news = self.broadcast.news()
        for record, event in news:
            self.fold.learn(record, event)
        self.broadcast.commit()
        return bool(news)

    def close(self) -> None:
        """Leave the group."""
        self.consumer.close()
        self.broadcast.tail.close()

    def _take_over(self) -> bool:
        """Rebuild for a new assignment. What was polled before it is read again, on the rebuilt state."""
        assigned = self.consumer.assignment()
        if assigned == self.assigned:
            return False
        self.assigned = assigned
        self.positions = {}
        self.waiting = 0
        committed = self.log.committed(self.group, sorted(assigned.places))  # a set has another order in each process
        self.done = dict(committed)
        self.fold.restore(self.log, committed)
        self.consumer.rewind(committed)
        return True
