"""Rows of `predictions` and `outcomes` become cells on `partials`: state and output in one.

A checkpoint has stages, each of which is acknowledged before the next is written: all that has changed, the clocks that
say that it is there, the books that allow to start from here; at last the offsets are committed. Between checkpoints,
what has become final goes out at once, so that windows close in time; the state that a worker starts from is always
that of its last checkpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Final

from everloop import topics
from everloop.buckets import partition
from everloop.codec import encode
from everloop.errors import InvalidError
from everloop.events import (
    EVERY_MODEL,
    AlertRaised,
    Event,
    FeedbackJoined,
    HeartbeatPassed,
    HeartbeatSent,
    OutcomesJoined,
    named_id,
)
from everloop.ledger import named_rows
from everloop.metrics import Metrics
from everloop.rows import Rows, read_record
from everloop.rows.gathering import MANY, gather, is_alone
from everloop.runtime.log import Log, Message, Place, Record
from everloop_drift.adapters import wire
from everloop_drift.adapters.known import Knowing, Known, Wall
from everloop_drift.adapters.state import State, read_states
from everloop_drift.domain.cells import Cell, Key
from everloop_drift.domain.lane import MOST_MODELS, Lane
from everloop_drift.domain.merging import KIND_OF
from everloop_drift.domain.recent import is_forgotten, number_of, numbers_of

Stages = Iterator[Sequence[Message]]
DAY_MS: Final = 24 * 60 * 60 * 1000
RUN: Final = 1_000
"""Plain rows that are taken at once, at the most."""
STAGE: Final = 256
"""Messages of state that are in memory at once: a cell is about 10 kB."""


class WindowsFold(Knowing):
    """One worker's share of the partitions of `predictions` and `outcomes`."""

    name = "drift.windows"
    hears = (topics.PREDICTIONS.name, topics.OUTCOMES.name)
    broadcasts = (topics.LOOPS.name, topics.TRAINING.name)

    def __init__(self, wall: Wall, metrics: Metrics | None = None, *, replica: str = "0") -> None:
        """`wall` is used for `recordedtime` alone; `replica` names what this worker writes."""
        super().__init__(Known(), wall, metrics, replica)
        self.lanes: dict[Place, Lane] = {}
        self.settled: dict[Place, dict[str, int]] = {}
        self.blocks: dict[Place, set[tuple[int, str]]] = {}
        self.alerted: dict[Place, int] = {}
        self.urgent = False
        self.refused: Counter[str] = Counter()
        self._stages: Stages | None = None

    def restore(self, log: Log, committed: dict[Place, int]) -> None:
        """Hold these places as they were at their last checkpoints; what came after is read again, or skipped."""
        self.known.log = log
        self._stages, self.urgent = None, False
        found = read_states(log, committed)
        self.lanes = {place: self._restored(place, found[place], committed[place]) for place in sorted(committed)}
        self.settled = {place: dict(lane.clocks) for place, lane in self.lanes.items()}
        self.blocks = {place: set(found[place].blocks) for place in committed}

    def take(self, record: Record) -> None:
        """Fold one record of a held place."""
        lane = self.lanes[record.place]
        if record.offset <= lane.checked:
            return  # its checkpoint was published, its offset was not committed any more
        lane.offset = record.offset
        try:
            self._take(lane, read_record(record.value, record.headers, counting=True))
        except InvalidError as error:
            self._refuse(lane, named_rows(record), error.reason)

    def take_many(self, records: Sequence[Record]) -> None:
        """The same for records of one place in order, but that many plain rows in a row are taken at once."""
        for alone, part in groupby(records, is_alone):
            rest = list(part)
            while rest:
                some, rest = rest[:RUN], rest[RUN:]
                if not (alone and len(some) >= MANY and self._take_run(some)):
                    for record in some:
                        self.take(record)

    def _take_run(self, records: Sequence[Record]) -> bool:
        """Whether all of them could be taken at once; else none of them is."""
        first, last, lane = records[0].offset, records[-1].offset, self.lanes[records[0].place]
        if lane.kind != "inputs" or first <= max(lane.checked, lane.ahead):
            return False  # some are in some cells already: each is held against each
        found = gather([record.value or b"" for record in records])
        if found is None or any(self._is_odd(one.rows) for one in found):
            return False
        numbers = [0] * len(records)
        for one in found:
            for place, number in zip(one.places, numbers_of(one.identities()), strict=True):
                numbers[place] = number
        if not lane.recent.are_new(numbers, first, last):
            return False
        lane.offset = last
        for rows, _ in found:
            lane.take_rows(rows, self.known.rules[rows.model], self.known.layouts[rows.model])
        if lane.is_full:
            lane.settle(self.known.layouts)
        return True

    def _is_odd(self, rows: Rows) -> bool:
        """Whether rows are history, or of a model or version that is not known."""
        return rows.source == "bootstrap" or self.known.find(rows.model, str(rows.version)) is not None

    def _take(self, lane: Lane, found: Rows | Event) -> None:
        match found:
            case HeartbeatSent() | HeartbeatPassed():
                self._beat(lane, found.clocks)
            case Rows() if lane.kind == "inputs":
                self._take_rows(lane, found)
            case OutcomesJoined() if lane.kind == "outcomes":
                self._take_labels(lane, found)
            case FeedbackJoined() if lane.kind == "outcomes":
                self._take_feedback(lane, found)
            case _:
                raise InvalidError("unknown_type", "rows and heartbeats travel on this topic, and nothing else")

    def flush(self) -> Sequence[Message]:
        """The next stage of a checkpoint; empty when the last one is acknowledged."""
        return self._next(self._checkpoint)

    def flush_final(self) -> Sequence[Message]:
        """The next stage of what has become final since the last flush; empty when all of it is acknowledged."""
        return self._next(self._finals)

    def _next(self, begin: Callable[[], Stages]) -> Sequence[Message]:
        self._stages = self._stages or begin()
        messages = next(self._stages, ())
        if not messages:
            self._stages = None
        return messages

    def _checkpoint(self) -> Stages:
        lanes = {place: lane for place, lane in self.lanes.items() if lane.offset > lane.checked}
        for lane in lanes.values():
            lane.settle(self.known.layouts)
        writer = self._writer()
        yield from _parts(message for place, lane in lanes.items() for message in self._state(place, lane, writer))
        if lanes:
            yield [message for place, lane in lanes.items() for message in self._clocks(place, lane, writer)]
            yield [wire.checkpoint_message(self.name, place, lane, writer) for place, lane in lanes.items()]
        for place, lane in lanes.items():
            lane.checked = lane.offset
            self.settled[place] = dict(lane.clocks)
        self._let_go()
        self._tell()

    def _finals(self) -> Stages:
        writer, final = self._writer(), {}
        for place, lane in self.lanes.items():
            lane.settle(self.known.layouts)
            final[place] = lane.finals(self.known.rules)
        yield from _parts(
            wire.cell_message(place, key, self._cell(lane, key), writer)
            for place, lane in self.lanes.items() for key in final[place] if key in lane.dirty
        )  # fmt: skip
        yield [message for place, lane in self.lanes.items() for message in self._clocks(place, lane, writer)]
        for place, lane in self.lanes.items():
            lane.drop(final[place])
        self.urgent = False

    def _state(self, place: Place, lane: Lane, writer: wire.Writer) -> Iterator[Message]:
        """What has changed since it was written last."""
        for key in sorted(lane.dirty):
            yield wire.cell_message(place, key, self._cell(lane, key), writer)
        yield from self._blocks(place, lane, writer)
        lane.dirty.clear()

    def _blocks(self, place: Place, lane: Lane, writer: wire.Writer) -> list[Message]:
        """Which records came, and tombstones for what is too old to matter, whoever wrote it."""
        known, news = self.blocks[place], list(lane.recent.news())
        known.update((block.start, self.replica) for block in news)
        old = {one for one in known if is_forgotten(one[0], lane.offset)}
        known -= old
        gone = [wire.tombstone(wire.block_key(place, *one).encode(), place.partition) for one in sorted(old)]
        return [*(wire.block_message(place, block, writer) for block in news), *gone]

    def _clocks(self, place: Place, lane: Lane, writer: wire.Writer) -> list[Message]:
        return [*wire.clock_messages(place, lane, self.settled[place], writer), *self._alerts(place, lane)]

    def _cell(self, lane: Lane, key: Key) -> Cell:
        cell = lane.cells[key]
        cell.offset = lane.offset
        return cell

    def _let_go(self) -> None:
        """Of cells that stay as they are, and of profiles that no cell uses."""
        for lane in self.lanes.values():
            lane.drop(lane.finals(self.known.rules))
        self.known.keep((key.model, key.version) for lane in self.lanes.values() for key in lane.cells)
        self.urgent = False

    def _restored(self, place: Place, state: State, committed: int) -> Lane:
        lane = Lane(KIND_OF[place.topic], books=state.accounts(), recent=state.recent())
        lane.offset = lane.checked = max(state.offset, committed - 1)
        lane.beat(state.clocks)
        for one in state.cells():
            rules = self.known.rules.get(one.key.model)
            if rules is None or lane.is_final(one.key, rules):
                continue
            layout = self.known.layout(one.key.model, one.key.version)
            if layout is not None:
                lane.bring_back(one.key, wire.read_cell(one.saved.value, layout))
        return lane

    def _beat(self, lane: Lane, clocks: Mapping[str, int]) -> None:
        before = dict(lane.clocks)
        lane.beat(clocks)
        self.urgent = self.urgent or self._crosses(before, lane.clocks)

    def _crosses(self, before: dict[str, int], after: dict[str, int]) -> bool:
        """Whether some model has a slice, with rows or without, that has become final."""
        for model, now in after.items():
            then = before.get(model, now)
            rules = self.known.kinds if model == EVERY_MODEL else filter(None, [self.known.rules.get(model)])
            if then != now and any(one.crosses(then, now) for one in rules):
                return True
        return before.keys() != after.keys()

    def _take_rows(self, lane: Lane, rows: Rows) -> None:
        if rows.source == "bootstrap":
            lane.books.history += len(rows)
            return
        version = str(rows.version)
        missing = self.known.find(rows.model, version)
        if missing is not None:
            self._refuse(lane, len(rows), missing)
        elif lane.recent.repeats(number_of(rows.id), lane.offset):
            lane.books.duplicate += len(rows)
        else:
            if rows.shadow_version is not None:
                self.known.find(rows.model, rows.shadow_version)
            lane.take_rows(rows, self.known.rules[rows.model], self.known.layouts[rows.model])
            if lane.is_full:
                lane.settle(self.known.layouts)

    def _take_labels(self, lane: Lane, event: OutcomesJoined) -> None:
        if self._is_counted(lane, event):
            if event.shadow_version is not None:
                self.known.find(event.model, event.shadow_version)
            lane.take_labels(event, self.known.rules[event.model], self.known.layouts[event.model])

    def _take_feedback(self, lane: Lane, event: FeedbackJoined) -> None:
        if self._is_counted(lane, event):
            lane.take_feedback(event, self.known.rules[event.model])

    def _is_counted(self, lane: Lane, event: OutcomesJoined | FeedbackJoined) -> bool:
        """Whether its rows are of a version that is known, and new; those of others are entered in the books."""
        rows = len(event.prediction_id)
        if event.source == "bootstrap":
            lane.books.history += rows
            return False
        missing = self.known.find(event.model, str(event.version))
        if missing is not None:
            self._refuse(lane, rows, missing)
        elif lane.recent.repeats(number_of(str(event.id)), lane.offset):
            lane.books.duplicate += rows
        else:
            return True
        return False

    def _refuse(self, lane: Lane, rows: int, reason: str) -> None:
        lane.books.quarantined += rows
        self.refused[reason] += rows

    def _tell(self) -> None:
        for reason, rows in self.refused.items():
            self.metrics.inc("everloop_quarantined_rows_total", rows, group=self.name, reason=reason)
        self.refused.clear()

    def _alerts(self, place: Place, lane: Lane) -> list[Message]:
        """Too many models: said once a day and partition, for as long as it is so."""
        day = (lane.watermark(EVERY_MODEL) or 0) // DAY_MS
        if not lane.crowded or self.alerted.get(place) == day:
            return []
        self.alerted[place] = day
        alert = AlertRaised(
            id=named_id(AlertRaised.__name__, f"models_capped/{place}/{day}"), time=self.wall(), model=EVERY_MODEL,
            name="models_capped", severity="error",
            summary=f"{place.topic}[{place.partition}] has rows of more than {MOST_MODELS} models: rows of the others "
            "are quarantined",
        )  # fmt: skip
        value, headers = encode(alert, source=wire.SOURCE, recorded=self.wall())
        home = Place(topics.ALERTS.name, partition(EVERY_MODEL, topics.ALERTS.partitions))
        return [Message(home, EVERY_MODEL.encode(), value, headers)]

    def _writer(self) -> wire.Writer:
        return wire.Writer(self.replica, self.wall())


def _parts(messages: Iterator[Message]) -> Stages:
    """Not too many at a time, and never none."""
    while part := [*islice(messages, STAGE)]:
        yield part
