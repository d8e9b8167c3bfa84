"""What follows from one input: one event, or nothing. Pure."""

from __future__ import annotations

from datetime import datetime

from pydantic import ValidationError

from everloop.diagnoses import DATA_FAULTS, SORTS
from everloop.events import (
    ENVELOPE,
    Episode,
    EpisodeNoted,
    Event,
    JobEnded,
    JobOrphaned,
    ModelVersionCreated,
    Reason,
    RolloutAborted,
    Tick,
    TrainingFailed,
    TrainingRequested,
    TrainingSkipped,
    TrainingStarted,
    TurnClosed,
    VersionPromoted,
    VersionRefused,
    VersionRolledBack,
    VetoNoted,
    WindowJudged,
)
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.runtime.room import MOST_ATTEMPTS, MOST_FAILURES, Job
from everloop_trainer.domain.causes import at_tick, open_or_defer, say, vetoed
from everloop_trainer.domain.data import specify, supply
from everloop_trainer.domain.state import JOB_FAILED, UNPAID, State, Turn, Wanted, running


def decide(state: State, cause: Event, now: datetime, loop: Loop, facts: Facts | None) -> Event | None:
    """Say what follows from one input."""
    match cause:
        case WindowJudged():
            return _window(state, cause, now, loop)
        case TrainingRequested():
            kind = "bootstrap" if cause.bootstrap else "command"
            wanted = Wanted(kind, cause.correlation_id, recipe=cause.recipe, rows=cause.rows)
            return open_or_defer(state, cause, now, loop, wanted)
        case Tick() if facts is not None:
            return _tick(state, cause, now, loop, facts)
        case JobEnded() | JobOrphaned():
            return _job(state, cause, now)
        case VersionRefused() | RolloutAborted() | VersionPromoted() | VersionRolledBack():
            return _verdict(state, cause, now)
    return None


def job(state: State) -> Job | None:
    """The long work that was started and has no end."""
    started = running(state)
    return Job(started, started.attempt) if started else None


def _window(state: State, cause: WindowJudged, now: datetime, loop: Loop) -> Event | None:
    """Note how broken data begins and ends, and how episodes of the champion do. One window, one note.

    News of broken data goes first: an episode that goes on is seen in the next window, one that is over is in the note.
    """
    return _veto(state, cause, now) or _episode(state, cause, now, loop)


def _episode(state: State, cause: WindowJudged, now: datetime, loop: Loop) -> Event | None:
    """An episode that goes on and is not known is new here.

    Its first window was judged before this champion's promotion was heard, under a loop file that did not train on its
    kind, or brought news of broken data.
    """
    if cause.episode_id is None or cause.episode_kind is None:
        return None
    known = any(one.episode == cause.episode_id for one in state.episodes)
    if cause.episode is Episode.CLOSED and known:
        return EpisodeNoted.because(cause, now, episode_id=cause.episode_id, open=False)
    if cause.episode not in {Episode.OPENED, Episode.CONTINUING} or known or not _wakes(state, cause, loop):
        return None
    wanted = Wanted(cause.episode_kind, cause.correlation_id, cause.episode_id, cause.change_at)
    return open_or_defer(state, cause, now, loop, wanted)


def _wakes(state: State, cause: WindowJudged, loop: Loop) -> bool:
    """Whether the loop trains on it: its kind is named, it is about the champion, and a successor can learn it."""
    if cause.episode_kind not in loop.train.on:
        return False
    if cause.version and state.champions and cause.version != state.champions[0]:
        return False
    return cause.diagnosis is None or SORTS[cause.diagnosis.kind].learnable


def _veto(state: State, cause: WindowJudged, now: datetime) -> VetoNoted | None:
    """Say which faults of the data are open, where that has changed. Windows of inputs know, and no revision."""
    if cause.kind != "inputs" or cause.revision:
        return None
    kinds = tuple(one.kind for one in cause.faults if one.stage is not Episode.CLOSED and one.kind in DATA_FAULTS)
    if kinds == state.vetoes:
        return None
    over = cause.episode_id if cause.episode is Episode.CLOSED else None
    return VetoNoted.because(cause, now, kinds=kinds, ended=over, reason=vetoed(kinds, cause.rows))


def _tick(state: State, tick: Event, now: datetime, loop: Loop, facts: Facts) -> Event | None:
    if state.turn is None:
        return at_tick(state, tick, now, loop, facts)
    if state.turn.started is not None or facts.rollout_live is not None:
        return None
    return _start_or_skip(state, state.turn, tick, now, loop, facts)


