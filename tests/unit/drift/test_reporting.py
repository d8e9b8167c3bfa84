"""Which windows get a report, when it is begun, and how it ends."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid5

import pytest
from pydantic import JsonValue

from everloop import events as e
from everloop.facts import REMEMBERED_VERSIONS, Facts, fold
from everloop.loop import Loop
from everloop.runtime.room import MOST_ATTEMPTS, Job
from everloop_drift.domain import reporting
from everloop_drift.domain.reporting import MOST_PER_DAY, MOST_ROWS, WAIT, State, decide, evolve, initial, job
from everloop_drift.handlers import announce_report
from tests.builders import (
    HOUR_MS,
    NOON,
    a_fresh_id,
    a_loop,
    a_manifest,
    a_tick_at,
    a_version_created,
    a_window_judged,
    millis,
)

E = TypeVar("E", bound=e.Event)
END = millis(NOON)
START = END - HOUR_MS
OPENED, CLOSED, CONTINUING = e.Episode.OPENED, e.Episode.CLOSED, e.Episode.CONTINUING
WRITTEN: dict[str, JsonValue] = {
    "html": {"uri": "memory://report/1", "sha256": "1" * 64}, "data": {"uri": "memory://report/2", "sha256": "2" * 64},
    "rows": 1600, "reference_rows": 5000, "left_out": {}, "seconds": 7.5,
    "auc": {"value": 0.8, "error": 0.01, "lower": 0.78, "upper": 0.82, "rows": 3300},
    "energy": {"distance": 0.3, "p_value": 0.005, "rows": 2000, "permutations": 199},
}  # fmt: skip


def known(rows: int = 1600, *, watermark: int = END, version: str = "1", history: int = 12) -> Facts:
    """The window's slice in the archive, a dozen slices of a thousand rows before it, and what the version learned."""
    facts = Facts(
        manifests=(a_manifest("predictions", {START: rows} if rows else {}, watermark=watermark, name="now"),)
    )
    slices = {START - hour * HOUR_MS: 1000 for hour in range(1, history + 1)}
    facts = fold(facts, a_manifest("predictions", slices, name="past").model_copy(update={"partition": 1}))
    return fold(facts, created(version))


