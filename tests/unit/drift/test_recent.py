"""A record that comes again is known for at least 100,000 records, also after a restart, whoever wrote of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from everloop_drift.domain.recent import BLOCK, GENERATION, Block, Recent, is_forgotten, number_of


def after(numbers: list[int], recent: Recent | None = None, start: int = 0) -> Recent:
    found = recent or Recent()
    for place, number in enumerate(numbers):
        found.repeats(number, start + place)
    return found


def test_a_repeat_is_known_and_a_new_one_is_not() -> None:
    recent = after([5, 6])
    assert recent.repeats(5, 2)
    assert not recent.repeats(7, 3)


def test_a_repeat_is_known_for_at_least_a_generation_and_forgotten_after_two() -> None:
    first = GENERATION - 1
    recent = after([9], start=first)
    assert recent.repeats(9, first + GENERATION)
    recent = after([9], start=first)
    recent.repeats(1, first + 1)
    assert not recent.repeats(9, first + GENERATION + 2)


def test_a_generation_without_any_record_forgets() -> None:
    recent = after([9])
    assert not recent.repeats(9, 2 * GENERATION)


@given(
    offsets=st.lists(st.integers(0, 3 * BLOCK), unique=True, max_size=30).map(sorted),
    until=st.integers(0, 3 * BLOCK), flushes=st.sets(st.integers(0, 29)),
)  # fmt: skip
def test_what_is_brought_back_is_what_was_known_at_the_checkpoint(
    offsets: list[int], until: int, flushes: set[int]
) -> None:
    """Blocks may hold more than the checkpoint: what came after it counts for nothing, since it comes again."""
    recent, published = Recent(), dict[int, Block]()
    for place, offset in enumerate(offsets):
        recent.repeats(offset + 1, offset)
        if place in flushes:
            published |= {block.start: Block(block.start, block.numbers[:]) for block in recent.news()}
    published |= {block.start: Block(block.start, block.numbers[:]) for block in recent.news()}
    again = Recent.restored(published.values(), until)
    known = {offset for offset in range(3 * BLOCK + 1) if offset + 1 in again.newer | again.older}
    assert known == {offset for offset in offsets if offset <= until}


def test_blocks_of_a_zombie_and_its_successor_are_read_together() -> None:
    old, new = after([1, 2, 3]), Recent.restored(after([1]).news(), 0)
    after([2, 3, 4], new, start=1)
    blocks = [*old.news(), *new.news()]
    again = Recent.restored(blocks, 3)
    assert again.newer == {1, 2, 3, 4}
    assert list(Recent.restored(blocks, 3).block.numbers) == [1, 2, 3, 4]


def test_a_restart_goes_on_in_the_same_block() -> None:
    recent = Recent.restored(after([1, 2]).news(), 1)
    after([3], recent, start=2)
    assert [list(block.numbers) for block in recent.news()] == [[1, 2, 3]]


def test_only_blocks_that_changed_are_news() -> None:
    recent = after(list(range(1, BLOCK + 2)))
    assert [block.start for block in recent.news()] == [0, BLOCK]
    assert list(recent.news()) == []
    recent.repeats(7, BLOCK + 1)
    assert [block.start for block in recent.news()] == [BLOCK]


def test_a_block_is_forgotten_when_no_generation_needs_it() -> None:
    assert not is_forgotten(0, 2 * GENERATION - 1)
    assert is_forgotten(0, 2 * GENERATION)
    assert not is_forgotten(GENERATION - 10, 2 * GENERATION), "it reaches into the generation before"


def test_the_number_of_an_id_is_fixed_for_ever() -> None:
    assert number_of("tx-1001") == number_of("tx-1001") != number_of("tx-1002")
    assert number_of("6f8a2f0e-6c0b-5f0d-9d57-3a5f6e1f7c11") == 10_951_867_948_049_945_390
    assert number_of("\ud800")
