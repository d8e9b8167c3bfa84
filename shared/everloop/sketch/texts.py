"""Columns of categories as the numbers of their cells: one look-up for each value, whatever it is."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Protocol, TypeGuard

import numpy as np

from everloop.listed import Named, Quoted
from everloop.profile.cells import MALFORMED, MISSING, category, listed
from everloop.sketch.numbers import packer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Cells = NDArray[np.uint32]


class Coded(Protocol):
    """Texts as codes (-1: missing) and the list of texts that they number, as Arrow's dictionaries come."""

    codes: NDArray[np.integer]
    texts: list[str]


class Codes(dict[object, int]):
    """The cell of every value of one column: `first` and so on are its categories, then `other`.

    Its keys are texts and None alone. Whatever else is asked for is named first, since True, 1 and 1.0 hash alike;
    nothing is remembered of it.
    """

    __slots__ = ("first", "lost", "other")

    def __init__(self, categories: Sequence[str], first: int, lost: Sequence[int]) -> None:
        """`lost` are the cells of what is no category, as `profile.cells` numbers it."""
        super().__init__({name: first + place for place, name in enumerate(categories)})
        self.first, self.other, self.lost = first, first + len(categories), lost
        self[None] = lost[MISSING]

    def __missing__(self, value: object) -> int:
        """The cell of what is no category as it stands."""
        found = category(value)
        return self.get(found, self.other) if isinstance(found, str) else self.lost[found]

    def encode(self, column: object, rows: int) -> bytes | memoryview:
        """The cells of `rows` values as 32-bit numbers.

        A column that is too short counts the rest as missing, one that is too long is cut. None, which is no column, is
        all missing, and anything else that is none is all malformed.
        """
        if type(column) is Quoted:
            column = column.tolist()
        if type(column) is list and len(column) == rows > 1:
            try:
                return packer(f"{rows}I").pack(*itemgetter(*column)(self))
            except TypeError:  # what does not hash
                pass
        elif is_coded(column):
            return self._filled(self._looked_up(column.texts).take(column.codes[:rows], mode="wrap"), rows).data
        items = [] if column is None else listed(column)
        found = [self.lost[MALFORMED]] * rows if items is None else map(self._cell, items[:rows])
        return self._filled(np.fromiter(found, np.uint32), rows).data

    def _looked_up(self, texts: list[str]) -> Cells:
        """The cells of texts, and as the last that of what is missing. With a shared dictionary they are kept."""
        if type(texts) is Named and texts.of is self and texts.cells is not None:
            return texts.cells
        cells = np.array([*map(self.__getitem__, texts), self.lost[MISSING]], dtype=np.uint32)
        if type(texts) is Named:
            texts.of, texts.cells = self, cells
        return cells

    def _cell(self, value: object) -> int:
        return self[value] if type(value) is str else self.__missing__(value)

    def _filled(self, cells: Cells, rows: int) -> Cells:
        short = rows - cells.size
        return cells if not short else np.concatenate([cells, np.full(short, self.lost[MISSING], np.uint32)])


def is_coded(column: object) -> TypeGuard[Coded]:
    """Whether this is a column of codes; `isinstance` of a protocol takes ten times as long."""
    return hasattr(column, "codes") and hasattr(column, "texts")
