"""Which arm a row goes to: sticky per entity, no key moves back when a weight grows, leases that run out. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from everloop.buckets import unit_interval
from everloop.events import ArmPlan, TrafficPlanned

CHAMPION: Final = "champion"
_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Lease:
    """A plan and when its newest repeat was appended, in wall milliseconds of the broker."""

    plan: TrafficPlanned
    appended_ms: int

    def is_live(self, now_ms: int) -> bool:
        """Whether the ttl still runs at `now_ms` (wall)."""
        return now_ms < self.appended_ms + self.plan.ttl_s * _MS


def champion_of(plan: TrafficPlanned) -> ArmPlan:
    """The champion's arm. Raises `StopIteration` for a plan that was never checked (`plans.check`)."""
    return next(arm for arm in plan.arms if arm.arm == CHAMPION)


def alone(plan: TrafficPlanned) -> TrafficPlanned:
    """The plan with the champion at 100 % and no shadow: what every doubt ends with (rule 9)."""
    champion = champion_of(plan).model_copy(update={"weight": 1.0})
    return plan.model_copy(update={"arms": (champion,), "shadow": None})


def in_force(lease: Lease, now_ms: int) -> TrafficPlanned:
    """What holds at `now_ms`: the plan while its lease runs, then the champion alone."""
    return lease.plan if lease.is_live(now_ms) else alone(lease.plan)


def arm_of(entity: str, plan: TrafficPlanned) -> str:
    """The arm of an entity. Candidates take `[0, weight)`, in the plan's order; the champion takes what is left.

    So while a candidate's weight grows under one salt, keys only come to it, none goes back.
    """
    at, edge = unit_interval(entity, plan.salt), 0.0
    for arm in plan.arms:
        if arm.arm != CHAMPION:
            edge += arm.weight
            if at < edge:
                return arm.arm
    return CHAMPION


def route(entities: Sequence[str], lease: Lease, now_ms: int) -> dict[str, list[int]]:
    """Row indices per arm, ascending; an arm without rows is left out. `now_ms` is wall time."""
    plan = in_force(lease, now_ms)
    if len(plan.arms) == 1:
        return {CHAMPION: list(range(len(entities)))} if entities else {}
    routed: dict[str, list[int]] = {}
    for row, entity in enumerate(entities):
        routed.setdefault(arm_of(entity, plan), []).append(row)
    return routed
