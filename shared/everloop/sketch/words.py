"""The cells of all texts of a record at once: a hash without collisions over the known ones, and a comparison.

Texts are read as 64-bit words from where they stand; none becomes an object. Which column a text is of is a word more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from everloop.listed import Quoted

if TYPE_CHECKING:
    from everloop.sketch.layout import Layout

Word = NDArray[np.uint64]
WORD: Final = 8
MOST_BYTES: Final = 4 * WORD
"""With a longer text among the known ones there is no table."""
LEAST_BITS: Final = 4
MOST_BITS: Final = 14
"""Of the number of a place: a table has 32 kB at the most, which do for some 300 texts."""
_TRIES: Final = 64
_MASKS: Final = np.array([(1 << 8 * bytes_) - 1 for bytes_ in range(WORD + 1)], np.uint64)
"""What is left of a word of which so many bytes belong to the text."""


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Known texts of some columns, numbered through.

    Shapes: `words` (words + 1, texts), the last of which are numbers of columns; `lengths` and `cells` (texts,);
    `factors` (words + 1,), odd; `table` (a power of two,), the number of the text in each place.
    """

    words: tuple[Word, ...]
    lengths: NDArray[np.intp]
    cells: NDArray[np.uint32]
    factors: Word
    table: NDArray[np.uint16]

    @classmethod
    def of(cls, columns: Sequence[Mapping[object, int]]) -> Words | None:
        """The cells of texts by column. None where a text is too long, there is none, or there are too many of them."""
        named = [(text, number, cell) for number, cells in enumerate(columns) for text, cell in cells.items()
                 if isinstance(text, str)]  # fmt: skip
        raw = [text.encode("utf-8", "surrogatepass") for text, _, _ in named]
        longest = max(map(len, raw), default=0)
        if not 0 < longest <= MOST_BYTES:
            return None
        many = -(-longest // WORD)  # rounded up
        padded = np.frombuffer(b"".join(one.ljust(many * WORD, b"\0") for one in raw), "<u8").reshape(-1, many)
        words = (*np.ascontiguousarray(padded.T), np.array([number for _, number, _ in named], np.uint64))
        found = _without_collisions(words)
        if found is None:
            return None
        cells = np.array([cell for _, _, cell in named], np.uint32)
        return cls(words, np.array([*map(len, raw)], np.intp), cells, *found)

    def find(self, columns: Sequence[Quoted]) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """The cell of each text, and whether it is known: shapes (columns, rows). Columns lie in the same bytes."""
        rows, many, data = len(columns[0]), len(self.words) - 1, columns[0].data
        starts = np.concatenate([one.starts for one in columns])
        lengths = np.concatenate([one.lengths for one in columns])
        padded = data + bytes(WORD * many)
        # the word that begins at each byte, whatever it belongs to
        ahead: Word = np.ndarray((len(data) + WORD * (many - 1) + 1,), "<u8", padded, 0, (1,))
        words = [
            ahead[starts + WORD * place] & _MASKS.take(lengths - WORD * place, mode="clip") for place in range(many)
        ]
        words.append(np.repeat(np.arange(len(columns), dtype=np.uint64), rows))
        found = self.table.take(_places(words, self.factors, len(self.table))).astype(np.intp)
        known = self.lengths.take(found) == lengths
        for theirs, mine in zip(self.words, words, strict=True):
            known &= theirs.take(found) == mine
        return self.cells.take(found).reshape(-1, rows), known.reshape(-1, rows)


@lru_cache(maxsize=64)
def words_of(layout: Layout) -> Words | None:
    """Of the categorical columns of a layout; made when the first such record comes."""
    return Words.of(layout.codes)


def are_quoted(columns: Sequence[object], rows: int) -> TypeGuard[Sequence[Quoted]]:
    """Whether all are texts of one record, so many each."""
    first = columns[0] if columns else None
    return isinstance(first, Quoted) and all(
        isinstance(one, Quoted) and one.data is first.data and len(one) == rows for one in columns
    )


def _without_collisions(words: Sequence[Word]) -> tuple[Word, NDArray[np.uint16]] | None:
    """Factors and a table in which each text has a place of its own, if chance finds one."""
    chance, texts = np.random.default_rng(0), len(words[0])
    for tried in range(_TRIES):
        bits = min(max(LEAST_BITS, 2 * texts.bit_length() - 2) + tried // 8, MOST_BITS)
        factors = chance.integers(1 << 63, size=len(words), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        places = _places(words, factors, 1 << bits)
        if len(np.unique(places)) == texts:
            table = np.zeros(1 << bits, np.uint16)
            table[places] = np.arange(texts)
            return factors, table
    return None


def _places(words: Sequence[Word], factors: Word, size: int) -> NDArray[np.intp]:
    """The upper bits of a sum of products modulo 2^64: 0 to `size` - 1, a power of two."""
    total: Word = words[0] * factors[0]
    for word, factor in zip(words[1:], factors[1:], strict=True):
        total += word * factor
    total >>= np.uint64(65 - size.bit_length())
    places: NDArray[np.intp] = total.astype(np.intp)
    return places
