"""The rule of the join, for the rows of several records at once: what each says that is new, and to which prediction.

Of predictions with one id the first counts. Of labels the last `labelled_at` wins, of equals the first; the same value
again is no correction, but what is known of it is as new as the newest word. A label without a prediction is parked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from everloop_ingest.domain.shelves import NONE, ROW, Floats, Keys, Numbers, Said, Table, digests

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


class Label(NamedTuple):
    """What really happened, and when that was known (ms)."""

    value: float
    labelled_at: int


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One record of `keys`. `said` has a row per prediction; of labels there are `times` (when known) and `label`."""

    group: Group
    ids: Sequence[str]
    times: Numbers
    said: Said | None = None
    label: Floats | None = None
    appended_ms: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """What followed from `parts`. Outcome rows in order: the `part` and `row` that led to each, and their values.

    `again`: of each part, how many rows said nothing new.
    """

    parts: Sequence[Part]
    part: Numbers
    row: Numbers
    said: Said
    label: Floats
    labelled_at: Numbers
    again: Numbers


def fold(open_: Table, parked: Table, parts: Sequence[Part], groups: Sequence[int], minute: int) -> Folded:
    """Fold parts in order. `groups`: the place of each part's group; `minute`: when new rows were appended."""
    rows = _Rows(parts, groups)
    batch = _Batch(open_, parked, rows)
    for count in range(min(ROUNDS, int(rows.turn.max(initial=-1)) + 1)):
        turn = rows.turn == count
        batch.predictions(np.flatnonzero(turn & ~rows.is_label))
        batch.labels(np.flatnonzero(turn & rows.is_label))
    for row in np.flatnonzero(rows.turn >= ROUNDS).tolist():
        batch.one(row)
    batch.remember(minute)
    return batch.folded()


def latest(known: Label | None, said: Label) -> tuple[Label, bool]:
    """Give the label that holds now, and whether it is news."""
    if known is None:
        return said, True
    if said.value == known.value:
        return max(known, said, key=lambda label: label.labelled_at), False
    return (said, True) if said.labelled_at > known.labelled_at else (known, False)


class _Rows:
    """The rows of all parts in one: `key` is a row's place among the distinct keys, `turn` counts those with one."""

    def __init__(self, parts: Sequence[Part], groups: Sequence[int]) -> None:
        counts = [len(part.ids) for part in parts]
        self.parts = parts
        self.part = np.repeat(np.arange(len(parts)), counts)
        self.row = np.arange(len(self.part)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.is_label = np.repeat(np.array([part.label is not None for part in parts], np.bool_), counts)
        self.times: Numbers = np.concatenate([part.times for part in parts])
        self.label = np.concatenate([_filled(part.label, len(part.ids)) for part in parts])
        self.said: Said = np.concatenate([_said(part, group) for part, group in zip(parts, groups, strict=True)])
        self._distinct(np.concatenate([digests(part.group.model, part.ids) for part in parts]))

    def _distinct(self, keys: Keys) -> None:
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        ordered = keys[order]
        begins = np.ones(len(keys), np.bool_)
        begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        starts = np.flatnonzero(begins)
        self.keys: Keys = ordered[starts]
        self.key, self.turn = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
        self.key[order] = np.cumsum(begins) - 1
        self.turn[order] = np.arange(len(keys)) - starts[self.key[order]]


class _Batch:
    """What is known of each distinct key, and what is said of each row, while rows are folded."""

    def __init__(self, open_: Table, parked: Table, rows: _Rows) -> None:
        self.open, self.parked, self.rows = open_, parked, rows
        keys, count = len(rows.keys), len(rows.part)
        self.number, self.waits = open_.find(rows.keys), parked.find(rows.keys)
        self.is_open: Flags = self.number != NONE
        self.value, self.known_at = np.zeros(keys), np.full(keys, NONE, np.int64)
        for table, numbers in ((open_, self.number), (parked, self.waits)):
            held = np.flatnonzero(numbers != NONE)
            self.value[held], self.known_at[held] = table.labels(numbers[held])
        self.opened, self.parks = np.full(keys, NONE, np.int64), np.full(keys, NONE, np.int64)
        self.again, self.joins = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        self.label, self.labelled_at = np.zeros(count), np.zeros(count, np.int64)

    def predictions(self, rows: Numbers) -> None:
        """Rows with different keys."""
        keys = self.rows.key[rows]
        known = self.is_open[keys]
        self.again[rows] = known
        self.opened[keys[~known]] = rows[~known]
        self.is_open[keys] = True
        self._say(rows, keys, ~known & (self.known_at[keys] != NONE))

    def labels(self, rows: Numbers) -> None:
        """Rows with different keys: `latest` of each."""
        keys = self.rows.key[rows]
        said, at = self.rows.label[rows], self.rows.times[rows]
        known, known_at = self.value[keys], self.known_at[keys]
        first, same = known_at == NONE, known == said
        news = first | (~same & (at > known_at))
        self.value[keys] = np.where(news, said, known)
        self.known_at[keys] = np.where(news | (same & (at > known_at)), at, known_at)
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

    def folded(self) -> Folded:
        """What is said of all rows."""
        rows = np.flatnonzero(self.joins)
        keys = self.rows.key[rows]
        here = self.opened[keys]
        said: Said = self.rows.said[here]
        before = np.flatnonzero(here == NONE)
        if before.size:
            said[before] = self.open.shelf.take(self.number[keys[before]])
        again = np.bincount(self.rows.part[self.again], minlength=len(self.rows.parts))
        return Folded(
            self.rows.parts, self.rows.part[rows], self.rows.row[rows], said, self.label[rows],
            self.labelled_at[rows], again,
        )  # fmt: skip

    def _say(self, rows: Numbers, keys: Numbers, joins: Flags) -> None:
        self.joins[rows] = joins
        self.label[rows], self.labelled_at[rows] = self.value[keys], self.known_at[keys]

    def _add(self, table: Table, at: Numbers, keys: Numbers, minute: int) -> None:
        keys = keys[np.argsort(at[keys])]
        rows = self.rows.said[at[keys]]
        table.add(self.rows.keys[keys], rows, self.value[keys], self.known_at[keys], minute)


def _filled(column: Floats | None, rows: int) -> Floats:
    return np.zeros(rows) if column is None else column


def _said(part: Part, group: int) -> Said:
    """What predictions of a part said, under the place of their group."""
    rows: Said = np.zeros(len(part.ids), ROW) if part.said is None else part.said
    rows["group"] = group
    return rows
