"""Which plan counts: the largest epoch that is proven and whose models are ready. Pure; each change is a new value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final

from everloop.errors import InvalidError
from everloop.events import ArmPlan, SignedVerdict, TrafficPlanned
from everloop_serving.domain.splitting import CHAMPION, Lease, alone

Verify = Callable[[SignedVerdict], None]
"""Returns when the gate signed this verdict. Raises `InvalidError("bad_signature")`."""

MOST_REFUSED: Final = 100
PASSING: Final = frozenset({"missing", "timeout", "crashed", "unreachable"})
"""Reasons that may pass: a repeat of the plan is tried again. All others are for good."""
_WHOLE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Plans:
    """What is known of one model's traffic.

    `known`: proven plans by epoch. `serving`: the one in force, whose models are ready. `refused`: reason by
    fingerprint, the newest 100. `refused_epoch`: the largest epoch that was refused.
    """

    known: Mapping[int, Lease] = field(default_factory=dict)
    serving: Lease | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    refused_epoch: int = -1

    @property
    def waiting(self) -> Lease | None:
        """The proven plan that takes over as soon as its models are ready."""
        newest = self.known[max(self.known)] if self.known else None
        if newest is None or self.serving is None:
            return newest
        older = newest.plan.epoch < self.serving.plan.epoch
        return None if older or newest.plan == self.serving.plan else newest

    @property
    def awaited(self) -> frozenset[str]:
        """Digests (SHA-256) of the models that the waiting plan needs."""
        return _digests(self.waiting.plan) if self.waiting else frozenset()


def _digests(plan: TrafficPlanned) -> frozenset[str]:
    return frozenset(arm.verdict.artifact.sha256 for arm in scorers_of(plan))


def scorers_of(plan: TrafficPlanned) -> tuple[ArmPlan, ...]:
    """All arms whose models a plan needs, the shadow last."""
    return (*plan.arms, plan.shadow) if plan.shadow else plan.arms


def fingerprint(plan: TrafficPlanned) -> str:
    """What a plan says, without when it was said: a repeat has the same, another plan of the same epoch has not."""
    said = plan.model_dump_json(exclude={"id", "time", "correlation_id", "causation_id", "sequence"})
    return sha256(said.encode()).hexdigest()


def check(plan: TrafficPlanned, verify: Verify) -> None:
    """Hold a plan to the rules. Raises `InvalidError`: `shape`, `mismatch`, or what `verify` raises."""
    names = [arm.arm for arm in plan.arms]
    if names.count(CHAMPION) != 1 or len(set(names)) != len(names):
        raise InvalidError("shape", "a plan has exactly one champion, and each arm once")
    if not math.isclose(math.fsum(arm.weight for arm in plan.arms), 1, abs_tol=_WHOLE):
        raise InvalidError("shape", "the weights of a plan's arms add up to 1")
    if not math.isfinite(plan.ttl_s) or plan.ttl_s <= 0:
        raise InvalidError("shape", "the ttl of a plan is a positive number of seconds")
    for arm in scorers_of(plan):
        _check_arm(plan.model, arm, verify)


def _check_arm(model: str, arm: ArmPlan, verify: Verify) -> None:
    if (arm.verdict.model, arm.verdict.version) != (model, arm.version):
        raise InvalidError("mismatch", f"the verdict of arm {arm.arm} is about another model or version")
    verify(arm.verdict)


def hear(plans: Plans, plan: TrafficPlanned, appended_ms: int, verify: Verify) -> Plans:
    """Take note of a plan on the log. Raises `InvalidError` where it is refused for the first time.

    A repeat renews the lease. An older epoch changes nothing. A refused plan stays refused in silence, unless its
    reason may pass.
    """
    known = plans.known.get(plan.epoch)
    if known and fingerprint(known.plan) == fingerprint(plan):
        return _renewed(plans, plan.epoch, appended_ms)
    refused = plans.refused.get(fingerprint(plan))
    if refused and refused not in PASSING:
        return plans
    if known and not refused:
        raise InvalidError("conflict", f"epoch {plan.epoch} has another plan already; an epoch has one plan")
    check(plan, verify)
    return replace(plans, known={**plans.known, plan.epoch: Lease(plan, appended_ms)})


def _renewed(plans: Plans, epoch: int, appended_ms: int) -> Plans:
    lease = plans.known[epoch]
    newer = replace(lease, appended_ms=max(appended_ms, lease.appended_ms))
    same = plans.serving is not None and plans.serving.plan.epoch == epoch
    return replace(plans, known={**plans.known, epoch: newer}, serving=newer if same else plans.serving)


def drop(plans: Plans, epoch: int) -> Plans:
    """A tombstone. What serves stays only while its successor cannot serve: it waits for models, or was refused."""
    known = {number: lease for number, lease in plans.known.items() if number != epoch}
    left = replace(plans, known=known)
    serves = plans.serving is not None and plans.serving.plan.epoch == epoch
    if serves and plans.waiting is None and plans.refused_epoch < epoch:
        return replace(left, serving=None)
    return left


def take_over(plans: Plans) -> Plans:
    """The models of the waiting plan are ready: it serves; older plans are forgotten."""
    lease = plans.waiting
    if lease is None:
        return plans
    return replace(plans, known={lease.plan.epoch: lease}, serving=lease)


def refuse(plans: Plans, plan: TrafficPlanned, reason: str, *, champion_proven: bool = False) -> Plans:
    """A plan is refused: the previous one stays. With none left, its champion alone serves if that is proven."""
    known = {number: lease for number, lease in plans.known.items() if lease.plan != plan}
    refused = dict([*plans.refused.items(), (fingerprint(plan), reason)][-MOST_REFUSED:])
    left = replace(plans, known=known, refused=refused, refused_epoch=max(plans.refused_epoch, plan.epoch))
    if champion_proven and plans.serving is None and not known:
        return replace(left, known={plan.epoch: Lease(alone(plan), 0)})
    return left
