"""Which slice a row falls into, what is counted of it, and when a slice is final. One partition; pure.

A watermark is the largest heartbeat for the model that was read in this partition; row times move nothing. Every cell
carries the offset that it has seen, so a record that is read again is counted once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from everloop.buckets import buckets
from everloop.events import EVERY_MODEL, OutcomesJoined
from everloop.loop import Loop
from everloop.profile import Profile
from everloop.rows.values import Column, Rows
from everloop.sketch import ArmSums, LabelledScores, Sketch, observe

REMEMBERED_IDS = 100_000
"""Repeated record ids are dropped within this many records of a partition."""
AHEAD_MS = 24 * 60 * 60 * 1000
"""A row dated further ahead of its model's watermark is implausible, and quarantined; where a window is longer than
this, one dated more than a window ahead: a replay sends a window whole, and moves the clock then."""
KEPT_SLICES = 96
"""A final slice is forgotten when the watermark is this many slices past it."""
CHAMPION, CANDIDATE, SHADOW = "champion", "candidate", "shadow"


class Key(NamedTuple):
    """What a cell is about. `start` and `end` in ms, half-open."""

    model: str
    version: str
    arm: str
    start: int
    end: int


@dataclass
class Cell:
    """Counts of one key; `offset` is the last record that is in it."""

    inputs: Sketch = field(default_factory=Sketch.empty)
    sums: ArmSums = field(default_factory=ArmSums.empty)
    labelled: LabelledScores = field(default_factory=LabelledScores.empty)
    offset: int = -1


@dataclass
class Books:
    """What became of each row up to `offset`; each row is in exactly one count (rule 14)."""

    counted: int = 0
    history: int = 0
    late: int = 0
    duplicate: int = 0
    quarantined: int = 0
    offset: int = -1


@dataclass
class Partition:
    """All that one partition of `predictions` or `outcomes` has led to."""

    cells: dict[Key, Cell] = field(default_factory=dict)
    books: Books = field(default_factory=Books)
    clocks: dict[str, int] = field(default_factory=dict)
    clocks_offset: int = -1
    recent: OrderedDict[str, None] = field(default_factory=OrderedDict)
    dirty: set[Key] = field(default_factory=set)

    def beat(self, clocks: Mapping[str, int], offset: int) -> None:
        """A heartbeat: clocks never go back."""
        for model, now in clocks.items():
            self.clocks[model] = max(now, self.clocks.get(model, 0))
        self.clocks_offset = max(offset, self.clocks_offset)

    def watermark(self, model: str) -> int | None:
        """Ms; the model's own clock hides the clock of all. None before the first heartbeat."""
        return self.clocks.get(model, self.clocks.get(EVERY_MODEL))

    def seen(self, identity: str) -> bool:
        """Whether this record id came before; it is remembered."""
        known = identity in self.recent
        self.recent[identity] = None
        if len(self.recent) > REMEMBERED_IDS:
            self.recent.popitem(last=False)
        return known

    def account(self, offset: int, **rows: int) -> None:
        """Enter rows into the books, unless this offset is in them already."""
        if offset <= self.books.offset:
            return
        for name, count in rows.items():
            setattr(self.books, name, getattr(self.books, name) + count)

    def cell(self, key: Key, offset: int) -> Cell | None:
        """The cell to add to; None when the record at `offset` is in it already."""
        cell = self.cells.setdefault(key, Cell())
        if offset <= cell.offset:
            return None
        self.dirty.add(key)
        return cell

    def expired(self, every_ms: int, model: str) -> list[Key]:
        """Final slices that are old enough to be forgotten."""
        now = self.watermark(model) or 0
        return [key for key in self.cells if key.model == model and key.end + KEPT_SLICES * every_ms < now]


def slice_of(time: int, loop: Loop) -> tuple[int, int]:
    """The half-open slice `[start, end)` in ms that a row at `time` (ms) falls into."""
    every = milliseconds(loop.windows.every.total_seconds())
    start = time - time % every
    return start, start + every


def milliseconds(seconds: float) -> int:
    """Seconds as whole milliseconds."""
    return round(seconds * 1000)


