"""What the judge makes of a budget of false alarms: which threshold, what it says of it, and when limits are fixed."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from everloop import events as e
from everloop.durations import Rate
from everloop.loop import Loop
from everloop.profile import Calibration, build_profile
from everloop.profile.seasons import HOUR_MS
from everloop.profile.values import AlarmCurve, Band, Bands
from everloop.sketch import Inputs, Layout, Sums
from everloop_drift.domain import judging
from everloop_drift.domain.arms import Reference, arm_windows, seasonal
from everloop_drift.domain.budget import JOINT, RUNNING, bought, follow_running, unusable
from everloop_drift.domain.cells import Cell, Key
from everloop_drift.domain.closing import Bounds, Closing
from tests.builders import a_loop
from tests.unit.drift.builders import a_window, an_inputs_arm
from tests.unit.drift.worlds import WEEK, Lived, World, beside, said

USUAL = Band(middle=1.0, reach=2.0)
KNOWN = Calibration(
    every_ms=HOUR_MS, size_ms=HOUR_MS, windows=240, span_ms=240 * HOUR_MS, test="psi", score_test="psi",
    unit={"x": 0.0}, shift={"x/0": 0.0}, center={"x": 1.0}, spread={"x": 0.2},
    bands=Bands(window=USUAL, column=USUAL, joint=USUAL),
    curves={
        1: AlarmCurve(alarms=(0.0, 1.0, 5.0), threshold=(1.6, 1.4, 1.1)),
        2: AlarmCurve(alarms=(0.0, 1.0, 5.0), threshold=(1.5, 1.2, 0.9)),
    },
)  # fmt: skip
TEN_DAYS = Rate(1, timedelta(days=10))


def budget_loop(budget: str = "1 per 10d", **drift: object) -> Loop:
    return a_loop(windows={"every": "1h", "min_rows": 50}, drift={"false_alarms": budget, **drift})


def judged(lived: Lived, windows: int, **drift: object) -> list[e.WindowJudged]:
    """The events of the whole judge, folded from what they would be when read back."""
    loop, state, found = budget_loop("1 per 30d", **drift), judging.initial(), []
    for number, arm in enumerate(lived.arms(windows)):
        window = a_window(number, e.ArmWindow.model_validate(arm.model_dump()))
        event = judging.decide(state, window, window.time, loop, None)
        assert isinstance(event, e.WindowJudged)
        event = e.WindowJudged.model_validate_json(event.model_dump_json())
        state = judging.evolve(state, event)
        found.append(event)
    return found


def test_a_budget_buys_the_lowest_threshold_that_keeps_it() -> None:
    assert bought(KNOWN, TEN_DAYS, 2) == (1.5, "1 per 10d")
    assert bought(KNOWN, Rate(1, timedelta(days=5)), 2) == (1.2, "1 per 5d")
    assert bought(KNOWN, Rate(7, timedelta(days=10)), 2) == (0.9, "7 per 10d")


def test_more_confirming_windows_than_were_measured_err_towards_quiet() -> None:
    assert bought(KNOWN, TEN_DAYS, 1)[0] == 1.6
    assert bought(KNOWN, TEN_DAYS, 40)[0] == 1.5


def test_a_short_reference_names_the_finest_budget_that_it_can_certify() -> None:
    assert bought(KNOWN, Rate(1, timedelta(days=30)), 2) == (1.5, "1 per 10d")
    short = KNOWN.model_copy(update={"span_ms": 30 * HOUR_MS})
    assert bought(short, TEN_DAYS, 2) == (1.5, "1 per 30h")


@pytest.mark.parametrize(
    ("loop", "why"),
    [
        (budget_loop(default={"test": "ks"}), "under other tests"),
        (a_loop(windows={"every": "15m"}, drift={"false_alarms": "1 per 10d"}), "under other windows"),
        (a_loop(windows={"every": "1h", "rows": 500}, drift={"false_alarms": "1 per 10d"}), "under other windows"),
        (a_loop(windows={"every": "1h", "size": "2h"}, drift={"false_alarms": "1 per 10d"}), "under other windows"),
    ],
)
def test_a_calibration_for_something_else_is_not_used(loop: Loop, why: str) -> None:
    assert why in unusable(KNOWN, loop)


def test_a_calibration_of_an_older_release_is_read_and_not_used() -> None:
    plain = KNOWN.model_dump(exclude={"bands"}) | {"scale": 2.0, "running_scale": 3.0, "shift": {"x": 0.0}}
    assert "older release" in unusable(Calibration.model_validate(plain), budget_loop())


def test_without_a_calibration_limits_are_fixed_and_the_verdict_says_so() -> None:
    profile = build_profile(
        {"x": np.random.default_rng(0).normal(size=2000)}, scores=np.random.default_rng(1).random(900)
    )
    arm = an_inputs_arm(profile, {"x": np.random.default_rng(2).normal(3, 1, 600)})
    event = judging.decide(judging.initial(), a_window(0, arm), a_window(0).time, budget_loop(), None)
    assert isinstance(event, e.WindowJudged)
    assert event.budget is not None
    assert event.budget.threshold is None
    assert "fixed limits apply" in event.budget.note
    assert event.reason.rule == "drift.share"
    assert event.verdict == "drifted"


def test_without_a_budget_nothing_is_said_of_one() -> None:
    lived = Lived("stationary", 5, reference=2 * WEEK)
    (arm,) = lived.arms(1)
    window = a_window(0, e.ArmWindow.model_validate(arm.model_dump()))
    event = judging.decide(
        judging.initial(), window, window.time, a_loop(windows={"every": "1h", "min_rows": 50}), None
    )
    assert isinstance(event, e.WindowJudged)
    assert (event.budget, dict(event.running)) == (None, {})


def test_a_verdict_has_the_number_the_threshold_and_a_limit_for_each_column() -> None:
    events = judged(Lived("stationary", 5, reference=2 * WEEK), 3)
    for event in events:
        assert event.budget is not None
        assert (event.budget.asked, event.budget.certified) == ("1 per 30d", "1 per 14d")
        assert (event.budget.windows, event.budget.needed) == (2 * WEEK, 720)
        assert event.reason.rule == "drift.false_alarms"
        assert event.reason.limit == event.budget.threshold
        assert {measure.name for measure in event.measures} == {"a", "b", "c", "d", "mix", "score"}
        assert all(measure.limit is not None and measure.limit > 0 for measure in event.measures)


def test_a_shift_too_small_for_one_window_adds_up() -> None:
    events = judged(Lived("stationary", 6, reference=3 * WEEK, shift=0.25), 24)
    opened = [event for event in events if event.episode is e.Episode.OPENED]
    assert opened
    assert any(one.test == RUNNING and one.name == "b" for one in opened[0].measures)
    assert not any(one.drifted and one.test == "psi" for one in opened[0].measures)


def test_what_moves_many_columns_a_little_shows_in_all_of_them_together() -> None:
    """Four columns by a fifth of a deviation: for each by itself that takes many windows."""
    (soon, together), (late, alone) = (
        next(
            (place, [one for one in look.measures if one.drifted])
            for place, (look, _) in enumerate(lived.looks(24)) if look.found > (look.threshold or 0.0)
        )
        for moving in ((0, 1, 2, 3), (1,))
        for lived in [Lived("stationary", 8, reference=3 * WEEK, shift=0.2, moving=moving)]
    )  # fmt: skip
    assert soon < late
    assert {one.test for one in together} == {JOINT}
    assert len(together) > 1
    assert {one.name for one in together} <= {"a", "b", "c", "d", "score"}
    assert {(one.name, one.test) for one in alone} == {("b", RUNNING)}


def test_an_episode_is_over_when_the_change_is() -> None:
    """What was added up while the change lasted does not keep the episode open."""
    moved, calm = Lived("stationary", 7, reference=3 * WEEK, shift=1.0), Lived("stationary", 7, reference=3 * WEEK)
    loop, state, stages = budget_loop("1 per 30d"), judging.initial(), []
    for number, arm in enumerate([*moved.arms(12), *calm.arms(6, part=2)]):
        window = a_window(number, e.ArmWindow.model_validate(arm.model_dump()))
        event = judging.decide(state, window, window.time, loop, None)
        assert isinstance(event, e.WindowJudged)
        state = judging.evolve(state, event)
        stages.append(event.episode)
    assert stages[1] is e.Episode.OPENED
    assert e.Episode.CLOSED in stages[13:15], "two calm windows, and the sum over two that had one of the change in it"
    assert stages.count(e.Episode.OPENED) == 1


def test_the_same_windows_lead_to_the_same_events() -> None:
    first, second = (judged(Lived("autocorrelated", 8, reference=2 * WEEK), 8) for _ in range(2))
    assert [one.budget for one in first] == [one.budget for one in second]


def test_numbers_begin_anew_with_an_episode() -> None:
    lived = Lived("stationary", 5, reference=2 * WEEK)
    look = next(look for look, _ in lived.looks(1))
    trail = ({"a": 1.0},) * 40
    assert len(follow_running(trail, said(look, e.Episode.NONE))) == 32
    assert follow_running(trail, said(look, e.Episode.OPENED)) == (look.numbers,)
    assert follow_running(trail, said(look, e.Episode.CLOSED)) == ()


@pytest.mark.parametrize(("world", "season"), [("seasonal", "hour_of_day"), ("stationary", None)])
def test_the_verdict_names_the_season(world: World, season: str | None) -> None:
    lived = Lived(world, 9, reference=2 * WEEK)
    assert lived.profile.season == season
    assert {event.season for event in judged(lived, 2)} == {season}


def test_a_window_is_compared_with_its_hour_and_the_whole_stands_beside_it() -> None:
    lived = Lived("seasonal", 9, reference=2 * WEEK)
    column = next(one for one in lived.profile.columns if one.name == "a")
    (arm,) = lived.arms(1)
    plain = arm.columns[0].model_copy(update={"overall": None, "reference": arm.columns[0].overall})
    for start, is_near in ((18 * HOUR_MS, True), (6 * HOUR_MS, False)):
        closing = Closing("inputs", Bounds(start, start + HOUR_MS, start), 0, start)
        window = seasonal(plain, column, "hour_of_day", closing)
        assert window.reference.mean is not None
        assert (window.reference.mean < 0) is is_near, "sin swings below the mean in the evening"
        assert window.overall is not None
        assert window.overall.counts == column.counts


@pytest.mark.parametrize("arm", ["champion", "candidate", "shadow"])
def test_the_scores_of_every_arm_are_compared_with_their_hour(arm: str) -> None:
    profile = Lived("tidal", 3, reference=15 * 24, budget="1 per 7d").profile
    layout = Layout.of(profile)
    cell = Cell(Sums(), Inputs(layout))
    assert cell.inputs is not None
    cell.inputs.add({}, [0.9] * 60, 60)
    closing = Closing("inputs", Bounds(6 * HOUR_MS, 7 * HOUR_MS, 6 * HOUR_MS), 0, 7 * HOUR_MS)
    key = Key("fraud", "1", arm, layout.schema({}), 6 * HOUR_MS, 7 * HOUR_MS, 0)
    (made,) = arm_windows({key: [cell]}, closing, "binary", {"1": Reference(profile, layout)})
    assert made.season == "hour_of_day"
    assert made.score is not None
    assert made.score.overall is not None
    assert made.score.overall.counts == profile.score.counts
    assert sum(made.score.reference.counts) == 3 * 100, "three days of holdout"
    assert (made.score.reference.mean or 0) > 0.8, "the day's highest hour"


def test_a_profile_without_hours_of_its_scores_holds_them_against_the_whole() -> None:
    profile = Lived("tidal", 3, reference=15 * 24, budget="1 per 7d").profile
    old = profile.score.model_copy(update={"slots": None})
    closing = Closing("inputs", Bounds(6 * HOUR_MS, 7 * HOUR_MS, 6 * HOUR_MS), 0, 7 * HOUR_MS)
    plain = beside(old, np.full(60, 0.9))
    assert seasonal(plain, old, "hour_of_day", closing) == plain
