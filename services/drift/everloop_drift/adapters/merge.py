"""Cells on `partials` become windows. Its state is `partials` itself, with what has been closed of each model.

Windows are acknowledged before it is written that they are closed, and that before the cells that they are made of are
taken away: whoever starts again finds what is missing, and writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.errors import InvalidError
from everloop.events import Event, HeartbeatPassed, WindowClosed, WindowsKept
from everloop.metrics import Metrics
from everloop.runtime.log import Log, Message, Place, Record
from everloop_drift.adapters import wire
from everloop_drift.adapters.known import Knowing, Known, Wall
from everloop_drift.domain.arms import Reference
from everloop_drift.domain.cells import Key
from everloop_drift.domain.merging import Merge, ModelCells, Source

Stages = Iterator[Sequence[Message]]


class MergeFold(Knowing):
    """One replica's share of the partitions of `partials`."""

    name = "drift.merge"
    hears = (topics.PARTIALS.name,)
    broadcasts = (topics.LOOPS.name, topics.TRAINING.name)

    def __init__(self, wall: Wall, metrics: Metrics | None = None, *, replica: str = "0") -> None:
        """`wall` is used for `recordedtime` alone; `replica` names what this one writes."""
        super().__init__(Known(whole=True), wall, metrics, replica)
        self.ripe: set[tuple[int, str]] = set()
        self.merges: dict[int, Merge] = {}
        self.cells: dict[bytes, wire.Published] = {}
        self._stages: Stages | None = None

    def restore(self, log: Log, committed: dict[Place, int]) -> None:
        """Fold up to the committed offsets; what was closed is known to the end, whoever closed it."""
        self.known.log = log
        self._stages, self.cells, self.ripe = None, {}, set()
        self.merges = {place.partition: Merge() for place in committed}
        ends = log.ends(committed)
        tail = log.tail()
        tail.seek(dict.fromkeys(committed, 0))
        for record in tail.read_to(ends):
            if record.offset < committed[record.place] or (record.key or b"").startswith(b"windows|"):
                self._fold(record)
        tail.close()

    def take(self, record: Record) -> None:
        """Fold one record of `partials`."""
        self._fold(record)

    def flush(self) -> Sequence[Message]:
        """The next stage: windows that have become complete, what is closed, tombstones; empty at the end."""
        self._stages = self._stages or self._closing()
        messages = next(self._stages, ())
        if not messages:
            self._stages = None
        return messages

    def _closing(self) -> Stages:
        before = {(number, model): held.chain for number, model, held in self._held()}
        windows = [(number, window) for number in self.merges for window in self._due(number)]
        if windows:
            yield [self._message(number, window) for number, window in windows]
        for _, window in windows:
            self.metrics.inc("everloop_windows_total", kind=window.kind, model=window.model)
        moved = [(n, model, held.chain) for n, model, held in self._held() if held.chain != before[n, model]]
        if moved:
            yield [wire.chain_message(model, chain, self._writer()) for _, model, chain in moved]
        self.ripe |= {(number, model) for number, model, _ in moved}
        spent = [self._tombstone(number, *one) for number, one in self._spent()]
        if spent:
            yield spent

    def _held(self) -> Iterator[tuple[int, str, ModelCells]]:
        for number, merge in self.merges.items():
            for model in sorted(merge.models):
                yield number, model, merge.models[model]

    def _due(self, number: int) -> Iterator[WindowClosed]:
        merge = self.merges[number]
        for model in sorted(merge.models):
            rules = self.known.rules.get(model)
            if rules is not None and partition(model, topics.PARTITIONS) == number:
                yield from merge.due(model, rules, self._references(merge, model), wire.read_cell)

    def _references(self, merge: Merge, model: str) -> Mapping[str, Reference]:
        """Profile and layout of the versions that have cells."""
        versions = {key.version for cells in merge.models[model].cells.values() for key in cells}
        known = {version: self.known.layout(model, version) for version in sorted(versions)}
        return {
            version: Reference(self.known.profiles[model][version], layout)
            for version, layout in known.items() if layout is not None
        }  # fmt: skip

    def _spent(self) -> Iterator[tuple[int, tuple[Key, Source]]]:
        """Cells that no window needs any more; of a model whose loop was taken away, all."""
        for number, model in sorted(self.ripe):
            rules, merge = self.known.rules.get(model), self.merges[number]
            found, more = merge.spent(model, rules) if rules is not None else ([], True)
            yield from ((number, one) for one in found)
            if not more:
                self.ripe.discard((number, model))
        for number, model, _ in list(self._held()):
            if model in self.known.removed:
                yield from ((number, one) for one in self.merges[number].all_of(model))

    def _tombstone(self, number: int, key: Key, source: Source) -> Message:
        self.merges[number].forget(key, source)
        raw = wire.cell_key(Place(source.topic, source.partition), key, source.replica).encode()
        self.cells.pop(raw, None)
        return wire.tombstone(raw, number)

    def _fold(self, record: Record) -> None:
        merge, key = self.merges[record.place.partition], record.key or b""
        try:
            if key.startswith(b"cell|"):
                self._cell(merge, key, record.value)
            elif record.value is not None and key.startswith((b"clocks|", b"windows|")):
                self._state(merge, decode(record.value, record.headers))
        except InvalidError:
            self.metrics.inc("everloop_dead_letters_total", topic=topics.PARTIALS.name, reason="malformed")

    def _cell(self, merge: Merge, raw: bytes, value: bytes | None) -> None:
        if value is None:
            gone = self.cells.pop(raw, None)
            if gone is not None:
                merge.forget(gone.key, gone.source)
            return
        one = wire.read_published(wire.model_of(raw), value)
        self.cells[raw] = one
        merge.save(one.key, one.source, one.saved)

    def _state(self, merge: Merge, event: Event) -> None:
        match event:
            case HeartbeatPassed():
                merge.beat((event.topic, event.partition), event.clocks, event.settled)
            case WindowsKept():
                held = merge.models.setdefault(event.model, ModelCells())
                if event.said > held.chain.said:
                    held.chain = wire.read_chain(event)
            case _:
                pass

    def _message(self, number: int, event: Event) -> Message:
        value, headers = encode(event, source=wire.SOURCE, recorded=self.wall())
        return Message(Place(topics.WINDOWS.name, number), event.model.encode(), value, headers)

    def _writer(self) -> wire.Writer:
        return wire.Writer(self.replica, self.wall())