def place_rows(
    times: Sequence[int], watermark: int | None, loop: Loop, slack: int
) -> tuple[dict[tuple[int, int], list[int]], int, int]:
    """Row numbers per open slice, and how many rows are late and how many are implausibly far ahead.

    `slack` (ms) is how long after its end a slice stays open: the grace, or the horizon of labels.
    """
    placed: dict[tuple[int, int], list[int]] = {}
    late = implausible = 0
    for row, time in enumerate(times):
        bounds = slice_of(time, loop)
        if watermark is not None and bounds[1] + slack <= watermark:
            late += 1
        elif watermark is not None and time > watermark + max(AHEAD_MS, bounds[1] - bounds[0]):
            implausible += 1
        else:
            placed.setdefault(bounds, []).append(row)
    return placed, late, implausible


def take_predictions(part: Partition, event: Rows, offset: int, loop: Loop, profiles: Mapping[str, Profile]) -> None:
    """Fold scored rows into the cells of their arm, and the shadow's scores into cells of its own."""
    if part.seen(event.id):
        part.account(offset, duplicate=len(event.prediction_id))
        return
    slack = milliseconds(loop.windows.grace.total_seconds())
    placed, late, implausible = place_rows(event.times, part.watermark(event.model), loop, slack)
    counted = sum(map(len, placed.values()))
    part.account(offset, counted=counted, late=late, quarantined=implausible)
    for (start, end), rows in placed.items():
        for version, arm, inputs, sums in _observed(event, rows, profiles):
            cell = part.cell(Key(event.model, version, arm, start, end), offset)
            if cell is not None:
                cell.inputs, cell.sums = cell.inputs.merge(inputs), cell.sums.merge(sums)


def _observed(
    event: Rows, rows: Sequence[int], profiles: Mapping[str, Profile]
) -> Iterator[tuple[str, str, Sketch, ArmSums]]:
    places = buckets([event.entities[row] for row in rows])
    scores = None if event.score is None else [event.score[row] for row in rows]
    features = {name: [values[row] for row in rows] for name, values in event.features.items()}
    version = str(event.version)
    sums = ArmSums.observe(
        places,
        errors=[event.status[row] == "error" for row in rows] if event.status else None,
        latency_ms=_floats(event.latency_ms, rows),
        score=_floats(event.score, rows),
    )
    yield version, event.arm or CHAMPION, observe(profiles[version], features, scores, rows=len(rows)), sums
    version = str(event.shadow_version)
    if event.shadow_score is not None and version in profiles:
        said = [event.shadow_score[row] for row in rows]
        shadow = observe(profiles[version], {}, said, rows=len(rows))
        yield version, SHADOW, shadow, ArmSums.observe(places, score=_floats(event.shadow_score, rows))


def take_outcomes(part: Partition, event: OutcomesJoined, offset: int, loop: Loop) -> None:
    """Fold labelled rows: quality of the arm that served, and of the shadow on the same rows."""
    if part.seen(str(event.id)):
        part.account(offset, duplicate=len(event.prediction_id))
        return
    slack = milliseconds(loop.labels.horizon.total_seconds())
    placed, late, implausible = place_rows(event.times, part.watermark(event.model), loop, slack)
    part.account(offset, counted=sum(map(len, placed.values())), late=late, quarantined=implausible)
    for (start, end), rows in placed.items():
        said = [(str(event.version), event.arm or CHAMPION, event.score)]
        if event.shadow_version is not None and event.shadow_score is not None:
            said.append((event.shadow_version, SHADOW, event.shadow_score))
        for version, arm, scores in said:
            cell = part.cell(Key(event.model, version, arm, start, end), offset)
            if cell is not None:
                _add_labels(cell, event, rows, scores)


def _add_labels(cell: Cell, event: OutcomesJoined, rows: Sequence[int], scores: Sequence[float | None]) -> None:
    said = _floats(scores, rows) or []
    true = [event.label[row] for row in rows]
    loss = [(label - score) ** 2 for label, score in zip(true, said, strict=True)]
    cell.sums = cell.sums.merge(ArmSums.observe([event.bucket[row] for row in rows], loss=loss))
    cell.labelled = cell.labelled.merge(LabelledScores.observe(said, true))


def _floats(values: Column | Sequence[float | None] | None, rows: Sequence[int]) -> list[float] | None:
    if values is None:
        return None
    return [float("nan") if (value := values[row]) is None else float(value) for row in rows]
