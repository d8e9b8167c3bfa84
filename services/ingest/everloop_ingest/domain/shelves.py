"""What the join remembers of many keys, in order of arrival: compact columns, found by a 128-bit digest of the key.

Per row 32 bytes in memory (digest, label, when it was known) and 4 per slot of the index; what a prediction said lies
on a `Shelf`, in memory or on disk. Numbers count arrivals from 0 and never come again.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from math import prod
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Final, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest, xxh3_128_digest

T = TypeVar("T", bound=np.generic)
Numbers: TypeAlias = NDArray[np.int64]
Keys: TypeAlias = NDArray[np.uint64]
"""Shape (rows, 2): the digest of model and prediction id."""
Said: TypeAlias = NDArray[np.void]
"""Shape (rows,), dtype `ROW`."""
Floats: TypeAlias = NDArray[np.float64]

ROW: Final = np.dtype([
    ("time", "<i8"), ("score", "<f8"), ("shadow", "<f8"), ("group", "<u4"), ("bucket", "u1"), ("entity", "<u8", (2,)),
])  # fmt: skip
"""What a prediction said: `time` in ms, NaN where there is no score, `group` a place in a list of groups; `entity` is a
digest of model and entity, 0 where there is none."""
RAW: Final = np.dtype((np.void, ROW.itemsize))
"""The same bytes without fields: numpy copies such rows at once, others field by field, in ten times the time."""
NONE: Final = -1
"""Instead of when a label was known: there is none. Instead of a number: not found."""
FULL: Final = 0.75
"""Share of the index beyond which it is made anew, at half of it or less."""
CHUNK: Final = 65_536
"""Rows that are put into the index at once."""
LUMP: Final = 64
"""One part in so many is forgotten at once where a bound is met, so that it is not done for each record."""
LARGE: Final = 1 << 20
"""Bytes from which on an array has pages of its own."""
SMALLEST: Final = 1_024
_LOWEST: Final = 0x7FFF_FFFF
_EMPTY: Final = -1


class Shelf(Protocol):
    """Where rows lie by their numbers. Only ever appended to at the end and dropped at the beginning."""

    def append(self, keys: Keys, rows: Said, names: Sequence[str]) -> None:
        """Lay down the next rows; their keys are kept for a later start. A name is empty where nobody will ask."""

    def names(self, numbers: Numbers) -> list[str]:
        """The names of rows."""

    def of_entities(self, entities: Keys, start: int, end: int) -> Numbers:
        """Numbers, in order, of rows of these entities with times in [start, end), and maybe of a few others."""

    def take(self, numbers: Numbers) -> Said:
        """The rows with these numbers, in this order."""

    def drop(self, before: int) -> None:
        """Nobody asks for smaller numbers any more."""


class MemoryShelf:
    """A shelf in memory."""

    def __init__(self) -> None:
        """An empty one."""
        self.base = 0
        self.rows: Said = np.empty(0, ROW)
        self.texts: list[str] = []
        self.used = 0

    def append(self, keys: Keys, rows: Said, names: Sequence[str]) -> None:
        """Lay down the next rows."""
        del keys
        self.texts += names
        if self.used + len(rows) > len(self.rows):
            self.rows = grown(self.rows[: self.used], len(rows))
        self.rows.view(RAW)[self.used : self.used + len(rows)] = rows.view(RAW)
        self.used += len(rows)

    def take(self, numbers: Numbers) -> Said:
        """The rows with these numbers."""
        return self.rows.take(numbers - self.base)

    def names(self, numbers: Numbers) -> list[str]:
        """The names of rows."""
        return [self.texts[number] for number in (numbers - self.base).tolist()]

    def of_entities(self, entities: Keys, start: int, end: int) -> Numbers:
        """Numbers of rows of these entities."""
        return self.base + places_of(self.rows[: self.used], entities, start, end)

    def drop(self, before: int) -> None:
        """Let go of what lies before, when it is more than half."""
        gone = before - self.base
        if gone > self.used // 2:
            del self.texts[:gone]
            self.rows, self.base, self.used = self.rows[gone : self.used].copy(), before, self.used - gone


class Columns(NamedTuple):
    """What a table has in memory of each row, and its `ages`, shape (minutes, 2)."""

    label: Floats
    known_at: Numbers
    ages: Numbers


class New(NamedTuple):
    """Rows that are to be remembered: what predictions said, their names where they have an entity, their labels."""

    rows: Said
    names: Sequence[str]
    label: Floats
    known_at: Numbers


class Table:
    """Rows by key, the oldest first. `ages` are (minute, number of the first row of that minute), in order.

    Where rows are taken out of the middle (`holes`), what is taken out is what has no label.
    """

    def __init__(self, shelf: Shelf, *, holes: bool = False) -> None:
        """An empty one."""
        self.shelf = shelf
        self.holes = holes
        self.base = self.first = self.next = self.lost = 0
        self.keys: Keys = np.empty((0, 2), np.uint64)
        self.label: Floats = np.empty(0, np.float64)
        self.known_at: Numbers = np.empty(0, np.int64)
        self.ages: list[tuple[int, int]] = []
        self.slots: NDArray[np.int32] = np.full(SMALLEST, _EMPTY, np.int32)
        self.filled = 0

    @classmethod
    def restored(cls, shelf: Shelf, first: int, keys: Keys, columns: Columns, *, holes: bool = False) -> Table:
        """A table as it was, from the columns of its rows. Raises `ValueError` where they are not of one length."""
        table = cls(shelf, holes=holes)
        if not len(keys) == len(columns.label) == len(columns.known_at):
            raise ValueError(len(keys))
        table.base, table.first, table.next = first, first, first + len(keys)
        table.keys, table.label, table.known_at = keys, columns.label, columns.known_at
        table.ages = [(minute, number) for minute, number in columns.ages.tolist()]
        table._index_all()
        return table

    @property
    def columns(self) -> Columns:
        """What is in memory of its rows beside their keys."""
        held = slice(self.first - self.base, self.next - self.base)
        return Columns(self.label[held], self.known_at[held], np.array(self.ages, np.int64).reshape(-1, 2))

    @property
    def all_keys(self) -> Keys:
        """The keys of its rows, in their order."""
        return self.keys[self.first - self.base : self.next - self.base]

    def __len__(self) -> int:
        """Rows that are remembered."""
        return self.next - self.first - self.lost

    def find(self, keys: Keys) -> Numbers:
        """The number of each key, `NONE` where it is not remembered."""
        found = np.full(len(keys), NONE, np.int64)
        if not len(self):
            return found
        left, step = np.arange(len(keys)), 0
        slot = self._slots_of(keys)
        while left.size:
            low = self.slots[slot]
            place, alive = self._places(low)
            hit = alive & same(self.keys[place], keys[left])
            found[left[hit]] = place[hit] + self.base
            on, step = ~hit & (low != _EMPTY), step + 1
            left, slot = left[on], (slot[on] + step) & (len(self.slots) - 1)
        return found

    def add(self, keys: Keys, columns: New, minute: int) -> None:
        """Remember keys that are not in it, each once, in this order."""
        if not len(keys):
            return
        if self.next - self.base + len(keys) > len(self.label):
            self._grow(len(keys))
        new = slice(self.next - self.base, self.next - self.base + len(keys))
        self.keys[new], self.label[new], self.known_at[new] = keys, columns.label, columns.known_at
        self.shelf.append(keys, columns.rows, columns.names)
        if not self.ages or self.ages[-1][0] < minute:
            self.ages.append((minute, self.next))
        self.next += len(keys)
        self._index(len(keys))

    def labels(self, numbers: Numbers) -> tuple[Floats, Numbers]:
        """The label of each, and when it was known."""
        return self.label[numbers - self.base], self.known_at[numbers - self.base]

    def keys_of(self, numbers: Numbers) -> Keys:
        """The keys of rows."""
        return self.keys[numbers - self.base]

    def of_entities(self, entities: Keys, start: int, end: int) -> Numbers:
        """Numbers of rows of these entities with times in [start, end), and maybe of a few others, in order."""
        found = self.shelf.of_entities(entities, start, end)
        return found[found >= self.first]

    def tell(self, numbers: Numbers, label: Floats, known_at: Numbers) -> None:
        """Set labels."""
        self.label[numbers - self.base] = label
        self.known_at[numbers - self.base] = known_at

    def lose(self, numbers: Numbers) -> None:
        """Take rows out of the middle."""
        self.known_at[numbers - self.base] = NONE
        self.lost += len(numbers)

    def old(self, minute: int) -> int:
        """The number of the first row that did not come before this minute."""
        return next((number for age, number in self.ages if age >= minute), self.next)

    def surplus(self, most: int) -> int:
        """The number of the first of the youngest `most` rows."""
        if len(self) <= most:
            return self.first
        alive = np.flatnonzero(self._known() != NONE) if self.lost else np.arange(self.next - self.first)
        return self.first + int(alive[len(alive) - most]) if most else self.next

    def drop(self, before: int) -> int:
        """Forget rows with smaller numbers; how many of them never met their other half."""
        without = int((self._known()[: before - self.first] == NONE).sum())
        unmet = before - self.first - without if self.holes else without
        self.lost -= without if self.holes else 0
        self.first = before
        self.shelf.drop(before)
        self.ages = [(minute, max(start, before)) for minute, start, end in self._spans() if end > before]
        return unmet

    def shrunk(self, shelf: Shelf) -> Table:
        """The same rows without the holes, under other numbers, on this empty shelf."""
        fresh = Table(shelf, holes=self.holes)
        for minute, start, end in self._spans():
            at = np.arange(start, end)
            at = at[self.known_at[at - self.base] != NONE]
            fresh.add(self.keys[at - self.base], New(self.shelf.take(at), [""] * len(at), *self.labels(at)), minute)
        return fresh

    def _spans(self) -> list[tuple[int, int, int]]:
        """Minute, first number and the number behind the last, of rows that came in one minute."""
        ends = [*(number for _, number in self.ages[1:]), self.next]
        return [(minute, start, end) for (minute, start), end in zip(self.ages, ends, strict=False)]

    def _known(self) -> Numbers:
        return self.known_at[self.first - self.base : self.next - self.base]

    def _slots_of(self, keys: Keys) -> Numbers:
        """Where in the index a key is looked for first. Then 1, 2, 3 ... slots on, which leads to every one."""
        return (keys[:, 0] & np.uint64(len(self.slots) - 1)).astype(np.int64)

    def _places(self, low: NDArray[np.int32]) -> tuple[Numbers, NDArray[np.bool_]]:
        """Places in the columns of what stands in slots (the lowest 31 bits of a number), and which are remembered."""
        age = (low.astype(np.int64) - self.first) & _LOWEST
        alive = (low != _EMPTY) & (age < self.next - self.first)
        place = np.where(alive, age + (self.first - self.base), 0)
        return place, alive & (self.known_at[place] != NONE) if self.lost else alive

    def _grow(self, count: int) -> None:
        held = slice(self.first - self.base, self.next - self.base)
        self.keys, self.label = grown(self.keys[held], count), grown(self.label[held], count)
        self.known_at = grown(self.known_at[held], count)
        self.base = self.first

    def _index(self, count: int) -> None:
        """Put the last rows into the index, or all into a new one where it is too full."""
        if self.filled + count > FULL * len(self.slots):
            self._index_all()
        else:
            self._place_last(count)

    def _index_all(self) -> None:
        count = self.next - self.first
        self.slots = _room((max(SMALLEST, 1 << (2 * count - 1).bit_length()),), np.dtype(np.int32))
        self.slots[:] = _EMPTY
        self.filled = 0
        self._place_last(count)

    def _place_last(self, count: int) -> None:
        for start in range(self.next - count, self.next, CHUNK):
            self._place(np.arange(start, min(start + CHUNK, self.next)))
        self.filled += count

    def _place(self, numbers: Numbers) -> None:
        low, step = (numbers & _LOWEST).astype(np.int32), 0
        slot = self._slots_of(self.keys[numbers - self.base])
        while low.size:
            free = self.slots[slot] == _EMPTY
            self.slots[slot[free]] = low[free]  # of several who want one slot, one has it
            on, step = self.slots[slot] != low, step + 1
            low, slot = low[on], (slot[on] + step) & (len(self.slots) - 1)


def digests(model: str, names: Sequence[str]) -> Keys:
    """The digest of each prediction id of a model: XXH3-128, seeded with the XXH3-64 of the model."""
    seed = xxh3_64_intdigest(_utf8(model))
    try:
        found = b"".join(map(xxh3_128_digest, map(str.encode, names), repeat(seed)))
    except UnicodeEncodeError:  # a lone surrogate, which JSON can carry
        found = b"".join([xxh3_128_digest(_utf8(name), seed) for name in names])
    return np.frombuffer(found, "<u8").reshape(-1, 2)


def same(some: Keys, others: Keys) -> NDArray[np.bool_]:
    """Which are equal, row by row. To compare halves takes a tenth of what `all` over both columns takes."""
    equal: NDArray[np.bool_] = (some[:, 0] == others[:, 0]) & (some[:, 1] == others[:, 1])
    return equal


def places_of(rows: Said, entities: Keys, start: int, end: int) -> Numbers:
    """Places of rows of these entities with times in [start, end); of others whose digest begins like one of theirs."""
    near = np.isin(rows["entity"][:, 0], entities[:, 0])
    return np.flatnonzero(near & (rows["time"] >= start) & (rows["time"] < end))


def grown(column: NDArray[T], more: int) -> NDArray[T]:
    """A copy with room for `more` rows, and for as many again as are there."""
    room = _room((2 * len(column) + more, *column.shape[1:]), column.dtype)
    room[: len(column)] = column
    return room


def _room(shape: tuple[int, ...], kind: np.dtype[T]) -> NDArray[T]:
    """An array without values. A large one has pages of its own: what is not used of it takes no memory."""
    size = prod(shape) * kind.itemsize
    if size < LARGE:
        return np.empty(shape, kind)
    return np.frombuffer(mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS), kind).reshape(shape)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
