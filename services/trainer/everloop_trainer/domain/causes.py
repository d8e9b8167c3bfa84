"""Which cause may open a turn now, and if none may, why not. Pure; `facts` only on ticks (DESIGN rule 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import uuid5

from croniter import croniter

from everloop.events import Event, Reason, TurnDeferred, TurnOpened
from everloop.facts import Facts
from everloop.loop import Loop
from everloop_trainer.domain.state import DAY, UNPAID, State, Wanted

E = TypeVar("E", bound=Event)


def open_or_defer(state: State, cause: Event, now: datetime, loop: Loop, wanted: Wanted) -> Event:
    """Answer a cause that arrives: a turn, or the reason why not now. Either keeps the cause."""
    reason = at_any_time(state, now, loop, wanted)
    return opened(cause, now, loop, wanted) if reason is None else deferred(cause, now, wanted, reason)


def at_tick(state: State, tick: Event, now: datetime, loop: Loop, facts: Facts) -> Event | None:
    """Open the turn of the first cause that may: a person's, an open episode's, the schedule's, the row count's.

    When none may, the reason of the first that waits is said, once until it changes.
    """
    waiting: list[tuple[Wanted, Reason]] = []
    for wanted in (*state.asked, *_standing(state, loop)):
        reason = at_any_time(state, now, loop, wanted) or _by_facts(state, loop, facts, wanted)
        if reason is None:
            return opened(tick, now, loop, wanted)
        waiting.append((wanted, reason))
    for wanted, why in _automatic(state, now, loop, facts):
        if at_any_time(state, now, loop, wanted) is None and _by_facts(state, loop, facts, wanted) is None:
            return opened(tick, now, loop, wanted, why)
    for wanted, reason in waiting[:1]:
        if state.said != (wanted.correlation, reason.rule):
            return deferred(tick, now, wanted, reason)
    return None


def at_any_time(state: State, now: datetime, loop: Loop, wanted: Wanted) -> Reason | None:
    """What the own journal says against a turn: a live one; for causes of the loop also veto, cool-down, budget."""
    if state.turn is not None:
        return Reason(rule="one_turn", measured=state.turn.wanted.cause, limit=1, samples=1)
    if wanted.cause in UNPAID:
        return None
    if state.vetoes:
        return vetoed(state.vetoes)
    rested = (now - state.rested_from).total_seconds() if state.rested_from else None
    cooldown = loop.train.cooldown.total_seconds()
    if rested is not None and rested < cooldown:
        return Reason(rule="train.cooldown", measured=rested, limit=cooldown, samples=1, where="loop")
    runs = sum(run > now - DAY for run in state.runs)
    if runs >= loop.train.max_per_day:
        return Reason(rule="train.max_per_day", measured=runs, limit=loop.train.max_per_day, samples=runs, where="loop")
    return None


def vetoed(kinds: Sequence[str], rows: int = 0) -> Reason:
    """Say that nobody learns from broken data. A person may: who has looked at it knows whether it is meant."""
    return Reason(rule="veto.data_fault", measured=", ".join(kinds) or "none", samples=rows)


def _by_facts(state: State, loop: Loop, facts: Facts, wanted: Wanted) -> Reason | None:
    """What the world says against it: a live rollout; for the loop's causes also no champion, no news since the cut."""
    if facts.rollout_live is not None:
        return Reason(rule="rollout_live", measured=facts.rollout_live, samples=1)
    if wanted.cause in UNPAID:
        return None
    if facts.champion is None:
        return Reason(rule="no_champion")
    fresh, needed = facts.rows_since("outcomes", state.last_cut or 0), max(1, loop.train.fresh_labels)
    if fresh < needed:
        return Reason(rule="train.fresh_labels", measured=fresh, limit=needed, samples=fresh, where="loop")
    return None


def _standing(state: State, loop: Loop) -> Iterator[Wanted]:
    """Open episodes that the loop trains on: quality first, since labels prove it, then the newest change."""
    heard = [one for one in state.episodes if one.cause in loop.train.on]
    yield from sorted(heard, key=lambda one: (one.cause != "quality", -(one.change_at or 0)))


def _automatic(state: State, now: datetime, loop: Loop, facts: Facts) -> Iterator[tuple[Wanted, Reason]]:
    """A schedule that was missed several times fires once: only its last time is compared with the last turn."""
    if loop.train.schedule and "schedule" in loop.train.on and state.last_opened:
        second = now.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)  # `get_prev` is strictly before
        fired = croniter(loop.train.schedule, second).get_prev(datetime)
        if fired > state.last_opened:
            yield Wanted("schedule"), Reason(rule="train.schedule", measured=fired.isoformat(), where="loop")
    if "rows" in loop.train.on and state.last_cut is not None:
        rows = facts.rows_since("outcomes", state.last_cut)
        if rows >= loop.train.rows:
            why = Reason(rule="train.rows", measured=rows, limit=loop.train.rows, samples=rows, where="loop")
            yield Wanted("rows"), why


def opened(cause: Event, now: datetime, loop: Loop, wanted: Wanted, why: Reason | None = None) -> TurnOpened:
    """Say that a turn opens. The first event of a thread names it with its own id."""
    kind = "standing" if wanted.tried else wanted.cause
    where = "command" if wanted.cause in UNPAID else "loop"
    reason = why or Reason(rule=wanted.cause, measured=kind, where=where)
    wait = now + loop.train.wait
    return say(TurnOpened, cause, now, {**_named(wanted), "cause": kind, "wait_until": wait, "reason": reason})


def deferred(cause: Event, now: datetime, wanted: Wanted, reason: Reason) -> TurnDeferred:
    """Say why a cause cannot open a turn now."""
    bootstrap = wanted.cause == "bootstrap"
    return say(TurnDeferred, cause, now, {**_named(wanted), "bootstrap": bootstrap, "reason": reason})


def _named(wanted: Wanted) -> dict[str, object]:
    return {
        "cause": wanted.cause,
        "episode_id": wanted.episode,
        "change_at": wanted.change_at,
        "recipe": wanted.recipe,
        "rows": wanted.rows,
        "correlation_id": wanted.correlation,
    }


def say(kind: type[E], cause: Event, now: datetime, fields: Mapping[str, object]) -> E:
    """Build an event as `Event.because` does, also one with a field `cause`; without a thread it begins one."""
    identity = uuid5(cause.id, kind.__name__)
    envelope = {"id": identity, "time": now, "model": cause.model, "causation_id": cause.id}
    return kind.model_validate({**fields, **envelope, "correlation_id": fields.get("correlation_id") or identity})
