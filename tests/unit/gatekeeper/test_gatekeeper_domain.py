"""What a version must prove before it meets traffic."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar
from uuid import uuid5

import pytest
from pydantic import JsonValue

from everloop import events as e
from everloop.codec import decode, encode
from everloop.facts import Facts
from everloop.loop import Loop
from everloop_gatekeeper.domain import Figures, MetricFigures, State, decide, evolve, initial, job
from everloop_gatekeeper.domain.figures import Latency
from everloop_gatekeeper.handlers import PROJECTIONS, announce
from tests.builders import (
    HOUR_MS,
    NOON,
    a_fresh_id,
    a_loop,
    a_tick_at,
    a_version_created,
    an_archive,
    millis,
)

E = TypeVar("E", bound=e.Event)
CUT = millis(NOON)
LATER = {CUT: 1000, CUT + HOUR_MS: 1000}
"""2,000 labelled rows in the archive, all after the cut."""
FLOOR = a_loop(gate={"floor": {"roc_auc": 0.8}})
EVERY = ("floor.roc_auc", "champion.roc_auc", "latency_p95", "size", "digest", "schema", "calibration")


def areas(new: float, champion: float | None = None, *, error: float = 0.002, samples: int = 300) -> MetricFigures:
    """Areas under the curve with independent errors."""
    value = (new,) if champion is None else (new, champion)
    covariance = tuple(tuple(error**2 if i == j else 0.0 for j in range(len(value))) for i in range(len(value)))
    return MetricFigures(value=value, covariance=covariance, samples=samples, degrees=2 * samples * (1 - new))


def figures(area: MetricFigures | None = None, **other: object) -> Figures:
    """A version as good as its champion, and fast."""
    known = {
        "size": 50_000, "features": {"amount": "numeric"}, "task": "binary", "rows": 2000,
        "metrics": {"roc_auc": area or areas(0.9, 0.9)}, "latency": Latency(rows=100, p50=1.0, p95=2.0),
        "calibration_error": 0.02,
    }  # fmt: skip
    return Figures.model_validate({**known, **other})


class Gate:
    """A gatekeeper's journal of one model, with what it would hear and know."""

    def __init__(self, loop: Loop = FLOOR) -> None:
        self.loop = loop
        self.state: State = initial()
        self.said: list[e.Event] = []
        self.now = NOON

    def hear(self, cause: e.Event, facts: Facts | None = None) -> e.Event | None:
        event = decide(self.state, cause, self.now, self.loop, facts)
        if event is not None:
            self.said.append(event)
            self.state = evolve(self.state, event)
        return event

    def tick(self, facts: Facts | None = None, after: timedelta = timedelta(0)) -> e.Event | None:
        self.now += after
        return self.hear(a_tick_at(self.now), facts or an_archive(LATER))

    def last(self, kind: type[E]) -> E:
        return next(event for event in reversed(self.said) if isinstance(event, kind))

    def measured(self, found: Figures | None = None, *, error: str = "") -> e.Event | None:
        started = self.last(e.ChecksStarted)
        result = {} if error else (found or figures()).model_dump(mode="json")
        return self.hear(
            e.JobEnded(
                id=uuid5(started.id, "ended"), time=self.now, model="fraud", started=started.id,
                attempt=started.attempt, ok=not error, result=result, error=error,
            )
        )  # fmt: skip

    def orphaned(self) -> e.Event | None:
        started = self.last(e.ChecksStarted)
        return self.hear(
            e.JobOrphaned(
                id=a_fresh_id(), time=self.now, model="fraud", started=started.id, attempt=started.attempt
            )
        )  # fmt: skip

    def stale(self, version: str, champion: str, rollout_live: str | None = None) -> e.Event | None:
        return self.hear(
            e.VerdictStale(
                id=a_fresh_id(), time=self.now, model="fraud", version=version, measured_against="1",
                champion=champion, rollout_live=rollout_live,
            )
        )  # fmt: skip


def a_gate_that_measures(loop: Loop = FLOOR, facts: Facts | None = None) -> Gate:
    """Version 2 is being measured against version 1."""
    gate = Gate(loop)
    gate.hear(a_version_created("2"))
    assert isinstance(gate.tick(facts), e.ChecksStarted)
    return gate


def a_gate_that_holds() -> Gate:
    """Version 2 has too few rows to tell: 2,000 labelled rows were in the archive."""
    gate = a_gate_that_measures()
    assert isinstance(gate.measured(figures(areas(0.9, 0.9, error=0.05))), e.VersionHeld)
    return gate


