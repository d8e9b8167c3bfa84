"""The rule of the join, for the rows of several records at once: what each says that is new, and to which prediction.

Of predictions with one id the first counts. Of labels the last `labelled_at` wins, of equals the first; the same value
again is no correction, but what is known of it is as new as the newest word. A label without a prediction is parked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from everloop_ingest.domain.declared import Values, name_in, text_of
from everloop_ingest.domain.ranges import Known, Ranges, within
from everloop_ingest.domain.shelves import NONE, RAW, ROW, Floats, Keys, New, Numbers, Said, Table, digests, same

if TYPE_CHECKING:
    from everloop_ingest.domain.feedback import Feedback

Flags = NDArray[np.bool_]
ROUNDS: Final = 3
"""So many rows with one key are folded side by side with those of other keys; rows beyond come one after the other."""


class Group(NamedTuple):
    """What rows of one outcomes record have in common."""

    model: str
    source: str
    version: str | None
    digest: str | None
    arm: str | None
    epoch: int | None
    shadow_version: str | None
    segments: tuple[str, ...] = ()
    """The declared columns whose values its rows carry."""

    @property
    def told(self) -> str:
        """What tells its records from those of other groups."""
        return "|".join(map(str, self if self.segments else self[:-1]))


class Label(NamedTuple):
    """What really happened, and when that was known (ms)."""

    value: float
    labelled_at: int


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One record of `keys`. `said` has a row per prediction; of labels there are `times` (when known) and `label`.

    `ids` are those of predictions, and of entities where the labels are of `ranges`. Predictions may have `values` of
    declared columns. Under a name of `feedback` the values of `label` are no labels: `domain.feedback` folds them.
    """

    group: Group
    ids: Sequence[str]
    times: Numbers
    said: Said | None = None
    label: Floats | None = None
    ranges: Ranges | None = None
    values: Values | None = None
    appended_ms: int = 0
    feedback: str | None = None


class Met(NamedTuple):
    """Feedback of one name that met its predictions: as the columns of `Folded`. `before`: NaN for a first value."""

    name: str
    part: Numbers
    ids: Sequence[str]
    said: Said
    value: Floats
    said_at: Numbers
    before: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """What followed from `parts`. Outcome rows in order: the `part` that led to each, prediction ids, values.

    `before` is the label that a row takes the place of, NaN where it is the first. `texts` hold the values of declared
    columns, as `declared.columns_in` reads them; empty where there are none.
    `again`: of each part, how many rows said nothing new; a label by entity counts as one that does.
    """

    parts: Sequence[Part]
    part: Numbers
    ids: Sequence[str]
    said: Said
    label: Floats
    labelled_at: Numbers
    again: Numbers
    before: Floats
    feedback: Sequence[Met] = ()
    texts: Sequence[str] = ()


@dataclass(slots=True, eq=False)
class Memory:
    """What is known: predictions, labels without one, labels by entity, and feedback.

    Predictions of the groups at the places `declared` have values of declared columns.
    """

    open: Table
    parked: Table
    ranges: Known
    feedback: Feedback
    declared: Sequence[int] = ()


def fold(memory: Memory, parts: Sequence[Part], groups: Sequence[int], minute: int) -> Folded:
    """Fold parts in order, all of labels by entity or none. `groups`: the place of each part's group.

    `minute`: when new rows were appended.
    """
    if parts[0].ranges is not None:
        return _fold_ranges(memory, parts, minute)
    rows = _rows_of(parts, groups)
    batch = _Batch(memory, rows)
    batch.take()
    batch.remember(minute)
    joined, said, again = batch.joined()
    return Folded(
        parts, rows.part[joined], rows.ids(joined), said, batch.label[joined], batch.labelled_at[joined],
        np.bincount(rows.part[again], minlength=len(parts)), batch.before[joined],
        tuple(_met(memory.feedback, batch, minute)), batch.texts(joined, said),
    )  # fmt: skip


def no_labels(parts: Sequence[Part], again: Numbers, feedback: Sequence[Met]) -> Folded:
    """What followed from parts that have neither predictions nor labels."""
    none = np.empty(0, np.int64)
    return Folded(parts, none, [], np.empty(0, ROW), np.empty(0), none, again, np.empty(0), feedback)


def _met(feedback: Feedback, batch: _Batch, minute: int) -> Iterator[Met]:
    """Feedback that waited for predictions of this batch."""
    rows, opened = batch.rows, np.sort(batch.opened[batch.opened != NONE])
    models = [part.group.model for part in rows.parts] if feedback.names else []
    for model in sorted(feedback.names.keys() & models):
        mine = np.array([one == model for one in models], np.bool_)
        here = opened[mine[rows.part[opened]]]
        for name, hits, value, at in feedback.met(model, rows.keys[rows.key[here]], minute):
            found = here[hits]
            said = rows.said.take(found)
            yield Met(name, rows.part[found], rows.ids(found), said, value, at, np.full(len(found), np.nan))


