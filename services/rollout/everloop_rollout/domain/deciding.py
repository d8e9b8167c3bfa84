"""Shadow, canary step by step, promotion, watch; and back to the champion when the evidence says so, or says nothing.

Pure. A window leads to one look, or to the end of the rollout; a tick leads to the next step when nothing is lacking,
or to the end when the deadline of the phase has passed. The sums of a window say what happened, never the rows' times.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from everloop.events import (
    Event,
    Look,
    Phase,
    Reason,
    RolloutAborted,
    RolloutStarted,
    StepTaken,
    Tick,
    VerdictStale,
    VersionPassed,
    VersionPromoted,
    VersionRolledBack,
    WindowClosed,
    WindowLooked,
)
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.names import lineage
from everloop_rollout.domain import looking
from everloop_rollout.domain.lacking import lacking, next_weight
from everloop_rollout.domain.phases import CHAMPION, Rollout, State, Watch, millis


def decide(state: State, cause: Event, now: datetime, loop: Loop, facts: Facts | None) -> Event | None:
    """Say what follows from one input: one event, or nothing."""
    del facts  # the own journal knows the champion and the live rollout
    match cause:
        case VersionPassed():
            return _passed(state, cause, now, loop)
        case WindowClosed() if cause.revision == 0 and state.live:
            return _look(state, state.live, cause, now, loop)
        case WindowClosed() if cause.revision == 0 and state.watch:
            return _watch(state, state.watch, cause, now, loop)
        case Tick() if state.live:
            return _go_on(state, state.live, cause, now, loop)
    return None


def _passed(state: State, cause: VersionPassed, now: datetime, loop: Loop) -> Event | None:
    """The first version serves at once; a later one enters shadow, if it was measured against who serves now.

    While another rollout is live the verdict is stale too: who will be the champion after it is not known. (The trainer
    keeps one run at a time, so only a person's command brings this about.) A version that serves or is rolled out
    already has nothing to gain.
    """
    champion, live = state.champion, state.live
    if cause.version in {champion.version if champion else None, live.version if live else None}:
        return None
    against = cause.verdict.champion
    if live or against != (champion.version if champion else None):
        stale = {"measured_against": against, "champion": champion.version if champion else None}
        rolling = live.version if live else None
        return VerdictStale.because(cause, now, version=cause.version, rollout_live=rolling, **stale)
    ttl_s = loop.rollout.ttl.total_seconds()
    if champion is None:
        why = Reason(rule="first_version", measured=cause.version)
        salt = f"{lineage(cause.model)}/{state.rollouts}"
        return VersionPromoted.because(
            cause, now, version=cause.version, previous=None, verdict=cause.verdict, salt=salt, reason=why, ttl_s=ttl_s
        )
    return RolloutStarted.because(
        cause, now, version=cause.version, champion=champion.version, verdict=cause.verdict,
        deadline=now + loop.rollout.deadline, salt=f"{lineage(cause.model)}/{state.rollouts + 1}", ttl_s=ttl_s,
        shadow=loop.rollout.shadow > timedelta(0),
    )  # fmt: skip


def _look(state: State, live: Rollout, window: WindowClosed, now: datetime, loop: Loop) -> Event | None:
    """One look with the evidence so far; a window of another span's end, or without a second arm, says nothing."""
    span = live.span_of(window.start, window.end)
    new = looking.arms_of(window, state.champion.version if state.champion else "", live.version)
    ignored = window.kind == "outcomes" and loop.rollout.labels == "ignore"
    if span is None or not new.keys() - {CHAMPION} or ignored:
        return None
    arms = looking.merged(live.arms(window.kind, span), new)
    looks, verdict = looking.look_at(live, window.kind, span, arms, loop)
    if verdict == "abort":
        return _abort(state, live, window, now, _why(looks), looks)
    return WindowLooked.because(
        window, now, version=live.version, phase=live.phase, kind=window.kind, start=window.start, end=window.end,
        looks=looks, verdict=verdict, evidence=looking.plain(span, arms), correlation_id=live.turn,
    )  # fmt: skip


def _watch(state: State, seen: Watch, window: WindowClosed, now: datetime, loop: Loop) -> Event | None:
    """Look at the errors of a new champion for `rollout.watch`, ready to give the traffic back."""
    begun = millis(seen.since) <= window.start < millis(seen.since + loop.rollout.watch)
    version = state.champion.version if state.champion else ""
    new = {name: sums for name, sums in looking.arms_of(window, version, "").items() if name == CHAMPION}
    if window.kind != "inputs" or not begun or not new:
        return None
    arms = looking.merged(seen.arms, new)
    look = looking.watch(arms, loop)
    if look.verdict == "abort":
        return VersionRolledBack.because(
            window, now, version=version, champion=seen.previous.version, verdict=seen.previous, salt=state.salt,
            reason=_why((look,)), looks=(look,), correlation_id=seen.turn,
        )  # fmt: skip
    return WindowLooked.because(
        window, now, version=version, phase=Phase.WATCH, kind="inputs", start=window.start, end=window.end,
        looks=(look,), verdict=look.verdict, evidence=looking.plain(0, arms), correlation_id=seen.turn,
    )  # fmt: skip


def _go_on(state: State, live: Rollout, tick: Tick, now: datetime, loop: Loop) -> Event | None:
    """Take the next step when nothing is lacking; end at the deadline when evidence is."""
    missing = lacking(live, now, loop)
    if missing is None:
        return _step(state, live, tick, now, loop)
    if missing.rule in {"rollout.shadow", "rollout.hold"} or now < live.deadline:
        return None
    figure = f"{missing.measured:g}" if isinstance(missing.measured, float) else missing.measured
    measured = f"{missing.rule}: {figure}"
    why = missing.model_copy(update={"rule": "rollout.deadline", "measured": measured, "where": "loop"})
    return _abort(state, live, tick, now, why, ())


def _step(state: State, live: Rollout, tick: Tick, now: datetime, loop: Loop) -> Event:
    """The step to all of the traffic is the promotion."""
    weight, limit = next_weight(live, loop), loop.rollout.min_rows
    why = Reason(rule="rollout.steps", measured=live.rows, limit=limit, samples=live.rows, where="loop")
    if weight >= 1:
        champion = state.champion.version if state.champion else None
        return VersionPromoted.because(
            tick, now, version=live.version, previous=champion, verdict=live.verdict, salt=state.salt, reason=why,
            ttl_s=state.ttl_s, correlation_id=live.turn,
        )  # fmt: skip
    return StepTaken.because(
        tick, now, version=live.version, phase=Phase.CANARY, weight=weight, reason=why, correlation_id=live.turn
    )


def _abort(
    state: State, live: Rollout, cause: Event, now: datetime, why: Reason, looks: tuple[Look, ...]
) -> RolloutAborted:
    champion = state.champion.version if state.champion else ""
    return RolloutAborted.because(
        cause, now, version=live.version, champion=champion, phase=live.phase, reason=why, looks=looks,
        correlation_id=live.turn,
    )  # fmt: skip


def _why(looks: tuple[Look, ...]) -> Reason:
    """The first look that aborts: its estimate, limit and rows; its interval stands in the look itself."""
    one = next(look for look in looks if look.verdict == "abort")
    where = "loop" if "rollout." in one.rule else "default"
    return Reason(
        rule=f"{one.measure}: {one.rule}", measured=one.estimate, limit=one.limit, samples=one.samples, where=where
    )
