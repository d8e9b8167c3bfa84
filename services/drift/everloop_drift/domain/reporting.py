"""Which judged windows get a full report, from which rows, and what becomes of it. Pure.

Nobody waits for a report. It is asked for when the window is judged, written when the archive has the rows, and given
up when it cannot be written.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from everloop.events import (
    ColumnTest,
    Episode,
    Event,
    JobEnded,
    JobOrphaned,
    Reason,
    ReportFailed,
    ReportRequested,
    ReportSpec,
    ReportStarted,
    ReportWritten,
    Tick,
    WindowJudged,
)
from everloop.facts import Facts, Learned
from everloop.loop import Loop
from everloop.runtime.room import MOST_ATTEMPTS, MOST_FAILURES, Job

DAY: Final = timedelta(days=1)
MILLISECOND: Final = timedelta(milliseconds=1)
WAIT: Final = timedelta(hours=1)
"""How long the archive is waited for, on the model's clock. It lags by seconds; an hour is an archive that is down."""
MOST_WAITING: Final = 16
MOST_PER_DAY: Final = 24
"""A report is 5 MB on disk; `drift.reports: every` with short windows would be a gigabyte a day."""
MOST_ROWS: Final = 5_000
"""Rows of each side that a report is made of."""
MEMORY_MB: Final = 4_096
"""Address space of the child. Its libraries reserve 2.9 GB of it, and use 0.4."""
TIMEOUT_S: Final = 300.0
MEASURED: Final = frozenset({"stable", "drifted"})
PER_DAY: Final = "reports.per_day"
WAITING: Final = "reports.waiting"
SHED: Final = frozenset({PER_DAY, WAITING})
"""Rules by which a report is not even asked for."""
SEEDS: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one model: the reports that wait, when the last ones were asked for, and the one in work."""

    waiting: tuple[ReportRequested, ...] = ()
    asked: tuple[datetime, ...] = ()
    current: ReportRequested | None = None
    started: ReportStarted | None = None


def initial() -> State:
    """Before the first event of the model's journal."""
    return State()


def decide(state: State, cause: Event, now: datetime, loop: Loop, facts: Facts | None) -> Event | None:
    """Say what follows from one input."""
    match cause:
        case WindowJudged() if _wanted(cause, loop.drift.reports):
            return _requested(state, cause, now, loop.drift.reports)
        case Tick() if facts is not None and state.started is None:
            said = (_start_or_give_up(one, cause, now, loop, facts) for one in state.waiting)
            return next((event for event in said if event is not None), None)
        case JobEnded() | JobOrphaned():
            return _job(state, cause, now)
    return None


def evolve(state: State, event: Event) -> State:
    """Fold one event of the journal into the state; any other event leaves it as it is."""
    match event:
        case ReportRequested():
            today = tuple(at for at in state.asked if at > event.time - DAY)
            return replace(state, waiting=(*state.waiting, event), asked=(*today, event.time))
        case ReportStarted():
            asked = next((one for one in state.waiting if one.judged == event.judged), state.current)
            return replace(_without(state, event.judged), current=asked, started=event)
        case ReportWritten() | ReportFailed():
            return _without(state, event.judged)
    return state


def job(state: State) -> Job | None:
    """The long work that was started and has no end."""
    return Job(state.started, state.started.attempt) if state.started else None


def _without(state: State, judged: object) -> State:
    waiting = tuple(one for one in state.waiting if one.judged != judged)
    ended = state.current is not None and state.current.judged == judged
    return State(waiting, state.asked) if ended else replace(state, waiting=waiting)


def _wanted(window: WindowJudged, reports: str) -> bool:
    """Whether the loop file asks for a report of this window. Windows of inputs that were judged, no revisions."""
    if window.kind != "inputs" or window.revision or window.version is None or window.verdict not in MEASURED:
        return False
    edge = window.episode in {Episode.OPENED, Episode.CLOSED}
    by_verdict = reports == "every" or (reports == "drifted" and window.verdict == "drifted")
    return by_verdict or (edge and reports != "none")


def _requested(state: State, window: WindowJudged, now: datetime, reports: str) -> Event:
    """Ask for it, or say which limit keeps it out."""
    today = sum(at > now - DAY for at in state.asked)
    full = [
        Reason(rule=rule, measured=found, limit=limit, samples=found)
        for rule, found, limit in ((PER_DAY, today, MOST_PER_DAY), (WAITING, len(state.waiting), MOST_WAITING))
        if found >= limit
    ]
    place = {"judged": window.id, "version": window.version, "start": window.start, "end": window.end}
    if full:
        error = f"no more than {full[0].limit:g} reports ({full[0].rule})"
        return ReportFailed.because(window, now, **place, attempt=0, error=error, reason=full[0])
    why = Reason(rule="drift.reports", measured=window.episode if reports == "opened" else window.verdict,
                 limit=reports, samples=window.rows, where="loop")  # fmt: skip
    return ReportRequested.because(
        window, now, **place, rows=window.rows, episode=window.episode, episode_id=window.episode_id,
        wait_until=now + WAIT, reason=why,
    )  # fmt: skip


