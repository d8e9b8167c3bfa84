"""What follows from one input: one event, or nothing. Pure.

A version waits for a tick, because its champion and the archive are facts; it is measured by a job; the job's figures
are held against the rules; a version with too few rows is held, and measured again when the archive has grown.
"""

from __future__ import annotations

from datetime import datetime
from math import ceil
from typing import Final

from pydantic import ValidationError

from everloop.events import (
    Check,
    ChecksStarted,
    Event,
    JobEnded,
    JobOrphaned,
    ModelVersionCreated,
    Reason,
    SignedVerdict,
    Tick,
    VerdictStale,
    VersionHeld,
    VersionPassed,
    VersionReceived,
    VersionRefused,
)
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.runtime.room import MOST_ATTEMPTS, MOST_FAILURES, Job
from everloop_gatekeeper.domain.checks import Examined, all_checks, not_measured
from everloop_gatekeeper.domain.figures import Figures
from everloop_gatekeeper.domain.specifying import specify
from everloop_gatekeeper.domain.state import Candidate, State, running

GROWTH: Final = 0.1
"""A held version is measured again when the archive has grown by this share of its holdout."""


def decide(state: State, cause: Event, now: datetime, loop: Loop, facts: Facts | None) -> Event | None:
    """Say what follows from one input."""
    match cause:
        case ModelVersionCreated():
            turn = cause.correlation_id or cause.id
            until = now + loop.gate.deadline
            return VersionReceived.because(
                cause, now, version=cause.version, created=cause, deadline=until, correlation_id=turn
            )
        case VerdictStale():
            return _stale(state, cause, now, loop)
        case Tick() if facts is not None and running(state) is None:
            said = (_at_tick(one, cause, now, loop, facts) for one in state.waiting)
            return next((event for event in said if event), None)
        case JobEnded() | JobOrphaned():
            return _job(state, cause, now, loop)
    return None


def job(state: State) -> Job | None:
    """The measurement that was started and has no end."""
    candidate = running(state)
    started = candidate.started if candidate else None
    return Job(started, started.attempt) if started else None


def _stale(state: State, cause: VerdictStale, now: datetime, loop: Loop) -> Event | None:
    """A version that passed comes in again, since its verdict names another champion than there is."""
    for one in state.passed:
        if one.version == cause.version:
            until = now + loop.gate.deadline
            return VersionReceived.because(
                cause, now, version=one.version, created=one.created, deadline=until, correlation_id=one.turn
            )
    return None


def _at_tick(one: Candidate, tick: Tick, now: datetime, loop: Loop, facts: Facts) -> Event | None:
    """Measure it, wait, or at the deadline refuse it. One that nothing keeps from its first measurement gets it."""
    waits_for = _waits_for(one, loop, facts)
    late = now >= one.deadline
    if waits_for is None and not (late and one.held):
        return ChecksStarted.because(
            tick, now, attempt=1, spec=specify(one, loop, facts), archived_rows=facts.archived_outcomes,
            measurement=one.measurements + 1, correlation_id=one.turn,
        )  # fmt: skip
    return _too_late(one, tick, now, loop, waits_for) if late else None


def _waits_for(one: Candidate, loop: Loop, facts: Facts) -> Reason | None:
    """Why not now: while a rollout is live nobody knows the next champion; a held version needs new rows."""
    if facts.rollout_live is not None:
        return Reason(rule="rollout_live", measured=facts.rollout_live, samples=1)
    if one.held is None:
        return None
    needed = max(1, min(ceil(GROWTH * one.created.holdout_rows), loop.windows.min_rows))
    grown = facts.archived_outcomes - one.held.archived_rows
    if grown < needed:
        return Reason(rule="archive_growth", measured=grown, limit=needed, samples=facts.archived_outcomes)
    return None


