"""What a closed window means: the measures, the verdict, and the episode. One event per window record; pure.

Windows of inputs drive the episode of drift, windows of outcomes the episode of quality. An episode opens when
`drift.confirm` windows in a row have drifted, and closes when as many in a row have not. Too few rows, other columns
than the profile's (`schema_drift`) and a reference that is none (`reference_invalid`) say nothing about the world.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Final

from everloop.diagnoses import is_broken
from everloop.events import (
    ArmWindow,
    Budget,
    ChangePoint,
    Detection,
    Diagnosis,
    Episode,
    Event,
    Evidence,
    LabelAges,
    LabelFlow,
    Measure,
    MeasureTable,
    QualityMeasure,
    Reason,
    SegmentJudged,
    WindowClosed,
    WindowJudged,
    WindowVerdict,
)
from everloop.facts import Facts
from everloop.loop import Loop, primary
from everloop.sketch import Labelled
from everloop_drift.domain import changes, concept, faults, incidents, label_flow, realised
from everloop_drift.domain.budget import BESIDE, Look, budgeted, follow_running
from everloop_drift.domain.cells import CHAMPION
from everloop_drift.domain.diagnosis import Memory, Seen, diagnose
from everloop_drift.domain.episodes import Step, Track, follow, step
from everloop_drift.domain.limits import Rules, rows_needed, share_drifted
from everloop_drift.domain.measures import measure, table
from everloop_drift.domain.ranking import rank
from everloop_drift.domain.segment_quality import Before, is_calm, say_quality
from everloop_drift.domain.segments import Tracks, Whole, follow_segments, say_segments

ERRORS: Final = "errors"
"""The name of the measures that detectors make of the stream of errors."""


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one model: the tracks of drift and of quality, open faults, and the stream of errors.

    `memory` is what diagnoses compare with, `incident` what subscribers were last told of.

    `points` are the champion's errors since it became champion, or since its last episode of quality closed; bounded.
    `heard` is the begin (ms) of the newest interval of its stream that was read, -1 before the first. The trails are
    for saying when an episode began. `segments` are those whose inputs have drifted of late, `quality_segments` those
    whose quality has fallen. `running` has the numbers of the
    last windows that are added up against a budget of false alarms. `labels` is how labels come.
    """

    inputs: Track = field(default_factory=Track)
    outcomes: Track = field(default_factory=Track)
    faults: frozenset[str] = frozenset()
    points: tuple[concept.Point, ...] = ()
    heard: int = -1
    inputs_trail: changes.Trail = field(default_factory=changes.Trail)
    outcomes_trail: changes.Trail = field(default_factory=changes.Trail)
    segments: Tracks = field(default_factory=dict)
    quality_segments: Tracks = field(default_factory=dict)
    running: tuple[Mapping[str, float], ...] = ()
    memory: Memory = field(default_factory=Memory)
    incident: incidents.Incident | None = None
    labels: label_flow.Flow = field(default_factory=label_flow.Flow)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was measured, before anything is decided about episodes.

    `since` is when a detector that decides believes the change began: its finding needs no confirmation.
    """

    verdict: WindowVerdict
    reason: Reason
    measures: tuple[Measure, ...] = ()
    figures: MeasureTable = field(default_factory=MeasureTable)
    quality: Mapping[str, QualityMeasure] = field(default_factory=dict)
    coverage: float | None = None
    label_age: LabelAges | None = None
    errors: tuple[concept.Point, ...] = ()
    detections: tuple[Detection, ...] = ()
    since: int | None = None
    budget: Budget | None = None
    running: Mapping[str, float] = field(default_factory=dict)
    diagnosis: Diagnosis | None = None


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
    flow = label_flow.look(state.labels, cause, arm, loop) if cause.kind == "outcomes" else None
    finding = _diagnosed(state, cause, arm, judge(state, cause, arm, loop, flow), loop)
    confirm = loop.drift.confirm if finding.since is None else 1
    after = step(track, finding.verdict, cause, confirm, superseded=superseded)
    reason, began = finding.reason, after.change_at
    if superseded and after.stage is Episode.CLOSED:
        reason = Reason(rule="superseded", measured=version, limit=track.version, samples=cause.rows)
    if after.stage is Episode.OPENED and began is not None and finding.since is not None:
        began = min(began, finding.since)
    first = cause.kind == "inputs" and not cause.revision
    return WindowJudged.because(
        cause, now, kind=cause.kind, start=cause.start, end=cause.end, revision=cause.revision, version=version,
        verdict=finding.verdict, measures=finding.measures, reason=reason, episode=after.stage,
        episode_id=after.identity, episode_kind=_kind(cause) if after.identity else None, change_at=began,
        rows=arm.rows if arm else 0, figures=finding.figures, quality=finding.quality, coverage=finding.coverage,
        faults=faults.stages(state.faults, finding.verdict, finding.diagnosis) if first else (),
        label_age=finding.label_age, diagnosis=finding.diagnosis,
        errors=concept.as_series(finding.errors), detections=finding.detections, correlation_id=after.identity,
        ranking=rank(arm.columns if arm else (), finding.figures), change=_change(state, cause, finding, after),
        segments=_segments(state, cause, Whole(finding.verdict, after.stage, superseded), arm, loop, flow),
        season=arm.season if arm else None, budget=finding.budget, running=finding.running,
        labels=flow,
    )  # fmt: skip


def _segments(
    state: State, window: WindowClosed, whole: Whole, arm: ArmWindow | None, loop: Loop, flow: LabelFlow | None
) -> tuple[SegmentJudged, ...]:  # fmt: skip
    """What a window says of segments: of their inputs, or of their labels."""
    if window.kind == "inputs":
        return say_segments(state.segments, window, whole, arm, loop)
    before = Before(state.quality_segments, state.segments, _needed(state, window, loop, flow))
    return say_quality(before, window, whole._replace(alone=not going_on(state)), arm, loop)


def evolve(state: State, event: Event) -> State:
    """Fold one judged window; a revision changes nothing."""
    if not isinstance(event, WindowJudged) or event.revision:
        return state
    flow = label_flow.follow(state.labels, event.labels) if event.labels else state.labels
    after = replace(_tracked(state, event), memory=state.memory.follow(event), labels=flow)
    return replace(after, incident=incidents.follow(state.incident, event, going_on(after)))


def going_on(state: State) -> bool:
    """Whether an episode or a fault of the data is open."""
    tracks = (state.inputs, state.outcomes)
    return any(track.episode is not None for track in tracks) or incidents.of_data(state.faults)


def _tracked(state: State, event: WindowJudged) -> State:
    if event.kind == "inputs":
        still = frozenset(fault.kind for fault in event.faults if fault.stage is not Episode.CLOSED)
        trail = changes.follow(_trail(state.inputs_trail, state.inputs, event.version), event)
        segments = follow_segments(state.segments, event) if state.inputs.version in {None, event.version} else {}
        inputs = follow(state.inputs, event)
        sums = follow_running(_running(state, event.version), event)
        return replace(state, inputs=inputs, faults=still, inputs_trail=trail, segments=segments, running=sums)
    points, heard = _stream(state, event.version)
    fresh = concept.as_points(event.errors)
    told = () if event.verdict == "data_fault" else fresh  # errors on broken rows are no change of the world
    points = () if event.episode is Episode.CLOSED else concept.kept(points, told)
    heard = fresh[-1][0] if fresh else heard
    trail = changes.follow(_trail(state.outcomes_trail, state.outcomes, event.version), event)
    return replace(
        state, outcomes=follow(state.outcomes, event), points=points, heard=heard, outcomes_trail=trail,
        quality_segments=_quality_segments(state, event),
    )  # fmt: skip


def _quality_segments(state: State, event: WindowJudged) -> Tracks:
    if state.outcomes.version not in {None, event.version}:
        return {}
    whole = Whole(event.verdict, event.episode, superseded=False, alone=not going_on(state))
    return follow_segments(state.quality_segments, event, partial(is_calm, state.segments, whole))


def champion(arms: Sequence[ArmWindow], known: str | None) -> ArmWindow | None:
    """The champion's arm; where a window saw two champions, the one with more rows, the known one on a tie."""
    served = [arm for arm in arms if arm.arm == CHAMPION]
    return max(served, key=lambda arm: (arm.rows, arm.version == known), default=None)


