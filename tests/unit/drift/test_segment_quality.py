"""Quality of segments is judged like that of the window; all of them together cry wolf no more often than promised."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from everloop import events as e
from everloop.loop import Task
from everloop.quality import estimates
from everloop.sketch import Labelled
from everloop_drift.domain import judging, segment_quality
from everloop_drift.domain.segment_quality import CHANCE, CLASS_ROWS, Before, say_quality
from everloop_drift.domain.segments import Name, SegmentTrack, Whole
from tests.builders import HOUR_MS, a_loop
from tests.unit.drift.builders import START, a_window
from tests.unit.drift.quality_segmented import Rows, a_profile_of, an_arm, outcomes_of, some_rows
from tests.unit.drift.segment_judge import Judge, stages

OPENED, CONTINUING, CLOSED, NONE = e.Episode.OPENED, e.Episode.CONTINUING, e.Episode.CLOSED, e.Episode.NONE
MANY, EACH = 20, 500
RNG = np.random.default_rng(1)
HOLDOUT = some_rows(RNG, MANY, 300)
PROFILE = a_profile_of(HOLDOUT, MANY)
LOOP = a_loop(windows={"every": "1h", "min_rows": EACH})


def whole_quality(rows: Rows) -> dict[str, float]:
    """What the profile says of the whole holdout."""
    nothing = np.zeros(len(rows.shops), dtype=np.int64)
    found = estimates(Labelled.observe("binary", None, rows.scores, rows.labels, nothing, nothing))["roc_auc"]
    return {"roc_auc": found.value, "roc_auc_se": found.error}


REFERENCE = whole_quality(HOLDOUT)


def arm(*flipped: str, version: str = "1", coverage: float = 1.0, each: int = EACH) -> e.ArmWindow:
    seen = some_rows(np.random.default_rng(len(flipped)), MANY, each, flipped=flipped)
    return an_arm(PROFILE, seen, version=version, coverage=coverage, reference_quality=REFERENCE)


CALM, FLIPPED = arm(), arm("s07")
NOTHING, CALMLY = Before({}, {}, None), Whole("stable", NONE, superseded=False)


# -------------------------------------------------------------------------------------------------- what is found


def test_labels_that_flip_in_one_segment_of_twenty_are_found_though_the_whole_is_calm() -> None:
    said = Judge(a_loop(windows={"every": "1h", "min_rows": EACH}, drift={"quality": {"drop": 0.1}}), "outcomes").hear(
        FLIPPED
    )[0]
    assert said.verdict == "stable"
    (fallen,) = [one for one in said.segments if one.verdict == "drifted"]
    assert (fallen.value, fallen.rows, fallen.predicted) == ("s07", EACH, EACH)
    assert fallen.worst is not None
    assert (fallen.worst.name, fallen.worst.test, fallen.worst.limit) == ("roc_auc", "quality_drop", 0.1)
    assert fallen.quality is not None
    assert fallen.quality.reference is not None
    assert (fallen.quality.value < 0.2, fallen.quality.reference > 0.8) == (True, True)
    assert {one.verdict for one in said.segments if one is not fallen} == {"stable"}


def test_every_segment_has_its_coverage_and_its_quality_beside_the_references() -> None:
    said = Judge(LOOP, "outcomes").hear(arm(coverage=0.5))[0]
    assert len(said.segments) == MANY
    assert {(one.rows, one.predicted) for one in said.segments} == {(EACH, 2 * EACH)}
    assert all(one.quality and one.quality.reference for one in said.segments)


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"rows": EACH - 1}, "too_few"),
        ({"positives": CLASS_ROWS - 1}, "too_few"),
        ({"positives": EACH - CLASS_ROWS + 1}, "too_few"),
        ({"predicted": 2 * EACH + 1}, "immature"),
        ({"predicted": None}, "stable"),
        ({"reference": None}, "no_reference"),
        ({"quality": None}, "no_reference"),
    ],
)  # fmt: skip
def test_a_segment_that_cannot_be_judged_says_why(change: dict[str, object], verdict: str) -> None:
    first, *rest = CALM.outcomes
    changed = CALM.model_copy(update={"outcomes": (first.model_copy(update=change), *rest)})
    window = a_window(0, changed, kind="outcomes")
    said = say_quality(Before({}, {}, 0.5), window, CALMLY, changed, LOOP)
    assert said[0].verdict == verdict
    assert {one.verdict for one in said[1:]} == {"stable"}


def test_a_reference_of_few_rows_is_none() -> None:
    few = a_profile_of(some_rows(RNG, MANY, 2 * CLASS_ROWS - 2), MANY)
    said = Judge(LOOP, "outcomes").hear(an_arm(few, some_rows(RNG, MANY, EACH), reference_quality=REFERENCE))[0]
    assert {one.verdict for one in said.segments} == {"no_reference"}


def test_a_profile_from_before_has_no_reference_and_it_is_said() -> None:
    older = PROFILE.model_copy(
        update={"segments": tuple(one.model_copy(update={"quality": ()}) for one in PROFILE.segments)}
    )
    said = Judge(LOOP, "outcomes").hear(
        an_arm(older, some_rows(RNG, MANY, EACH, flipped=("s03",)), reference_quality=REFERENCE)
    )[0]
    assert {one.verdict for one in said.segments} == {"no_reference"}
    assert all(one.quality is not None and one.quality.reference is None for one in said.segments)


@pytest.mark.parametrize(
    ("verdict", "segment"),
    [("labels_immature", "immature"), ("too_few", "too_few"), ("reference_warming", "unjudged"),
     ("no_reference", "unjudged"), ("data_fault", "unjudged")],
)  # fmt: skip
def test_where_the_whole_is_not_judged_no_segment_is(verdict: e.WindowVerdict, segment: str) -> None:
    window = a_window(0, FLIPPED, kind="outcomes")
    said = say_quality(NOTHING, window, Whole(verdict, NONE, superseded=False), FLIPPED, LOOP)
    assert {one.verdict for one in said} == {segment}
    assert all(one.quality and one.predicted for one in said), "coverage and quality are told all the same"
    assert say_quality(NOTHING, window, Whole(verdict, NONE, superseded=False), None, LOOP) == ()


# ------------------------------------------------------------------------------------------------------ episodes

CALM_LOOP = a_loop(windows={"every": "1h", "min_rows": EACH}, drift={"quality": {"drop": 0.1}})


def test_a_segment_has_an_episode_of_its_own_and_it_is_one_alert() -> None:
    judge = Judge(CALM_LOOP, "outcomes")
    said = judge.hear(FLIPPED, CALM, FLIPPED, FLIPPED, CALM, FLIPPED, CALM, CALM, CALM)
    assert [stage for _, stage in stages(said)] == [NONE] * 3 + [OPENED] + [CONTINUING] * 3 + [CLOSED, NONE]
    assert {one.episode for one in said} == {NONE}, "the window's own episode is another one"
    (opened,) = [one for one in said[3].segments if one.episode is OPENED]
    assert opened.since == START + 2 * HOUR_MS
    assert [(alert.name, alert.severity) for alert in judge.alerts] == [
        ("segment_quality_opened", "warning"), ("segment_quality_closed", "info"),
    ]  # fmt: skip
    assert "quality of segment shop = 's07' (roc_auc quality_drop" in judge.alerts[0].summary
    assert judge.state.quality_segments == {}
    assert judge.state.segments == {}, "inputs have episodes of their own"


def test_many_segments_are_one_alert_that_names_the_worst_and_a_fold_of_the_journal_finds_the_same() -> None:
    judge = Judge(a_loop(windows={"every": "1h", "min_rows": EACH}, drift={"quality": {"drop": 0.2}}), "outcomes")
    said = judge.hear(*[arm("s07", "s08")] * 2)
    (alert,) = judge.alerts
    assert alert.details["segments"] == 2
    fallen = {one.value: one.worst.value for one in said[1].segments if one.worst and one.worst.value}
    assert f"'{max(fallen, key=lambda name: fallen[name])}'" in alert.summary
    state = judging.initial()
    for one in said:
        state = judging.evolve(state, one)
    assert state == judge.state
    assert sorted(state.quality_segments) == [("shop", "s07"), ("shop", "s08")]


def test_a_fall_of_the_whole_is_one_alert_and_segments_say_where() -> None:
    judge = Judge(LOOP, "outcomes")
    said = judge.hear(*[arm("s01", "s02", "s03", "s04", "s05", "s06")] * 3)
    assert {one.verdict for one in said} == {"drifted"}
    assert stages(said, "s01") == [("drifted", NONE)] * 3
    assert [alert.name for alert in judge.alerts] == ["quality_opened"]


def test_while_the_inputs_drift_as_a_whole_or_in_this_segment_its_fall_is_part_of_that() -> None:
    window = a_window(3, FLIPPED, kind="outcomes")
    waits, moved = SegmentTrack(since=START, drifted=1), SegmentTrack(since=START, is_open=True)
    name: Name = ("shop", "s07")
    found = [
        say_quality(Before({name: waits}, others, None), window, whole, FLIPPED, CALM_LOOP)
        for others, whole in (({}, CALMLY), ({name: moved}, CALMLY), ({}, CALMLY._replace(alone=False)))
    ]
    assert [[one.episode for one in said if one.value == "s07"] for said in found] == [[OPENED], [NONE], [NONE]]


def test_another_champion_ends_the_episodes_of_segments() -> None:
    judge = Judge(CALM_LOOP, "outcomes")
    judge.hear(FLIPPED, FLIPPED)
    said = judge.hear(arm("s07", version="2"), arm(version="2"), first=2)
    assert stages(said)[0] == ("superseded", CLOSED)
    assert len(said[0].segments) == MANY
    assert [alert.name for alert in judge.alerts] == ["segment_quality_opened", "segment_quality_closed"]
    assert judge.state.quality_segments == {}


def test_an_open_episode_waits_where_nothing_is_known_of_its_segment() -> None:
    judge = Judge(CALM_LOOP, "outcomes")
    judge.hear(FLIPPED, FLIPPED)
    before = judge.state.quality_segments
    without = CALM.model_copy(update={"outcomes": tuple(one for one in CALM.outcomes if one.value != "s07")})
    assert stages(judge.hear(without, first=2)) == [("too_few", CONTINUING)]
    assert judge.state.quality_segments == before


def test_a_revision_has_no_part_in_episodes() -> None:
    judge = Judge(CALM_LOOP, "outcomes")
    judge.hear(FLIPPED)
    before = judge.state
    assert stages(judge.hear(FLIPPED, revision=1)) == [("drifted", NONE)]
    assert judge.state == before


# ---------------------------------------------------------------------------------------------- what it promises


def any_fallen(
    windows: int, *, share: float, each: int, holdout: int, drop: float = 1e-9, task: Task = "binary"
) -> int:
    """In how many windows without a change some of twenty segments are said to have fallen; references are new each."""
    rng = np.random.default_rng([windows, each, holdout])
    loop = a_loop(windows={"every": "1h", "min_rows": 100}, drift={"quality": {"drop": drop}}, task=task)
    found = 0
    for number in range(windows):
        profile = a_profile_of(some_rows(rng, MANY, holdout, share=share), MANY, task)
        outcomes = outcomes_of(profile, some_rows(rng, MANY, each, share=share), task)
        one = e.ArmWindow(arm="champion", version="1", rows=MANY * each, task=task, outcomes=outcomes)
        window = a_window(number, one, kind="outcomes")
        said = say_quality(NOTHING, window, CALMLY, one, loop)
        found += any(segment.verdict == "drifted" for segment in said)
    return found


def likely(windows: int, rate: float) -> float:
    """As many as come with a chance of 99.9 % at this rate, at most."""
    return float(stats.binom.ppf(0.999, windows, rate))


def test_twenty_segments_cry_wolf_no_more_often_than_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where any fall at all would be one."""
    assert any_fallen(60, share=0.3, each=EACH, holdout=300) <= likely(60, CHANCE)
    monkeypatch.setattr(segment_quality, "CHANCE", CHANCE * MANY)
    assert any_fallen(20, share=0.3, each=EACH, holdout=300) > likely(20, CHANCE), "each by itself"


@pytest.mark.soak
@pytest.mark.parametrize("share", [0.5, 0.3, 0.1])
def test_twenty_segments_cry_wolf_no_more_often_than_promised_in_a_thousand_windows(share: float) -> None:
    assert any_fallen(1_000, share=share, each=EACH, holdout=300) <= likely(1_000, CHANCE)
    assert any_fallen(1_000, share=share, each=EACH, holdout=300, drop=0.03) <= likely(1_000, CHANCE / 10)


@pytest.mark.soak
def test_segments_of_a_regression_cry_wolf_no_more_often_than_promised_in_a_thousand_windows() -> None:
    assert any_fallen(1_000, share=0.5, each=EACH, holdout=500, task="regression") <= likely(1_000, CHANCE)
