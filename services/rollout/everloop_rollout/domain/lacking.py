"""What a rollout still lacks before its next step. Pure.

Labels take part when they can mature before the deadline of the phase. Then a step inside the canary waits for the
first look at labels of this rollout, but no longer than its first whole window takes to mature; the promotion waits for
`min_rows` of them, or for the deadline. Where they cannot mature, the rollout goes on with what is there.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from everloop.events import Phase, Reason
from everloop.loop import Loop
from everloop_rollout.domain.phases import Rollout, millis


def next_weight(live: Rollout, loop: Loop) -> float:
    """The first weight of the loop file that is larger than the present one; 1 where none is."""
    return next((weight for weight in loop.rollout.steps if weight > live.weight), 1.0)


def lacking(live: Rollout, now: datetime, loop: Loop) -> Reason | None:
    """The first thing that is lacking, with measured value and limit (durations in seconds); None: take the step."""
    return _time(live, now, loop) or _evidence(live, now, loop) or _labels(live, now, loop)


def first_labels(loop: Loop) -> timedelta:
    """How long it takes, at most, from any moment until the first whole window after it has its labels."""
    return 2 * loop.windows.every + loop.labels.horizon


def _time(live: Rollout, now: datetime, loop: Loop) -> Reason | None:
    shadow = live.phase is Phase.SHADOW
    rule, needed = ("rollout.shadow", loop.rollout.shadow) if shadow else ("rollout.hold", loop.rollout.hold)
    passed = (now - live.since).total_seconds()
    if passed >= needed.total_seconds():
        return None
    return Reason(rule=rule, measured=passed, limit=needed.total_seconds(), samples=live.rows, where="loop")


def _evidence(live: Rollout, now: datetime, loop: Loop) -> Reason | None:
    """Rows, a good look, and a recent one: a candidate that has fallen silent does not go on."""
    if live.phase is Phase.SHADOW and not live.shadowed:
        return None
    rows, needed = live.rows, loop.rollout.min_rows
    if rows < needed:
        return Reason(rule="rollout.min_rows", measured=rows, limit=needed, samples=rows, where="loop")
    if not live.ready:
        held = ": ".join(["hold", *([", ".join(live.holds)] if live.holds else [])])
        return Reason(rule="evidence", measured=held, limit="advance", samples=rows)
    age = (millis(now) - live.seen_until) / 1000
    oldest = (2 * loop.windows.every + loop.windows.grace).total_seconds()
    return Reason(rule="evidence_age", measured=age, limit=oldest, samples=rows) if age > oldest else None


def _labels(live: Rollout, now: datetime, loop: Loop) -> Reason | None:
    if loop.rollout.labels == "ignore":
        return None
    matured_by = live.started + first_labels(loop)
    if next_weight(live, loop) >= 1:
        lacks = not live.labels_ready and (live.label_looks > 0 or matured_by <= live.deadline)
    else:
        lacks = live.phase is Phase.CANARY and live.label_looks == 0 and now < matured_by <= live.deadline
    said = "hold" if live.label_looks else "none"
    why = Reason(rule="rollout.labels", measured=said, limit="when_matured", samples=live.label_looks, where="loop")
    return why if lacks else None
