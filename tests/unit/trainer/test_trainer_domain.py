"""When a successor is trained, on which rows, at what cost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar
from uuid import uuid5

import pytest

from everloop import events as e
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.profile import ColumnProfile, Profile
from everloop.snapshots import identified
from everloop_trainer.domain import State, decide, evolve, initial, job
from tests.builders import (
    HOUR_MS,
    NOON,
    a_fresh_id,
    a_loop,
    a_signed_verdict,
    a_tick_at,
    a_training_requested,
    a_window_judged,
    an_archive,
    millis,
)

E = TypeVar("E", bound=e.Event)
CHANGE = millis(NOON)
OLD = CHANGE - 10 * HOUR_MS
HOUR = timedelta(hours=1)
PLENTY = {OLD: 5000, CHANGE: 600, CHANGE + HOUR_MS: 600}
"""5,000 labelled rows before noon, 600 in each of the two hours after it."""


class Journal:
    """A trainer's journal of one model, with what it would hear and know."""

    def __init__(self, loop: Loop | None = None) -> None:
        self.loop = loop or a_loop(train={"data": {"since": "change"}})
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

    def last(self, kind: type[E]) -> E:
        return next(event for event in reversed(self.said) if isinstance(event, kind))

    def job_ends(self, *, ok: bool = True, error: str = "", result: dict[str, object] | None = None) -> e.Event | None:
        started = self.last(e.TrainingStarted)
        return self.hear(
            e.JobEnded.model_validate(
                {
                    "id": uuid5(started.id, "ended"), "time": self.now, "model": "fraud", "started": started.id,
                    "attempt": started.attempt, "ok": ok,
                    "result": {**a_result(started), **(result or {})} if ok else {}, "error": error,
                }
            )
        )  # fmt: skip

    def promoted(self, version: str) -> e.Event | None:
        return self.hear(
            e.VersionPromoted(
                id=a_fresh_id(), time=self.now, model="fraud", version=version, previous=None, salt="s",
                verdict=a_signed_verdict(version), reason=e.Reason(rule="first"),
            )
        )  # fmt: skip

    def refused(self, version: str) -> e.Event | None:
        return self.hear(
            e.VersionRefused(
                id=a_fresh_id(), time=self.now, model="fraud", version=version, champion="1", checks=(), failed=("x",)
            )
        )


def a_result(started: e.TrainingStarted) -> dict[str, object]:
    score = ColumnProfile(name="score", kind="numeric", counts=(0,))
    snapshot = started.spec.snapshot.model_dump(mode="json")
    return {
        "version": started.spec.version, "artifact": {"uri": "memory://model/x", "sha256": "0" * 64}, "size": 1,
        "task": "binary", "recipe": started.spec.recipe, "features": {"amount": "numeric"},
        "profile": Profile(rows=0, columns=(), score=score).model_dump(mode="json"), "metrics": {"roc_auc": 0.9},
        "snapshot": snapshot, "holdout": snapshot, "train_rows": 7, "holdout_rows": 3, "cut": CHANGE, "seconds": 1.5,
    }  # fmt: skip


def a_bootstrapped_journal(loop: Loop | None = None) -> Journal:
    """Version 1 was trained on old rows and is the champion."""
    journal = Journal(loop)
    journal.hear(a_training_requested(bootstrap=True))
    journal.tick(an_archive({OLD: 5000}, champion=None))
    journal.job_ends()
    journal.promoted("1")
    assert journal.state.turn is None
    return journal


def a_waiting_journal(loop: Loop | None = None) -> Journal:
    """An episode of drift that began at noon has opened a turn."""
    journal = a_bootstrapped_journal(loop)
    journal.hear(a_window_judged(change_at=CHANGE))
    assert isinstance(journal.said[-1], e.TurnOpened)
    return journal


def a_running_journal(loop: Loop | None = None) -> Journal:
    journal = a_waiting_journal(loop)
    assert isinstance(journal.tick(an_archive(PLENTY)), e.TrainingStarted)
    return journal


def a_judged_journal(loop: Loop | None = None) -> Journal:
    journal = a_running_journal(loop)
    assert isinstance(journal.job_ends(), e.ModelVersionCreated)
    return journal


