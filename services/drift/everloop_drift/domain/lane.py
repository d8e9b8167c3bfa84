"""All that one partition of `predictions` or `outcomes` has led to. State is a function of its records alone; pure.

A watermark is the largest heartbeat for the model that was read in this partition; row times move nothing. Rows wait in
groups until there are enough of them to be counted at once: that changes no count, since counts are integers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from everloop.events import EVERY_MODEL
from everloop.sketch import Inputs, Sums
from everloop.sketch.layout import AS_PROFILE, Layout, Schema
from everloop_drift.domain.bringing import add_feedback, add_late_feedback
from everloop_drift.domain.cells import CHAMPION, MOST_SCHEMAS, OTHER, SHADOW, Cell, Key, is_plain
from everloop_drift.domain.labels import add_labels, add_late, add_segments
from everloop_drift.domain.pieces import Packed, Piece, Ready, count, joined, pack, served, shadowed
from everloop_drift.domain.placing import Placed, Slice, place
from everloop_drift.domain.recent import Recent

if TYPE_CHECKING:
    from everloop.events import FeedbackJoined, OutcomesJoined
    from everloop.rows import Rows
    from everloop_drift.domain.rules import Kind, WindowRules

MOST_MODELS: Final = 10_000
"""Models with an open slice in one partition; rows of any further one are quarantined."""
FEW_ROWS: Final = 16
"""A record of fewer rows waits as it came, and is packed with others: a row at a time is dear."""
GROUP_ROWS: Final = 1_024
"""Rows of one cell that are worth counting at once."""
WAITING_ROWS: Final = 16_384
"""Rows of all cells that may wait: about 10 MB."""


@dataclass(slots=True)
class Books:
    """What became of each row so far; each row is in exactly one count (rule 14)."""

    counted: int = 0
    history: int = 0
    late: int = 0
    duplicate: int = 0
    quarantined: int = 0


@dataclass(slots=True)
class Group:
    """Rows that wait for one cell: many as arrays, few as they came, until they are many."""

    packs: list[Packed] = field(default_factory=list)
    few: list[Piece] = field(default_factory=list)
    rows: int = 0


@dataclass(slots=True)
class Lane:
    """`offset` is the last record that was taken, `checked` the last of which all was published; both -1 at first.

    `ahead` is the last record that is in some cell already.
    """

    kind: Kind
    cells: dict[Key, Cell] = field(default_factory=dict)
    books: Books = field(default_factory=Books)
    clocks: dict[str, int] = field(default_factory=dict)
    recent: Recent = field(default_factory=Recent)
    offset: int = -1
    checked: int = -1
    ahead: int = -1
    dirty: set[Key] = field(default_factory=set)
    groups: dict[Key, Group] = field(default_factory=dict)
    waiting: int = 0
    models: dict[str, int] = field(default_factory=dict)
    crowded: bool = False

    def beat(self, clocks: Mapping[str, int]) -> None:
        """A heartbeat: clocks never go back."""
        for model, now in clocks.items():
            self.clocks[model] = max(now, self.clocks.get(model, 0))

    def watermark(self, model: str) -> int | None:
        """Ms; the model's own clock hides the clock of all. None before the first heartbeat."""
        return self.clocks.get(model, self.clocks.get(EVERY_MODEL))

    def take_rows(self, rows: Rows, rules: WindowRules, layouts: Mapping[str, Layout]) -> None:
        """Take scored rows into the cells of their arm, and the shadow's scores into cells of their own."""
        if not self._has_room(rows.model):
            self.books.quarantined += len(rows)
            return
        placed, version = self._placed(rows.model, rows.times, rules), str(rows.version)
        schema = layouts[version].schema(rows.features)
        for where, index in placed.rows.items():
            key = self._key(rows.model, version, rows.arm or CHAMPION, schema, where)
            self._wait(key, served(rows, index), layouts)
            if rows.shadow_version is not None and rows.shadow_version in layouts:
                shadow = Key(rows.model, rows.shadow_version, SHADOW, AS_PROFILE, *where)
                self._wait(shadow, shadowed(rows, index), layouts)

    def take_labels(self, event: OutcomesJoined, rules: WindowRules, layouts: Mapping[str, Layout]) -> None:
        """Take labelled rows: quality of the arm that served, and of the shadow on the same rows."""
        if not self._has_room(event.model):
            self.books.quarantined += len(event.prediction_id)
            return
        placed = self._placed(event.model, event.times, rules)
        said = [(str(event.version), event.arm or CHAMPION, event.score)]
        if event.shadow_version in layouts and event.shadow_version is not None and event.shadow_score is not None:
            said.append((event.shadow_version, SHADOW, event.shadow_score))
        for where, index in placed.rows.items():
            for version, arm, scores in said:
                cell = self._cell(Key(event.model, version, arm, AS_PROFILE, *where))
                if cell is not None:
                    add_labels(cell, event, index, scores, rules, layouts[version].scale)
                    if arm == CHAMPION:
                        add_segments(cell, event, index, rules.task, layouts[version])
        self._take_late(event, placed.behind(len(event.prediction_id)), rules)

    def take_feedback(self, event: FeedbackJoined, rules: WindowRules) -> None:
        """Take what rows have brought: of the arm that served them alone."""
        if not self._has_room(event.model):
            self.books.quarantined += len(event.prediction_id)
            return
        placed = self._placed(event.model, event.times, rules)
        for where, index in placed.rows.items():
            cell = self._cell(Key(event.model, str(event.version), event.arm or CHAMPION, AS_PROFILE, *where))
            if cell is not None:
                add_feedback(cell, event, index)
        behind, watermark = placed.behind(len(event.prediction_id)), self.watermark(event.model)
        late = self._next_to_close(event, rules, watermark) if behind and watermark is not None else None
        if late is not None and watermark is not None:
            add_late_feedback(late, event, behind, watermark)

    @property
    def is_full(self) -> bool:
        """Whether so many rows wait that they should be counted now."""
        return self.waiting >= WAITING_ROWS

    def settle(self, layouts: Mapping[str, Mapping[str, Layout]]) -> None:
        """Count all rows that wait; `layouts` by model and version."""
        count([self._ready(key, group, layouts[key.model]) for key, group in self.groups.items()])
        self.groups, self.waiting = {}, 0

    def finals(self, rules: Mapping[str, WindowRules]) -> list[Key]:
        """The cells to which nothing can be added any more, in order."""
        return sorted(key for key in self.cells if key.model in rules and self.is_final(key, rules[key.model]))

    def is_final(self, key: Key, rules: WindowRules) -> bool:
        """Whether nothing can be added to a cell any more."""
        return (self.watermark(key.model) or 0) >= rules.final_at(key.end, self.kind, key.revision)

    def drop(self, keys: Iterable[Key]) -> None:
        """Let go of cells that were published and stay as they are."""
        for key in keys:
            del self.cells[key]
            self.dirty.discard(key)
            self.models[key.model] -= 1
            if not self.models[key.model]:
                del self.models[key.model]
        self.crowded = self.crowded and len(self.models) >= MOST_MODELS

    def bring_back(self, key: Key, cell: Cell) -> None:
        """Hold a cell that was published before."""
        self.ahead = max(self.ahead, cell.offset)
        if key not in self.cells:
            self.models[key.model] = self.models.get(key.model, 0) + 1
        self.cells[key] = cell

    def _take_late(self, event: OutcomesJoined, behind: Sequence[int], rules: WindowRules) -> None:
        """Count how late labels came behind the closing of their slice, in the slice that is the next to close."""
        watermark = self.watermark(event.model)
        if not behind or watermark is None:
            return
        cell = self._next_to_close(event, rules, watermark)
        if cell is not None:
            add_late(cell, event, behind, watermark)

    def _next_to_close(self, event: OutcomesJoined | FeedbackJoined, rules: WindowRules, watermark: int) -> Cell | None:
        """The cell of the slice that is the next to close, of the arm of the event."""
        end = rules.next_to_close(watermark, self.kind)
        where = (end - rules.every, end, 0)
        return self._cell(Key(event.model, str(event.version), event.arm or CHAMPION, AS_PROFILE, *where))

    def _has_room(self, model: str) -> bool:
        if model in self.models or len(self.models) < MOST_MODELS:
            return True
        self.crowded = True
        return False

    def _placed(self, model: str, times: Sequence[int], rules: WindowRules) -> Placed:
        placed = place(times, self.watermark(model), rules, self.kind)
        self.books.late += len(placed.late)
        self.books.quarantined += placed.implausible
        self.books.counted += len(times) - len(placed.late) - placed.implausible
        return placed

    def _key(self, model: str, version: str, arm: str, schema: Schema, where: Slice) -> Key:
        key = Key(model, version, arm, schema, *where)
        if schema == AS_PROFILE or key in self.cells:
            return key
        alike = sum(one._replace(schema=schema) == key and one.schema != AS_PROFILE for one in self.cells)
        return key if alike < MOST_SCHEMAS else key._replace(schema=OTHER)

    def _cell(self, key: Key) -> Cell | None:
        """The cell to add to; None when this record is in it already."""
        cell = self.cells.get(key)
        if cell is None:
            cell = Cell(Sums())
            self.bring_back(key, cell)
        if self.offset <= cell.offset:
            return None
        self.dirty.add(key)
        return cell

    def _wait(self, key: Key, piece: Piece, layouts: Mapping[str, Layout]) -> None:
        cell = self._cell(key)
        if cell is None:
            return
        group = self.groups.get(key)
        if group is None:
            group = self.groups[key] = Group()
        if piece.size < FEW_ROWS:
            group.few.append(piece)
        else:
            group.packs.append(pack(piece, self._inputs(key, cell, layouts[key.version])))
        group.rows += piece.size
        self.waiting += piece.size
        if group.rows >= GROUP_ROWS:
            self.waiting -= group.rows
            count([self._ready(key, self.groups.pop(key), layouts)])

    def _ready(self, key: Key, group: Group, layouts: Mapping[str, Layout]) -> Ready:
        cell, layout = self.cells[key], layouts[key.version]
        inputs = self._inputs(key, cell, layout)
        few = group.few if key.schema == OTHER else joined(group.few, layout.names, layout.beside)
        return Ready([*group.packs, *(pack(piece, inputs) for piece in few)], inputs, cell.sums)

    def _inputs(self, key: Key, cell: Cell, layout: Layout) -> Inputs:
        if cell.inputs is None:
            segmented = bool(layout.splits) and key.arm == CHAMPION and is_plain(key.schema)
            cell.inputs = Inputs(layout, segmented=segmented)
        return cell.inputs