def _start_or_give_up(asked: ReportRequested, tick: Event, now: datetime, loop: Loop, facts: Facts) -> Event | None:
    """Start when the rows are there, at the deadline with those that are there; without any give up. Else wait."""
    learned, late = facts.learned.get(asked.version), now >= asked.wait_until
    rows = _archived(asked, facts)
    why = Reason(rule="reports.archived", measured=rows, limit=asked.rows, samples=rows)
    if learned and (_complete(asked, facts, rows) or (late and rows)):
        return ReportStarted.because(
            tick, now, judged=asked.judged, attempt=1, spec=specify(asked, loop, facts, learned), reason=why,
            correlation_id=asked.correlation_id,
        )  # fmt: skip
    error = "the archive has no row of the window" if learned else "it is not known what the version learned from"
    return _failed(asked, tick, now, 0, error, why) if late else None


def _archived(asked: ReportRequested, facts: Facts) -> int:
    """Rows of the window's slices, of all versions and arms."""
    files = (one for one in facts.manifests if one.kind == "predictions")
    return sum(c.rows for one in files for c in one.coverage if asked.start <= c.start < asked.end)


def _complete(asked: ReportRequested, facts: Facts, rows: int) -> bool:
    """Whether the archive is past the window and has as many rows as were judged; a silent partition has no file."""
    passed = max((one.watermark for one in facts.manifests if one.kind == "predictions"), default=0)
    return passed >= asked.end and rows >= asked.rows


def specify(asked: ReportRequested, loop: Loop, facts: Facts, learned: Learned) -> ReportSpec:
    """Say all that the job needs. The reference is the newest rows before the version's cut."""
    every = loop.windows.every // MILLISECOND
    begin = _newest_before(facts, learned, every)
    drift = loop.drift
    return ReportSpec(
        version=asked.version, start=asked.start, end=asked.end, reference_start=begin, cut=learned.cut,
        window=facts.files("predictions", max(0, asked.start - every + 1), asked.end),
        reference=facts.files("predictions", max(0, begin - every + 1), learned.cut),
        features=learned.features,
        default=ColumnTest(test=drift.default.test, limit=drift.default.limit),
        columns={name: ColumnTest(test=one.test, limit=one.limit) for name, one in drift.columns.items()},
        share=drift.share, most_rows=MOST_ROWS, seed=asked.judged.int % SEEDS, memory_mb=MEMORY_MB, timeout_s=TIMEOUT_S,
    )  # fmt: skip


def _newest_before(facts: Facts, learned: Learned, every: int) -> int:
    """Begin (ms) of the reference: so many whole slices before the cut as have `MOST_ROWS` rows, if there are."""
    rows: Counter[int] = Counter()
    for manifest in facts.manifests:
        if manifest.kind == "predictions":
            rows.update({one.start: one.rows for one in manifest.coverage if one.start + every <= learned.cut})
    found = 0
    for start in sorted(rows, reverse=True):
        found += rows[start]
        if found >= MOST_ROWS:
            return max(learned.start, start)
    return learned.start


def _job(state: State, cause: JobEnded | JobOrphaned, now: datetime) -> Event | None:
    """Only the newest attempt counts; what an older one says comes too late."""
    started, asked = state.started, state.current
    if started is None or asked is None or (started.id, started.attempt) != (cause.started, cause.attempt):
        return None
    if isinstance(cause, JobOrphaned):
        why = Reason(rule="job_orphaned", measured=started.attempt, limit=MOST_ATTEMPTS)
        return _again(started, asked, cause, now, started.failures, why)
    error = cause.error or "the job failed and did not say why"
    if cause.ok:
        written = _written(asked, cause, now)
        if written is not None:
            return written
        error = "the job's result is not that of a report"
    failures = started.failures + 1
    why = Reason(rule="job_failed", measured=error, limit=MOST_FAILURES, samples=failures)
    if failures >= MOST_FAILURES:
        return _failed(asked, cause, now, started.attempt, error, why)
    return _again(started, asked, cause, now, failures, why)


def _written(asked: ReportRequested, cause: JobEnded, now: datetime) -> ReportWritten | None:
    """Make the event of the job's result; None when the result is none."""
    ours = {
        "judged": asked.judged, "version": asked.version, "start": asked.start, "end": asked.end,
        "episode": asked.episode, "episode_id": asked.episode_id,
    }  # fmt: skip
    if set(cause.result) - (ReportWritten.model_fields.keys() - ours.keys() - Event.model_fields.keys()):
        return None
    try:
        return ReportWritten.because(cause, now, **ours, **cause.result)
    except ValidationError:
        return None


def _again(
    started: ReportStarted, asked: ReportRequested, cause: Event, now: datetime, failures: int, why: Reason
) -> Event:
    """Start the same specification as the next attempt, unless there were too many."""
    if started.attempt >= MOST_ATTEMPTS:
        return _failed(asked, cause, now, started.attempt, "the job was begun too often", why)
    return ReportStarted.because(
        cause, now, judged=asked.judged, attempt=started.attempt + 1, spec=started.spec, failures=failures, reason=why,
    )  # fmt: skip


def _failed(asked: ReportRequested, cause: Event, now: datetime, attempt: int, error: str, why: Reason) -> ReportFailed:
    return ReportFailed.because(
        cause, now, judged=asked.judged, version=asked.version, start=asked.start, end=asked.end, attempt=attempt,
        error=error, reason=why, correlation_id=asked.correlation_id,
    )  # fmt: skip