# ------------------------------------------------------------------------------------------------ a turn, told in order


def test_a_turn_from_drift_to_promotion() -> None:
    journal = a_judged_journal()
    journal.promoted("2")
    turn = journal.said[-4:]
    assert [type(event) for event in turn] == [e.TurnOpened, e.TrainingStarted, e.ModelVersionCreated, e.TurnClosed]
    assert len({event.correlation_id for event in turn}) == 1
    assert journal.last(e.TurnClosed).outcome == "promoted"
    assert (journal.state.turn, journal.state.episodes, journal.state.champions) == (None, (), ("2", "1"))


def test_the_thread_of_a_turn_is_that_of_its_episode_or_its_own_id() -> None:
    journal = Journal()
    opened = journal.hear(a_training_requested(bootstrap=True))
    assert opened is not None
    assert opened.correlation_id == opened.id
    window = a_window_judged()
    opened = a_bootstrapped_journal().hear(window)
    assert opened is not None
    assert opened.correlation_id == window.episode_id


def test_bootstrap_learns_from_all_rows_and_infers_the_features() -> None:
    journal = Journal()
    assert journal.hear(a_training_requested(bootstrap=True)) == journal.last(e.TurnOpened)
    assert journal.tick(an_archive({}, champion=None)) is None
    started = journal.tick(an_archive({OLD: 10, CHANGE: 5}, champion=None))
    assert isinstance(started, e.TrainingStarted)
    assert (started.spec.version, started.spec.features, started.fresh_labels) == ("1", None, 15)
    cut = started.spec.snapshot
    assert (cut.strategy, cut.start, cut.end) == ("full", OLD, CHANGE + HOUR_MS)
    created = journal.job_ends()
    assert isinstance(created, e.ModelVersionCreated)
    assert created.bootstrap


def test_a_bootstrap_waits_for_all_rows_that_it_was_sent() -> None:
    journal = Journal()
    journal.hear(a_training_requested(bootstrap=True, rows=15))
    assert journal.tick(an_archive({OLD: 10}, champion=None)) is None
    started = journal.tick(an_archive({OLD: 10, CHANGE: 5}, champion=None))
    assert isinstance(started, e.TrainingStarted)
    assert (started.reason.measured, started.reason.limit) == (15, 15)


def test_a_request_that_waits_for_another_turn_keeps_its_rows() -> None:
    journal = a_waiting_journal()
    deferred = journal.hear(a_training_requested(rows=9000))
    assert isinstance(deferred, e.TurnDeferred)
    assert journal.state.asked[0].rows == deferred.rows == 9000


def test_at_the_deadline_a_bootstrap_learns_from_what_there_is() -> None:
    journal = Journal()
    journal.hear(a_training_requested(bootstrap=True, rows=15))
    assert isinstance(journal.tick(an_archive({OLD: 10}, champion=None), 25 * HOUR), e.TrainingStarted)


def test_a_run_waits_for_fresh_labels_since_the_change() -> None:
    journal = a_waiting_journal()
    assert journal.tick(an_archive({OLD: 5000, CHANGE: 999})) is None
    started = journal.tick(an_archive({OLD: 5000, CHANGE: 1000}))
    assert isinstance(started, e.TrainingStarted)
    assert started.reason == e.Reason(rule="train.fresh_labels", measured=1000, limit=1000, samples=6000, where="loop")
    assert (started.attempt, started.spec.version, started.spec.features) == (1, "2", {"amount": "numeric"})


def test_a_run_waits_until_the_archive_has_passed_the_change() -> None:
    journal = a_waiting_journal()
    facts = an_archive({CHANGE: 5000})
    behind = tuple(m.model_copy(update={"watermark": CHANGE - 1}) for m in facts.manifests)
    assert journal.tick(Facts(manifests=behind, champion=facts.champion)) is None


def test_the_deadline_skips_the_turn_with_the_figures() -> None:
    journal = a_waiting_journal()
    few = an_archive({OLD: 5000, CHANGE: 999})
    assert journal.tick(few, after=timedelta(hours=24) - timedelta(seconds=1)) is None
    skipped = journal.tick(few, after=timedelta(seconds=1))
    assert isinstance(skipped, e.TrainingSkipped)
    assert (skipped.reason.measured, skipped.reason.limit, skipped.reason.samples) == (999, 1000, 5999)
    assert journal.state.turn is None


