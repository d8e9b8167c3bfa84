"""Realised quality of each segment of a window of outcomes, judged by the window's own rule. Pure.

A segment has drifted when the lower bound of its metric's fall, with the errors of both sides, is above
`drift.quality.drop`. The bound is one-sided at 95 % for all segments of a window together: the chance that any of them
is said to have fallen by more than it has is at most 5 %, however many there are (Bonferroni).
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, cast

from everloop.events import Episode, Measure, SegmentJudged
from everloop.loop import primary
from everloop_drift.domain.falls import Side, fall_of_area, rise_of_error
from everloop_drift.domain.limits import rows_needed
from everloop_drift.domain.segments import Name, name_of, superseded, with_episodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everloop.events import ArmWindow, SegmentOutcomes, WindowClosed
    from everloop.loop import Loop, Task
    from everloop_drift.domain.segments import Tracks, Whole

Verdict: TypeAlias = Literal["stable", "drifted", "too_few", "immature", "no_reference", "unjudged"]
CHANCE: Final = 0.05
"""That any segment is said to have fallen by more than it has."""
CLASS_ROWS: Final = 30
"""Rows of either class on either side, at least: with fewer the error of an area under the curve is too small."""
REFERENCE_ROWS: Final = 500
"""Rows of a regression's reference, at least: with fewer a lucky holdout without large errors looks too sure."""


class Before(NamedTuple):
    """What is known when a window is closed: tracks of quality and of inputs by segment, and the coverage needed."""

    tracks: Tracks
    inputs: Tracks
    needed: float | None


def say_quality(
    before: Before, window: WindowClosed, whole: Whole, arm: ArmWindow | None, loop: Loop
) -> tuple[SegmentJudged, ...]:
    """All that a window of outcomes says of segments: each with its coverage and quality.

    No episode opens or closes while the whole is not stable or anything of it is open, nor while the inputs of the
    segment have one: one cause is one alert. A segment is mature from the coverage on that the window needs.
    """
    if whole.superseded:
        return _of_another(before.tracks, _listed(arm, "unjudged"), revision=bool(window.revision))
    is_judged = whole.verdict in {"stable", "drifted"}
    judged = _judged(arm, loop, before.needed) if arm and is_judged else _listed(arm, _why(whole))
    if window.revision:
        return judged
    calm = partial(is_calm, before.inputs, whole)
    return with_episodes(before.tracks, judged, window.start, loop.drift.confirm, calm)


def is_calm(inputs: Tracks, whole: Whole, name: Name) -> bool:
    """Whether nothing is the matter with the whole, nor with the inputs of this segment."""
    return whole.is_calm and not (name in inputs and inputs[name].is_open)


def _judged(arm: ArmWindow, loop: Loop, needed: float | None) -> tuple[SegmentJudged, ...]:
    said = [(one, _whether(one, arm, rows_needed(loop), needed)) for one in arm.outcomes]
    judged = sum(verdict == "stable" for _, verdict in said)
    chance, limit = CHANCE / max(1, judged), loop.drift.quality.drop
    return tuple(
        _held(one, arm, chance, limit) if verdict == "stable" else _said(one, verdict)
        for one, verdict in said
    )  # fmt: skip


def _whether(one: SegmentOutcomes, arm: ArmWindow, rows: int, needed: float | None) -> Verdict:
    """Why a segment is not judged; stable where it is."""
    if one.rows < rows or (arm.task == "binary" and _rarer(one.rows, one.positives) < CLASS_ROWS):
        return "too_few"
    if needed is not None and one.predicted and one.rows < needed * one.predicted:
        return "immature"
    then = one.reference
    if one.quality is None or then is None:
        return "no_reference"
    enough = _rarer(then.rows, then.positives) >= CLASS_ROWS if arm.task == "binary" else then.rows >= REFERENCE_ROWS
    return "stable" if enough else "no_reference"


def _rarer(rows: int, positives: int | None) -> int:
    """Rows of the rarer class."""
    return min(positives, rows - positives) if positives is not None else 0


def _held(one: SegmentOutcomes, arm: ArmWindow, chance: float, limit: float) -> SegmentJudged:
    """Hold the bound of the fall to the limit."""
    found = fall(one, arm, chance)
    measure = Measure(
        name=primary(cast("Task", arm.task)),
        test="quality_drop",
        value=found,
        limit=limit,
        drifted=found > limit,
        rows=one.rows,
    )
    said = _said(one, "drifted" if measure.drifted else "stable")
    return said.model_copy(update={"worst": measure}) if measure.drifted else said


def fall(one: SegmentOutcomes, arm: ArmWindow, chance: float) -> float:
    """How much worse the metric is than in the reference, at least; it is less with this chance."""
    now, then = one.quality, one.reference
    if now is None or then is None:
        return -math.inf
    if arm.task == "binary":
        before = Side(then.value, then.standard_error, _rarer(then.rows, then.positives))
        return fall_of_area(before, Side(now.value, now.error, _rarer(one.rows, one.positives)), chance)
    before = Side(then.value, then.standard_error, then.rows)
    return rise_of_error(before, Side(now.value, now.error, one.rows), chance)


def _listed(arm: ArmWindow | None, verdict: Verdict) -> tuple[SegmentJudged, ...]:
    return tuple(_said(one, verdict) for one in arm.outcomes) if arm else ()


def _said(one: SegmentOutcomes, verdict: Verdict) -> SegmentJudged:
    return SegmentJudged(
        column=one.column, value=one.value, rows=one.rows, verdict=verdict, episode=Episode.NONE,
        predicted=one.predicted, quality=one.quality,
    )  # fmt: skip


def _why(whole: Whole) -> Verdict:
    if whole.verdict == "labels_immature":
        return "immature"
    return "too_few" if whole.verdict == "too_few" else "unjudged"


def _of_another(tracks: Tracks, listed: Sequence[SegmentJudged], *, revision: bool) -> tuple[SegmentJudged, ...]:
    """The segments of another champion, and with them the ends of the episodes of the last one's."""
    if revision:
        return tuple(listed)
    ended = {name_of(one): one for one in superseded(tracks, tracks)}
    here = [one.model_copy(update=_end(ended.pop(name_of(one), None))) for one in listed]
    return (*here, *ended.values())


def _end(one: SegmentJudged | None) -> dict[str, object]:
    return {} if one is None else {"verdict": one.verdict, "episode": one.episode, "since": one.since}
