"""The second room of the worker: `keys` become `outcomes`, partition by partition."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from everloop import topics
from everloop.codec import decode
from everloop.errors import InvalidError
from everloop.events import EVERY_MODEL, Event, HeartbeatPassed, KeysRouted, OutcomesJoined
from everloop.ledger import Ledger, named_rows
from everloop.metrics import Metrics
from everloop.runtime.log import Log, Message, Place, Record
from everloop_ingest.adapters.records import Wall, message, moment, name_of
from everloop_ingest.domain.joining import MOST_REMEMBERED, Group, Join, Joined, Watermarks, grouped


class _Part:
    """One held partition: what it remembers, and the newest record of it."""

    def __init__(self, sources: int, most: int) -> None:
        self.join = Join(most)
        self.watermarks = Watermarks(sources)
        self.passed: dict[str, int] = {}
        self.newest = ""
        self.appended_ms = 0


class JoinFold:
    """Its state is `keys` itself: it is folded again from the start when assigned, and says nothing while it is."""

    name = "ingest.join"
    hears = (topics.KEYS.name,)
    broadcasts: tuple[str, ...] = ()

    def __init__(self, wall: Wall, metrics: Metrics, *, most: int = MOST_REMEMBERED, replica: str = "0") -> None:
        """`wall` is used for `recordedtime` alone; `most` predictions are remembered per partition."""
        self.wall = wall
        self.metrics = metrics
        self.most = most
        self.parts: dict[Place, _Part] = {}
        self.said: list[Message] = []
        self.ledger = Ledger(self.name, wall, replica)

    def restore(self, log: Log, committed: dict[Place, int]) -> None:
        """Fold these partitions up to the committed offsets."""
        sources = log.partitions(topics.PREDICTIONS.name)
        self.parts = {place: _Part(sources, self.most) for place in committed}
        self.ledger.restore(log, committed)
        tail = log.tail()
        tail.seek(dict.fromkeys(committed, 0))
        for record in tail.read_to(committed):
            self._fold(record)
        tail.close()
        for part in self.parts.values():
            part.passed = part.watermarks.passed()
            part.join.forget(part.appended_ms)
            part.join.counts.clear()
        self.said = []

    def learn(self, record: Record, event: Event | None) -> None:
        """Nothing is broadcast to this room."""

    def take(self, record: Record) -> None:
        """Fold one record; what follows from it waits for the flush."""
        for group, rows in grouped(self._fold(record)).items():
            event = _outcomes(record, group, rows)
            self.said.append(message(topics.OUTCOMES, record.place.partition, event, self.wall()))

    def flush(self) -> Sequence[Message]:
        """The outcomes, and behind them how far all sources have come."""
        said, self.said = self.said, []
        for place, part in self.parts.items():
            part.join.forget(part.appended_ms)
            passed = part.watermarks.passed()
            if passed != part.passed:
                part.passed = passed
                said.append(self._heartbeat(place, part))
        self._count()
        return [*said, *self.ledger.messages()]

    def _fold(self, record: Record) -> list[Joined]:
        part = self.parts[record.place]
        part.newest = name_of(record)
        part.appended_ms = max(part.appended_ms, record.appended_ms)
        event: Event | None = None
        with suppress(InvalidError):  # nobody but `RouteFold` writes here, and it writes what it has decoded
            event = decode(record.value, record.headers)
        if isinstance(event, KeysRouted):
            return self._join(part.join, record, event)
        if isinstance(event, HeartbeatPassed):
            part.watermarks.beat(event.partition, event.clocks)
        else:
            self.ledger.enter(record, quarantined=named_rows(record))
        return []

    def _join(self, join: Join, record: Record, event: KeysRouted) -> list[Joined]:
        """What says nothing new is a duplicate; what waits for its other half is counted like what has met it."""
        before = join.duplicates(event.model)
        found = join.take(event, record.appended_ms)
        again = join.duplicates(event.model) - before
        self.ledger.enter(record, counted=len(event.prediction_id) - again, duplicate=again)
        return found

    def _heartbeat(self, place: Place, part: _Part) -> Message:
        event = HeartbeatPassed.named(
            part.newest, moment(max(part.passed.values(), default=0)), EVERY_MODEL, topic=place.topic,
            partition=place.partition, clocks=part.passed,
        )  # fmt: skip
        return message(topics.OUTCOMES, place.partition, event, self.wall())

    def _count(self) -> None:
        self.metrics.set("everloop_open_predictions", sum(len(part.join.open) for part in self.parts.values()))
        self.metrics.set("everloop_parked_labels", sum(len(part.join.parked) for part in self.parts.values()))
        for part in self.parts.values():
            for model, counts in part.join.counts.items():
                self.metrics.inc("everloop_duplicate_rows_total", counts.duplicate, model=model)
                self.metrics.inc("everloop_forgotten_rows_total", counts.forgotten, reason="horizon")
            part.join.counts.clear()


def _outcomes(record: Record, group: Group, rows: Sequence[Joined]) -> OutcomesJoined:
    """One record per group of one record of `keys`; its id comes from the place of that record and the group."""
    shadowed = group.shadow_version is not None
    return OutcomesJoined.named(
        f"{name_of(record)}/{'|'.join(map(str, group))}",
        moment(max(row.label.labelled_at for row in rows)),
        group.model,
        **{name: value for name, value in group._asdict().items() if name != "model"},
        prediction_id=tuple(row.prediction_id for row in rows),
        times=tuple(row.prediction.time for row in rows),
        bucket=tuple(row.prediction.bucket for row in rows),
        score=tuple(row.prediction.score for row in rows),
        shadow_score=tuple(row.prediction.shadow_score for row in rows) if shadowed else None,
        label=tuple(row.label.value for row in rows),
        labelled_at=tuple(row.label.labelled_at for row in rows),
    )