def test_a_live_rollout_defers_the_start_beyond_the_deadline() -> None:
    journal = a_waiting_journal()
    assert journal.tick(an_archive(PLENTY, rollout_live="1"), after=timedelta(hours=30)) is None
    assert isinstance(journal.tick(an_archive(PLENTY)), e.TrainingStarted)


# -------------------------------------------------------------------------------------------------------- which rows


def test_a_run_is_told_by_which_columns_the_reference_is_split() -> None:
    windows = {"every": "1h", "segments": {"columns": ["country"], "most": 7}}
    spec = a_running_journal(a_loop(windows=windows)).last(e.TrainingStarted).spec
    assert spec.segments == e.Segmenting(columns=("country",), most=7)
    assert a_running_journal().last(e.TrainingStarted).spec.segments is None


@pytest.mark.parametrize(
    ("data", "start", "half_life"),
    [
        ({"since": "change"}, CHANGE, None),
        ({"rolling": "3h"}, CHANGE - HOUR_MS, None),
        ({"rolling_rows": 600}, CHANGE, None),
        ({"rolling_rows": 601}, OLD, None),
        ({"tail": {"recent": "3h", "rows": 100}}, OLD, None),
        ({"full": True}, OLD, None),
        ({"weighted": "2h"}, OLD, 2 * HOUR_MS),
    ],
)
def test_each_strategy_cuts_its_range(data: dict[str, object], start: int, half_life: int | None) -> None:
    spec = a_running_journal(a_loop(train={"data": data})).last(e.TrainingStarted).spec
    cut = spec.snapshot
    assert cut.strategy == next(iter(data))
    assert (cut.start, cut.end, cut.half_life_ms) == (start, CHANGE + 2 * HOUR_MS, half_life)
    assert [file.uri for file in (*cut.predictions, *cut.outcomes)] == [
        "memory://predictions/file", "memory://outcomes/file",
    ]  # fmt: skip


def test_a_snapshot_has_its_id_and_how_many_rows_it_is_of() -> None:
    cut = a_running_journal(a_loop(train={"data": {"rolling_rows": 500}})).last(e.TrainingStarted).spec.snapshot
    assert (cut.rows, cut.content) == (500, None)
    assert cut == identified("fraud", cut)
    assert cut.id != identified("other", cut).id


def test_a_snapshot_says_what_is_sampled_filtered_and_golden() -> None:
    train = {
        "data": {"tail": {"recent": "3h", "rows": 100, "by": "label"}}, "where": {"country": ["CH"]}, "seed": 7,
        "golden": {"share": 0.1}, "holdout_by": "entity",
    }  # fmt: skip
    spec = a_running_journal(a_loop(train=train)).last(e.TrainingStarted).spec
    assert spec.snapshot.tail == e.Tail(before=CHANGE - HOUR_MS, rows=100, by="label", seed=7)
    assert (spec.snapshot.where, spec.snapshot.golden) == ({"country": ("CH",)}, e.Golden(share=0.1))
    assert spec.holdout_by == "entity"


def test_a_change_without_a_date_falls_back_to_a_rolling_range() -> None:
    journal = a_bootstrapped_journal()
    journal.hear(a_window_judged(change_at=None))
    started = journal.tick(an_archive(PLENTY))
    assert isinstance(started, e.TrainingStarted)
    assert started.spec.snapshot.strategy == "rolling"


def test_a_later_change_of_another_open_episode_moves_the_range() -> None:
    journal = a_waiting_journal()
    journal.hear(a_window_judged(kind="quality", change_at=CHANGE + HOUR_MS))
    assert journal.tick(an_archive(PLENTY)) is None
    started = journal.tick(an_archive({**PLENTY, CHANGE + 2 * HOUR_MS: 600}))
    assert isinstance(started, e.TrainingStarted)
    assert (started.spec.snapshot.start, started.fresh_labels) == (CHANGE + HOUR_MS, 1200)


