"""Segments are judged like the window, each with an episode of its own, and many of them cry wolf like one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from everloop import events as e
from everloop_drift.domain import judging, segments
from everloop_drift.domain.segments import GROUP_ROWS, judge_segments, solid_groups
from tests.builders import HOUR_MS, a_loop
from tests.unit.drift.builders import START
from tests.unit.drift.segment_judge import Judge, stages
from tests.unit.drift.segmented import a_segmented_arm, a_segmented_profile, an_unchanged_arm

OPENED, CONTINUING, CLOSED, NONE = e.Episode.OPENED, e.Episode.CONTINUING, e.Episode.CLOSED, e.Episode.NONE
MANY, ROWS = 20, 500
"""Segments of a window, and rows of each: one has 5 % of all."""
NAMES = [f"s{number:02}" for number in range(MANY)]


def world(seed: int, rows: int) -> dict[str, Any]:
    """Rows of all segments, as many of each, and a constant currency."""
    rng = np.random.default_rng(seed)
    return {
        "amount": rng.normal(size=rows * MANY).tolist(), "other": rng.normal(size=rows * MANY).tolist(),
        "currency": ["EUR"] * rows * MANY, "shop": NAMES * rows,
    }  # fmt: skip


def uniform(rows: int, seed: int = 2) -> list[float]:
    found: list[float] = np.random.default_rng(seed).uniform(size=rows).tolist()
    return found


PROFILE = a_segmented_profile("shop", MANY, uniform(4000), **world(1, 200))


def arm(*shops: str, shift: float = 1.5, version: str = "1") -> e.ArmWindow:
    """A window in which the amounts of these shops have moved."""
    rows = world(3, ROWS)
    pairs = zip(rows["shop"], rows["amount"], strict=True)
    rows["amount"] = [amount + shift if shop in shops else amount for shop, amount in pairs]
    return a_segmented_arm(PROFILE, uniform(ROWS * MANY, 4), version=version, **rows)


CALM, MOVED = arm(), arm("s07")
LOOP = a_loop(windows={"every": "1h", "min_rows": ROWS})


# -------------------------------------------------------------------------------------------------- what is found


def test_drift_in_one_segment_of_twenty_is_found_though_the_window_is_stable() -> None:
    said = Judge(LOOP).hear(MOVED)[0]
    assert said.verdict == "stable"
    assert not any(measure.drifted for measure in said.measures)
    (moved,) = [one for one in said.segments if one.verdict == "drifted"]
    assert (moved.column, moved.value, moved.rows) == ("shop", "s07", ROWS)
    assert moved.share == pytest.approx(1 / 3), "of amount, other and currency: the shop is the same in all rows"
    assert moved.worst is not None
    assert (moved.worst.name, moved.worst.test, moved.worst.limit) == ("amount", "psi", 0.2)
    assert len(said.segments) == MANY


def test_a_column_that_is_constant_in_a_segment_is_not_when_it_moves() -> None:
    rows = world(3, ROWS)
    rows["currency"] = ["USD" if name == "s03" else "EUR" for name in rows["shop"]]
    said = Judge(LOOP).hear(a_segmented_arm(PROFILE, uniform(ROWS * MANY, 4), **rows))[0]
    assert [(one.value, one.worst and one.worst.test) for one in said.segments if one.verdict == "drifted"] == [
        ("s03", "outside_constant")
    ]


def test_values_that_go_missing_in_a_segment_are_drift_of_it() -> None:
    rows = world(3, ROWS)
    rows["amount"] = [
        None if name == "s03" else value for name, value in zip(rows["shop"], rows["amount"], strict=True)
    ]
    said = Judge(LOOP).hear(a_segmented_arm(PROFILE, uniform(ROWS * MANY, 4), **rows))[0]
    found = {one.value: one.worst and one.worst.test for one in said.segments if one.verdict == "drifted"}
    assert found == {"s03": "missing_rate"}


def test_scores_of_a_segment_count_as_those_of_the_window_do() -> None:
    rows, scores = world(3, ROWS), uniform(ROWS * MANY, 4)
    low = [score / 4 if name == "s03" else score for name, score in zip(rows["shop"], scores, strict=True)]
    said = Judge(LOOP).hear(a_segmented_arm(PROFILE, low, **rows))[0]
    assert said.verdict == "stable"
    assert [one.value for one in said.segments if one.verdict == "drifted"] == ["s03"]


def test_other_is_a_segment_and_few_rows_on_either_side_are_none() -> None:
    reference = world(1, 200)
    reference["shop"] = ["big"] * 3000 + ["small"] * 30 + [f"x{row}" for row in range(970)]
    profile = a_segmented_profile("shop", 2, uniform(4000), **reference)
    rows = world(3, ROWS)
    rows["shop"] = ["big"] * 499 + ["small"] * 5000 + ["new"] * 4501
    rows["amount"] = [0.0] * 5499 + [9.0] * 4501
    said = Judge(LOOP).hear(a_segmented_arm(profile, uniform(ROWS * MANY, 4), **rows))[0]
    assert [(one.value, one.rows, one.verdict) for one in said.segments] == [(None, 4501, "drifted")]


# ------------------------------------------------------------------------------------------------------ episodes


def test_a_segment_has_an_episode_of_its_own_and_it_is_one_alert() -> None:
    judge = Judge(LOOP)
    said = judge.hear(MOVED, CALM, MOVED, MOVED, MOVED, CALM, MOVED, CALM, CALM, CALM)
    assert [stage for _, stage in stages(said)] == [NONE] * 3 + [OPENED] + [CONTINUING] * 4 + [CLOSED, NONE]
    assert {one.episode for one in said} == {NONE}, "the window's own episode is another one"
    (moved,) = [one for one in said[3].segments if one.episode is OPENED]
    assert moved.since == START + 2 * HOUR_MS
    assert [(alert.name, alert.severity) for alert in judge.alerts] == [
        ("segment_drift_opened", "warning"), ("segment_drift_closed", "info"),
    ]  # fmt: skip
    assert "segment shop = 's07' (amount psi" in judge.alerts[0].summary
    assert judge.state.segments == {}


def test_many_segments_are_one_alert_and_a_fold_of_the_journal_finds_the_same() -> None:
    judge, windows = Judge(LOOP), [arm("s07", "s08", shift=2.0)] * 2
    said = judge.hear(*windows)
    (alert,) = judge.alerts
    assert alert.details["segments"] == 2
    assert alert.summary.endswith(", and of 1 more segments")
    state = judging.initial()
    for one in said:
        state = judging.evolve(state, one)
    assert state == judge.state
    assert sorted(state.segments) == [("shop", "s07"), ("shop", "s08")]


def test_drift_of_the_whole_is_one_alert_and_segments_say_where() -> None:
    judge = Judge(a_loop(windows={"every": "1h", "min_rows": ROWS}, drift={"share": 0.25}))
    said = judge.hear(*[arm(*NAMES)] * 3)
    assert {one.verdict for one in said} == {"drifted"}
    assert stages(said) == [("drifted", NONE)] * 3
    assert [alert.name for alert in judge.alerts] == ["drift_opened"]


def test_another_champion_ends_the_episodes_of_segments() -> None:
    judge = Judge(LOOP)
    judge.hear(MOVED, MOVED)
    said = judge.hear(arm("s07", version="2"), arm(version="2"), first=2)
    assert stages(said)[0] == ("superseded", CLOSED)
    assert [alert.name for alert in judge.alerts] == ["segment_drift_opened", "segment_drift_closed"]
    assert judge.state.segments == {}


def test_an_open_episode_waits_where_its_segment_has_too_few_rows() -> None:
    judge = Judge(LOOP)
    judge.hear(MOVED, MOVED)
    before = judge.state.segments
    without = CALM.model_copy(update={"segments": tuple(one for one in CALM.segments if one.value != "s07")})
    assert stages(judge.hear(without, first=2)) == [("too_few", CONTINUING)]
    assert judge.state.segments == before


def test_a_revision_has_no_part_in_episodes() -> None:
    judge = Judge(LOOP)
    judge.hear(MOVED)
    before = judge.state
    assert stages(judge.hear(MOVED, revision=1)) == [("drifted", NONE)]
    assert judge.state == before


def test_windows_of_too_few_rows_say_nothing_of_segments() -> None:
    few = Judge(a_loop(windows={"every": "1h", "min_rows": ROWS * MANY + 1}))
    assert few.hear(MOVED)[0].segments == ()


# ---------------------------------------------------------------------------------------------- what it promises


def test_groups_are_joined_until_each_has_rows_enough() -> None:
    assert solid_groups((0, 1, 2, 3), (GROUP_ROWS, 5, GROUP_ROWS - 5, GROUP_ROWS)) == (0, 1, 1, 2)
    assert solid_groups((0, 1, 2), (GROUP_ROWS, GROUP_ROWS, 3)) == (0, 1, 1)
    assert solid_groups((0, 1, 2), (3, 3, 3)) == (0, 0, 0)
    assert solid_groups((0, 0), (0, 0)) == (0, 0)


def any_drifted(test: str, windows: int, rows: int = ROWS, reference_rows: int = 100) -> int:
    """In how many windows without a change some of their twenty segments have drifted."""
    rng = np.random.default_rng([windows, rows])
    loop = a_loop(windows={"every": "1h", "min_rows": 100}, drift={"default": {"test": test}, "score": {"test": test}})
    found = [judge_segments(an_unchanged_arm(rng, MANY, rows, reference_rows), loop) for _ in range(windows)]
    assert {len(one) for one in found} == {MANY}
    return sum(any(segment.verdict == "drifted" for segment in one) for one in found)


def likely(windows: int, rate: float) -> float:
    """As many as come with a chance of 99.9 % at this rate, at most."""
    return float(stats.binom.ppf(0.999, windows, rate))


def test_twenty_segments_of_few_rows_cry_wolf_no_more_often_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert any_drifted("psi", 50, 100, 40) <= likely(50, segments.NOISE)
    monkeypatch.setattr(segments, "NOISE", 1e9)
    assert any_drifted("psi", 10, 100, 40) >= 5, "by the fixed limit alone"


def test_p_values_of_twenty_segments_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = 4 * 0.01  # three columns and the scores
    assert any_drifted("ks", 50) <= likely(50, alone)
    monkeypatch.setattr(segments, "_divided", lambda rules, _: rules)
    assert any_drifted("ks", 20) > likely(20, alone)


@pytest.mark.soak
@pytest.mark.parametrize("rows", [(500, 100), (100, 40)])
@pytest.mark.parametrize(
    ("test", "rate"), [("psi", 0.01), ("jensen_shannon", 0.015), ("wasserstein", 0.015), ("ks", 0.04)]
)
def test_twenty_segments_cry_wolf_like_one_in_a_thousand_windows(test: str, rate: float, rows: tuple[int, int]) -> None:
    assert any_drifted(test, 1_000, *rows) <= likely(1_000, rate)
