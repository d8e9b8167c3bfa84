"""Where the rollouts of one model stand: the state, folded from the journal `rollouts`. Pure.

shadow → canary (one step per weight) → promotion → watch; from each of them back to the champion alone. A *span* is a
stretch of time in which the split did not change: 0 is the shadow, 1 the first canary step, and so on. A window counts
for the span that it lies in as a whole; one that straddles a change is evidence for nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from everloop import events as e
from everloop.sketch import ArmSums

Arms = Mapping[str, ArmSums]
"""Arm (`champion`, `candidate`, `shadow`) → its sums per bucket."""
Traffic = e.RolloutStarted | e.StepTaken | e.RolloutAborted | e.VersionPromoted | e.VersionRolledBack
"""What changes traffic: its `sequence` is the epoch of a plan."""
CHAMPION, CANDIDATE, SHADOW = "champion", "candidate", "shadow"


@dataclass(frozen=True, slots=True)
class Rollout:
    """A live rollout. `spans` are starts in ms, the last one of the present step; `deadline` is that of the phase.

    `ready` is what the newest look at the present step said, `holds` which of its measures held.
    """

    version: str
    verdict: e.SignedVerdict
    turn: UUID | None
    started: datetime
    since: datetime
    deadline: datetime
    patience: timedelta
    spans: tuple[int, ...]
    shadowed: bool = True
    phase: e.Phase = e.Phase.SHADOW
    weight: float = 0.0
    evidence: Mapping[tuple[int, str], Arms] = field(default_factory=dict)
    ready: bool = False
    holds: tuple[str, ...] = ()
    seen_until: int = 0
    label_looks: int = 0
    labels_ready: bool = False

    def span_of(self, start: int, end: int) -> int | None:
        """The span that `[start, end)` (ms) lies in; None where it began before the rollout or straddles a change."""
        number = sum(begin <= start for begin in self.spans) - 1
        inside = number >= 0 and all(end <= later for later in self.spans[number + 1 :])
        return number if inside else None

    def arms(self, kind: str, span: int | None = None) -> Arms:
        """The evidence of a span so far, by default of the present one."""
        return self.evidence.get((len(self.spans) - 1 if span is None else span, kind), {})

    @property
    def rows(self) -> int:
        """Rows of the candidate in the present step; in shadow, rows that it scored copies of."""
        sums = self.arms("inputs").get(SHADOW if self.phase is e.Phase.SHADOW else CANDIDATE)
        return int(sums.rows.sum()) if sums else 0


@dataclass(frozen=True, slots=True)
class Watch:
    """After a promotion: to whom the traffic goes back, and what was seen of the new champion so far."""

    previous: e.SignedVerdict
    turn: UUID | None
    since: datetime
    arms: Arms = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one model. `epoch` is the sequence of the last record that changed traffic."""

    champion: e.SignedVerdict | None = None
    live: Rollout | None = None
    watch: Watch | None = None
    rollouts: int = 0
    salt: str = ""
    ttl_s: float = 30.0
    epoch: int = 0
    superseded: int | None = None
    changed: Traffic | None = None


def initial() -> State:
    """Before the first version: nothing serves."""
    return State()


def evolve(state: State, event: e.Event) -> State:
    """Fold one record of the journal; what is not of it leaves the state as it is."""
    match event:
        case e.WindowLooked():
            return _looked(state, event)
        case e.RolloutStarted():
            after = replace(state, live=_started(event), watch=None, rollouts=state.rollouts + 1, ttl_s=event.ttl_s)
        case e.StepTaken() if state.live:
            after = replace(state, live=_stepped(state.live, event))
        case e.RolloutAborted():
            after = replace(state, live=None)
        case e.VersionPromoted():
            watch = Watch(state.champion, event.correlation_id, event.time) if state.champion else None
            after = replace(state, champion=event.verdict, live=None, watch=watch, ttl_s=event.ttl_s)
        case e.VersionRolledBack():
            after = replace(state, champion=event.verdict, live=None, watch=None)
        case _:
            return state
    return _traffic(after, event)


def millis(moment: datetime) -> int:
    """Milliseconds since 1970 (UTC)."""
    return round(moment.timestamp() * 1000)


def _traffic(state: State, event: Traffic) -> State:
    """A record that changes traffic opens an epoch and closes the one before; only a rollout brings a new salt."""
    salt = state.salt if isinstance(event, e.StepTaken | e.RolloutAborted) else event.salt
    return replace(state, salt=salt, epoch=event.sequence or 0, superseded=state.epoch or None, changed=event)


def _started(event: e.RolloutStarted) -> Rollout:
    return Rollout(
        version=event.version, verdict=event.verdict, turn=event.correlation_id, started=event.time, since=event.time,
        deadline=event.deadline, patience=event.deadline - event.time, spans=(millis(event.time),),
        shadowed=event.shadow,
    )  # fmt: skip


def _stepped(live: Rollout, event: e.StepTaken) -> Rollout:
    """A step starts its own clock, its own deadline and its own span; evidence of earlier spans stays."""
    return replace(
        live, phase=event.phase, weight=event.weight, since=event.time, deadline=event.time + live.patience,
        spans=(*live.spans, millis(event.time)), ready=False, holds=(),
    )  # fmt: skip


def _looked(state: State, event: e.WindowLooked) -> State:
    span, arms = _evidence(event.evidence)
    if event.phase is e.Phase.WATCH:
        return replace(state, watch=replace(state.watch, arms=arms)) if state.watch else state
    live = state.live
    if live is None:
        return state
    live = replace(live, evidence={**live.evidence, (span, event.kind): arms})
    if event.kind == "outcomes":
        ready = event.verdict == "advance"
        return replace(state, live=replace(live, label_looks=live.label_looks + 1, labels_ready=ready))
    if span == len(live.spans) - 1:
        holds = tuple(look.measure for look in event.looks if look.verdict == "hold" and look.limit is not None)
        until = max(event.end, live.seen_until)
        live = replace(live, ready=event.verdict == "advance", holds=holds, seen_until=until)
    return replace(state, live=live)


def _evidence(plain: Mapping[str, object]) -> tuple[int, Arms]:
    """Read what `looking.plain` wrote. Raises `InvalidError` (`malformed`) for sums of another shape."""
    span, arms = plain.get("span"), plain.get("arms")
    read = {arm: ArmSums.from_plain(sums) for arm, sums in arms.items()} if isinstance(arms, Mapping) else {}
    return span if isinstance(span, int) else 0, read
