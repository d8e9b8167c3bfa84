"""Columns as Arrow has them, which become values of Python only when somebody asks: few ask for each value."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate, pairwise
from operator import ge, lt
from typing import Any, Final, TypeVar, cast, overload

import numpy as np
import orjson
from numpy.typing import DTypeLike, NDArray

T = TypeVar("T")
_QUOTE: Final = ord('"')
MOST_OFFSET: Final = 2**31 - 1


class Listed(Sequence[T]):
    """A sequence that is made a list when it must be. Equal to lists of the same values."""

    @abstractmethod
    def tolist(self) -> list[T]:
        """All values; made once."""

    def __iter__(self) -> Iterator[T]:
        return iter(self.tolist())

    def __eq__(self, other: object) -> bool:
        return self.tolist() == other if isinstance(other, list) else self is other

    def __hash__(self) -> int:
        return id(self)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self.tolist()[index]


@dataclass(slots=True, eq=False, repr=False)
class Texts(Listed[str]):
    """Texts in one piece of UTF-8; `offsets`: shape (rows + 1,), from 0 on, where each begins, between two letters.

    `even` is the length of each, in bytes, where it is known that all have the same.
    """

    data: bytes
    offsets: NDArray[np.int32]
    even: int | None = None
    _values: list[str] | None = field(default=None, init=False)

    @property
    def length(self) -> int | None:
        """Bytes of each text where all have the same; else None."""
        if self.even is not None:
            return self.even
        first = int(self.offsets[1]) if len(self) else 0
        return first if bool((np.diff(self.offsets) == first).all()) else None

    @classmethod
    def joined(cls, pieces: Sequence[Texts]) -> Texts:
        """One after the other; one at least. Raises `ValueError` where their offsets would have no room."""
        edges = [0, *accumulate(len(one.data) for one in pieces)]
        if edges[-1] > MOST_OFFSET:
            raise ValueError(edges[-1])
        moved = [one.offsets[1:] + np.int32(edge) for one, edge in zip(pieces, edges, strict=False)]
        return cls(b"".join(one.data for one in pieces), np.concatenate([pieces[0].offsets[:1], *moved]))

    def tolist(self) -> list[str]:
        """Each by itself."""
        if self._values is None:
            pairs, data = pairwise(self.offsets.tolist()), self.data
            if data.isascii():
                whole = data.decode()
                self._values = [whole[start:end] for start, end in pairs]
            else:
                self._values = [data[start:end].decode() for start, end in pairs]
        return self._values

    def __len__(self) -> int:
        return len(self.offsets) - 1


@lru_cache(maxsize=16)
def evenly(rows: int, length: int) -> NDArray[np.int32]:
    """Where texts of one length begin, and the last ends: shape (rows + 1,), not to be written to."""
    made = np.arange(rows + 1, dtype=np.int32) * np.int32(length)
    made.flags.writeable = False
    return made


class Named(list[str]):
    """Distinct texts of a dictionary, which several columns may share: nobody changes them.

    `cells` is what they became where they were looked up last, and `of` whose look-up that was.
    """

    __slots__ = ("cells", "of")

    def __init__(self, texts: Iterable[str]) -> None:
        """Nothing was looked up."""
        super().__init__(texts)
        self.of: object = None
        self.cells: NDArray[np.uint32] | None = None


@dataclass(slots=True, eq=False, repr=False)
class Quoted(Listed[str]):
    """Texts where they stand in JSON, between quotes. `starts`, `lengths`: in bytes of UTF-8, shape (rows,), not none.

    Nothing but white space and commas is between two of them.
    """

    data: bytes
    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]
    _values: list[str] | None = field(default=None, init=False)

    @classmethod
    def of(cls, columns: Sequence[bytes], rows: int) -> list[Quoted] | None:
        """Arrays of so many values each in JSON without escapes, and without brackets. None unless all are texts."""
        data = b"".join(columns)
        quotes = np.flatnonzero(np.frombuffer(data, np.uint8) == _QUOTE)
        if len(quotes) != 2 * rows * len(columns):
            return None
        found = quotes.reshape(len(columns), -1)
        edges = [0, *accumulate(map(len, columns))]
        firsts, lasts = found[:, 0].tolist(), found[:, -1].tolist()
        if any(map(lt, firsts, edges)) or any(map(ge, lasts, edges[1:])):
            return None  # one has more of them, another one fewer
        starts = found[:, ::2] + 1
        return [cls(data, *one) for one in zip(starts, found[:, 1::2] - starts, strict=True)]

    def tolist(self) -> list[str]:
        """Each by itself."""
        if self._values is None:
            first, last = int(self.starts[0]) - 1, int(self.starts[-1] + self.lengths[-1]) + 1
            self._values = cast("list[str]", orjson.loads(b"[%b]" % self.data[first:last]))
        return self._values

    def take(self, index: Sequence[int] | NDArray[np.integer]) -> list[str]:
        """The rows with these numbers."""
        values = self.tolist()
        return [values[row] for row in (index if isinstance(index, list) else np.asarray(index).tolist())]

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(slots=True, eq=False, repr=False)
class Whole(Listed[int]):
    """Whole numbers. `values`: shape (rows,)."""

    values: NDArray[np.int64]
    _values: list[int] | None = field(default=None, init=False)

    def tolist(self) -> list[int]:
        """As integers of Python."""
        if self._values is None:
            self._values = self.values.tolist()
        return self._values

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001 -- of numpy
        return np.array(self.values, dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.values)


def ends_of(numbers: Sequence[int]) -> tuple[int, int]:
    """The least and the largest. Raises `ValueError` where there is none."""
    if isinstance(numbers, Whole):
        return int(numbers.values.min()), int(numbers.values.max())
    return min(numbers), max(numbers)