def verdicts(event: e.Event | None) -> dict[str, str]:
    """The verdict of each check."""
    assert isinstance(event, e.VersionPassed | e.VersionRefused | e.VersionHeld)
    return {check.name: check.verdict for check in event.checks}


def the_check(event: e.Event | None, name: str) -> e.Check:
    assert isinstance(event, e.VersionPassed | e.VersionRefused | e.VersionHeld)
    return next(check for check in event.checks if check.name == name)


# --------------------------------------------------------------------------------------------- a version, told in order


def test_a_version_passes_against_the_champion() -> None:
    gate = a_gate_that_measures()
    passed = gate.measured()
    assert isinstance(passed, e.VersionPassed)
    assert [type(event) for event in gate.said] == [e.VersionReceived, e.ChecksStarted, e.VersionPassed]
    assert {event.correlation_id for event in gate.said} == {gate.last(e.VersionReceived).created.correlation_id}
    assert verdicts(passed) == dict.fromkeys(EVERY, "pass")
    verdict = passed.verdict
    assert (verdict.version, verdict.champion, verdict.passed_at) == ("2", "1", NOON)
    assert verdict.artifact == gate.last(e.VersionReceived).created.artifact
    assert gate.state.waiting == ()


def test_the_job_is_told_everything_it_needs() -> None:
    spec = a_gate_that_measures().last(e.ChecksStarted).spec
    assert spec.champion is not None
    assert (spec.version, spec.champion.version, spec.metrics, spec.latency_rows) == ("2", "1", ("roc_auc",), 100)
    assert spec.holdout == a_version_created("2").holdout


def test_below_the_floor_is_refused_with_the_figures() -> None:
    refused = a_gate_that_measures().measured(figures(areas(0.79, 0.7)))
    assert isinstance(refused, e.VersionRefused)
    assert refused.failed == ("floor.roc_auc",)
    reason = the_check(refused, "floor.roc_auc").reason
    assert reason == e.Reason(rule="gate.floor.roc_auc", measured=0.79, limit=0.8, samples=300, where="loop")


def test_a_floor_on_a_loss_is_the_largest_value_that_passes() -> None:
    loop = a_loop(gate={"floor": {"log_loss": 0.4}})
    gate = a_gate_that_measures(loop)
    assert gate.last(e.ChecksStarted).spec.metrics == ("log_loss", "roc_auc")
    loss = MetricFigures(value=(0.5, 0.5), covariance=((0.0, 0.0), (0.0, 0.0)), samples=2000)
    refused = gate.measured(figures(metrics={"roc_auc": areas(0.9, 0.9), "log_loss": loss}))
    assert isinstance(refused, e.VersionRefused)
    assert refused.failed == ("floor.log_loss",)


def test_worse_than_the_champion_is_refused_and_names_the_check() -> None:
    refused = a_gate_that_measures().measured(figures(areas(0.85, 0.95)))
    assert isinstance(refused, e.VersionRefused)
    assert refused.failed == ("champion.roc_auc",)
    check = the_check(refused, "champion.roc_auc")
    assert check.reason.measured == 0.85
    assert check.reason.limit == pytest.approx(0.99 * 0.95)
    assert (check.reason.where, check.detail["ratio"], check.detail["alpha"]) == ("default", 0.99, 0.025)
    assert set(verdicts(refused)) == set(EVERY)


def test_the_loop_says_how_much_of_the_champion_must_be_kept() -> None:
    loop = a_loop(gate={"champion": {"roc_auc": {"at_least": "80%"}}})
    passed = a_gate_that_measures(loop).measured(figures(areas(0.85, 0.95)))
    assert isinstance(passed, e.VersionPassed)
    assert the_check(passed, "champion.roc_auc").reason.where == "loop"


def test_without_a_floor_the_gate_says_so() -> None:
    passed = a_gate_that_measures(a_loop()).measured()
    floor = the_check(passed, "floor")
    assert (floor.verdict, floor.reason.measured) == ("skipped", "no floor is set")


def test_the_first_version_has_no_champion_to_beat() -> None:
    gate = Gate()
    gate.hear(a_version_created("1"))
    started = gate.tick(an_archive(LATER, champion=None))
    assert isinstance(started, e.ChecksStarted)
    assert started.spec.champion is None
    passed = gate.measured(figures(areas(0.9)))
    assert isinstance(passed, e.VersionPassed)
    assert (passed.champion, passed.verdict.champion) == (None, None)
    assert verdicts(passed)["champion"] == "skipped"
    assert verdicts(passed)["floor.roc_auc"] == "pass"