def _too_late(one: Candidate, tick: Tick, now: datetime, loop: Loop, waits_for: Reason | None) -> VersionRefused:
    """Refuse with the checks of the last measurement, if there was one, and what was waited for."""
    reason = Reason(rule="gate.deadline", measured=now.isoformat(), limit=one.deadline.isoformat(), where="loop")
    detail = {waits_for.rule: str(waits_for.measured)} if waits_for else {}
    deadline = Check(name="deadline", verdict="fail", reason=reason, detail=detail)
    checks = (*one.held.checks, deadline) if one.held else not_measured(None, loop, deadline)
    lacking = [check.name for check in checks if check.verdict == "too_few"]
    champion = one.held.champion if one.held else None
    return VersionRefused.because(
        tick, now, version=one.version, champion=champion, checks=checks, failed=("deadline", *lacking),
        correlation_id=one.turn,
    )  # fmt: skip


def _job(state: State, cause: JobEnded | JobOrphaned, now: datetime, loop: Loop) -> Event | None:
    """Only the newest attempt counts; what an older one says comes too late."""
    one = running(state)
    started = one.started if one else None
    if one is None or started is None or (started.id, started.attempt) != (cause.started, cause.attempt):
        return None
    if isinstance(cause, JobOrphaned):
        return _again(one, started, cause, now, loop)
    if not cause.ok:
        return _again(one, started, cause, now, loop, cause.error or "the job failed and did not say why")
    figures = _figures(started, cause)
    if figures is None:
        return _again(one, started, cause, now, loop, "the job's result is not that of a measurement")
    return judged(one, started, figures, cause, now, loop)


def _figures(started: ChecksStarted, cause: JobEnded) -> Figures | None:
    """Read the job's result; None when it is none of ours, or not about these models."""
    try:
        figures = Figures.model_validate(cause.result)
    except ValidationError:
        return None
    models = 2 if started.spec.champion else 1
    return figures if all(len(metric.value) == models for metric in figures.metrics.values()) else None


def _again(one: Candidate, started: ChecksStarted, cause: Event, now: datetime, loop: Loop, error: str = "") -> Event:
    """Measure the same once more; after too many failures or restarts the version is refused: nobody has seen it."""
    failures = started.failures + bool(error)
    if failures < MOST_FAILURES and started.attempt < MOST_ATTEMPTS:
        return ChecksStarted.because(
            cause, now, attempt=started.attempt + 1, spec=started.spec, archived_rows=started.archived_rows,
            measurement=started.measurement, failures=failures, correlation_id=one.turn,
        )  # fmt: skip
    why = Reason(rule="measurement", measured=error or "it was started too often without an end", limit=MOST_ATTEMPTS,
                 samples=started.attempt)  # fmt: skip
    check = Check(name="measurement", verdict="fail", reason=why)
    champion = started.spec.champion
    return VersionRefused.because(
        cause, now, version=one.version, champion=champion.version if champion else None,
        checks=not_measured(started.spec, loop, check), failed=("measurement",), correlation_id=one.turn,
    )  # fmt: skip


def judged(
    one: Candidate, started: ChecksStarted, figures: Figures, cause: Event, now: datetime, loop: Loop
) -> VersionPassed | VersionRefused | VersionHeld:
    """One verdict from all checks: any failure refuses, else too few rows hold, else it passes."""
    checks = all_checks(Examined(started.spec, figures, started.measurement), loop)
    champion = started.spec.champion.version if started.spec.champion else None
    fields = {"version": one.version, "champion": champion, "checks": checks, "correlation_id": one.turn}
    failed = tuple(check.name for check in checks if check.verdict == "fail")
    if failed:
        return VersionRefused.because(cause, now, failed=failed, **fields)
    if any(check.verdict == "too_few" for check in checks):
        return VersionHeld.because(cause, now, until=one.deadline, archived_rows=started.archived_rows, **fields)
    verdict = SignedVerdict(
        model=cause.model, version=one.version, artifact=started.spec.artifact, features=started.spec.features,
        task=started.spec.task, champion=champion, passed_at=now,
    )  # fmt: skip
    return VersionPassed.because(cause, now, verdict=verdict, **fields)
