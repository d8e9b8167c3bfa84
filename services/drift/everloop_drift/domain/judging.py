"""What a closed window means: the measures, the verdict, and the episode. One event per window record; pure.

Windows of inputs drive the episode of drift, windows of outcomes the episode of quality. An episode opens when
`drift.confirm` windows in a row have drifted, and closes when as many in a row have not; too few rows change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from everloop.events import ArmWindow, Episode, Event, Measure, Reason, WindowClosed, WindowJudged
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.sketch import LabelledScores
from everloop_drift.domain.measures import ColumnMeasure, Rule, Rules, measure_column, share_drifted
from everloop_drift.domain.slices import CHAMPION

Verdict = Literal["stable", "drifted", "too_few", "reference_warming", "no_reference"]
ONE_SIDED_95 = 1.6448536269514722
"""Quantile of the normal distribution for a one-sided bound at 95 %."""


@dataclass(frozen=True, slots=True)
class Track:
    """One kind of episode, of one version: windows in a row that drifted or did not, and the episode that is open.

    `rows` counts rows of the version so far; `succeeds` says that another version was the champion before it.
    """

    version: str | None = None
    succeeds: bool = False
    rows: int = 0
    drifted: int = 0
    stable: int = 0
    first_drifted: int | None = None
    episode: UUID | None = None
    change_at: int | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one model: the track of drift and the track of quality."""

    inputs: Track = Track()
    outcomes: Track = Track()


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured, before anything is decided about episodes."""

    verdict: Verdict
    reason: Reason
    measures: tuple[Measure, ...] = ()
    quality: Mapping[str, float] = field(default_factory=dict)


def initial() -> State:
    """Before the first window."""
    return State()


def decide(state: State, cause: Event, now: datetime, loop: Loop, facts: Facts | None) -> Event | None:
    """Say what one window means."""
    del facts
    if not isinstance(cause, WindowClosed):
        return None
    track = state.inputs if cause.kind == "inputs" else state.outcomes
    arm = champion(cause.arms, track.version)
    version = arm.version if arm else track.version
    superseded = track.version is not None and version != track.version
    finding = judge(track, cause, arm, loop)
    episode, identity, change = step(track, finding.verdict, cause, loop.drift.confirm, superseded=superseded)
    reason = finding.reason
    if superseded and episode is Episode.CLOSED:
        reason = Reason(rule="superseded", measured=version, limit=track.version, samples=cause.rows)
    return WindowJudged.because(
        cause, now, kind=cause.kind, start=cause.start, end=cause.end, revision=cause.revision, version=version,
        verdict=finding.verdict, measures=finding.measures, reason=reason, episode=episode, episode_id=identity,
        episode_kind=("drift" if cause.kind == "inputs" else "quality") if identity else None,
        change_at=change, rows=arm.rows if arm else 0, quality=finding.quality, correlation_id=identity,
    )  # fmt: skip


def evolve(state: State, event: Event) -> State:
    """Fold one judged window."""
    if not isinstance(event, WindowJudged):
        return state
    if event.kind == "inputs":
        return replace(state, inputs=_next(state.inputs, event))
    return replace(state, outcomes=_next(state.outcomes, event))


def champion(arms: Sequence[ArmWindow], known: str | None) -> ArmWindow | None:
    """The champion's arm; where a window saw two champions, the one with more rows, the known one on a tie."""
    served = [arm for arm in arms if arm.arm == CHAMPION]
    return max(served, key=lambda arm: (arm.rows, arm.version == known), default=None)


def judge(track: Track, window: WindowClosed, arm: ArmWindow | None, loop: Loop) -> Finding:
    """Measure a window and compare with the limits; episodes are not its business."""
    needed, rows = loop.windows.min_rows, arm.rows if arm else 0
    if arm is None or rows < needed:
        return Finding("too_few", Reason(rule="windows.min_rows", measured=rows, limit=needed, samples=rows))
    warm = track.rows if arm.version == track.version else 0
    succeeds = track.succeeds or track.version not in {None, arm.version}
    if succeeds and warm < needed:
        why = Reason(rule="reference_warming", measured=warm, limit=needed, samples=rows)
        return Finding("reference_warming", why)
    return _inputs(arm, loop) if window.kind == "inputs" else _outcomes(arm, loop)