def test_at_the_deadline_the_older_change_is_better_than_nothing() -> None:
    journal = a_waiting_journal()
    journal.hear(a_window_judged(kind="quality", change_at=CHANGE + HOUR_MS))
    started = journal.tick(an_archive(PLENTY), after=timedelta(hours=24))
    assert isinstance(started, e.TrainingStarted)
    assert (started.spec.snapshot.start, started.fresh_labels) == (CHANGE, 1200)


def test_a_command_after_a_change_learns_from_the_same_world() -> None:
    journal = a_judged_journal()
    journal.promoted("2")
    journal.hear(a_training_requested("a.b:C"))
    started = journal.tick(an_archive(PLENTY, champion="2"))
    assert isinstance(started, e.TrainingStarted)
    assert (started.spec.recipe, started.spec.snapshot.start, started.spec.version) == ("a.b:C", CHANGE, "3")


# ----------------------------------------------------------------------------------------------- not now, and later


def test_a_second_episode_during_a_turn_is_remembered_and_said_once() -> None:
    journal = a_waiting_journal()
    second = a_window_judged(kind="quality", change_at=CHANGE + HOUR_MS)
    deferred = journal.hear(second)
    assert isinstance(deferred, e.TurnDeferred)
    assert (deferred.reason.rule, deferred.correlation_id) == ("one_turn", second.episode_id)
    again = a_window_judged(e.Episode.CONTINUING, kind="quality", episode_id=second.episode_id)
    assert journal.hear(again) is None


def test_an_open_episode_is_a_standing_cause_after_a_refusal() -> None:
    journal = a_judged_journal()
    journal.refused("2")
    assert journal.last(e.TurnClosed).outcome == "refused"
    more = an_archive({**PLENTY, CHANGE + 2 * HOUR_MS: 1000})
    resting = journal.tick(more, after=HOUR)
    assert isinstance(resting, e.TurnDeferred)
    assert (resting.reason.rule, resting.reason.measured) == ("train.cooldown", 3600)
    assert journal.tick(more, after=HOUR) is None
    no_news = journal.tick(an_archive(PLENTY), after=4 * HOUR)
    assert isinstance(no_news, e.TurnDeferred)
    assert (no_news.reason.rule, no_news.reason.measured) == ("train.fresh_labels", 0)
    opened = journal.tick(more)
    assert isinstance(opened, e.TurnOpened)
    first = next(event for event in journal.said if isinstance(event, e.TurnOpened) and event.cause == "drift")
    assert (opened.cause, opened.correlation_id) == ("standing", first.correlation_id)


def test_no_standing_turn_while_a_rollout_is_live_or_without_a_champion() -> None:
    journal = a_judged_journal()
    journal.refused("2")
    more = {**PLENTY, CHANGE + 2 * HOUR_MS: 1000}
    live = journal.tick(an_archive(more, rollout_live="2"), after=6 * HOUR)
    none = journal.tick(an_archive(more, champion=None))
    assert isinstance(live, e.TurnDeferred)
    assert isinstance(none, e.TurnDeferred)
    assert (live.reason.rule, none.reason.rule) == ("rollout_live", "no_champion")


def test_a_closed_episode_is_no_cause_any_more() -> None:
    journal = a_judged_journal()
    journal.refused("2")
    (episode,) = journal.state.episodes
    noted = journal.hear(a_window_judged(e.Episode.CLOSED, episode_id=episode.episode))
    assert isinstance(noted, e.EpisodeNoted)
    assert (noted.open, noted.episode_id) == (False, episode.episode)
    assert journal.tick(an_archive({**PLENTY, CHANGE + 2 * HOUR_MS: 1000}), after=6 * HOUR) is None
    assert journal.hear(a_window_judged(e.Episode.CLOSED, episode_id=episode.episode)) is None


def test_after_a_promotion_the_old_champions_episodes_are_over() -> None:
    journal = a_judged_journal()
    journal.promoted("2")
    late = a_window_judged(e.Episode.CONTINUING, version="1", change_at=CHANGE)
    assert journal.hear(late) is None
    assert journal.tick(an_archive({**PLENTY, CHANGE + 2 * HOUR_MS: 9000}, champion="2"), after=24 * HOUR) is None


