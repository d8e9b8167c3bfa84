"""Cells of all partitions become one record per (model, window, revision, kind), in order of closing. Pure.

The record has the same bytes whoever makes it, and however often: it is made of integers that are added in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from everloop import topics
from everloop.events import EVERY_MODEL, WindowClosed
from everloop_drift.domain.arms import Cells, Reference, arm_windows
from everloop_drift.domain.arriving import labels_arrived, rows_of_fresh
from everloop_drift.domain.bringing import feedback_windows
from everloop_drift.domain.cells import SHADOW, Cell, Key
from everloop_drift.domain.closing import Chain, Closing, closed, next_closing, passed_over
from everloop_drift.domain.rules import KINDS
from everloop_drift.domain.segmented import segment_rows

if TYPE_CHECKING:
    from everloop.sketch.layout import Layout
    from everloop_drift.domain.rules import Kind, WindowRules

TOPICS: Mapping[Kind, topics.Topic] = {"inputs": topics.PREDICTIONS, "outcomes": topics.OUTCOMES}
KIND_OF: Mapping[str, Kind] = {topic.name: kind for kind, topic in TOPICS.items()}
Read = Callable[[bytes, "Layout"], Cell]
"""Reads the published form of a cell; see `everloop_drift.adapters.wire`."""


class Source(NamedTuple):
    """Which partition a cell came from, and who wrote it: a zombie may write beside the one who holds it now."""

    topic: str
    partition: int
    replica: str


class Saved(NamedTuple):
    """The published form of a cell, its rows (for windows by rows), and the last record that was considered for it."""

    offset: int
    rows: int
    value: bytes


@dataclass
class Slices:
    """What the cells say of the slices of inputs; looked at only where that decides."""

    cells: Mapping[Key, Mapping[Source, Saved]]

    @property
    def begin(self) -> int | None:
        """The start of the first slice."""
        return min((key.start for key in self.cells if not key.revision), default=None)

    @cached_property
    def rows(self) -> Sequence[tuple[int, int]]:
        """End and rows of each slice, shadows left out, in order."""
        rows: dict[int, int] = {}
        for key, sources in self.cells.items():
            if not key.revision and key.arm != SHADOW:
                rows[key.end] = rows.get(key.end, 0) + sum(saved.rows for saved in _furthest(sources))
        return sorted(rows.items())


@dataclass
class ModelCells:
    """What is held of one model, by kind of its source."""

    cells: dict[Kind, dict[Key, dict[Source, Saved]]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    chain: Chain = field(default_factory=Chain)


@dataclass
class Merge:
    """What one partition of `partials` has told: cells by model, and the clocks of every source partition.

    `settled` are the clocks of each source at its last checkpoint: what was final then is never counted anew.
    """

    models: dict[str, ModelCells] = field(default_factory=dict)
    clocks: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)
    settled: dict[tuple[str, int], dict[str, int]] = field(default_factory=dict)

    def save(self, key: Key, source: Source, saved: Saved) -> None:
        """Hold a cell."""
        found = self.models.setdefault(key.model, ModelCells()).cells[KIND_OF[source.topic]].setdefault(key, {})
        found[source] = saved

    def forget(self, key: Key, source: Source) -> None:
        """A tombstone."""
        model = self.models.get(key.model)
        held = model.cells[KIND_OF[source.topic]] if model else {}
        sources = held.get(key, {})
        sources.pop(source, None)
        if not sources:
            held.pop(key, None)

    def beat(self, source: tuple[str, int], clocks: Mapping[str, int], settled: Mapping[str, int]) -> None:
        """The watermark of one source partition; it never goes back."""
        for known, said in ((self.clocks, clocks), (self.settled, settled)):
            held = known.setdefault(source, {})
            for model, now in said.items():
                held[model] = max(now, held.get(model, 0))

    def watermark(self, model: str, kind: Kind) -> int | None:
        """The smallest watermark over all partitions of the topic of this kind; None while one is unknown."""
        topic = TOPICS[kind]
        marks = [_mark(self.clocks.get((topic.name, number), {}), model) for number in range(topic.partitions)]
        return None if None in marks else min(mark for mark in marks if mark is not None)

    def due(
        self, model: str, rules: WindowRules, references: Mapping[str, Reference], read: Read
    ) -> Iterator[WindowClosed]:
        """The windows of one model that are complete and were not closed before, in order of their closing times.

        A window never overtakes one of the other kind that should have closed before it: which of two topics was read
        first must not decide the order of what is judged.
        """
        held = self.models.get(model)
        marks = {kind: self.watermark(model, kind) for kind in KINDS}
        inputs = marks["inputs"]
        if held is None or inputs is None:
            return
        known = Slices(held.cells["inputs"])
        while True:
            held.chain = passed_over(held.chain, rules, known, inputs)
            closing = next_closing(held.chain, rules, known)
            if closing is None or not _has_passed(closing, marks, rules):
                return
            found = self._cells(model, closing, references, read)
            window = _window(model, closing, found, rules, references)
            predicted = {f"{arm.arm}|{arm.version}": arm.rows for arm in window.arms if arm.arm != SHADOW}
            fresh, segments = rows_of_fresh(found, closing), segment_rows(window.arms, references)
            held.chain = closed(held.chain, closing, rules, predicted, fresh, segments)
            if not closing.revision or window.arms or window.feedback:
                yield window

    def spent(self, model: str, rules: WindowRules) -> tuple[list[tuple[Key, Source]], bool]:
        """The cells of one model that no window needs any more and no source will count anew; whether some will be."""
        held, found, more = self.models[model], [], False
        for kind, cells in held.cells.items():
            bound = held.chain.needs(kind, rules)
            old = [(key, source) for key, sources in cells.items() for source in sources if key.end <= (bound or 0)]
            ready = [one for one in old if self._is_settled(*one, rules)]
            found += ready
            more = more or len(ready) < len(old)
        return found, more

    def all_of(self, model: str) -> list[tuple[Key, Source]]:
        """Every cell of a model."""
        held = self.models[model].cells.values()
        return [(key, source) for cells in held for key, sources in cells.items() for source in sources]

    def _is_settled(self, key: Key, source: Source, rules: WindowRules) -> bool:
        mark = _mark(self.settled.get((source.topic, source.partition), {}), key.model)
        return mark is not None and mark >= rules.final_at(key.end, KIND_OF[source.topic], key.revision)

    def _cells(
        self, model: str, closing: Closing, references: Mapping[str, Reference], read: Read
    ) -> dict[Key, list[Cell]]:
        """The cells of a window, one per partition."""
        start, end, _ = closing.bounds
        return {
            key: [read(saved.value, references[key.version].layout) for saved in _furthest(sources)]
            for key, sources in self.models[model].cells[closing.kind].items()
            if start < key.end <= end and key.revision <= closing.revision and key.version in references
        }


def _window(
    model: str, closing: Closing, found: Cells, rules: WindowRules, references: Mapping[str, Reference]
) -> WindowClosed:
    start, end, _ = closing.bounds
    late = any(key.revision for key in found)
    arms = arm_windows(found, closing, rules.task, references) if late or not closing.revision else ()
    return WindowClosed.named(
        f"{model}/{closing.kind}/{start}/{end}/{closing.revision}",
        datetime.fromtimestamp(closing.at / 1000, UTC),
        model,
        kind=closing.kind,
        start=start,
        end=end,
        revision=closing.revision,
        arms=arms,
        rows=sum(arm.rows for arm in arms if arm.arm != SHADOW),
        labels=labels_arrived(found, closing) if closing.kind == "outcomes" else None,
        feedback=feedback_windows(found, closing, rules.feedback) if closing.kind == "outcomes" else (),
    )


def _has_passed(closing: Closing, marks: Mapping[Kind, int | None], rules: WindowRules) -> bool:
    """Whether a window is complete. By rows, no window of inputs may still turn out to have closed before outcomes."""
    needed: list[Kind] = [closing.kind] if rules.rows is None else [closing.kind, "inputs"]
    return all((mark := marks[kind]) is not None and mark >= closing.at for kind in needed)


def _mark(clocks: Mapping[str, int], model: str) -> int | None:
    """The model's own clock hides the clock of all."""
    return clocks.get(model, clocks.get(EVERY_MODEL))


def _furthest(sources: Mapping[Source, Saved]) -> Iterable[Saved]:
    """One cell per partition: where two writers met, the larger source offset wins (rule 7)."""
    best: dict[tuple[str, int], Saved] = {}
    for source, saved in sorted(sources.items()):
        known = best.get(source[:2])
        if known is None or saved.offset > known.offset:
            best[source[:2]] = saved
    return best.values()
