"""The grid of delays: whole numbers, an eighth wide, added up in any order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everloop.errors import InvalidError
from everloop.sketch import Labelled
from everloop.sketch.delays import (
    DELAY_BINS,
    UPPERS,
    count_delays,
    delays_from_plain,
    delays_to_plain,
    places_of_delays,
)


def test_every_delay_is_at_or_below_the_end_of_its_bin_and_no_more_than_an_eighth() -> None:
    delays = np.arange(100_000)
    ends = UPPERS[places_of_delays(delays)]
    assert (ends >= delays).all()
    assert (8 * ends <= 9 * delays).all()
    assert (np.diff(UPPERS) >= 0).all()


@given(st.integers(0, 2**47 - 1))
def test_the_end_of_a_bin_is_in_it_and_what_follows_is_not(delay: int) -> None:
    place = int(places_of_delays(np.array([delay]))[0])
    here, behind = places_of_delays(np.array([UPPERS[place], UPPERS[place] + 1])).tolist()
    assert here == place < behind or UPPERS[place] == UPPERS[-1]


def test_what_is_negative_is_no_delay_and_what_is_endless_is_in_the_last_bin() -> None:
    assert places_of_delays(np.array([-5, 0, 2**62])).tolist() == [0, 0, DELAY_BINS - 1]


@given(st.lists(st.integers(0, 2**40), max_size=30))
def test_counts_come_back_from_json(delays: list[int]) -> None:
    counts = count_delays(np.array(delays, dtype=np.int64))
    assert counts.sum() == len(delays)
    assert (delays_from_plain(delays_to_plain(counts)) == counts).all()


@pytest.mark.parametrize("plain", [{"377": 1}, {"-1": 1}, {"1": -1}, {"1": 1.5}, {"x": 1}, [1], None])
def test_anything_else_is_refused(plain: dict[str, object]) -> None:
    with pytest.raises(InvalidError, match="counts by bin"):
        delays_from_plain(plain)


def test_ages_that_were_kept_by_powers_of_two_are_read_at_the_end_of_their_octave() -> None:
    said = Labelled.observe(
        "multiclass", None, np.zeros(3), np.zeros(3), np.array([0, 3, 1000]), np.zeros(3, dtype=np.int64)
    ).to_plain()
    before = {**{name: part for name, part in said.items() if name != "delays"}, "ages": {"0": 1, "2": 1, "10": 1}}
    assert [Labelled.from_plain(before).age_ms(share) for share in (0.1, 0.5, 1.0)] == [0, 3, 1023]