def test_after_a_rollback_the_previous_champions_episodes_count_again() -> None:
    journal = a_judged_journal()
    journal.promoted("2")
    back = e.VersionRolledBack(
        id=a_fresh_id(), time=NOON, model="fraud", version="2", champion="1", verdict=a_signed_verdict("1"), salt="s",
        reason=e.Reason(rule="watch"),
    )  # fmt: skip
    closed = journal.hear(back)
    assert isinstance(closed, e.TurnClosed)
    assert (closed.outcome, closed.version) == ("aborted", "2")
    journal.now += 6 * HOUR
    assert isinstance(journal.hear(a_window_judged(version="1")), e.TurnOpened)


def test_the_budget_of_a_day() -> None:
    journal = a_judged_journal(a_loop(train={"cooldown": "0s", "max_per_day": 1}))
    journal.refused("2")
    deferred = journal.hear(a_window_judged(kind="quality", change_at=CHANGE))
    assert isinstance(deferred, e.TurnDeferred)
    assert (deferred.reason.rule, deferred.reason.measured, deferred.reason.limit) == ("train.max_per_day", 1, 1)
    more = an_archive({**PLENTY, CHANGE + 2 * HOUR_MS: 1000})
    assert journal.tick(more, after=timedelta(hours=23, minutes=59)) is None
    assert isinstance(journal.tick(more, after=timedelta(minutes=1)), e.TurnOpened)


def test_a_cause_that_the_loop_does_not_name_is_none() -> None:
    journal = a_bootstrapped_journal(a_loop(train={"on": ["quality"]}))
    assert journal.hear(a_window_judged(kind="drift")) is None
    assert isinstance(journal.hear(a_window_judged(kind="quality")), e.TurnOpened)


def test_commands_wait_for_the_live_turn_but_not_for_cooldown_or_budget() -> None:
    journal = a_judged_journal(a_loop(train={"max_per_day": 1}))
    request = journal.hear(a_training_requested("a.b:C"))
    assert isinstance(request, e.TurnDeferred)
    assert journal.tick(an_archive(PLENTY)) is None
    journal.refused("2")
    opened = journal.tick(an_archive(PLENTY))
    assert isinstance(opened, e.TurnOpened)
    assert (opened.cause, opened.recipe, opened.correlation_id) == ("command", "a.b:C", request.correlation_id)
    started = journal.tick(an_archive(PLENTY))
    assert isinstance(started, e.TrainingStarted)
    assert (len(journal.state.runs), journal.state.asked) == (1, ())


def test_a_schedule_fires_once_however_many_times_were_missed() -> None:
    journal = a_bootstrapped_journal(a_loop(train={"on": ["schedule"], "schedule": "0 3 * * *"}))
    assert journal.tick(an_archive(PLENTY), after=timedelta(hours=15) - timedelta(seconds=1)) is None
    opened = journal.tick(an_archive(PLENTY), after=timedelta(days=3, seconds=1))
    assert isinstance(opened, e.TurnOpened)
    assert (opened.cause, opened.reason.measured) == ("schedule", "2026-01-09T03:00:00+00:00")
    journal.tick(an_archive(PLENTY))
    journal.job_ends()
    journal.refused("2")
    newer = an_archive({**PLENTY, CHANGE + 2 * HOUR_MS: 9000})
    assert journal.tick(newer, after=HOUR) is None


def test_so_many_rows_since_the_last_cut_are_a_cause() -> None:
    journal = a_bootstrapped_journal(a_loop(train={"on": ["rows"], "rows": 1200}))
    assert journal.tick(an_archive({OLD: 5000, CHANGE: 1199})) is None
    opened = journal.tick(an_archive(PLENTY))
    assert isinstance(opened, e.TurnOpened)
    assert (opened.cause, opened.reason.measured) == ("rows", 1200)


# ------------------------------------------------------------------------------------------------------------- the job


def test_a_job_is_what_was_started_and_has_no_end() -> None:
    journal = a_running_journal()
    running = job(journal.state)
    assert running is not None
    assert running.started == journal.last(e.TrainingStarted)
    journal.job_ends()
    assert job(journal.state) is None
    assert job(initial()) is None


