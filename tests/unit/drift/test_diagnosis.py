"""What kind of change a window shows: broken pipes are told from a changed world, and nobody learns from the former."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from everloop import events as e
from everloop.diagnoses import DATA_FAULTS, FAULT_OF, SORTS
from everloop.faults import FAULTS
from everloop_drift.domain import judging
from everloop_drift.domain.diagnosis.memory import MOST_SPANS, Memory, Span
from tests.builders import HOUR_MS, a_loop
from tests.docs.pages import text_of
from tests.unit.drift import diagnosed, diagnosis_page, natural
from tests.unit.drift.builders import START, a_profile, a_window, an_inputs_arm, an_outcomes_arm, labelled, normal
from tests.unit.drift.diagnosed import a_run, broken, verdict
from tests.unit.drift.test_judging import Judge, a_judge, arm, outcomes, partly, split

DATA = [name for name, one in FAULTS.items() if one.family == "data"]
OTHERS = [name for name, one in FAULTS.items() if one.family != "data"]
SAID = diagnosis_page.written(text_of("docs/drift.md"))
LEARNT = ["shifted_strongly", "shifting_slowly", "concept_flipped", "concept_turning"]
MANY = pytest.mark.parametrize("seed", [0])
DATA_FAULT, OPENED = "data_fault", e.Episode.OPENED


# ------------------------------------------------------------------------------------------------ the library of faults


@MANY
@pytest.mark.parametrize("name", DATA)
def test_broken_data_is_found_for_what_it_is_vetoes_training_and_is_one_alert(name: str, seed: int) -> None:
    heard = a_run(FAULTS[name], seed)
    assert verdict(FAULTS[name], heard) == FAULTS[name].kind
    assert (name, verdict(FAULTS[name], heard)) in SAID
    assert heard.turns == []
    vetoes = [event for event in heard.training if isinstance(event, e.VetoNoted)]
    kind = FAULTS[name].kind
    assert kind is not None
    assert [event.kinds for event in vetoes] == [(FAULT_OF[kind],), ()]
    assert [alert.name for alert in heard.alerts] == [f"{FAULT_OF[kind]}_opened", f"{FAULT_OF[kind]}_closed"]
    assert heard.alerts[0].details["incident"] == heard.alerts[1].details["incident"]
    assert heard.alerts[0].details["diagnosis"]["evidence"]  # type: ignore[call-overload, index]


@MANY
@pytest.mark.parametrize("name", OTHERS)
def test_nothing_else_is_taken_for_broken_data(name: str, seed: int) -> None:
    heard = a_run(FAULTS[name], seed)
    assert not broken(heard)
    assert (name, verdict(FAULTS[name], heard)) in SAID
    if FAULTS[name].kind is None:
        assert heard.kinds(0, 99) == []
    if name in LEARNT:
        assert heard.turns
        assert verdict(FAULTS[name], heard) == FAULTS[name].kind
    if FAULTS[name].family in {"none", "season"}:
        assert (heard.turns, heard.alerts) == ([], [])


@pytest.mark.soak
def test_the_page_says_what_is_said() -> None:
    assert diagnosis_page.runs() == SAID


@pytest.mark.soak
def test_many_seeds_say_the_same() -> None:
    for seed in range(1, 30):
        for name, fault in FAULTS.items():
            heard = a_run(fault, seed)
            assert broken(heard) == (fault.family == "data"), (name, seed)
            if fault.family in {"data", "none", "season"}:
                assert heard.turns == [], (name, seed)
        diagnosed.forget()


def test_a_world_that_moves_on_and_on_is_no_fault_of_the_data() -> None:
    said = natural.judged(natural.market(0, 80), 14, 4, 2, windows={"every": "1h", "min_rows": 100})
    assert {one.verdict for one in said} == {"stable", "drifted", "reference_warming"}
    assert len({one.version for one in said}) > 10


def test_the_demo_has_no_fault_of_the_data() -> None:
    said = natural.judged(natural.payments(7), 4, 4, 6)
    assert {one.verdict for one in said} == {"stable", "drifted", "reference_warming"}
    assert {one.diagnosis.kind for one in said if one.diagnosis} == {"covariate_shift"}


@pytest.mark.soak
def test_many_moving_worlds_are_no_fault_of_the_data() -> None:
    wrong = 0
    for seed in range(60):
        for learnt, patience in ((4, 1), (4, 2), (8, 3)):
            said = natural.judged(
                natural.market(seed, 100), 14, learnt, patience, windows={"every": "1h", "min_rows": 100}
            )
            wrong += sum(one.verdict == DATA_FAULT for one in said)
    assert wrong <= 3


# ---------------------------------------------------------------------------------------------- what only looks like it


def hear_column(reference: Any, windows: list[Any]) -> list[e.WindowJudged]:  # noqa: ANN401 -- values of any kind
    """One column beside another that is as ever."""
    profile, judge = a_profile(x=reference, other=normal(3)), a_judge()
    return [
        judge.hear(a_window(number, an_inputs_arm(profile, {"x": values, "other": normal(90 + number, len(values))})))
        for number, values in enumerate(windows)
    ]


def kinds(said: list[e.WindowJudged]) -> list[str | None]:
    return [one.diagnosis.kind if one.diagnosis else None for one in said]


def test_an_hour_of_the_day_may_stand_still_and_so_may_a_rare_flag() -> None:
    hours = np.repeat(np.arange(24.0), 100)
    assert "constant" not in kinds(hear_column(hours, [np.full(600, float(hour)) for hour in range(8)]))
    flag = (np.random.default_rng(1).random(4000) < 0.002).astype(float)
    assert set(kinds(hear_column(flag, [flag[:600], np.zeros(600), np.zeros(600)]))) == {None}


def test_a_value_that_the_world_often_has_may_come_alone() -> None:
    rain = np.where(np.random.default_rng(1).random(4000) < 0.6, 0.0, normal(1, 4000) ** 2)
    assert "constant" not in kinds(hear_column(rain, [rain[:600], np.zeros(600)]))
    assert kinds(hear_column(normal(1), [normal(2, 600), np.full(600, 0.3)]))[1] == "constant"


def test_a_clock_is_always_beyond_its_reference_and_in_no_other_unit() -> None:
    clock = 1.7e9 + np.arange(4000.0)
    said = hear_column(clock, [1.7e9 + 3600.0 * number + np.arange(600.0) for number in range(9, 400, 60)])
    assert "unit_change" not in kinds(said)


def test_a_thousandfold_value_is_a_unit_although_its_sums_were_cut_off_and_show_no_deviation() -> None:
    far = 1e7 * (50 + normal(5, 600))
    said = hear_column(50 + normal(1), [50 + normal(4, 600), far])
    assert kinds(said) == [None, "unit_change"]


def test_a_few_rows_are_no_evidence() -> None:
    windows = {"every": "1h", "min_rows": 1}
    profile, judge = a_profile(x=normal(1)), a_judge(windows=windows)
    said = judge.hear(a_window(0, an_inputs_arm(profile, {"x": [None] * 20})))
    assert said.verdict == "drifted"


def test_most_columns_that_move_by_one_factor_are_the_world() -> None:
    names = [f"x{place}" for place in range(6)]
    values = {name: np.exp(normal(place)) for place, name in enumerate(names)}
    profile, judge = a_profile(**values), a_judge()
    usual = {name: np.exp(normal(50 + place, 600)) for place, name in enumerate(names)}
    moved = {name: (9.0 if name == "x0" else 1.5) * now for name, now in usual.items()}
    moved |= {name: now + 1.0 for name, now in moved.items() if name != "x0"}
    said = [judge.hear(a_window(number, an_inputs_arm(profile, now))) for number, now in enumerate((usual, moved))]
    assert kinds(said) == [None, "covariate_shift"]


def test_windows_that_overlap_may_repeat_themselves() -> None:
    judge, same = a_judge(), arm()
    for number in range(9):
        judge.hear(a_window(number, an_inputs_arm(judge_profile(), {"amount": normal(number, 600)})))
    sliding = a_window(8, same).model_copy(update={"end": START + 12 * HOUR_MS})
    assert [kinds([judge.hear(one)]) for one in (sliding, sliding)] == [[None], [None]]


def judge_profile() -> Any:  # noqa: ANN401 -- a profile
    return a_profile(amount=normal(1), country=["ch", "de"] * 1000)


# ------------------------------------------------------------------------------------------- labels of broken rows


def test_labels_of_broken_rows_say_nothing_about_the_world() -> None:
    judge = a_judge()
    lost = an_inputs_arm(judge_profile(), {"amount": [None] * 600, "country": ["ch", "de"] * 300})
    judge.hear_all([a_window(0, arm()), a_window(1, lost), a_window(2, lost), a_window(3, arm())])
    assert judge.alerts == ["missing_spike_opened", "missing_spike_closed"]
    late = [judge.hear(a_window(number, outcomes(0.2, window=number), kind="outcomes")) for number in (1, 2)]
    assert {(one.verdict, one.episode) for one in late} == {(DATA_FAULT, e.Episode.NONE)}
    assert judge.state.points == ()  # nor are their errors heard
    fell = [judge.hear(a_window(number, outcomes(0.2, window=number), kind="outcomes")) for number in (3, 4)]
    assert fell[1].episode is OPENED


def test_a_collapse_is_a_changed_concept_a_slow_fall_is_a_loss() -> None:
    assert kinds([a_judge().hear(a_window(0, outcomes(0.1), kind="outcomes"))]) == ["concept_change"]
    slow = a_judge(drift={"quality": {"drop": 0.02}, "concept": {"detectors": []}})
    found = [slow.hear(a_window(0, outcomes(skill), kind="outcomes")) for skill in (1.0, 0.45)]
    assert [(one.verdict, *kinds([one])) for one in found] == [("stable", None), ("drifted", "quality_loss")]


def test_more_positives_with_calibrated_scores_are_no_other_prior() -> None:
    chance = np.random.default_rng(1)
    scores = chance.beta(2, 5, 4000)
    high = scores[scores > 0.25]
    reference = {"roc_auc": 0.7, "label_rate": float(scores.mean()), "label_rate_se": 0.007}

    def said(now: Any, labels: Any) -> str | None:  # noqa: ANN401 -- arrays
        window = an_outcomes_arm(labelled(now, labels.astype(float)), reference_quality=reference)
        return kinds([a_judge(drift={"quality": {"drop": 0.5}}).hear(a_window(0, window, kind="outcomes"))])[0]

    assert said(high, chance.random(len(high)) < high) is None
    odds = 4 * scores / (1 - scores)
    assert said(scores, chance.random(len(scores)) < odds / (1 + odds)) == "prior_shift"


# ---------------------------------------------------------------------------------------------- one cause, one alert


def test_ten_measures_detectors_and_two_episodes_of_one_cause_are_one_alert() -> None:
    profile = a_profile(**{f"x{place}": normal(place) for place in range(10)})
    detectors = {"concept": {"detectors": ["adwin", "page_hinkley", "ddm", "hddm_a"]}}
    judge = a_judge(drift=detectors)
    drifted = fired = 0
    for number in range(9):
        bad = 4 <= number < 7
        columns = {f"x{place}": normal(100 * place + number, 600, 1.5 * bad) for place in range(10)}
        inputs = judge.hear(a_window(number, an_inputs_arm(profile, columns, np.linspace(0, 1 - 0.7 * bad, 600))))
        labels = judge.hear(a_window(number, outcomes(0.1 if bad else 1.0, window=number), kind="outcomes"))
        drifted = max(drifted, sum(one.drifted for one in inputs.measures))
        fired += len(labels.detections)
    assert drifted >= 10
    assert fired >= 2
    assert judge.alerts == ["drift_opened", "drift_closed"]


def test_quality_and_drift_in_either_order_are_one_incident() -> None:
    judge = a_judge()
    for number in range(3):
        judge.hear(a_window(number, outcomes(0.1, window=number), kind="outcomes"))
    judge.hear_all([a_window(number, arm(3)) for number in range(3)])
    judge.hear_all([a_window(number, outcomes(1.0, window=number), kind="outcomes") for number in range(3, 6)])
    assert judge.alerts == ["quality_opened"]
    judge.hear_all([a_window(number, arm()) for number in range(3, 6)])
    assert judge.alerts == ["quality_opened", "quality_closed"]
    judge.hear_all([a_window(number, arm(3)) for number in range(6, 9)])
    assert judge.alerts[2:] == ["drift_opened"]  # another incident


def test_broken_data_within_an_episode_is_told_and_the_incident_ends_under_its_name() -> None:
    judge = a_judge()
    odd = partly(0, split(600, added=("sum",)))
    judge.hear_all([a_window(0, arm(3)), a_window(1, arm(3)), a_window(2, odd), a_window(3, odd)])
    assert judge.alerts == ["drift_opened", "schema_drift_opened"]
    judge.hear(a_window(4, arm()))
    assert judge.alerts[2:] == []
    judge.hear(a_window(5, arm()))
    assert judge.alerts[2:] == ["schema_drift_closed"]


# ------------------------------------------------------------------------------------------------------------- memory


def test_the_state_with_its_memory_follows_from_the_journal_alone() -> None:
    heard = a_run(FAULTS["missing_in_one"], 0)
    again = judging.initial()
    for _, event in heard.judged:
        again = judging.evolve(again, e.WindowJudged.model_validate_json(event.model_dump_json()))
    assert again == heard.state


def test_what_is_remembered_is_bounded() -> None:
    memory = Memory(spans=tuple(Span(place, place + 1, "constant") for place in range(0, 2 * MOST_SPANS, 2)))
    said = Judge(a_judge().loop).hear(a_window(0, partly(0, split(600, added=("sum",)))))
    assert len(memory.follow(said).spans) == MOST_SPANS
    assert memory.follow(said).spans[-1].kind == "schema"


def test_every_kind_has_a_family_and_broken_data_a_fault() -> None:
    assert {kind for kind, sort in SORTS.items() if sort.family == "data"} == set(FAULT_OF)
    assert set(FAULT_OF.values()) == DATA_FAULTS
    assert {kind for kind, sort in SORTS.items() if not sort.learnable} == {*FAULT_OF, "season"}
    assert {one.kind for one in FAULTS.values() if one.kind} == set(SORTS)
    assert len(DATA) >= 12


def test_scores_that_are_unusual_for_the_day_and_usual_for_the_hour_are_a_season() -> None:
    profile = a_profile(amount=normal(1))
    arm = an_inputs_arm(profile, {"amount": normal(2, 600)}, np.full(600, 0.9))
    assert arm.score is not None
    near = arm.score.model_copy(update={"reference": arm.score.current, "overall": arm.score.reference})
    window = a_window(0, arm.model_copy(update={"score": near, "season": "hour_of_day"}))
    judged = judging.decide(judging.initial(), window, diagnosed.NOW, a_loop(), None)
    assert isinstance(judged, e.WindowJudged)
    assert judged.verdict == "stable"
    assert judged.diagnosis is not None
    assert (judged.diagnosis.kind, judged.diagnosis.columns) == ("season", ("score",))
