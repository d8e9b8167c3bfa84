"""Feedback meets its predictions, in whichever order they come: numbers under names, by prediction id.

The rule is that of labels: of one prediction and name the last word counts, of equally late ones the first; the same
value again is no news. What comes before its prediction waits for it, bounded. A model without feedback pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from everloop_ingest.domain.batches import Folded, Label, Met, Part, latest, latest_of_each, no_labels
from everloop_ingest.domain.shelves import CHUNK, LUMP, NONE, ROW, Floats, Keys, New, Numbers, Said, Table, digests

Flags = NDArray[np.bool_]
TOLD_PER_PREDICTION: Final = 4
"""So many values are remembered for each prediction that may be; beyond it the oldest are forgotten."""


class NoShelf:
    """Keeps nothing of rows: of feedback all there is to know stands in the columns of its table."""

    def append(self, keys: Keys, rows: Said, names: Sequence[str]) -> None:
        """Nothing is laid down."""

    def names(self, numbers: Numbers) -> list[str]:
        """No names."""
        return [""] * len(numbers)

    def of_entities(self, entities: Keys, start: int, end: int) -> Numbers:
        """No rows."""
        del entities, start, end
        return np.empty(0, np.int64)

    def take(self, numbers: Numbers) -> Said:
        """Rows that say nothing."""
        return np.zeros(len(numbers), ROW)

    def drop(self, before: int) -> None:
        """There is nothing to let go of."""


class Found(NamedTuple):
    """Of predictions that open, which have feedback of this name: their places, what was said, and when (ms)."""

    name: str
    rows: Numbers
    value: Floats
    said_at: Numbers


def _told() -> Table:
    return Table(NoShelf())


def _waiting() -> Table:
    return Table(NoShelf(), holes=True)


@dataclass(slots=True)
class Feedback:
    """What one partition knows: values `told` of predictions that are open, values `waiting` for theirs.

    `names`: which have come, by model. `since`: predictions that were appended in an earlier minute take no feedback
    any more, since values of theirs may be forgotten, and a repeat would count twice.
    """

    told: Table = field(default_factory=_told)
    waiting: Table = field(default_factory=_waiting)
    names: dict[str, list[str]] = field(default_factory=dict)
    since: int = 0

    def fold(self, parts: Sequence[Part], open_: Table, minute: int) -> Folded:
        """Fold parts that are all feedback, in order; `open_` are the predictions that are known."""
        for part in parts:
            known = self.names.setdefault(part.group.model, [])
            if part.feedback is not None and part.feedback not in known:
                known.append(part.feedback)
        batch = _Batch(self, parts, open_)
        batch.take()
        batch.remember(minute)
        again = np.bincount(batch.part[batch.again], minlength=len(parts))
        return no_labels(parts, again, tuple(batch.met()))

    def met(self, model: str, keys: Keys, minute: int) -> Iterator[Found]:
        """What was said before of predictions of a model that are known from now on; it waits no more."""
        for name in self.names.get(model, ()):
            named = under(name, keys)
            waits, told = self.waiting.find(named), self.told.find(named)
            rows = np.flatnonzero((waits != NONE) | (told != NONE))
            if rows.size:
                value, at = self._known(waits[rows], told[rows])
                self.waiting.lose(waits[waits != NONE])
                self._tell(named[rows], told[rows], (value, at), minute)
                yield Found(name, rows, value, at)

    def room(self, most: int) -> int:
        """So many rows can come before something may be forgotten; a prediction may meet a value of each name."""
        names = max((len(known) for known in self.names.values()), default=1)
        return min((most * TOLD_PER_PREDICTION - len(self.told)) // names, most - len(self.waiting))

    def forget(self, oldest_minute: int) -> int:
        """Drop what came before this minute; how many values never met a prediction."""
        self.told.drop(max(self.told.first, self.told.old(oldest_minute)))
        return self.waiting.drop(max(self.waiting.first, self.waiting.old(oldest_minute)))

    def trim(self, most: int) -> int:
        """Drop the oldest beyond the bound for `most` predictions, and a lump more; how many never met theirs."""
        bound = most * TOLD_PER_PREDICTION
        if len(self.told) > bound:
            self.told.drop(self.told.surplus(bound - bound // LUMP))
            self.since = max(self.since, self.told.ages[0][0] + 1 if self.told.ages else self.since)
        gone = 0
        if len(self.waiting) > most:
            gone = self.waiting.drop(self.waiting.surplus(most - most // LUMP))
        if self.waiting.lost > len(self.waiting) + CHUNK:
            self.waiting = self.waiting.shrunk(NoShelf())
        return gone

    def _known(self, waits: Numbers, told: Numbers) -> tuple[Floats, Numbers]:
        """What waits, else what was told of the same prediction before it was forgotten and came again."""
        value, at = np.zeros(len(waits)), np.full(len(waits), NONE, np.int64)
        for table, numbers in ((self.told, told), (self.waiting, waits)):
            held = numbers != NONE
            value[held], at[held] = table.labels(numbers[held])
        return value, at

    def _tell(self, keys: Keys, numbers: Numbers, said: tuple[Floats, Numbers], minute: int) -> None:
        value, at = said
        held = numbers != NONE
        self.told.tell(numbers[held], value[held], at[held])
        self.told.add(keys[~held], _new(value[~held], at[~held]), minute)


class _Batch:
    """What is known of each distinct prediction and name, and what each row says, while rows are folded."""

    def __init__(self, state: Feedback, parts: Sequence[Part], open_: Table) -> None:
        self.state, self.parts, self.open = state, parts, open_
        self.part = np.repeat(np.arange(len(parts)), [len(part.ids) for part in parts])
        self.said = np.concatenate([_values(part) for part in parts])
        self.at = np.concatenate([part.times for part in parts])
        plain = [digests(part.group.model, part.ids) for part in parts]
        named = [under(part.feedback or "", keys) for part, keys in zip(parts, plain, strict=True)]
        self.keys, first, self.key = np.unique(np.concatenate(named), axis=0, return_index=True, return_inverse=True)
        self.key = self.key.ravel()
        self.first = first
        number = open_.find(np.concatenate(plain)[first])
        self.number = np.where(number >= open_.old(state.since), number, NONE)
        self.is_open: Flags = self.number != NONE
        self.table = np.where(self.is_open, state.told.find(self.keys), state.waiting.find(self.keys))
        self.value, self.known_at = np.zeros(len(self.keys)), np.full(len(self.keys), NONE, np.int64)
        for table, here in ((state.told, self.is_open), (state.waiting, ~self.is_open)):
            held = np.flatnonzero(here & (self.table != NONE))
            self.value[held], self.known_at[held] = table.labels(self.table[held])
        rows = len(self.part)
        self.again, self.joins, self.before = np.zeros(rows, np.bool_), np.zeros(rows, np.bool_), np.full(rows, np.nan)

    def take(self) -> None:
        """Fold all rows: those with different keys side by side, those whose key comes again one after the other."""
        alone = np.zeros(len(self.part), np.bool_)
        alone[self.first] = True
        self._first(np.flatnonzero(alone))
        for row in np.flatnonzero(~alone).tolist():
            self._one(row)

    def _first(self, rows: Numbers) -> None:
        keys = self.key[rows]
        known, known_at = self.value[keys], self.known_at[keys]
        self.before[rows] = np.where(known_at == NONE, np.nan, known)
        self.value[keys], self.known_at[keys], news = latest_of_each(known, known_at, self.said[rows], self.at[rows])
        self.again[rows], self.joins[rows] = ~news, news & self.is_open[keys]

    def _one(self, row: int) -> None:
        key = self.key[row]
        known = Label(float(self.value[key]), int(self.known_at[key]))
        (self.value[key], self.known_at[key]), news = latest(known, Label(float(self.said[row]), int(self.at[row])))
        self.again[row], self.joins[row], self.before[row] = not news, news and self.is_open[key], known.value

    def remember(self, minute: int) -> None:
        """Take over what is known now, new values in order of their coming."""
        for table, here in ((self.state.told, self.is_open), (self.state.waiting, ~self.is_open)):
            held = np.flatnonzero(here & (self.table != NONE))
            table.tell(self.table[held], self.value[held], self.known_at[held])
            new = np.flatnonzero(here & (self.table == NONE))
            new = new[np.argsort(self.first[new])]
            table.add(self.keys[new], _new(self.value[new], self.known_at[new]), minute)

    def met(self) -> Iterator[Met]:
        """The rows that led to an outcome, by name, in the order of the names' first rows."""
        named = np.array([part.feedback or "" for part in self.parts])[self.part]
        for name in dict.fromkeys(named[self.joins].tolist()):
            rows = np.flatnonzero(self.joins & (named == name))
            starts = np.cumsum([0, *(len(part.ids) for part in self.parts)])
            ids = [self.parts[part].ids[row - starts[part]] for part, row in zip(self.part[rows], rows, strict=True)]
            said = self.open.shelf.take(self.number[self.key[rows]])
            yield Met(name, self.part[rows], ids, said, self.said[rows], self.at[rows], self.before[rows])


def under(name: str, keys: Keys) -> Keys:
    """The keys of feedback of this name, of predictions with these keys."""
    found: Keys = keys ^ _mask(name)
    return found


@cache
def _mask(name: str) -> NDArray[np.uint64]:
    return np.frombuffer(xxh3_128_digest(f"feedback/{name}".encode()), "<u8")


def _values(part: Part) -> Floats:
    values: Any = part.label
    return np.asarray(values, np.float64)


def _new(value: Floats, at: Numbers) -> New:
    return New(np.zeros(len(value), ROW), [""] * len(value), value, at)
