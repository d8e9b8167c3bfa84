"""The second room of the worker: `keys` become `outcomes`, partition by partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from everloop import topics
from everloop.codec import decode, loads
from everloop.errors import InvalidError
from everloop.events import EVERY_MODEL, Event, FeedbackRouted, HeartbeatPassed, KeysRouted
from everloop.ledger import Ledger, named_rows
from everloop.metrics import Metrics
from everloop.runtime.log import Log, Message, Place, Record
from everloop_ingest.adapters.caches import Cache, Held, MemoryCache, digest_of
from everloop_ingest.adapters.outcomes import outcomes
from everloop_ingest.adapters.records import Wall, message, moment, name_of
from everloop_ingest.domain.batches import Folded, Part
from everloop_ingest.domain.keys import feedback_of, part_of

CHUNK: Final = 500
"""Records of a partition that are in memory at once while it is rebuilt."""


class JoinFold:
    """Its state is `keys` itself: what a cache has not kept of it is folded again when assigned, and says nothing."""

    name = "ingest.join"
    hears = (topics.KEYS.name,)
    broadcasts: tuple[str, ...] = ()

    def __init__(self, wall: Wall, metrics: Metrics, *, cache: Cache | None = None, replica: str = "0") -> None:
        """`wall` is used for `recordedtime` alone. Without a cache every start folds all of `keys`."""
        self.wall = wall
        self.metrics = metrics
        self.cache: Cache = cache or MemoryCache()
        self.held: dict[Place, Held] = {}
        self.passed: dict[Place, Mapping[str, int]] = {}
        self.settled = False
        self.said: list[Message] = []
        self.ledger = Ledger(self.name, wall, replica)

    def restore(self, log: Log, committed: dict[Place, int]) -> None:
        """Hold these places as they were at the committed offsets: as far as was kept from there, then folded."""
        sources = log.partitions(topics.PREDICTIONS.name)
        self.ledger.restore(log, committed)
        self.held = {}
        for place, end in committed.items():
            self.held[place] = self.cache.kept(place, sources, log, end) or self.cache.new(place, sources)
        for records in self._uncaught(log, committed):
            for _ in self._fold(records):
                pass
        for held in self.held.values():
            held.join.forgotten = 0
        self.passed = {place: held.watermarks.passed() for place, held in self.held.items()}
        self.settled, self.said = True, []

    def learn(self, record: Record, event: Event | None) -> None:
        """Nothing is broadcast to this room."""

    def take(self, record: Record) -> None:
        """Fold one record."""
        self.take_many([record])

    def take_many(self, records: Sequence[Record]) -> None:
        """Fold records of one partition; what follows from them waits for the flush."""
        self._keep()
        groups = self.held[records[0].place].join.groups
        fates: dict[int, dict[str, int]] = {}
        for some, found in self._fold(records):
            self.said += outcomes(some, groups, found, self.wall)
            for record, part, again in zip(some, found.parts, found.again.tolist(), strict=True):
                fates[record.offset] = {"counted": len(part.ids) - again, "duplicate": again}
                self.metrics.inc("everloop_duplicate_rows_total", again, model=part.group.model)
        for record in records:
            self.ledger.enter(record, **fates.get(record.offset) or {"quarantined": named_rows(record)})

    def flush(self) -> Sequence[Message]:
        """The outcomes, and behind them how far all sources have come."""
        said, self.said = self.said, []
        for place, held in self.held.items():
            passed = held.watermarks.passed()
            if passed != self.passed[place]:
                self.passed[place] = passed
                said.append(self._heartbeat(place, held))
        self._count()
        self.settled = True
        return [*said, *self.ledger.messages()]

    def _keep(self) -> None:
        """Write what is due, as of the last flush: what was taken then is committed by now, or this was in vain."""
        if self.settled:
            for place, held in self.held.items():
                if held.due:
                    self.cache.save(place, held)
        self.settled = False

    def _uncaught(self, log: Log, committed: Mapping[Place, int]) -> Iterator[list[Record]]:
        """What is committed and was not kept, a few records of one partition at a time."""
        at = {place: held.position for place, held in self.held.items()}
        tail = log.tail()
        tail.seek(at)
        while at := {place: position for place, position in at.items() if position < committed[place]}:
            at = {place: min(committed[place], position + CHUNK) for place, position in at.items()}
            for _, records in groupby(tail.read_to(at), lambda record: record.place):
                yield list(records)
        tail.close()

    def _fold(self, records: Sequence[Record]) -> Iterator[tuple[list[Record], Folded]]:
        """Fold records of one partition; those that had rows, with what followed from them."""
        held = self.held[records[0].place]
        told = [(record, part) for record in records if (part := self._part(held, record))]
        held.newest, held.position = name_of(records[-1]), records[-1].offset + 1
        held.last = digest_of(records[-1])
        held.fresh += sum(len(part.ids) for _, part in told)
        done = 0
        for found in held.join.take([part for _, part in told]):
            yield [record for record, _ in told[done : done + len(found.parts)]], found
            done += len(found.parts)

    def _part(self, held: Held, record: Record) -> Part | None:
        """The rows of a record; None for a heartbeat, which is noted, and for what nobody can read."""
        held.appended_ms = max(held.appended_ms, record.appended_ms)
        headers = dict(record.headers)
        try:
            if (read := _READ.get(headers.get("ce_type", b""))) is not None:
                return read(headers["ce_subject"].decode(), loads(record.value or b""), held.appended_ms)
            event = decode(record.value, record.headers)
        except (InvalidError, KeyError, UnicodeDecodeError):
            return None  # nobody but `RouteFold` writes here, and it writes what it has decoded
        if isinstance(event, HeartbeatPassed):
            held.watermarks.beat(event.partition, event.clocks)
        return None

    def _heartbeat(self, place: Place, held: Held) -> Message:
        passed = held.watermarks.passed()
        event = HeartbeatPassed.named(
            held.newest, moment(max(passed.values(), default=0)), EVERY_MODEL, topic=place.topic,
            partition=place.partition, clocks=passed,
        )  # fmt: skip
        return message(topics.OUTCOMES, place.partition, event, self.wall())

    def _count(self) -> None:
        joins = [held.join for held in self.held.values()]
        self.metrics.set("everloop_open_predictions", sum(len(join.open) for join in joins))
        self.metrics.set("everloop_parked_labels", sum(len(join.parked) for join in joins))
        self.metrics.set("everloop_parked_feedback", sum(len(join.feedback.waiting) for join in joins))
        for join in joins:
            self.metrics.inc("everloop_forgotten_rows_total", join.forgotten, reason="horizon")
            join.forgotten = 0


_READ: Final = {KeysRouted.TYPE.encode(): part_of, FeedbackRouted.TYPE.encode(): feedback_of}