def judge(
    state: State, window: WindowClosed, arm: ArmWindow | None, loop: Loop, flow: LabelFlow | None = None
) -> Finding:
    """Measure a window and compare with the limits; episodes are not its business. `flow` is how its labels came."""
    immature = _immature(state, window, arm, loop, flow) if window.kind == "outcomes" else None
    if arm is None or not arm.rows:
        return Finding("labels_immature", immature) if immature else _too_few(0, rows_needed(loop))
    return _inputs(state, arm, loop) if window.kind == "inputs" else _outcomes(state, window, arm, loop, immature)


def _diagnosed(state: State, window: WindowClosed, arm: ArmWindow | None, found: Finding, loop: Loop) -> Finding:
    """Say what kind of change it is. A window of broken data says nothing about the world, whatever was measured."""
    if arm is None:
        return found
    if found.verdict == "schema_drift":
        reason = found.reason
        evidence = Evidence(name="schema", test=reason.rule, value=reason.measured, limit=reason.limit)
        return replace(found, diagnosis=Diagnosis(kind="schema", evidence=(evidence,)))
    new = state.inputs.version in {None, arm.version} and not state.inputs.succeeds
    seen = Seen(window, arm, found.verdict, found.measures, found.figures, found.quality, found.detections)
    said = diagnose(state.memory, seen, loop, first=new)
    if said is None or not is_broken(said.kind):
        return replace(found, diagnosis=said)
    first = said.evidence[0]
    rule, rows = f"diagnosis.{said.kind}", arm.rows
    reason = Reason(rule=rule, measured=first.value, limit=first.limit, samples=rows)
    return replace(found, verdict="data_fault", reason=reason, since=None, diagnosis=said, running={})