@pytest.mark.parametrize(
    ("other", "failed"),
    [
        ({"latency": Latency(rows=100, p50=1.0, p95=101.0)}, "latency_p95"),
        ({"size": 100_000_001}, "size"),
        ({"features": {"amount": "categorical"}}, "schema"),
        ({"task": "multiclass"}, "schema"),
    ],
)
def test_each_limit_refuses_alone(other: dict[str, object], failed: str) -> None:
    refused = a_gate_that_measures().measured(Figures.model_validate({**figures().model_dump(), **other}))
    assert isinstance(refused, e.VersionRefused)
    assert refused.failed == (failed,)


def test_features_may_be_added_and_none_may_go() -> None:
    created = a_version_created("2").model_copy(update={"features": {"amount": "numeric", "hour": "numeric"}})
    gate = Gate()
    gate.hear(created)
    gate.tick()
    passed = gate.measured(figures(features=created.features))
    assert the_check(passed, "schema").reason.measured == "added: hour"
    gate = Gate()
    gate.hear(created.model_copy(update={"features": {"hour": "numeric"}}))
    gate.tick()
    assert verdicts(gate.measured(figures(features={"hour": "numeric"})))["schema"] == "fail"


def test_a_file_that_may_not_be_loaded_is_refused_and_nothing_else_is_claimed_of_it() -> None:
    bad = Figures(size=50_000, reason="untrusted_type", message="wants os.system")
    refused = a_gate_that_measures().measured(bad)
    assert isinstance(refused, e.VersionRefused)
    assert refused.failed == ("digest",)
    assert the_check(refused, "digest").reason.rule == "digest.untrusted_type"
    assert {name for name, verdict in verdicts(refused).items() if verdict == "skipped"} == {
        "floor.roc_auc", "champion.roc_auc", "latency_p95", "schema", "calibration",
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------ too few to say


def test_too_few_rows_hold_until_the_deadline() -> None:
    gate = a_gate_that_holds()
    held = gate.last(e.VersionHeld)
    assert (held.until, held.archived_rows) == (NOON + timedelta(hours=12), 2000)
    assert verdicts(held)["champion.roc_auc"] == "too_few"
    assert job(gate.state) is None


@pytest.mark.parametrize("area", [None, areas(0.9, 0.9, samples=19)])
def test_rows_that_carry_no_estimate_hold(area: MetricFigures | None) -> None:
    found = figures(metrics={"roc_auc": area} if area else {})
    held = a_gate_that_measures().measured(found)
    assert isinstance(held, e.VersionHeld)
    assert verdicts(held)["floor.roc_auc"] == verdicts(held)["champion.roc_auc"] == "too_few"


def test_a_failure_refuses_even_where_another_check_has_too_few_rows() -> None:
    refused = a_gate_that_measures().measured(figures(areas(0.9, 0.9, error=0.05), size=10**9))
    assert isinstance(refused, e.VersionRefused)
    assert refused.failed == ("size",)


def test_a_held_version_is_measured_again_when_the_archive_has_grown() -> None:
    gate = a_gate_that_holds()
    almost = {**LATER, CUT + 2 * HOUR_MS: 99}
    assert gate.tick(an_archive(almost), after=timedelta(hours=1)) is None
    again = gate.tick(an_archive({**LATER, CUT + 2 * HOUR_MS: 100}))  # a tenth of the 1,000 rows of the holdout
    assert isinstance(again, e.ChecksStarted)
    assert (again.attempt, again.measurement, again.archived_rows) == (1, 2, 2100)
    assert (again.spec.holdout.start, again.spec.holdout.end) == (CUT, CUT + 3 * HOUR_MS)
    passed = gate.measured()
    assert isinstance(passed, e.VersionPassed)
    assert the_check(passed, "champion.roc_auc").detail["alpha"] == pytest.approx(0.05 / 6)
    assert passed.correlation_id == gate.said[0].correlation_id


def test_a_small_window_of_new_rows_is_enough_for_a_large_holdout() -> None:
    gate = Gate(a_loop(windows={"every": "1h", "min_rows": 20}))
    gate.hear(a_version_created("2"))
    gate.tick()
    gate.measured(figures(areas(0.9, 0.9, error=0.05)))
    assert gate.tick(an_archive({**LATER, CUT + 2 * HOUR_MS: 19})) is None
    assert isinstance(gate.tick(an_archive({**LATER, CUT + 2 * HOUR_MS: 20})), e.ChecksStarted)


def test_the_deadline_refuses_a_held_version_with_what_it_lacked() -> None:
    gate = a_gate_that_holds()
    assert gate.tick(after=timedelta(hours=12) - timedelta(seconds=1)) is None
    refused = gate.tick(an_archive({**LATER, CUT + 2 * HOUR_MS: 5000}), after=timedelta(seconds=1))
    assert isinstance(refused, e.VersionRefused)
    assert refused.failed == ("deadline", "champion.roc_auc")
    assert set(verdicts(refused)) == {*EVERY, "deadline"}
    assert (refused.champion, gate.state.waiting) == ("1", ())


def test_a_hold_does_not_keep_the_next_version_from_being_measured() -> None:
    gate = a_gate_that_holds()
    gate.hear(a_version_created("3"))
    started = gate.tick()
    assert isinstance(started, e.ChecksStarted)
    assert started.spec.version == "3"


# -------------------------------------------------------------------------------------------------- order and champions


def test_versions_are_measured_one_after_another_in_order() -> None:
    gate = a_gate_that_measures()
    gate.hear(a_version_created("3"))
    gate.hear(a_version_created("4"))
    assert gate.tick() is None
    gate.measured()
    for version in ("3", "4"):
        started = gate.tick()
        assert isinstance(started, e.ChecksStarted)
        assert started.spec.version == version
        gate.measured()
    passed = [event for event in gate.said if isinstance(event, e.VersionPassed)]
    turns = [event.created.correlation_id for event in gate.said if isinstance(event, e.VersionReceived)]
    assert [event.correlation_id for event in passed] == turns


def test_a_stale_verdict_is_measured_again_against_the_champion_of_now() -> None:
    gate = a_gate_that_measures()
    gate.measured()
    received = gate.stale("2", champion="9")
    assert isinstance(received, e.VersionReceived)
    again = gate.tick(an_archive(LATER, champion="9"))
    assert isinstance(again, e.ChecksStarted)
    assert again.spec.champion is not None
    assert (again.spec.champion.version, again.spec.holdout.end) == ("9", CUT + 2 * HOUR_MS)
    passed = gate.measured()
    assert isinstance(passed, e.VersionPassed)
    assert (passed.verdict.champion, passed.correlation_id) == ("9", gate.said[0].correlation_id)
    assert the_check(passed, "champion.roc_auc").detail["alpha"] == 0.025


def test_a_stale_verdict_of_a_version_that_never_passed_says_nothing() -> None:
    gate = a_gate_that_measures()
    assert gate.stale("2", champion="9") is None
    assert gate.stale("7", champion="9") is None


def test_nothing_is_measured_while_a_rollout_is_live() -> None:
    gate = a_gate_that_measures()
    gate.measured()
    gate.stale("2", champion="1", rollout_live="9")
    assert gate.tick(an_archive(LATER, rollout_live="9")) is None
    assert isinstance(gate.tick(an_archive(LATER, champion="9")), e.ChecksStarted)


def test_a_rollout_that_never_ends_refuses_at_the_deadline_with_all_checks_skipped() -> None:
    gate = Gate()
    gate.hear(a_version_created("2"))
    refused = gate.tick(an_archive(LATER, rollout_live="9"), after=timedelta(hours=12))
    assert isinstance(refused, e.VersionRefused)
    assert refused.failed == ("deadline",)
    assert verdicts(refused) == {**dict.fromkeys(EVERY, "skipped"), "deadline": "fail"}
    assert the_check(refused, "deadline").detail == {"rollout_live": "9"}


def test_a_late_first_measurement_is_still_made() -> None:
    gate = Gate()
    gate.hear(a_version_created("2"))
    assert isinstance(gate.tick(after=timedelta(days=2)), e.ChecksStarted)


# -------------------------------------------------------------------------------------------------------------- the job


def test_a_job_is_what_was_started_and_has_no_end() -> None:
    gate = a_gate_that_measures()
    running = job(gate.state)
    assert running is not None
    assert running.started == gate.last(e.ChecksStarted)
    gate.measured()
    assert job(gate.state) is None
    assert job(initial()) is None


def test_a_failed_job_is_tried_once_more_and_then_refuses() -> None:
    gate = a_gate_that_measures()
    again = gate.measured(error="no such file")
    assert isinstance(again, e.ChecksStarted)
    assert (again.attempt, again.measurement, again.failures) == (2, 1, 1)
    refused = gate.measured(error="no such file")
    assert isinstance(refused, e.VersionRefused)
    assert refused.failed == ("measurement",)
    assert the_check(refused, "measurement").reason.measured == "no such file"
    assert verdicts(refused) == {**dict.fromkeys(EVERY, "skipped"), "measurement": "fail"}


@pytest.mark.parametrize("bad", [{"verdict": "pass"}, {"metrics": {"roc_auc": areas(0.9).model_dump(mode="json")}}])
def test_a_result_that_is_none_is_a_failure(bad: dict[str, JsonValue]) -> None:
    gate = a_gate_that_measures()
    started = gate.last(e.ChecksStarted)
    result = {**figures().model_dump(mode="json"), **bad}
    ended = e.JobEnded(
        id=a_fresh_id(), time=NOON, model="fraud", started=started.id, attempt=1, ok=True, result=result
    )  # fmt: skip
    again = gate.hear(ended)
    assert isinstance(again, e.ChecksStarted)
    assert again.failures == 1


def test_an_orphan_starts_again_twelve_times_at_most() -> None:
    gate = a_gate_that_measures()
    said = [gate.orphaned() for _ in range(12)]
    assert [event.attempt for event in said if isinstance(event, e.ChecksStarted)] == [*range(2, 13)]
    assert isinstance(said[-1], e.VersionRefused)
    assert said[-1].failed == ("measurement",)


def test_an_orphan_is_no_failure() -> None:
    gate = a_gate_that_measures()
    gate.orphaned()
    gate.measured(error="once")
    assert isinstance(gate.measured(), e.VersionPassed)


def test_only_the_latest_attempt_counts() -> None:
    gate = a_gate_that_measures()
    first = gate.last(e.ChecksStarted)
    gate.orphaned()
    late = e.JobEnded(
        id=a_fresh_id(), time=NOON, model="fraud", started=first.id, attempt=1, ok=True,
        result=figures().model_dump(mode="json"),
    )  # fmt: skip
    assert gate.hear(late) is None


# ------------------------------------------------------------------------------------------------- journal and people


def test_facts_are_for_ticks_only() -> None:
    gate = Gate()
    gate.hear(a_version_created("2"))
    assert gate.hear(a_tick_at(NOON), None) is None


def test_the_state_is_a_fold_of_the_journal_as_it_stands_on_the_log() -> None:
    gate = a_gate_that_holds()
    gate.tick(an_archive({**LATER, CUT + 2 * HOUR_MS: 5000}))
    gate.orphaned()
    gate.measured(figures(areas(0.99, 0.9)))
    gate.stale("2", champion="9")
    folded = initial()
    for number, event in enumerate(gate.said):
        numbered = event.model_copy(update={"sequence": number})
        folded = evolve(folded, decode(*encode(numbered, source="gatekeeper", recorded=NOON)))
    assert [one.version for one in folded.waiting] == ["2"]
    assert folded.waiting == gate.state.waiting
    assert folded.passed == gate.state.passed


def test_the_alert_of_a_refusal_names_the_failing_checks() -> None:
    gate = a_gate_that_measures()
    refused = gate.measured(figures(areas(0.85, 0.95)))
    assert refused is not None
    assert PROJECTIONS[e.VersionRefused] is announce
    (alert,) = announce(gate.state, refused)
    assert isinstance(alert, e.AlertRaised)
    assert (alert.name, alert.severity, alert.details) == (
        "version_refused", "warning", {"checks": ["champion.roc_auc"]},
    )  # fmt: skip
    assert "champion.roc_auc (0.85, limit 0.94" in alert.summary
    assert alert.correlation_id == refused.correlation_id


def test_the_alert_of_a_hold_says_what_is_lacking() -> None:
    gate = a_gate_that_holds()
    (alert,) = announce(gate.state, gate.last(e.VersionHeld))
    assert isinstance(alert, e.AlertRaised)
    assert (alert.name, alert.severity, alert.details) == ("version_held", "info", {"checks": ["champion.roc_auc"]})


def test_a_version_that_passed_raises_no_alert() -> None:
    gate = a_gate_that_measures()
    passed = gate.measured()
    assert passed is not None
    assert announce(gate.state, passed) == ()
