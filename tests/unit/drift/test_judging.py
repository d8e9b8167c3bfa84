"""What the judge says of a window: verdict, reason and episode; what it cannot compare, it does not judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from everloop import events as e
from everloop.loop import Loop
from everloop.sketch import Labelled
from everloop_drift.domain import judging
from everloop_drift.domain.concept import as_points
from everloop_drift.handlers import announce
from tests.builders import HOUR_MS, NOON, a_loop, an_arm_window
from tests.unit.drift.builders import START, a_profile, a_window, an_inputs_arm, an_outcomes_arm, labelled, normal

ROWS = 600
PROFILE = a_profile(amount=normal(1), country=["ch", "de"] * 1000)
OPENED, CONTINUING, CLOSED, NONE = e.Episode.OPENED, e.Episode.CONTINUING, e.Episode.CLOSED, e.Episode.NONE
REFERENCE = {"roc_auc": 0.85, "roc_auc_se": 0.005, "accuracy": 0.8, "accuracy_se": 0.01}


@dataclass
class Judge:
    """Hears windows as the runtime hands them on."""

    loop: Loop
    state: judging.State = field(default_factory=judging.initial)
    alerts: list[str] = field(default_factory=list)

    def hear(self, window: e.WindowClosed) -> e.WindowJudged:
        said = judging.decide(self.state, window, NOON, self.loop, None)
        assert isinstance(said, e.WindowJudged)
        assert e.WindowJudged.model_validate_json(said.model_dump_json()) == said
        self.state = judging.evolve(self.state, said)
        self.alerts += [alert.name for alert in announce(self.state, said)]
        return said

    def hear_all(self, windows: Sequence[e.WindowClosed]) -> list[e.WindowJudged]:
        return [self.hear(window) for window in windows]


def a_judge(**parts: object) -> Judge:
    return Judge(a_loop(**parts))


def arm(shift: float = 0.0, rows: int = ROWS, **more: Any) -> e.ArmWindow:  # noqa: ANN401  # fields of the arm
    columns = {"amount": normal(7, rows, shift), "country": ["ch", "de"] * (rows // 2)}
    return an_inputs_arm(PROFILE, columns, np.random.default_rng(8).uniform(size=rows), **more)


def split(rows: int, **names: tuple[str, ...]) -> e.SchemaSplit:
    return e.SchemaSplit(rows=rows, **names)


def partly(conforming: int, *splits: e.SchemaSplit) -> e.ArmWindow:
    """An arm of which only so many rows have the columns of the profile."""
    return arm(rows=conforming).model_copy(
        update={"rows": conforming + sum(one.rows for one in splits), "splits": splits}
    )


# -------------------------------------------------------------------------------------------------- windows of inputs


def test_a_stable_window_says_what_was_measured_and_what_decided() -> None:
    said = a_judge().hear(a_window(0, arm()))
    assert (said.verdict, said.episode, said.rows) == ("stable", NONE, ROWS)
    assert said.reason == e.Reason(rule="drift.share", measured=0, limit=0.3, samples=ROWS)
    assert [(one.name, one.test, one.limit) for one in said.measures] == [
        ("amount", "psi", 0.2), ("country", "psi", 0.2), ("score", "psi", 0.2),
    ]  # fmt: skip
    assert set(said.figures.columns) == {"amount", "country"}
    assert {"ks", "wasserstein", "mean_shift"} <= said.figures.of(said.figures.columns["amount"]).keys()
    assert said.figures.of(said.figures.score)["positive_rate"] == pytest.approx(0.5, abs=0.05)


def test_an_episode_opens_after_windows_in_a_row_and_closes_after_as_many() -> None:
    judge = a_judge()
    windows = [arm(), arm(3), arm(), arm(3), arm(3), arm(3), arm(), arm(3), arm(), arm()]
    said = judge.hear_all([a_window(number, one) for number, one in enumerate(windows)])
    assert [one.episode for one in said] == [NONE] * 4 + [OPENED] + [CONTINUING] * 4 + [CLOSED]
    assert said[4].change_at == said[9].change_at == START + 3 * HOUR_MS
    assert {one.episode_id for one in said[4:]} == {said[4].episode_id} == {said[4].correlation_id}
    assert judge.alerts == ["drift_opened", "drift_closed"]


def test_drift_of_the_scores_alone_is_drift() -> None:
    low = an_inputs_arm(PROFILE, {"amount": normal(7, ROWS)}, np.linspace(0, 0.3, ROWS))
    said = a_judge().hear_all([a_window(0, arm()), a_window(1, low)])[1]
    assert (said.verdict, said.reason.rule, said.reason.limit) == ("drifted", "drift.score.psi", 0.2)


@pytest.mark.parametrize("arms", [(), (arm(rows=2),), (arm(3, rows=498),), (arm(arm="candidate", version="2"),)])
def test_too_few_rows_of_the_champion_are_not_judged(arms: tuple[e.ArmWindow, ...]) -> None:
    said = a_judge().hear(a_window(0, *arms))
    assert (said.verdict, said.episode, said.measures) == ("too_few", NONE, ())
    assert said.reason.rule == "windows.min_rows"


@pytest.mark.parametrize("rows", [2, 30])
def test_a_window_of_one_or_two_rows_is_judged_where_the_loop_file_asks_for_it(rows: int) -> None:
    said = a_judge(windows={"every": "1h", "min_rows": 1}).hear(a_window(0, arm(rows=rows)))
    assert said.verdict in {"stable", "drifted"}


def test_a_window_that_closes_by_rows_needs_half_of_them() -> None:
    windows = {"every": "1h", "rows": 800}
    assert a_judge(windows=windows).hear(a_window(0, arm(rows=400))).verdict == "stable"
    assert a_judge(windows=windows).hear(a_window(0, arm(rows=398))).verdict == "too_few"
    assert a_judge(windows={"every": "1h", "rows": 2000}).hear(a_window(0, arm(rows=500))).verdict == "stable"


def test_in_a_canary_the_champions_arm_is_judged_and_others_are_not() -> None:
    shadow, candidate = arm(9, arm="shadow", version="2"), arm(9, rows=4000, arm="candidate", version="2")
    said = a_judge().hear(a_window(0, candidate, arm(), shadow))
    assert (said.version, said.verdict, said.rows) == ("1", "stable", ROWS)


def test_a_promotion_closes_the_episode_and_causes_no_alarm() -> None:
    judge = a_judge()
    judge.hear_all([a_window(number, arm(3)) for number in range(3)])
    said = judge.hear_all([a_window(number, arm(3, version="2")) for number in range(3, 7)])
    assert [one.verdict for one in said] == ["reference_warming", "drifted", "drifted", "drifted"]
    assert [one.episode for one in said] == [CLOSED, NONE, OPENED, CONTINUING]
    assert said[0].reason == e.Reason(rule="superseded", measured="2", limit="1", samples=ROWS)
    assert said[0].measures == ()
    assert said[0].figures.columns  # what was seen is reported


# ------------------------------------------------------------------------------------------------------------ revisions


def test_a_revision_is_judged_and_belongs_to_no_episode() -> None:
    judge = a_judge()
    judge.hear_all([a_window(0, arm(3)), a_window(1, arm(3))])
    before = judge.state
    revised = judge.hear(a_window(0, arm(rows=700), revision=1))
    assert (revised.verdict, revised.revision, revised.episode, revised.episode_id) == ("stable", 1, NONE, None)
    assert judge.state == before
    assert judge.hear(a_window(2, arm(3))).episode is CONTINUING


@pytest.mark.parametrize("kind", ["inputs", "outcomes"])
def test_drifted_revisions_open_nothing(kind: Any) -> None:  # noqa: ANN401  # a literal
    judge = a_judge()
    bad = arm(3) if kind == "inputs" else outcomes(0.2)
    said = judge.hear_all([a_window(number, bad, kind=kind, revision=1) for number in range(4)])
    assert {(one.verdict, one.episode, one.errors, one.detections) for one in said} == {
        ("drifted", NONE, e.ErrorSeries(), ())
    }
    assert judge.state == judging.initial()
    assert judge.alerts == []


def test_a_revision_of_another_version_promotes_nobody() -> None:
    judge = a_judge()
    judge.hear(a_window(0, arm()))
    judge.hear(a_window(0, arm(version="0", rows=900), revision=1))
    assert judge.hear(a_window(1, arm())).verdict == "stable"


# ------------------------------------------------------------------------------------------------- what is not compared


def test_other_columns_are_schema_drift_that_is_neither_stable_nor_drifted() -> None:
    judge = a_judge()
    judge.hear_all([a_window(0, arm(3)), a_window(1, arm(3))])
    changed = partly(0, split(400, removed=("amount",)), split(200, added=("sum", "sub"), retyped=("country",)))
    said = judge.hear_all([a_window(number, changed) for number in range(2, 6)])
    assert {(one.verdict, one.episode) for one in said} == {("schema_drift", CONTINUING)}
    assert said[0].reason == e.Reason(
        rule="schema", measured="removed amount; added sub, sum; retyped country", limit=30, samples=600
    )
    assert (judge.state.inputs.drifted, judge.state.inputs.stable) == (2, 0)


def test_schema_drift_is_one_alert_when_it_begins_and_one_when_it_ends() -> None:
    judge = a_judge()
    odd = partly(0, split(600, added=("sum",)))
    few, none = arm(rows=20), a_window(4)
    said = judge.hear_all([a_window(0, arm()), a_window(1, odd), a_window(2, odd), a_window(3, few), none])
    assert [[fault.stage for fault in one.faults] for one in said] == [[], [OPENED], [CONTINUING]] + [[CONTINUING]] * 2
    ended = judge.hear(a_window(5, arm()))
    assert ended.faults == (e.Fault(kind="schema_drift", stage=CLOSED),)
    assert judge.alerts == ["schema_drift_opened", "schema_drift_closed"]
    assert judge.hear(a_window(6, odd)).faults[0].stage is OPENED


def test_an_odd_record_is_no_schema_drift_but_a_changed_pipeline_is() -> None:
    def verdict(conforming: int, odd: int, min_rows: int = 500) -> str:
        windows = {"every": "1h", "min_rows": min_rows}
        return a_judge(windows=windows).hear(a_window(0, partly(conforming, split(odd, removed=("amount",))))).verdict

    assert [verdict(600, odd) for odd in (1, 29, 30)] == ["stable", "stable", "schema_drift"]
    assert [verdict(9900, odd) for odd in (99, 100)] == ["stable", "schema_drift"]  # 1 % of the rows
    assert [verdict(0, odd) for odd in (29, 30)] == ["too_few", "schema_drift"]
    assert verdict(8, 8, min_rows=8) == "schema_drift" != verdict(8, 7, min_rows=8)
    assert verdict(490, 20) == "too_few"  # only rows that could be measured count


def test_conforming_rows_are_measured_beside_schema_drift_and_decide_nothing() -> None:
    said = a_judge().hear(a_window(0, partly(600, split(300, removed=("amount",)))))
    assert (said.verdict, said.measures, said.rows) == ("schema_drift", (), 900)
    assert said.figures.columns["amount"].rows == 600


def test_many_names_are_cut() -> None:
    names = tuple(f"c{number:02}" for number in range(20))
    said = a_judge().hear(a_window(0, partly(0, split(600, added=names))))
    assert said.reason.measured == "added c00, c01, c02, c03, c04, c05, c06, c07, c08, c09 and 10 more"


def broken(column: str = "amount", side: str = "reference", **changes: object) -> e.ArmWindow:
    """An arm with one column that does not fit."""
    whole = arm()
    columns = []
    for one in whole.columns:
        if one.name == column and side:
            one = one.model_copy(update={side: getattr(one, side).model_copy(update=changes)})  # noqa: PLW2901
        elif one.name == column:
            one = one.model_copy(update=changes)  # noqa: PLW2901
        columns.append(one)
    return whole.model_copy(update={"columns": tuple(columns)})


EMPTY = a_profile(amount=[None] * 9, country=[None] * 9)
NO_SCORES = an_inputs_arm(PROFILE, {"amount": normal(7, ROWS)}, np.linspace(0, 1, ROWS))


@pytest.mark.parametrize(
    "invalid",
    [
        broken(counts=(1, 2, 3)), broken(side="current", counts=(1, 2, 3)), broken(counts=(-1,) * 64),
        broken(missing=-1), broken(deviation=-1.0), broken(side="", groups=(0,)), broken(side="", groups=(10**9,) * 64),
        broken(side="", edges=(2.0, 1.0)), broken("country", side="", categories=("ch",)),
        an_inputs_arm(EMPTY, {"amount": [1.0] * ROWS, "country": [2.0] * ROWS}),
        NO_SCORES.model_copy(update={"score": broken(counts=(0,) * 64).columns[0]}),
    ],
)  # fmt: skip
def test_a_reference_that_is_empty_or_corrupt_is_no_verdict_and_one_alert(invalid: e.ArmWindow) -> None:
    judge = a_judge()
    said = judge.hear_all([a_window(0, invalid), a_window(1, invalid)])
    assert [(one.verdict, one.episode, one.measures, one.figures) for one in said] == [
        ("reference_invalid", NONE, (), e.MeasureTable())
    ] * 2
    assert said[0].reason.rule == "reference_invalid"
    assert judge.alerts == ["reference_invalid_opened"]
    judge.hear(a_window(2, arm()))
    assert judge.alerts == ["reference_invalid_opened", "reference_invalid_closed"]


def test_one_column_that_never_had_a_value_does_not_stop_the_others() -> None:
    profile = a_profile(amount=normal(1), unused=[None] * 9)
    columns = {"amount": normal(7, ROWS), "unused": [None] * ROWS}
    assert a_judge().hear(a_window(0, an_inputs_arm(profile, columns))).verdict == "stable"


def test_two_faults_are_told_apart() -> None:
    judge = a_judge()
    odd = partly(0, split(600, added=("sum",)))
    judge.hear_all([a_window(0, odd), a_window(1, broken(counts=(1,))), a_window(2, arm())])
    assert judge.alerts == [
        "schema_drift_opened", "reference_invalid_opened", "schema_drift_closed", "reference_invalid_closed",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------- windows of outcomes


def scored(skill: float, rows: int = 2000, window: int = 0, **more: Any) -> Labelled:  # noqa: ANN401  # of `labelled`
    rng = np.random.default_rng([rows, window])
    labels = rng.integers(0, 2, rows)
    scores = np.clip(0.5 + 0.3 * skill * (labels - 0.5) + rng.normal(0, 0.12, rows), 0, 1)
    return labelled(scores, labels, window=window, **more)


def outcomes(skill: float, rows: int = 2000, window: int = 0, **more: Any) -> e.ArmWindow:  # noqa: ANN401  # of the arm
    return an_outcomes_arm(scored(skill, rows, window), **{"reference_quality": REFERENCE, **more})


def hear_outcomes(judge: Judge, skills: list[float]) -> list[e.WindowJudged]:
    windows = [a_window(number, outcomes(skill, window=number), kind="outcomes") for number, skill in enumerate(skills)]
    return judge.hear_all(windows)


def test_quality_has_intervals_the_reference_coverage_and_the_age_of_labels() -> None:
    seen = scored(1.0, age_ms=3000)
    said = a_judge().hear(
        a_window(0, an_outcomes_arm(seen, predicted=4000, reference_quality=REFERENCE), kind="outcomes")
    )
    assert (said.verdict, said.coverage, said.rows) == ("stable", 0.5, 2000)
    assert said.label_age == e.LabelAges(p50=3071, p95=3071)
    for name in ("roc_auc", "log_loss", "brier", "accuracy", "precision", "recall", "f1", "calibration_error"):
        one = said.quality[name]
        assert one.lower < one.value < one.upper
        assert 0 < one.rows <= 2000
    assert said.quality["roc_auc"].reference == 0.85
    assert said.quality["brier"].reference is None
    deciding = [one for one in said.measures if one.limit is not None]
    assert [(one.name, one.test, one.drifted) for one in deciding] == [("roc_auc", "quality_drop", False)]


def test_a_fall_of_the_primary_metric_opens_an_episode_of_quality() -> None:
    judge = a_judge()
    said = hear_outcomes(judge, [1.0, 0.2, 0.2, 0.2, 1.0, 1.0])
    assert [one.verdict for one in said] == ["stable", "drifted", "drifted", "drifted", "stable", "stable"]
    assert [one.episode for one in said] == [NONE, NONE, OPENED, CONTINUING, CONTINUING, CLOSED]
    assert said[2].episode_kind == "quality"
    fall = 0.85 - said[1].quality["roc_auc"].value
    error = np.hypot(said[1].quality["roc_auc"].error, 0.005)
    assert said[1].reason.measured == pytest.approx(fall - 1.6448536 * error)
    assert judge.alerts == ["quality_opened", "quality_closed"]


def numbers(spread: float, rows: int = 2000, window: int = 0) -> e.ArmWindow:
    rng = np.random.default_rng([rows, window])
    labels = rng.normal(50, 10, rows)
    seen = labelled(labels + rng.normal(0, spread, rows), labels, task="regression", scale=10.0, window=window)
    return an_outcomes_arm(seen, reference_quality={"rmse": 2.0, "rmse_se": 0.03, "mae": 1.6, "mae_se": 0.03})


def test_a_loss_may_rise_and_a_regression_is_judged() -> None:
    judge = a_judge(task="regression", drift={"quality": {"drop": 0.5}})
    said = judge.hear_all([a_window(0, numbers(2.0), kind="outcomes"), a_window(1, numbers(3.0), kind="outcomes")])
    assert [one.verdict for one in said] == ["stable", "drifted"]
    assert set(said[1].quality) == {"rmse", "mae"}
    assert said[1].quality["rmse"].value == pytest.approx(3, rel=0.05)
    rmse = said[1].quality["rmse"]
    assert said[1].reason.measured == pytest.approx(rmse.value - 2.0 - 1.6448536 * np.hypot(rmse.error, 0.03))
    assert a_judge(task="regression").hear(a_window(0, numbers(1.0), kind="outcomes")).verdict == "stable"
    assert {one.test for one in said[0].measures if one.value is None} == set()


def test_without_a_reference_quality_is_reported_and_not_judged() -> None:
    said = a_judge().hear(a_window(0, outcomes(1.0, reference_quality={}), kind="outcomes"))
    assert (said.verdict, said.reason.measured) == ("no_reference", "no roc_auc of the reference")
    assert said.quality["roc_auc"].value > 0.8


def test_what_a_task_or_a_window_cannot_carry_is_no_reference() -> None:
    classes = labelled([0.9] * 600, [2.0] * 600, task="multiclass")
    said = a_judge(task="multiclass").hear(
        a_window(0, an_outcomes_arm(classes, reference_quality={"accuracy": 0.9}), kind="outcomes")
    )
    assert (said.verdict, said.reason.measured) == ("no_reference", "no accuracy of the window")
    yes = an_outcomes_arm(labelled([0.9] * 600, [1.0] * 600), reference_quality=REFERENCE)
    assert a_judge().hear(a_window(0, yes, kind="outcomes")).reason.measured == "no roc_auc of the window"


@pytest.mark.parametrize("few", [outcomes(0.2, rows=499), an_arm_window("champion", "1", 0, loss=0.2)])
def test_few_labels_are_no_evidence(few: e.ArmWindow) -> None:
    assert a_judge().hear(a_window(0, few, kind="outcomes")).verdict == "too_few"


def test_labels_right_after_a_promotion_are_not_judged() -> None:
    judge = a_judge()
    judge.hear(a_window(0, outcomes(1.0), kind="outcomes"))
    said = judge.hear(a_window(1, outcomes(0.2, version="2"), kind="outcomes"))
    assert (said.verdict, said.reason.rule) == ("reference_warming", "reference_warming")


# -------------------------------------------------------------------------------------------------- concept drift


def test_detectors_are_evidence_and_open_nothing_by_themselves() -> None:
    judge = a_judge(drift={"quality": {"drop": 0.9}})
    said = hear_outcomes(judge, [1.0] * 4 + [0.2] * 3)
    assert {(one.verdict, one.episode) for one in said} == {("stable", NONE)}
    assert [bool(one.detections) for one in said[:4]] == [False] * 4
    fired = [found for one in said for found in one.detections]
    assert {found.detector for found in fired} >= {"adwin", "page_hinkley"}
    assert fired[0].since == pytest.approx(START + 4 * HOUR_MS, abs=HOUR_MS / 6)
    first = next(one for one in said if one.detections)
    measures = {one.test: one for one in first.measures if one.name == judging.ERRORS}
    assert set(measures) == {"adwin", "page_hinkley", "ddm"}
    assert measures[fired[0].detector].drifted
    assert measures[fired[0].detector].limit is None


def test_a_detector_opens_an_episode_where_the_loop_file_says_so() -> None:
    judge = a_judge(drift={"quality": {"drop": 0.9}, "concept": {"detectors": ["adwin"], "decides": True}})
    said = hear_outcomes(judge, [1.0] * 4 + [0.2] * 2 + [1.0] * 3)
    (opened,) = [one for one in said if one.episode is OPENED]
    assert (opened.verdict, opened.reason.rule) == ("drifted", "drift.concept.adwin")
    assert opened.change_at == min(opened.start, opened.detections[0].since)
    assert judge.alerts == ["quality_opened", "quality_closed"]


def test_the_stream_of_errors_is_in_the_journal_and_starts_anew_with_a_version_and_after_an_episode() -> None:
    judge = a_judge()
    first = judge.hear(a_window(0, outcomes(1.0), kind="outcomes"))
    assert len(first.errors.start) == 60
    assert sum(first.errors.rows) == 2000
    assert judge.state.points == as_points(first.errors)
    second = judge.hear(a_window(1, outcomes(1.0, window=1), kind="outcomes"))
    assert judge.state.points == as_points(first.errors) + as_points(second.errors)
    promoted = judge.hear(a_window(2, outcomes(1.0, window=2, version="2"), kind="outcomes"))
    assert judge.state.points == as_points(promoted.errors)
    hear_outcomes(closing := a_judge(), [0.2, 0.2, 1.0, 1.0])
    assert closing.state.points == ()
    assert closing.state.heard == START + 4 * HOUR_MS - HOUR_MS // 60


def test_windows_that_overlap_are_heard_once() -> None:
    judge = a_judge()
    judge.hear(a_window(0, outcomes(1.0), kind="outcomes"))
    assert judge.hear(a_window(0, outcomes(1.0), kind="outcomes")).errors == e.ErrorSeries()
    both = scored(1.0).merge(scored(1.0, window=1))
    said = judge.hear(a_window(1, an_outcomes_arm(both, reference_quality=REFERENCE), kind="outcomes"))
    assert [start >= START + HOUR_MS for start in said.errors.start] == [True] * 60


def test_the_state_follows_from_the_journal_alone() -> None:
    judge = a_judge()
    said = hear_outcomes(judge, [1.0] * 3 + [0.2] * 2)
    again = judging.initial()
    for event in said:
        again = judging.evolve(again, e.WindowJudged.model_validate_json(event.model_dump_json()))
    assert again == judge.state


def test_what_is_no_window_is_nothing_to_the_judge() -> None:
    tick = e.Tick(id=e.named_id("Tick", "1"), time=NOON, model="fraud")
    assert judging.decide(judging.initial(), tick, NOON, a_loop(), None) is None
    assert judging.evolve(judging.initial(), tick) == judging.initial()
    assert announce(judging.initial(), tick) == ()