def _fold_ranges(memory: Memory, parts: Sequence[Part], minute: int) -> Folded:
    """Labels by entity are labels of each prediction that is open, in order of label, then of arrival."""
    numbers, part, row = _matches(memory.open, parts)
    label, times = (np.concatenate([getattr(one, name) for one in parts]) for name in ("label", "times"))
    begins = np.cumsum([0, *(len(one.ids) for one in parts)])
    at = begins[part] + row
    rows = _Rows(
        part, row, np.ones(len(part), np.bool_), times[at], label[at], np.zeros(len(part), ROW),
        memory.open.keys_of(numbers),
    )  # fmt: skip
    batch = _Batch(memory, rows)
    batch.take()
    batch.remember(minute)
    for one in parts:
        if one.ranges is not None and one.label is not None:
            memory.ranges.add(one.ranges, one.label, one.times, minute)
    joined, said, _ = batch.joined()
    names, texts = memory.open.shelf.names(numbers[joined]), batch.texts(joined, said)
    names = [name_in(text) if text else name for name, text in zip(names, texts, strict=True)]
    return Folded(
        parts, part[joined], names, said, batch.label[joined], batch.labelled_at[joined],
        np.zeros(len(parts), np.int64), batch.before[joined], texts=texts,
    )  # fmt: skip


def _matches(table: Table, parts: Sequence[Part]) -> tuple[Numbers, Numbers, Numbers]:
    """Numbers of open predictions, each with part and row of a label by entity that is theirs, in that order."""
    found: list[tuple[Numbers, int, int]] = []
    ranges = [part.ranges for part in parts if part.ranges is not None and len(part.ids)]
    if ranges:
        start, end = min(int(one.start.min()) for one in ranges), max(int(one.end.max()) for one in ranges)
        numbers = table.of_entities(np.concatenate([one.entities for one in ranges]), start, end)
        rows = table.shelf.take(numbers)
        by_entity = _by_entity(rows["entity"])
        found = [
            (numbers[some[_inside(rows["time"][some], part.ranges, row)]], place, row)
            for place, part in enumerate(parts)
            if part.ranges is not None
            for row in range(len(part.ids))
            if (some := by_entity.get(tuple(part.ranges.entities[row].tolist()))) is not None
        ]
    counts = [len(some) for some, _, _ in found]
    return (
        np.concatenate([np.empty(0, np.int64), *(some for some, _, _ in found)]),
        np.repeat(np.array([place for _, place, _ in found], np.int64), counts),
        np.repeat(np.array([row for _, _, row in found], np.int64), counts),
    )