def _inputs(state: State, arm: ArmWindow, loop: Loop) -> Finding:
    """What cannot be compared comes first: it is so with few rows, and right after a promotion, as well."""
    track = state.inputs
    rows, needed = faults.conforming(arm), rows_needed(loop)
    invalid = faults.reference_invalid(arm)
    comparable = rows >= needed and invalid is None
    measured = measure(arm.columns if comparable else ())
    scores = measure([arm.score] if comparable and arm.score else (), positive_rate=loop.task == "binary")
    figures = table(measured, scores)
    if changed := faults.schema_drift(arm, needed):
        return Finding("schema_drift", changed, figures=figures)
    if invalid:
        return Finding("reference_invalid", invalid)
    if rows < needed:
        return _too_few(rows, needed)
    if warming := _warming(track, arm, needed):
        return Finding("reference_warming", warming, figures=figures)
    rules = Rules.of(loop)
    held, held_scores = rules.hold(measured), rules.hold_score(scores)
    look = budgeted(arm, loop, _running(state, arm.version), is_open=track.episode is not None)
    if look is None or look.threshold is None:
        fixed = _by_limits(held, held_scores, arm, loop)
        return replace(fixed, figures=figures, budget=look.budget if look else None)
    found = _by_budget(look, [one for one in held if one.test in BESIDE and one.drifted], arm)
    return replace(found, figures=figures, budget=look.budget, running=look.numbers)


def _by_budget(look: Look, beside: Sequence[Measure], arm: ArmWindow) -> Finding:
    """Against the threshold of a budget; a missing rate, and what left a constant, keep their limits."""
    by_budget = look.found > (look.threshold or 0.0)
    if beside and not by_budget:
        first = beside[0]
        reason = Reason(rule=f"drift.{first.test}", measured=first.value, limit=first.limit, samples=first.rows)
    else:
        rule = "drift.false_alarms"
        reason = Reason(rule=rule, measured=look.found, limit=look.threshold, samples=arm.rows, where="loop")
    return Finding("drifted" if by_budget or beside else "stable", reason, (*look.measures, *beside))


def _by_limits(columns: Sequence[Measure], scores: Sequence[Measure], arm: ArmWindow, loop: Loop) -> Finding:
    share = share_drifted(columns)
    by_share = share >= loop.drift.share
    by_score = next((one for one in scores if one.drifted), None)
    if by_score and not by_share:
        rule = f"drift.score.{by_score.test}"
        reason = Reason(rule=rule, measured=by_score.value, limit=by_score.limit, samples=arm.rows)
    else:
        reason = Reason(rule="drift.share", measured=share, limit=loop.drift.share, samples=arm.rows)
    return Finding("drifted" if by_share or by_score else "stable", reason, (*columns, *scores))


def _outcomes(state: State, window: WindowClosed, arm: ArmWindow, loop: Loop, immature: Reason | None) -> Finding:
    """Measure what labels say, and hold the primary metric to its limit; detectors hear the errors of every window.

    But where too few of the usual labels have come: those rows may be other than the rest, and nothing follows.
    """
    seen = Labelled.from_plain(arm.quality) if arm.quality else Labelled.empty(loop.task)
    quality = realised.measure_quality(seen, arm.reference_quality)
    found = _by_quality(state.outcomes, seen, quality, arm, loop)
    found = found if immature is None else Finding("labels_immature", immature)
    found = replace(found, quality=quality, coverage=realised.coverage(arm, seen), label_age=realised.label_ages(seen))
    return found if window.revision or immature else _by_errors(found, state, seen, arm, loop)


