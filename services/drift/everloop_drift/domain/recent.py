"""Which records came before: drift drops repeated record ids within at least the last 100,000 of a partition.

Ids are remembered as 64-bit numbers, by offset, in blocks: what two generations of 100,000 offsets have held is known.
Two of so many different ids have the same number with a chance of about 10^-14 per record.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from xxhash import xxh3_64_intdigest

GENERATION: Final = 100_000
BLOCK: Final = 1_024


def number_of(identity: str) -> int:
    """The number of a record id: XXH3-64 of its text, never 0."""
    return xxh3_64_intdigest(identity.encode("utf-8", "surrogatepass")) or 1


def numbers_of(identities: Sequence[str]) -> list[int]:
    """`number_of` each."""
    try:
        numbers = list(map(xxh3_64_intdigest, map(str.encode, identities)))
    except UnicodeEncodeError:
        return list(map(number_of, identities))
    return numbers if 0 not in numbers else list(map(number_of, identities))


class Block(NamedTuple):
    """Numbers of the ids of the records from `start` on, in order of offset; 0 where a record had none."""

    start: int
    numbers: array[int]


def is_forgotten(start: int, offset: int) -> bool:
    """Whether a block from `start` on counts for nothing once the record at `offset` has been read."""
    return start + BLOCK <= (offset // GENERATION - 1) * GENERATION


@dataclass(slots=True)
class Recent:
    """The memory of one partition. `touched` are blocks that hold more than was published of them."""

    newer: set[int] = field(default_factory=set)
    older: set[int] = field(default_factory=set)
    generation: int = -1
    block: Block = field(default_factory=lambda: Block(0, array("Q")))
    touched: dict[int, Block] = field(default_factory=dict)

    def repeats(self, number: int, offset: int) -> bool:
        """Whether this id came before the record at `offset`; it is remembered. Offsets only grow."""
        self._turn(offset)
        known = number in self.newer or number in self.older
        self.newer.add(number)
        self._write((number,), offset)
        return known

    def are_new(self, numbers: Sequence[int], first: int, last: int) -> bool:
        """Whether none of these ids came before, nor twice among them; they are remembered then, and else none is.

        They are those of the records from `first` to `last`, one each, in order.
        """
        one_each = len(numbers) == last - first + 1 == len(set(numbers))
        if not one_each or first // GENERATION != last // GENERATION:
            return False
        self._turn(first)
        if not (self.newer.isdisjoint(numbers) and self.older.isdisjoint(numbers)):
            return False
        self.newer.update(numbers)
        for start in range(first - first % BLOCK, last + 1, BLOCK):
            begin, end = max(first, start), min(last + 1, start + BLOCK)
            self._write(array("Q", numbers[begin - first : end - first]), begin)
        return True

    def news(self) -> Iterator[Block]:
        """What is to be published; afterwards nothing is."""
        yield from self.touched.values()
        self.touched = {}

    @classmethod
    def restored(cls, blocks: Iterable[Block], until: int) -> Recent:
        """Bring back what was known when the record at `until` had been read, from any blocks: whoever wrote them.

        What blocks hold of later records counts for nothing: those records come again.
        """
        made = cls()
        held = [block for block in blocks if block.start <= until]
        generation = until // GENERATION
        for block in held:
            for place, number in enumerate(block.numbers[: until - block.start + 1]):
                offset = block.start + place
                if number and offset // GENERATION >= generation - 1:
                    (made.newer if offset // GENERATION == generation else made.older).add(number)
        made.generation = generation
        start = until - until % BLOCK
        last = array("Q", bytes(8 * (until - start + 1)))
        for block in held:
            if block.start == start:
                for place, number in enumerate(block.numbers[: len(last)]):
                    last[place] = last[place] or number
        made.block = Block(start, last)
        return made

    def _turn(self, offset: int) -> None:
        generation = offset // GENERATION
        if generation != self.generation:
            self.older = self.newer if generation == self.generation + 1 else set()
            self.newer, self.generation = set(), generation

    def _write(self, some: Iterable[int], offset: int) -> None:
        """In one block, from `offset` on."""
        start = offset - offset % BLOCK
        if start != self.block.start:
            self.block = Block(start, array("Q"))
        numbers = self.block.numbers
        if len(numbers) < offset - start:
            numbers.extend([0] * (offset - start - len(numbers)))
        numbers.extend(some)
        self.touched[start] = self.block