def _start_or_skip(state: State, turn: Turn, tick: Event, now: datetime, loop: Loop, facts: Facts) -> Event | None:
    """Start when the rows are there, skip at the deadline with the figures, else wait. Broken data is not learnt."""
    late = now >= turn.wait_until
    if state.vetoes and turn.wanted.cause not in UNPAID:
        why, thread = vetoed(state.vetoes), turn.wanted.correlation
        return TrainingSkipped.because(tick, now, reason=why, correlation_id=thread) if late else None
    rows = supply(state, turn, loop, facts, last_chance=late)
    thread = turn.wanted.correlation
    person = turn.wanted.cause in UNPAID
    rule, where = ("labelled_rows", "command") if person else ("train.fresh_labels", "loop")
    total = facts.archived_outcomes
    why = Reason(rule=rule, measured=rows.fresh, limit=rows.needed, samples=total, where=where)
    if rows.enough:
        spec = specify(state, turn, loop, facts, rows)
        return TrainingStarted.because(
            tick, now, attempt=1, spec=spec, fresh_labels=rows.fresh, reason=why, correlation_id=thread
        )
    return TrainingSkipped.because(tick, now, reason=why, correlation_id=thread) if late else None


def _job(state: State, cause: JobEnded | JobOrphaned, now: datetime) -> Event | None:
    """Only the newest attempt counts; what an older one says comes too late."""
    started = running(state)
    if started is None or state.turn is None or (started.id, started.attempt) != (cause.started, cause.attempt):
        return None
    if isinstance(cause, JobOrphaned):
        return _again(started, cause, now, Reason(rule="job_orphaned", measured=started.attempt, limit=MOST_ATTEMPTS))
    error = cause.error or "the job failed and did not say why"
    if cause.ok:
        created = _created(state.turn, started, cause, now)
        if created is not None:
            return created
        error = "the job's result is not that of a version"
    failures = state.turn.failures + 1
    why = Reason(rule=JOB_FAILED, measured=error, limit=MOST_FAILURES, samples=failures)
    if failures >= MOST_FAILURES:
        return _failed(started, cause, now, why)
    return _again(started, cause, now, why)


def _created(turn: Turn, started: TrainingStarted, cause: JobEnded, now: datetime) -> ModelVersionCreated | None:
    """Make the event of the job's result; None when the result is none."""
    said = dict(cause.result)
    if ENVELOPE & said.keys() or said.get("version") != started.spec.version:
        return None
    said["bootstrap"] = turn.wanted.cause == "bootstrap"
    try:
        return say(ModelVersionCreated, cause, now, {**said, "correlation_id": turn.wanted.correlation})
    except ValidationError:
        return None


def _again(started: TrainingStarted, cause: Event, now: datetime, why: Reason) -> Event:
    """Start the same specification as the next attempt, unless there were too many."""
    if started.attempt >= MOST_ATTEMPTS:
        return _failed(started, cause, now, why)
    return TrainingStarted.because(
        cause, now, attempt=started.attempt + 1, spec=started.spec, fresh_labels=started.fresh_labels, reason=why,
        correlation_id=started.correlation_id,
    )  # fmt: skip


def _failed(started: TrainingStarted, cause: Event, now: datetime, why: Reason) -> TrainingFailed:
    return TrainingFailed.because(
        cause, now, attempt=started.attempt, error=str(why.measured), reason=why, correlation_id=started.correlation_id
    )


def _verdict(
    state: State, cause: VersionRefused | RolloutAborted | VersionPromoted | VersionRolledBack, now: datetime
) -> TurnClosed | None:
    """Close the turn with what became of its version.

    A rollback comes after the turn was closed as promoted: it is said as well, so that the champion is known.
    """
    if isinstance(cause, VersionRolledBack):
        champion = state.champions[:1] == (cause.version,)
        return TurnClosed.because(cause, now, outcome="aborted", version=cause.version) if champion else None
    if state.turn is None or state.turn.version != cause.version:
        return None
    outcome = {VersionRefused: "refused", RolloutAborted: "aborted", VersionPromoted: "promoted"}[type(cause)]
    thread = state.turn.wanted.correlation
    return TurnClosed.because(cause, now, outcome=outcome, version=cause.version, correlation_id=thread)