def _immature(
    state: State, window: WindowClosed, arm: ArmWindow | None, loop: Loop, flow: LabelFlow | None
) -> Reason | None:
    """Whether so few rows have a label yet that quality cannot be judged; None where too little is known to say."""
    rows = arm.predicted if arm and arm.rows else flow.arrived.predicted if flow else None
    needed = _needed(state, window, loop, flow)
    if not rows or needed is None:
        return None
    found = arm.rows / rows if arm else 0.0
    return Reason(rule="labels.matured", measured=found, limit=needed, samples=rows) if found < needed else None


def _needed(state: State, window: WindowClosed, loop: Loop, flow: LabelFlow | None) -> float | None:
    return flow.needed if flow else label_flow.needed(state.labels, label_flow.closed_at(window), loop)


def _by_quality(
    track: Track, seen: Labelled, quality: Mapping[str, QualityMeasure], arm: ArmWindow, loop: Loop
) -> Finding:
    needed = rows_needed(loop)
    if arm.rows < needed:
        return _too_few(arm.rows, needed)
    if warming := _warming(track, arm, needed):
        return Finding("reference_warming", warming)
    metric, limit = primary(seen.task), loop.drift.quality.drop
    fall = realised.fall(metric, quality, arm.reference_quality)
    if fall is None:
        missing = f"no {metric} of the {'window' if metric not in quality else 'reference'}"
        return Finding("no_reference", Reason(rule="drift.quality", measured=missing, samples=arm.rows))
    one = realised.hold_quality(metric, fall, limit, arm.rows)
    reason = Reason(rule="drift.quality.drop", measured=fall, limit=limit, samples=arm.rows)
    return Finding("drifted" if one.drifted else "stable", reason, (one,))


def _by_errors(found: Finding, state: State, seen: Labelled, arm: ArmWindow, loop: Loop) -> Finding:
    """Add what the detectors find. It is evidence, and decides where the loop file says so and the window is judged."""
    rules, (known, heard) = loop.drift.concept, _stream(state, arm.version)
    fresh = concept.new_points(heard, seen.series)
    fired = concept.detect(rules.detectors, known, fresh, classes=seen.task == "binary")
    measures = tuple(
        Measure(
            name=ERRORS, test=name, value=concept.mean_error(fresh) if fresh else None,
            drifted=any(one.detector == name for one in fired), rows=sum(point[1] for point in fresh),
        )
        for name in rules.detectors
    )  # fmt: skip
    found = replace(found, measures=(*found.measures, *measures), errors=fresh, detections=fired)
    if not (rules.decides and fired and found.verdict in {"stable", "drifted", "no_reference"}):
        return found
    first = fired[0]
    rule = f"drift.concept.{first.detector}"
    reason = Reason(rule=rule, measured=first.after, limit=first.before, samples=arm.rows)
    by_quality = found.verdict == "drifted"
    since = min(one.since for one in fired)
    return replace(found, verdict="drifted", reason=found.reason if by_quality else reason, since=since)


def _warming(track: Track, arm: ArmWindow, needed: int) -> Reason | None:
    """A promotion must not cause an alarm: a successor is judged after so many rows of its own."""
    warm = track.rows if arm.version == track.version else 0
    succeeds = track.succeeds or track.version not in {None, arm.version}
    if not succeeds or warm >= needed:
        return None
    return Reason(rule="reference_warming", measured=warm, limit=needed, samples=arm.rows)


def _too_few(rows: int, needed: int) -> Finding:
    return Finding("too_few", Reason(rule="windows.min_rows", measured=rows, limit=needed, samples=rows))


def _stream(state: State, version: str | None) -> tuple[tuple[concept.Point, ...], int]:
    """The stream of errors so far, and up to where it was read; that of another version is another stream."""
    return (state.points, state.heard) if state.outcomes.version == version else ((), -1)


def _change(state: State, window: WindowClosed, finding: Finding, after: Step) -> ChangePoint | None:
    """When an open episode began, as known with this window. No version is superseded while one is open."""
    if window.kind == "inputs":
        compared = finding.figures if finding.verdict in {"stable", "drifted"} else MeasureTable()
        return changes.of_inputs(state.inputs_trail, window, compared, after)
    points = concept.kept(state.points, finding.errors)
    return changes.of_quality(state.outcomes_trail, window, points, after)


def _trail(known: changes.Trail, track: Track, version: str | None) -> changes.Trail:
    """What is remembered for this version: that of another is another's."""
    return known if track.version == version else changes.Trail()


def _running(state: State, version: str | None) -> tuple[Mapping[str, float], ...]:
    """The numbers of the last windows of this version."""
    return state.running if state.inputs.version == version else ()


def _kind(window: WindowClosed) -> str:
    return "drift" if window.kind == "inputs" else "quality"
