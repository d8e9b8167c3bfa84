"""Columns by drift x importance: one scale for all, p-values as scipy and statsmodels adjust them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from everloop import events as e
from everloop_drift.domain.measures import measure, table
from everloop_drift.domain.ranking import BITS, MOST_RANKED, benjamini_hochberg, drift, rank
from tests.unit.drift.builders import a_column_window, a_profile, a_window, compared, normal
from tests.unit.drift.test_judging import a_judge, arm, outcomes, partly, split

ROWS = 2000


def ranked(profile: Any, columns: dict[str, Any], **importance: float) -> list[e.RankedColumn]:  # noqa: ANN401  # a profile
    windows = [a_column_window(one, columns[one.name]) for one in profile.columns]
    weighed = [one.model_copy(update={"importance": importance.get(one.name)}) for one in windows]
    return list(rank(weighed, table(measure(weighed))))


def names(found: list[e.RankedColumn]) -> list[str]:
    return [one.name for one in found]


REFERENCE = {"big": normal(1), "small": normal(2), "kind": ["a", "b"] * 1000, "still": normal(3)}
PROFILE = a_profile(**REFERENCE)
CURRENT = {"big": normal(4, shift=1.5), "small": normal(5, shift=0.4), "kind": ["a"] * 1500 + ["b"] * 500,
           "still": normal(6)}  # fmt: skip


def test_without_importance_the_column_that_moved_most_comes_first() -> None:
    found = ranked(PROFILE, CURRENT)
    assert names(found) == ["big", "kind", "small", "still"]
    assert [one.importance for one in found] == [None] * 4
    assert [one.score for one in found] == pytest.approx([one.drift / 4 for one in found], rel=1e-4)
    assert found[0].drift > 0.4 > found[1].drift > 0.1 > found[3].drift


def test_importance_puts_a_small_move_before_a_large_one_but_not_a_still_column_before_either() -> None:
    found = ranked(PROFILE, CURRENT, big=0.02, small=0.4, kind=0.08, still=0.5)
    assert names(found) == ["small", "kind", "big", "still"]
    assert [one.score for one in found] == pytest.approx([one.drift * (one.importance or 0) for one in found], rel=1e-4)
    assert ranked(PROFILE, CURRENT, big=0.3, small=0.1)[0].importance == 0.3  # others count like the mean of the known


def test_a_column_that_vanished_or_left_its_constant_is_at_the_top() -> None:
    profile = a_profile(gone=normal(1), fixed=[5.0] * ROWS, moved=normal(2))
    found = ranked(profile, {"gone": [None] * 600, "fixed": [6.0] * 600, "moved": normal(3, 600, 0.5)})
    assert [(one.name, one.drift) for one in found[:2]] == [("fixed", 1.0), ("gone", 1.0)]
    gone = found[1]
    assert (gone.p_value, gone.p_adjusted) == (None, None)


def test_chance_alone_is_no_drift_on_the_average() -> None:
    excess = []
    for seed in range(150):
        figures = table(measure([compared(normal(2 * seed + 1000), normal(2 * seed + 1001, 500))]))
        found = figures.of(figures.columns["x"])
        excess.append(found["jensen_shannon"] ** 2 - found["psi_noise"] / BITS)
    assert abs(np.mean(excess)) < 3 * np.std(excess) / np.sqrt(len(excess))
    assert drift({"jensen_shannon": 0.05, "psi_noise": 0.05}) == 0


@settings(max_examples=30)
@given(st.dictionaries(st.text(min_size=1), st.floats(0, 1), min_size=1, max_size=30))
def test_p_values_are_adjusted_as_scipy_and_statsmodels_do(p_values: dict[str, float]) -> None:
    ours = benjamini_hochberg(p_values)
    plain = list(p_values.values())
    assert [ours[name] for name in p_values] == pytest.approx(false_discovery_control(plain), abs=1e-12)
    assert [ours[name] for name in p_values] == pytest.approx(multipletests(plain, method="fdr_bh")[1], abs=1e-12)


def test_the_event_carries_at_most_twenty_and_only_of_compared_windows() -> None:
    profile = a_profile(**{f"c{place}": normal(place) for place in range(30)})
    found = ranked(profile, {f"c{place}": normal(50 + place, 600, place / 10) for place in range(30)})
    assert len(found) == MOST_RANKED
    assert {one.name for one in found[:5]} <= {f"c{place}" for place in range(20, 30)}
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    said = a_judge().hear(a_window(0, arm(3)))
    assert said.ranking[0].name == "amount"
    assert (said.ranking[0].p_adjusted or 0) < 1e-9
    assert {one.name for one in said.ranking} == set(said.figures.columns) == {"amount", "country"}
    few, odd = (
        a_judge().hear(a_window(0, arm(rows=100))),
        a_judge().hear(a_window(0, partly(0, split(600, added=("x",))))),
    )
    assert (few.ranking, odd.ranking) == ((), ())
    assert a_judge().hear(a_window(0, outcomes(1.0), kind="outcomes")).ranking == ()
