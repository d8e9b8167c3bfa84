"""Which rows are implausibly far ahead of their model's clock."""

from __future__ import annotations

import pytest

from everloop_drift.domain.slices import place_rows
from tests.builders import HOUR_MS, NOON, a_loop, millis

NOW = millis(NOON)
DAY = 24 * HOUR_MS


@pytest.mark.parametrize(("every", "ahead"), [("1h", DAY), ("1d", DAY), ("7d", 7 * DAY)])
def test_a_row_may_be_a_day_ahead_or_a_window_where_that_is_longer(every: str, ahead: int) -> None:
    loop = a_loop(windows={"every": every, "grace": "0s"})
    placed, late, implausible = place_rows([NOW, NOW + ahead, NOW + ahead + 1], NOW, loop, 0)
    assert (sum(map(len, placed.values())), late, implausible) == (2, 0, 1)
