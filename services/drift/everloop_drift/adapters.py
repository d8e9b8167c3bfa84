"""The rooms of drift that fold, on the log: restoring their state, and turning it into records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.errors import InvalidError
from everloop.events import (
    BooksKept,
    Event,
    HeartbeatPassed,
    HeartbeatSent,
    LoopApplied,
    ModelVersionCreated,
    OutcomesJoined,
    PartialSaved,
    WindowClosed,
)
from everloop.ledger import named_rows
from everloop.loop import Loop
from everloop.metrics import Metrics
from everloop.profile import Profile
from everloop.rows import Rows, read_record
from everloop.runtime.log import Log, Message, Place, Record, places_of
from everloop.sketch import ArmSums, LabelledScores, Sketch
from everloop_drift.domain.merging import Merge
from everloop_drift.domain.slices import (
    REMEMBERED_IDS,
    Books,
    Cell,
    Key,
    Partition,
    milliseconds,
    take_outcomes,
    take_predictions,
)

EPOCH = datetime.fromtimestamp(0, UTC)
Wall = Callable[[], datetime]


@dataclass
class Known:
    """What broadcasts have told a data room: rules by model, profiles by model and version."""

    loops: dict[str, Loop] = field(default_factory=dict)
    profiles: dict[str, dict[str, Profile]] = field(default_factory=dict)

    def learn(self, record: Record, event: Event | None) -> None:
        """Fold one broadcast record; a tombstone takes a loop away."""
        match event:
            case LoopApplied():
                self.loops[event.model] = Loop.from_payload(event.loop)
            case ModelVersionCreated():
                self.profiles.setdefault(event.model, {})[event.version] = event.profile
            case None if record.place.topic == topics.LOOPS.name and record.key:
                self.loops.pop(record.key.decode(errors="replace"), None)
            case _:
                pass


class WindowsFold:
    """Rows of `predictions` and `outcomes` become `partials`: state and output in one."""

    name = "drift.windows"
    hears = (topics.PREDICTIONS.name, topics.OUTCOMES.name)
    broadcasts = (topics.LOOPS.name, topics.TRAINING.name)

    def __init__(self, wall: Wall) -> None:
        """`wall` is used for `recordedtime` alone."""
        self.wall = wall
        self.known = Known()
        self.parts: dict[Place, Partition] = {}
        self.offsets: dict[Place, int] = {}
        self.saved: dict[Place, tuple[Books, Mapping[str, int]]] = {}
        self.dropped: list[Message] = []
        self.refresh: Callable[[], object] = lambda: None

    def learn(self, record: Record, event: Event | None) -> None:
        """Note rules and profiles."""
        self.known.learn(record, event)

    def restore(self, log: Log, committed: dict[Place, int]) -> None:
        """Hold these places; their cells come back from `partials`, with the offsets that they have seen."""
        self.parts = {place: Partition() for place in committed}
        self.offsets = {place: offset - 1 for place, offset in committed.items()}
        self.saved, self.dropped = {}, []
        for event in read_all(log, [topics.PARTIALS.name]):
            self._bring_back(event)
        self._remember_ids(log, committed)

    def take(self, record: Record) -> None:
        """Fold one record of a held place."""
        part = self.parts[record.place]
        try:
            event = read_record(record.value, record.headers)
        except InvalidError:
            part.account(record.offset, quarantined=named_rows(record))
        else:
            self._take(part, event, record)
        part.books.offset = max(part.books.offset, record.offset)
        self.offsets[record.place] = record.offset

    def flush(self) -> Sequence[Message]:
        """Dirty cells and books first, then watermarks: a watermark says that all before it is published."""
        messages, self.dropped = self.dropped, []
        for place, part in self.parts.items():
            messages += [self._cell(place, key, part.cells[key]) for key in sorted(part.dirty)]
            part.dirty.clear()
            messages += self._due(place, part)
            self._expire(place, part)
        return messages

    def _take(self, part: Partition, event: Rows | Event, record: Record) -> None:
        offset = record.offset
        match event:
            case HeartbeatSent() | HeartbeatPassed():
                part.beat(event.clocks, offset)
            case Rows() if event.source == "bootstrap":
                part.account(offset, history=len(event.prediction_id))
            case Rows():
                loop, profiles = self._rules(event.model, str(event.version))
                if loop is None or str(event.version) not in profiles:
                    part.account(offset, quarantined=len(event.prediction_id))
                else:
                    take_predictions(part, event, offset, loop, profiles)
            case OutcomesJoined() if event.source == "bootstrap":
                part.account(offset, history=len(event.prediction_id))
            case OutcomesJoined() if event.model in self.known.loops:
                take_outcomes(part, event, offset, self.known.loops[event.model])
            case _:
                part.account(offset, quarantined=named_rows(record))

    def _rules(self, model: str, version: str) -> tuple[Loop | None, Mapping[str, Profile]]:
        """A profile is always in the log before its first row: one more look at the end of `training` must find it."""
        if version not in self.known.profiles.get(model, {}) or model not in self.known.loops:
            self.refresh()
        return self.known.loops.get(model), self.known.profiles.get(model, {})

    def _due(self, place: Place, part: Partition) -> list[Message]:
        books, clocks = self.saved.get(place, (Books(), {}))
        messages = []
        if (books.counted, books.history, books.late, books.duplicate, books.quarantined) != _counts(part.books):
            messages.append(self._books(place, part.books))
        if clocks != part.clocks:
            messages += self._clocks(place, part)
        self.saved[place] = (Books(**asdict(part.books)), dict(part.clocks))
        return messages

    def _cell(self, place: Place, key: Key, cell: Cell) -> Message:
        cell.offset = self.offsets[place]
        sketch = {"inputs": cell.inputs.to_plain(), "sums": cell.sums.to_plain(), "labelled": cell.labelled.to_plain()}
        event = PartialSaved.named(
            f"{place}/{key}/{cell.offset}", EPOCH, key.model, topic=place.topic, partition=place.partition,
            offset=cell.offset, version=key.version, arm=key.arm, start=key.start, end=key.end,
            kind="inputs" if place.topic == topics.PREDICTIONS.name else "outcomes", sketch=sketch,
        )  # fmt: skip
        return self._message(event, partition(key.model, topics.PARTITIONS), cell_key(place, key))

    def _books(self, place: Place, books: Books) -> Message:
        event = BooksKept.named(
            f"{place}/{books.offset}", EPOCH, "*", group=self.name, topic=place.topic, partition=place.partition,
            **asdict(books),
        )  # fmt: skip
        return self._message(event, place.partition, f"books|{place.topic}|{place.partition}")

    def _clocks(self, place: Place, part: Partition) -> list[Message]:
        """Into every partition of `partials`, since each merges other models."""
        event = HeartbeatPassed.named(
            f"{place}/{part.clocks_offset}", EPOCH, "*", topic=place.topic, partition=place.partition,
            clocks=part.clocks,
        )  # fmt: skip
        key = f"clocks|{place.topic}|{place.partition}"
        return [self._message(event, number, key) for number in range(topics.PARTITIONS)]

    def _expire(self, place: Place, part: Partition) -> None:
        """Tombstones go out with the next flush: after the offset that closed the slice was committed."""
        for model, loop in self.known.loops.items():
            for key in part.expired(milliseconds(loop.windows.every.total_seconds()), model):
                del part.cells[key]
                where = Place(topics.PARTIALS.name, partition(model, topics.PARTITIONS))
                self.dropped.append(Message(where, cell_key(place, key).encode(), None))

    def _message(self, event: Event, number: int, key: str) -> Message:
        value, headers = encode(event, source=self.name, recorded=self.wall())
        return Message(Place(topics.PARTIALS.name, number), key.encode(), value, headers)

    def _bring_back(self, event: Event) -> None:
        if not isinstance(event, PartialSaved | BooksKept | HeartbeatPassed):
            return
        part = self.parts.get(Place(event.topic, event.partition))
        if part is None:
            return
        match event:
            case PartialSaved():
                key = Key(event.model, event.version, event.arm, event.start, event.end)
                if event.offset >= part.cells.get(key, Cell()).offset:
                    part.cells[key] = _cell(event)
            case BooksKept() if event.offset >= part.books.offset:
                counts = event.model_dump(include={"counted", "history", "late", "duplicate", "quarantined", "offset"})
                part.books = Books(**counts)
            case HeartbeatPassed():
                part.beat(event.clocks, part.clocks_offset)
            case _:
                pass

    def _remember_ids(self, log: Log, committed: Mapping[Place, int]) -> None:
        tail = log.tail()
        tail.seek({place: max(0, offset - REMEMBERED_IDS) for place, offset in committed.items()})
        for record in tail.read_to(committed):
            try:
                self.parts[record.place].seen(str(read_record(record.value, record.headers).id))
            except InvalidError:
                continue
        tail.close()


class MergeFold:
    """`partials` become `windows`. Its state is `partials` itself: it is read from the start when assigned."""

    name = "drift.merge"
    hears = (topics.PARTIALS.name,)
    broadcasts = (topics.LOOPS.name, topics.TRAINING.name)

    def __init__(self, wall: Wall, metrics: Metrics | None = None) -> None:
        """`wall` is used for `recordedtime` alone."""
        self.wall = wall
        self.metrics = metrics or Metrics()
        self.known = Known()
        self.merges: dict[int, Merge] = {}

    def learn(self, record: Record, event: Event | None) -> None:
        """Note rules and profiles."""
        self.known.learn(record, event)
        self.metrics.know(self.known.loops)

    def restore(self, log: Log, committed: dict[Place, int]) -> None:
        """Fold up to the committed offsets and close what was closed before, silently."""
        self.merges = {place.partition: Merge() for place in committed}
        tail = log.tail()
        tail.seek(dict.fromkeys(committed, 0))
        for record in tail.read_to(committed):
            self._fold(record)
        tail.close()
        for number in self.merges:
            for _ in self._due(number):
                pass

    def take(self, record: Record) -> None:
        """Fold one record of `partials`."""
        self._fold(record)

    def flush(self) -> Sequence[Message]:
        """The windows that have become complete."""
        closed = [(number, window) for number in self.merges for window in self._due(number)]
        for _, window in closed:
            self.metrics.inc("everloop_windows_total", kind=window.kind, model=window.model)
        return [self._message(number, window) for number, window in closed]

    def _due(self, number: int) -> Iterable[WindowClosed]:
        for model in sorted(self.known.loops):
            if partition(model, topics.PARTITIONS) == number:
                yield from self.merges[number].due(self.known.loops[model], self.known.profiles.get(model, {}))

    def _fold(self, record: Record) -> None:
        merge = self.merges[record.place.partition]
        if record.value is None:
            _forget(merge, record.key or b"")
            return
        try:
            event = decode(record.value, record.headers)
        except InvalidError:
            return
        if isinstance(event, PartialSaved):
            merge.save(event)
        elif isinstance(event, HeartbeatPassed):
            merge.beat(event)

    def _message(self, number: int, event: Event) -> Message:
        value, headers = encode(event, source="drift", recorded=self.wall())
        return Message(Place(topics.WINDOWS.name, number), event.model.encode(), value, headers)


def cell_key(place: Place, key: Key) -> str:
    """The key of a cell on `partials`; the model comes last, since its name may hold anything but a bar."""
    return f"cell|{place.topic}|{place.partition}|{key.version}|{key.arm}|{key.start}|{key.end}|{key.model}"


def _forget(merge: Merge, raw: bytes) -> None:
    _, topic, number, version, arm, start, end, model = raw.decode().split("|", 7)
    merge.forget(Key(model, version, arm, int(start), int(end)), (topic, int(number)))


def _cell(event: PartialSaved) -> Cell:
    parts = {name: part if isinstance(part, Mapping) else {} for name, part in event.sketch.items()}
    return Cell(
        Sketch.from_plain(parts["inputs"]),
        ArmSums.from_plain(parts["sums"]),
        LabelledScores.from_plain(parts["labelled"]),
        event.offset,
    )


def _counts(books: Books) -> tuple[int, ...]:
    return books.counted, books.history, books.late, books.duplicate, books.quarantined


def read_all(log: Log, names: Iterable[str]) -> Iterable[Event]:
    """Every event of these topics, from the start to an end asked for now; tombstones and rubbish are left out."""
    places = places_of(log, names)
    tail = log.tail()
    tail.seek(dict.fromkeys(places, 0))
    for record in tail.read_to(log.ends(places)):
        if record.value is None:
            continue
        try:
            yield decode(record.value, record.headers)
        except InvalidError:
            continue
    tail.close()