def created(version: str) -> e.ModelVersionCreated:
    """Learned from twelve hours before a cut that is an hour and a half before the window."""
    made = a_version_created(version)
    learned = made.snapshot.model_copy(update={"start": START - 12 * HOUR_MS})
    return made.model_copy(update={"cut": START - 3 * HOUR_MS // 2, "snapshot": learned})


class Desk:
    """The journal of the reports of one model."""

    def __init__(self, loop: Loop | None = None) -> None:
        self.loop = loop or a_loop()
        self.state: State = initial()
        self.said: list[e.Event] = []
        self.now = NOON

    def hear(self, cause: e.Event, facts: Facts | None = None) -> e.Event | None:
        event = decide(self.state, cause, self.now, self.loop, facts)
        if event is not None:
            self.said.append(event)
            self.state = evolve(self.state, event)
        return event

    def tick(self, facts: Facts, after: timedelta = timedelta(0)) -> e.Event | None:
        self.now += after
        return self.hear(a_tick_at(self.now), facts)

    def started(self) -> e.ReportStarted:
        assert self.state.started is not None
        return self.state.started

    def ended(self, result: dict[str, JsonValue] | None = None, error: str = "") -> e.Event | None:
        one = self.started()
        return self.hear(
            e.JobEnded(
                id=uuid5(one.id, "ended"), time=self.now, model="fraud", started=one.id, attempt=one.attempt,
                ok=not error, result={} if error else (result or WRITTEN), error=error,
            )
        )  # fmt: skip

    def orphaned(self) -> e.Event | None:
        one = self.started()
        return self.hear(
            e.JobOrphaned(
                id=uuid5(one.id, "orphaned"), time=self.now, model="fraud", started=one.id, attempt=one.attempt
            )
        )


def a_desk_at_work() -> Desk:
    desk = Desk()
    desk.hear(a_window_judged())
    desk.tick(known())
    return desk


def test_an_episode_that_opens_gets_a_report() -> None:
    desk, window = Desk(), a_window_judged(episode_id=UUID(int=9))
    asked = desk.hear(window)
    assert isinstance(asked, e.ReportRequested)
    assert (asked.judged, asked.version, asked.start, asked.end, asked.rows) == (window.id, "1", START, END, 1600)
    assert (asked.episode, asked.episode_id, asked.correlation_id) == (OPENED, UUID(int=9), UUID(int=9))
    assert asked.wait_until == NOON + WAIT
    started = desk.tick(known())
    assert isinstance(started, e.ReportStarted)
    assert job(desk.state) == Job(started, 1)
    written = desk.ended()
    assert isinstance(written, e.ReportWritten)
    assert (written.judged, written.episode, written.correlation_id) == (window.id, OPENED, None)
    assert written.auc == e.DomainAuc(value=0.8, error=0.01, lower=0.78, upper=0.82, rows=3300)
    assert desk.state == State(asked=(NOON,))


@pytest.mark.parametrize(
    ("reports", "episode", "verdict", "wanted"),
    [
        ("opened", OPENED, "drifted", True), ("opened", CLOSED, "stable", True),
        ("opened", CONTINUING, "drifted", False), ("opened", CLOSED, "too_few", False),
        ("drifted", CONTINUING, "drifted", True),
        ("drifted", CONTINUING, "stable", False), ("drifted", CLOSED, "stable", True),
        ("every", CONTINUING, "stable", True), ("every", CONTINUING, "schema_drift", False),
        ("none", OPENED, "drifted", False),
    ],
)  # fmt: skip
def test_the_loop_file_says_which(reports: str, episode: e.Episode, verdict: str, wanted: bool) -> None:  # noqa: FBT001
    window = a_window_judged(episode).model_copy(update={"verdict": verdict})
    assert (Desk(a_loop(drift={"reports": reports})).hear(window) is not None) == wanted


@pytest.mark.parametrize("other", [{"kind": "outcomes"}, {"revision": 1}, {"version": None}])
def test_only_first_windows_of_inputs_of_a_version(other: dict[str, object]) -> None:
    assert Desk().hear(a_window_judged().model_copy(update=other)) is None


def test_what_the_job_is_told() -> None:
    desk, window = Desk(a_loop(drift={"columns": {"country": {"test": "ks"}}, "share": 0.5})), a_window_judged()
    desk.hear(window)
    desk.tick(known())
    spec = desk.started().spec
    assert (spec.version, spec.start, spec.end, spec.cut) == ("1", START, END, START - 3 * HOUR_MS // 2)
    assert spec.reference_start == START - (MOST_ROWS // 1000 + 2) * HOUR_MS  # whole slices: that of the cut is none
    assert [one.uri for one in spec.window] == ["memory://predictions/now"]
    assert [one.uri for one in spec.reference] == ["memory://predictions/past"]
    assert (spec.share, spec.default.test, spec.columns["country"]) == (0.5, "psi", e.ColumnTest(test="ks", limit=0.01))
    assert spec.seed == window.id.int % 2**32
    assert spec.features == created("1").features


def test_a_short_past_is_all_of_the_reference() -> None:
    desk = Desk()
    desk.hear(a_window_judged())
    desk.tick(known(history=3))
    assert desk.started().spec.reference_start == START - 12 * HOUR_MS  # where the version's rows began


@pytest.mark.parametrize("facts", [known(1599), known(watermark=END - 1), Facts(), known(version="2")])
def test_it_waits_for_the_archive_and_the_version(facts: Facts) -> None:
    desk = Desk()
    desk.hear(a_window_judged())
    assert desk.tick(facts, WAIT - timedelta(seconds=1)) is None
    assert isinstance(desk.tick(known()), e.ReportStarted)


def test_at_the_deadline_the_rows_that_are_there_do() -> None:
    desk = Desk()
    desk.hear(a_window_judged())
    started = desk.tick(known(3), WAIT)
    assert isinstance(started, e.ReportStarted)
    assert (started.reason.measured, started.reason.limit) == (3, 1600)


@pytest.mark.parametrize(("facts", "word"), [(known(0), "archive"), (known(version="2"), "learned")])
def test_without_any_it_is_given_up(facts: Facts, word: str) -> None:
    desk = Desk()
    desk.hear(a_window_judged())
    failed = desk.tick(facts, WAIT)
    assert isinstance(failed, e.ReportFailed)
    assert word in failed.error
    assert failed.attempt == 0
    assert desk.state.waiting == ()
    assert desk.tick(known()) is None


def test_one_that_waits_does_not_block_another() -> None:
    desk = Desk()
    desk.hear(a_window_judged(version="2"))
    desk.hear(a_window_judged())
    started = desk.tick(known())
    assert isinstance(started, e.ReportStarted)
    assert started.spec.version == "1"
    assert desk.tick(known(version="2")) is None  # one at a time
    desk.ended()
    assert isinstance(desk.tick(known(version="2")), e.ReportStarted)


def test_a_job_that_fails_is_tried_once_more() -> None:
    desk = a_desk_at_work()
    again = desk.ended(error="the job took longer than 300 s and was stopped")
    assert isinstance(again, e.ReportStarted)
    assert (again.attempt, again.failures) == (2, 1)
    failed = desk.ended(error="the job failed with MemoryError; its log says where")
    assert isinstance(failed, e.ReportFailed)
    assert (failed.attempt, failed.error) == (2, "the job failed with MemoryError; its log says where")
    assert job(desk.state) is None
    (alert,) = announce_report(desk.state, failed)
    assert (alert.name, alert.severity) == ("report_failed", "warning")
    assert "MemoryError" in alert.summary


def test_a_result_that_is_none_is_a_failure() -> None:
    desk = a_desk_at_work()
    assert isinstance(desk.ended({**WRITTEN, "html": None}), e.ReportStarted)
    assert isinstance(desk.ended({**WRITTEN, "id": str(a_fresh_id())}), e.ReportFailed)


def test_restarts_do_not_count_as_failures_but_have_an_end() -> None:
    desk = a_desk_at_work()
    again = desk.orphaned()
    assert isinstance(again, e.ReportStarted)
    assert (again.attempt, again.failures) == (2, 0)
    while isinstance(desk.orphaned(), e.ReportStarted):
        pass
    (failed,) = [one for one in desk.said if isinstance(one, e.ReportFailed)]
    assert failed.attempt == MOST_ATTEMPTS


def test_the_end_of_an_older_attempt_is_too_late() -> None:
    desk = a_desk_at_work()
    first = desk.started()
    desk.orphaned()
    late = e.JobEnded(
        id=a_fresh_id(), time=NOON, model="fraud", started=first.id, attempt=1, ok=True, result=WRITTEN
    )  # fmt: skip
    assert desk.hear(late) is None


def test_a_day_has_so_many_reports() -> None:
    desk = Desk()
    for _ in range(MOST_PER_DAY):
        assert isinstance(desk.hear(a_window_judged()), e.ReportRequested)
        desk.tick(known())
        desk.ended()
    shed = desk.hear(a_window_judged())
    assert isinstance(shed, e.ReportFailed)
    assert shed.reason.rule == reporting.PER_DAY
    assert announce_report(desk.state, shed) == ()
    desk.now += timedelta(days=1)
    assert isinstance(desk.hear(a_window_judged()), e.ReportRequested)


def test_so_many_may_wait() -> None:
    desk = Desk()
    for _ in range(reporting.MOST_WAITING):
        desk.hear(a_window_judged())
    shed = desk.hear(a_window_judged())
    assert isinstance(shed, e.ReportFailed)
    assert shed.reason.rule == reporting.WAITING


def test_what_versions_learned_from_is_remembered_of_the_last_ones() -> None:
    facts = Facts()
    for number in range(REMEMBERED_VERSIONS + 5):
        facts = fold(facts, created(str(number)))
    assert list(facts.learned) == [str(number) for number in range(5, REMEMBERED_VERSIONS + 5)]