def test_a_failed_job_is_tried_once_more_and_then_fails() -> None:
    journal = a_running_journal()
    again = journal.job_ends(ok=False, error="no rows")
    assert isinstance(again, e.TrainingStarted)
    assert (again.attempt, again.spec.version, again.reason.rule) == (2, "2", "job_failed")
    failed = journal.job_ends(ok=False, error="no rows")
    assert isinstance(failed, e.TrainingFailed)
    assert (failed.attempt, failed.error, journal.state.turn) == (2, "no rows", None)
    assert len(journal.state.runs) == 1


@pytest.mark.parametrize("bad", [{"version": "7"}, {"size": None}, {"id": "x"}, {"cause": "x"}])
def test_a_result_that_is_none_is_a_failure(bad: dict[str, object]) -> None:
    again = a_running_journal().job_ends(result=bad)
    assert isinstance(again, e.TrainingStarted)
    assert again.reason.measured == "the job's result is not that of a version"


def test_only_the_latest_attempt_counts() -> None:
    journal = a_running_journal()
    first = journal.last(e.TrainingStarted)
    journal.job_ends(ok=False, error="no rows")
    late = e.JobEnded(id=a_fresh_id(), time=NOON, model="fraud", started=first.id, attempt=1, ok=True)
    assert journal.hear(late) is None


def test_an_orphan_starts_again_twelve_times_at_most() -> None:
    journal = a_running_journal()
    attempts = []
    for _ in range(12):
        started = journal.last(e.TrainingStarted)
        orphan = e.JobOrphaned(id=a_fresh_id(), time=NOON, model="fraud", started=started.id, attempt=started.attempt)
        said = journal.hear(orphan)
        attempts.append(said.attempt if isinstance(said, e.TrainingStarted) else 0)
    assert attempts == [*range(2, 13), 0]
    assert isinstance(journal.said[-1], e.TrainingFailed)
    assert {event.spec.version for event in journal.said if isinstance(event, e.TrainingStarted)} == {"1", "2"}


def test_a_verdict_about_another_version_does_not_close_the_turn() -> None:
    journal = a_judged_journal()
    assert journal.refused("1") is None
    assert journal.state.turn is not None


def test_an_abort_closes_the_turn() -> None:
    journal = a_judged_journal()
    aborted = e.RolloutAborted(
        id=a_fresh_id(), time=NOON, model="fraud", version="2", champion="1", phase=e.Phase.CANARY,
        reason=e.Reason(rule="abort.error_rate"),
    )  # fmt: skip
    closed = journal.hear(aborted)
    assert isinstance(closed, e.TurnClosed)
    assert closed.outcome == "aborted"


def test_facts_are_for_ticks_only() -> None:
    journal = a_waiting_journal()
    assert journal.hear(a_tick_at(NOON), None) is None


def test_the_state_is_a_fold_of_the_journal_alone() -> None:
    journal = a_judged_journal()
    journal.hear(a_window_judged(kind="quality"))
    journal.refused("2")
    folded = initial()
    for event in journal.said:
        folded = evolve(folded, event)
    assert folded == journal.state


# ------------------------------------------------------------------------------------------------------- broken data


def known(journal: Journal) -> list[object]:
    """The episodes that stand."""
    return [one.episode for one in journal.state.episodes]


def a_faulty_window(*kinds: str, over: tuple[str, ...] = (), **more: Any) -> e.WindowJudged:  # noqa: ANN401 -- fields of the event
    """A window of inputs of which these faults are open, and those are over."""
    faults = [{"kind": kind, "stage": "continuing"} for kind in kinds] + [
        {"kind": kind, "stage": "closed"} for kind in over
    ]
    quiet = {"episode": "none", "episode_id": None, "episode_kind": None, "correlation_id": None}
    return e.WindowJudged.model_validate(
        {**a_window_judged().model_dump(), **quiet, "verdict": "data_fault", "faults": faults, **more}
    )