def step(
    track: Track, verdict: Verdict, window: WindowClosed, confirm: int, *, superseded: bool
) -> tuple[Episode, UUID | None, int | None]:
    """Where the episode stands after this verdict: its stage, its id, and when the change began (ms)."""
    if track.episode is not None:
        ends = superseded or (verdict == "stable" and track.stable + 1 >= confirm)
        return (Episode.CLOSED if ends else Episode.CONTINUING), track.episode, track.change_at
    if verdict == "drifted" and not superseded and track.drifted + 1 >= confirm:
        began = track.first_drifted if track.drifted else window.start
        return Episode.OPENED, window.id, began
    return Episode.NONE, None, None


def _next(track: Track, event: WindowJudged) -> Track:
    if event.version != track.version:
        track = Track(version=event.version, succeeds=track.version is not None)
    elif event.episode is Episode.CLOSED:
        track = Track(version=track.version, succeeds=track.succeeds, rows=track.rows)
    track = _counted(replace(track, rows=track.rows + event.rows), event)
    if event.episode is Episode.OPENED:
        return replace(track, episode=event.episode_id, change_at=event.change_at)
    return track


def _counted(track: Track, event: WindowJudged) -> Track:
    if event.verdict == "drifted":
        first = track.first_drifted if track.drifted else event.start
        return replace(track, drifted=track.drifted + 1, stable=0, first_drifted=first)
    if event.verdict == "stable":
        return replace(track, drifted=0, stable=track.stable + 1, first_drifted=None)
    return track


def _inputs(arm: ArmWindow, loop: Loop) -> Finding:
    rules = Rules(
        default=Rule(loop.drift.default.test, loop.drift.default.limit),
        columns={name: Rule(limit.test, limit.limit) for name, limit in loop.drift.columns.items()},
        score=Rule(loop.drift.score.test, loop.drift.score.limit),
        min_rows=loop.windows.min_rows,
    )
    columns = [m for c in arm.columns for m in measure_column(c, rules.columns.get(c.name, rules.default), rules)]
    scores = measure_column(arm.score, rules.score, rules) if arm.score else ()
    share = share_drifted(columns)
    measures = tuple(_measure(one) for one in (*columns, *scores))
    by_share = share >= loop.drift.share
    by_score = next((one for one in scores if one.drifted), None)
    verdict: Verdict = "drifted" if by_share or by_score else "stable"
    if by_score and not by_share:
        rule = f"drift.score.{by_score.test}"
        reason = Reason(rule=rule, measured=by_score.value, limit=by_score.limit, samples=arm.rows)
        return Finding(verdict, reason, measures)
    return Finding(
        verdict, Reason(rule="drift.share", measured=share, limit=loop.drift.share, samples=arm.rows), measures
    )


def _outcomes(arm: ArmWindow, loop: Loop) -> Finding:
    """Realised quality: the lower 95 % bound of the fall of AUC against the reference, both with DeLong's error."""
    measured = LabelledScores.from_plain(arm.quality)
    auc = measured.auc()
    reference = arm.reference_quality.get("roc_auc")
    if auc is None or reference is None:
        return Finding("no_reference", Reason(rule="drift.quality", measured="no AUC on either side", samples=arm.rows))
    error = math.hypot(auc.standard_error, arm.reference_quality.get("roc_auc_se", 0.0))
    fall = reference - auc.value - ONE_SIDED_95 * error
    limit = loop.drift.quality.drop
    figures = {"roc_auc": auc.value, "roc_auc_se": auc.standard_error, "reference_roc_auc": reference}
    drifted = fall > limit
    one = Measure(name="roc_auc", test="quality_drop", value=fall, limit=limit, drifted=drifted, rows=arm.rows)
    reason = Reason(rule="drift.quality.drop", measured=fall, limit=limit, samples=arm.rows)
    return Finding("drifted" if drifted else "stable", reason, (one,), figures)


def _measure(one: ColumnMeasure) -> Measure:
    value = one.value if math.isfinite(one.value) else None
    return Measure(name=one.column, test=one.test, value=value, limit=one.limit, drifted=one.drifted, rows=one.rows)