def _by_entity(entities: Keys) -> dict[tuple[int, ...], Numbers]:
    """Places by entity, in order."""
    if not len(entities):
        return {}
    distinct, place = np.unique(entities, axis=0, return_inverse=True)
    order = np.argsort(place.ravel(), kind="stable")
    edges = np.searchsorted(place.ravel()[order], np.arange(len(distinct) + 1))
    return {
        tuple(entity): order[start:end]
        for entity, start, end in zip(distinct.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    }


def _inside(times: Numbers, ranges: Ranges, row: int) -> Flags:
    inside: Flags = (times >= ranges.start[row]) & (times < ranges.end[row])
    return inside


def latest(known: Label | None, said: Label) -> tuple[Label, bool]:
    """Give the label that holds now, and whether it is news."""
    if known is None:
        return said, True
    if said.value == known.value:
        return max(known, said, key=lambda label: label.labelled_at), False
    return (said, True) if said.labelled_at > known.labelled_at else (known, False)


def latest_of_each(known: Floats, known_at: Numbers, said: Floats, at: Numbers) -> tuple[Floats, Numbers, Flags]:
    """`latest` of many; `known_at` is `NONE` where nothing is known: values, when they were known, which are news."""
    first, same, later = known_at == NONE, known == said, at > known_at
    news = first | (~same & later)
    return np.where(news, said, known), np.where(first | later, at, known_at), news


def _rows_of(parts: Sequence[Part], groups: Sequence[int]) -> _Rows:
    """The rows of all parts in one."""
    counts = [len(part.ids) for part in parts]
    part = np.repeat(np.arange(len(parts)), counts)
    return _Rows(
        part, np.arange(len(part)) - np.repeat(np.cumsum(counts) - counts, counts),
        np.repeat(np.array([one.label is not None for one in parts], np.bool_), counts),
        np.concatenate([one.times for one in parts]),
        np.concatenate([_filled(one.label, len(one.ids)) for one in parts]),
        np.concatenate([_said(one, group) for one, group in zip(parts, groups, strict=True)]).view(ROW),
        np.concatenate([digests(one.group.model, one.ids) for one in parts]),
        parts,
    )  # fmt: skip


@dataclass(slots=True, eq=False)
class _Rows:
    """Rows in order: `key` is a row's place among the distinct `keys`, `turn` counts the rows with one key."""

    part: Numbers
    row: Numbers
    is_label: Flags
    times: Numbers
    label: Floats
    said: Said
    keys: Keys
    parts: Sequence[Part] = ()
    key: Numbers = field(init=False)
    turn: Numbers = field(init=False)

    def __post_init__(self) -> None:
        """Find which keys are the same."""
        keys, count = self.keys, len(self.keys)
        if _are_distinct(keys):
            self.key, self.turn = np.arange(count), np.zeros(count, np.int64)
            return
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        ordered = keys[order]
        begins = np.ones(count, np.bool_)
        begins[1:] = ~same(ordered[1:], ordered[:-1])
        starts = np.flatnonzero(begins)
        self.keys = ordered[starts]
        self.key, self.turn = np.empty(count, np.int64), np.empty(count, np.int64)
        self.key[order] = np.cumsum(begins) - 1
        self.turn[order] = np.arange(count) - starts[self.key[order]]

    def ids(self, rows: Numbers) -> list[str]:
        """The prediction ids of rows."""
        if len(rows) == len(self.part):  # each row once, as all that is asked for here is in order
            return list(chain.from_iterable(part.ids for part in self.parts))
        places = zip(self.part[rows].tolist(), self.row[rows].tolist(), strict=True)
        return [self.parts[part].ids[row] for part, row in places]

    def names(self, rows: Numbers) -> list[str]:
        """What is remembered as text of each row: its prediction id where it has an entity, declared values if any."""
        texts = [""] * len(rows)
        entities = self.said["entity"]
        named = ((entities[:, 0] | entities[:, 1]) != 0)[rows]
        valued = np.array([part.values is not None for part in self.parts], np.bool_)[self.part[rows]]
        for place in np.flatnonzero(named | valued).tolist():
            part, row = self.parts[self.part[rows[place]]], self.row[rows[place]]
            name = part.ids[row] if named[place] else ""
            texts[place] = name if part.values is None else text_of(name, part.values, row)
        return texts


class _Batch:
    """What is known of each distinct key, and what is said of each row, while rows are folded."""

    def __init__(self, memory: Memory, rows: _Rows) -> None:
        self.open, self.parked, self.ranges, self.rows = memory.open, memory.parked, memory.ranges, rows
        self.declared = memory.declared
        keys, count = len(rows.keys), len(rows.part)
        self.number, self.waits = self.open.find(rows.keys), self.parked.find(rows.keys)
        self.is_open: Flags = self.number != NONE
        self.value, self.known_at = np.zeros(keys), np.full(keys, NONE, np.int64)
        for table, numbers in ((self.open, self.number), (self.parked, self.waits)):
            held = np.flatnonzero(numbers != NONE)
            self.value[held], self.known_at[held] = table.labels(numbers[held])
        self.opened, self.parks = np.full(keys, NONE, np.int64), np.full(keys, NONE, np.int64)
        self.again, self.joins = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        self.label, self.labelled_at = np.zeros(count), np.zeros(count, np.int64)
        self.before = np.full(count, np.nan)

    def take(self) -> None:
        """Fold all rows."""
        rows = self.rows
        for count in range(min(ROUNDS, int(rows.turn.max(initial=-1)) + 1)):
            turn = rows.turn == count
            self.predictions(np.flatnonzero(turn & ~rows.is_label))
            self.labels(np.flatnonzero(turn & rows.is_label))
        for row in np.flatnonzero(rows.turn >= ROUNDS).tolist():
            self.one(row)

    def predictions(self, rows: Numbers) -> None:
        """Rows with different keys."""
        keys = self.rows.key[rows]
        known = self.is_open[keys]
        self.again[rows] = known
        self.opened[keys[~known]] = rows[~known]
        self.is_open[keys] = True
        self._label_by_entity(rows[~known])
        self._say(rows, keys, ~known & (self.known_at[keys] != NONE))

    def labels(self, rows: Numbers) -> None:
        """Rows with different keys: `latest` of each."""
        keys = self.rows.key[rows]
        first = self.known_at[keys] == NONE
        self.before[rows] = np.where(first, np.nan, self.value[keys])
        self.value[keys], self.known_at[keys], news = latest_of_each(
            self.value[keys], self.known_at[keys], self.rows.label[rows], self.rows.times[rows]
        )
        self.again[rows] = ~news
        parks = first & ~self.is_open[keys]
        self.parks[keys[parks]] = rows[parks]
        self._say(rows, keys, news & self.is_open[keys])

    def one(self, row: int) -> None:
        """One row whose key has had others before it."""
        key = self.rows.key[row]
        known = Label(self.value[key], self.known_at[key]) if self.known_at[key] != NONE else None
        if not self.rows.is_label[row]:
            self.predictions(np.array([row]))
            return
        self.before[row] = known.value if known else np.nan
        (self.value[key], self.known_at[key]), news = latest(known, Label(self.rows.label[row], self.rows.times[row]))
        self.again[row] = not news
        self.joins[row] = news and self.is_open[key]
        self.label[row], self.labelled_at[row] = self.value[key], self.known_at[key]

    def remember(self, minute: int) -> None:
        """Take over what is known now, new rows in order of their coming."""
        held = np.flatnonzero(self.number != NONE)
        self.open.tell(self.number[held], self.value[held], self.known_at[held])
        waits = self.waits != NONE
        self.parked.lose(self.waits[waits & self.is_open])
        still = np.flatnonzero(waits & ~self.is_open)
        self.parked.tell(self.waits[still], self.value[still], self.known_at[still])
        self._add(self.open, self.opened, np.flatnonzero(self.opened != NONE), minute)
        self._add(self.parked, self.parks, np.flatnonzero((self.parks != NONE) & ~self.is_open), minute)

    def joined(self) -> tuple[Numbers, Said, Flags]:
        """The rows that led to an outcome, what their predictions said, and which rows said nothing new."""
        rows = np.flatnonzero(self.joins)
        keys = self.rows.key[rows]
        here = self.opened[keys]
        before = here == NONE
        if before.all():
            return rows, self.open.shelf.take(self.number[keys]), self.again
        said: Said = self.rows.said.take(here)
        said.view(RAW)[before] = self.open.shelf.take(self.number[keys[before]]).view(RAW)
        return rows, said, self.again

    def texts(self, rows: Numbers, said: Said) -> list[str]:
        """Where the predictions of these rows have values of declared columns, the texts that hold them."""
        texts = [""] * len(rows)
        some = np.flatnonzero(np.isin(said["group"], self.declared)) if self.declared else rows[:0]
        if some.size:
            keys = self.rows.key[rows[some]]
            here = self.opened[keys] != NONE
            fresh = self.rows.names(self.opened[keys[here]])
            known = self.open.shelf.names(self.number[keys[~here]])
            for places, found in ((some[here], fresh), (some[~here], known)):
                for place, text in zip(places.tolist(), found, strict=True):
                    texts[place] = text
        return texts

    def _label_by_entity(self, rows: Numbers) -> None:
        """Labels by entity that came before these predictions; one by prediction id that waited counts first."""
        entities = self.rows.said["entity"][rows]
        near = self.ranges.near(entities)
        some: dict[tuple[int, ...], NDArray[np.void]] = {}
        for row, entity in zip(rows[near].tolist(), map(tuple, entities[near].tolist()), strict=True):
            if entity not in some:
                some[entity] = self.ranges.of(entity)
            self._label_one(self.rows.key[row], within(some[entity], int(self.rows.said["time"][row])))

    def _label_one(self, key: int, labels: Sequence[tuple[float, int]]) -> None:
        for value, at in labels:
            known = Label(self.value[key], self.known_at[key]) if self.known_at[key] != NONE else None
            (self.value[key], self.known_at[key]), _ = latest(known, Label(value, at))

    def _say(self, rows: Numbers, keys: Numbers, joins: Flags) -> None:
        self.joins[rows] = joins
        self.label[rows], self.labelled_at[rows] = self.value[keys], self.known_at[keys]

    def _add(self, table: Table, at: Numbers, keys: Numbers, minute: int) -> None:
        keys = keys[np.argsort(at[keys])]
        rows = self.rows.said.take(at[keys])
        new = New(rows, self.rows.names(at[keys]), self.value[keys], self.known_at[keys])
        table.add(self.rows.keys[keys], new, minute)


def _are_distinct(keys: Keys) -> bool:
    """Whether the first halves alone tell all of them apart: to sort numbers is a tenth of sorting pairs."""
    halves = np.sort(keys[:, 0])
    return bool((halves[1:] != halves[:-1]).all())


def _filled(column: Floats | None, rows: int) -> Floats:
    return np.zeros(rows) if column is None else column


def _said(part: Part, group: int) -> NDArray[np.void]:
    """What predictions of a part said, under the place of their group, as `RAW`."""
    rows: Said = np.zeros(len(part.ids), ROW) if part.said is None else part.said
    rows["group"] = group
    return rows.view(RAW)