def test_broken_data_is_noted_once_and_no_cause_of_the_loop_opens_a_turn_until_it_ends() -> None:
    journal = a_bootstrapped_journal(
        a_loop(train={"on": ["quality", "schedule", "rows"], "schedule": "0 * * * *", "rows": 1})
    )
    noted = journal.hear(a_faulty_window("missing_spike"))
    assert isinstance(noted, e.VetoNoted)
    assert (noted.kinds, noted.reason.rule, noted.reason.samples) == (("missing_spike",), "veto.data_fault", 1600)
    assert journal.hear(a_faulty_window("missing_spike")) is None
    deferred = journal.hear(a_window_judged(kind="quality"))
    assert isinstance(deferred, e.TurnDeferred)
    assert (deferred.reason.rule, deferred.reason.measured) == ("veto.data_fault", "missing_spike")
    assert [journal.tick(an_archive(PLENTY), HOUR * 25) for _ in range(3)] == [
        None
    ] * 3  # nor the schedule, nor the rows
    lifted = journal.hear(a_faulty_window(over=("missing_spike",)))
    assert isinstance(lifted, e.VetoNoted)
    assert (lifted.kinds, journal.state.vetoes) == ((), ())
    opened = journal.tick(an_archive(PLENTY))
    assert isinstance(opened, e.TurnOpened)
    assert opened.cause == "quality"  # the episode stands


def test_a_turn_that_waits_does_not_start_on_broken_data_and_is_skipped_at_its_deadline() -> None:
    journal = a_waiting_journal()
    journal.hear(a_faulty_window("constant", "schema_drift"))
    assert journal.tick(an_archive(PLENTY)) is None
    skipped = journal.tick(an_archive(PLENTY), journal.loop.train.wait)
    assert isinstance(skipped, e.TrainingSkipped)
    assert (skipped.reason.rule, skipped.reason.measured) == ("veto.data_fault", "constant, schema_drift")
    journal.hear(a_faulty_window())
    assert isinstance(journal.tick(an_archive(PLENTY), HOUR * 24), e.TurnOpened)


def test_a_turn_that_waits_starts_when_the_data_is_whole_again() -> None:
    journal = a_waiting_journal()
    journal.hear(a_faulty_window("constant"))
    journal.hear(a_faulty_window())
    assert isinstance(journal.tick(an_archive(PLENTY)), e.TrainingStarted)


def test_a_person_may_train_on_what_the_loop_takes_for_broken() -> None:
    journal = a_bootstrapped_journal()
    journal.hear(a_faulty_window("schema_drift"))
    assert isinstance(journal.hear(a_training_requested()), e.TurnOpened)
    assert isinstance(journal.tick(an_archive(PLENTY)), e.TrainingStarted)


def test_what_the_next_version_mends_and_what_comes_later_about_an_old_window_veto_nothing() -> None:
    journal = a_bootstrapped_journal()
    assert journal.hear(a_faulty_window("reference_invalid")) is None
    assert journal.hear(a_faulty_window("constant", revision=1)) is None
    assert journal.hear(a_faulty_window("constant", kind="outcomes")) is None


def test_news_of_broken_data_carry_the_end_of_an_episode_and_do_not_lose_one_that_goes_on() -> None:
    journal = a_bootstrapped_journal()
    window = a_window_judged(change_at=CHANGE)
    journal.hear(window)
    assert journal.state.episodes
    ended: dict[str, Any] = {"episode": "closed", "episode_id": window.episode_id, "episode_kind": "drift"}
    noted = journal.hear(a_faulty_window("constant", **ended))
    assert isinstance(noted, e.VetoNoted)
    assert (noted.ended, known(journal)) == (window.episode_id, [])
    later = a_window_judged()
    assert later.episode_id is not None
    opened: dict[str, Any] = {"episode": "opened", "episode_id": later.episode_id, "episode_kind": "drift"}
    journal.hear(a_faulty_window(over=("constant",), **opened))
    assert known(journal) == []
    journal.hear(a_window_judged(e.Episode.CONTINUING, episode_id=later.episode_id))
    assert known(journal) == [later.episode_id]


def test_what_no_successor_can_learn_wakes_nobody() -> None:
    journal = a_bootstrapped_journal()
    for kind in ("season", "unit_change"):
        window = a_window_judged().model_copy(update={"diagnosis": e.Diagnosis(kind=kind)})
        assert journal.hear(window) is None
    learnable = a_window_judged().model_copy(update={"diagnosis": e.Diagnosis(kind="covariate_shift")})
    assert isinstance(journal.hear(learnable), e.TurnOpened)
