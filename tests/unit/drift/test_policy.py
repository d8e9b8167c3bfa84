"""Alarms of the whole policy, and the threshold that a budget buys."""

from __future__ import annotations

import numpy as np
import pytest

from everloop.measures import policy


def plainly(found: list[float], threshold: float, confirm: int) -> int:
    """The same, a window at a time."""
    count = above = below = 0
    opened = False
    for one in found:
        above, below = (above + 1, 0) if one > threshold else (0, below + 1)
        if not opened and above >= confirm:
            opened, count = True, count + 1
        elif opened and below >= confirm:
            opened = False
    return count


@pytest.mark.parametrize("confirm", [1, 2, 3])
def test_an_episode_is_one_alarm(confirm: int) -> None:
    found = np.random.default_rng(confirm).normal(size=(5, 200))
    thresholds = np.array([-0.5, 0.0, 0.7, 1.5])
    counted = policy.alarms(found, thresholds, confirm)
    assert counted.tolist() == [[plainly(run.tolist(), one, confirm) for one in thresholds] for run in found]
    assert counted.max() > 3


def test_the_threshold_is_the_lowest_that_the_budget_buys() -> None:
    known = ((0.0, 3.0), (0.4, 2.5), (1.8, 2.0), (6.0, 1.5), (0.0, 0.1))
    assert policy.threshold(known, 1.0) == 3.0
    assert policy.threshold(known, 1.5) == 2.5
    assert policy.threshold(known, 3.0) == 2.0, "far below, where episodes flow together, nothing is bought"
    assert policy.threshold(known, 0.2) == 3.0


def test_a_curve_begins_at_the_largest_value_and_goes_down() -> None:
    found = np.random.default_rng(0).normal(size=500)
    curve = policy.curve(found, 2, 7)
    levels = [level for _, level in curve]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == pytest.approx(found.max(), rel=1e-4)
    assert curve[0][0] == 0.0
    assert policy.curve(found, 2, 7) == curve


@pytest.mark.parametrize("confirm", [1, 2])
@pytest.mark.parametrize("budget", [1.0, 3.0])
def test_what_is_bought_is_kept_out_of_sample(confirm: int, budget: float) -> None:
    """Alarms in as many new windows as the reference had, over 60 references of neighbours correlated by 0.5."""
    kept = 0
    for seed in range(60):
        draw = np.random.default_rng([seed, confirm])
        both = np.empty(1600)
        both[0] = draw.normal()
        for place, noise in enumerate(draw.normal(size=1599), start=1):
            both[place] = 0.5 * both[place - 1] + 0.75**0.5 * noise
        known = policy.curve(both[:800], confirm, seed)
        kept += plainly(both[800:].tolist(), policy.threshold(known, budget), confirm)
    assert 0 < kept / 60 <= 1.25 * budget
