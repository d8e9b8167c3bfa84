"""The split that follows from the journal: what serving obeys. Pure."""

from __future__ import annotations

from everloop.events import ArmPlan, Phase, SignedVerdict, TrafficPlanned
from everloop_rollout.domain.phases import CANDIDATE, CHAMPION, SHADOW, State


def plan(state: State) -> TrafficPlanned | None:
    """The present split, None before the first version. Renewed, it is the same event: its id is model and epoch."""
    changed, champion, live = state.changed, state.champion, state.live
    if changed is None or champion is None:
        return None
    weight = live.weight if live else 0.0
    arms = [_arm(CHAMPION, champion, 1 - weight)]
    if live and live.phase is Phase.CANARY:
        arms.append(_arm(CANDIDATE, live.verdict, weight))
    shadow = _arm(SHADOW, live.verdict, 0.0) if live and live.shadowed else None
    return TrafficPlanned.named(
        f"{changed.model}/{state.epoch}", changed.time, changed.model, correlation_id=changed.correlation_id,
        causation_id=changed.id, epoch=state.epoch, salt=state.salt, ttl_s=state.ttl_s, arms=tuple(arms),
        shadow=shadow, supersedes=state.superseded,
    )  # fmt: skip


def _arm(arm: str, verdict: SignedVerdict, weight: float) -> ArmPlan:
    return ArmPlan(arm=arm, version=verdict.version, weight=weight, verdict=verdict)
