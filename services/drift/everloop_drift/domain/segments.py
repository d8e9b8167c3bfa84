"""Each segment of a window is judged like the window, and has an episode of its own. Pure.

There are many segments, and their references are small. So that all of them together cry wolf no more often than one
would, a p-value must be below its limit divided by their number (Bonferroni), and a distance must also be more than
chance between so many rows: by a test of homogeneity on the same groups, at `NOISE` divided by all that is compared.
Under no change PSI times nm/(n+m) is about the chi-square statistic (Yurdakul 2018): that is the same as a higher
limit for fewer rows, and holds for the other distances as well.

Holm's procedure (1979) would allow the second of several drifted segments a limit that is larger by 1/(segments - 1):
not worth that one segment's limit depends on what happens in another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np

from everloop.events import ArmWindow, ColumnWindow, Episode, Measure, SegmentJudged
from everloop.loop import P_VALUE_TESTS
from everloop.measures import statistics
from everloop.profile import psi_groups
from everloop_drift.domain.limits import Rule, Rules, share_drifted
from everloop_drift.domain.measures import Measured, measure
from everloop_drift.domain.segment_hours import at_the_hour

if TYPE_CHECKING:
    from everloop.events import ColumnSide, SegmentColumn, SegmentWindow, WindowClosed, WindowJudged, WindowVerdict
    from everloop.loop import Loop

Name = tuple[str, str | None]
"""Column and value of a segment; None: `other`."""
NOISE: Final = 0.01
"""Chance that in a window without a change any distance of any segment passes for more than chance."""
GROUP_ROWS: Final = 20
"""Reference rows of a group, at least: with fewer the tests above are too sure."""
REFERENCE_ROWS: Final = 2 * GROUP_ROWS
"""Reference rows of a segment that is judged, at least."""
SHOWN: Final = 64
"""Letters of a value that an alert shows."""


@dataclass(frozen=True, slots=True)
class SegmentTrack:
    """Windows in a row in which one segment drifted, or did not while its episode is open.

    `since` is when that began (ms), `is_open` whether it is an episode.
    """

    since: int
    drifted: int = 0
    stable: int = 0
    is_open: bool = False


Tracks = Mapping[Name, SegmentTrack]


class Whole(NamedTuple):
    """What a window is as a whole, with the stage of its own episode; `superseded`: another version is the champion.

    `alone`: no episode or fault of another kind is open.
    """

    verdict: WindowVerdict
    stage: Episode
    superseded: bool
    alone: bool = True

    @property
    def is_calm(self) -> bool:
        """Whether nothing is the matter with the whole."""
        return self.verdict == "stable" and self.stage is Episode.NONE and self.alone


def say_segments(
    tracks: Tracks, window: WindowClosed, whole: Whole, arm: ArmWindow | None, loop: Loop
) -> tuple[SegmentJudged, ...]:
    """All that a window of inputs says of segments.

    A segment's episode opens and closes by windows that are stable as a whole, outside an episode of the whole: else
    its drift is part of the window's, and one cause is one alert. A revision has no part in episodes.
    """
    if whole.superseded:
        return tuple(superseded(tracks, tracks)) if not window.revision else ()
    judged = judge_segments(arm, loop) if arm is not None and whole.verdict in {"stable", "drifted"} else ()
    if window.revision:
        return judged
    return with_episodes(tracks, judged, window.start, loop.drift.confirm, lambda _: whole.is_calm)


def with_episodes(
    tracks: Tracks, judged: Sequence[SegmentJudged], start: int, confirm: int, is_calm: Callable[[Name], bool]
) -> tuple[SegmentJudged, ...]:
    """The same with how their episodes stand, and those that are open and were not judged.

    `is_calm`: whether nothing else is the matter that a segment's drift may be part of.
    """
    said = [_step(one, tracks.get(name_of(one)), start, confirm, calm=is_calm(name_of(one))) for one in judged]
    unheard = tracks.keys() - {name_of(one) for one in judged}
    return (*said, *_open(tracks, unheard, "too_few", Episode.CONTINUING))


def judge_segments(arm: ArmWindow, loop: Loop) -> tuple[SegmentJudged, ...]:
    """Judge the segments that have rows enough on both sides, by the window's own rule; episodes are not its business.

    What is drift is the share of drifted columns, or the scores. The segments' own column is left out where all rows
    have one value.
    """
    rules, share = Rules.of(loop), loop.drift.share
    judged = [one for one in arm.segments if one.rows >= rules.min_rows and _reference(one) >= REFERENCE_ROWS]
    strict = _divided(rules, len(judged))
    level = NOISE / max(1, len(judged)) / (2 * len(arm.columns) + 1)
    columns = [_columns(arm, one) for one in judged]
    scores = [_scores(arm, one) for one in judged]
    held = _held(columns, strict.hold, level)
    held_scores = _held(scores, strict.hold_score, level)
    return tuple(_judged(*found, share) for found in zip(judged, held, held_scores, strict=True))


def follow_segments(tracks: Tracks, event: WindowJudged, is_calm: Callable[[Name], bool] | None = None) -> Tracks:
    """Fold the segments of one judged window that is no revision. A segment at rest has no track.

    `is_calm` as in `with_episodes`; by default whether the window is.
    """
    whole, found = Whole(event.verdict, event.episode, superseded=False), dict(tracks)
    for one in event.segments:
        name = name_of(one)
        calm = whole.is_calm if is_calm is None else is_calm(name)
        after = _after(found.pop(name, None), one, event.start, calm=calm)
        if after is not None:
            found[name] = after
    return found


def worst(judged: Iterable[SegmentJudged]) -> SegmentJudged | None:
    """The one that differs most: by share of drifted columns, or fall of quality, then by rows."""
    return max(judged, key=lambda one: (one.share or 0.0, _fall(one), one.rows), default=None)


def _fall(one: SegmentJudged) -> float:
    return one.worst.value or 0.0 if one.quality and one.worst else 0.0


def described(one: SegmentJudged) -> str:
    """For a sentence: the segment, and what differs most; values are cut short."""
    value = "other values" if one.value is None else repr(one.value[:SHOWN])
    what = f" ({one.worst.name} {one.worst.test} {one.worst.value:.3g}, {one.rows} rows)" if one.worst else ""
    return f"segment {one.column} = {value}{what}"


def name_of(one: SegmentJudged) -> Name:
    """Column and value."""
    return one.column, one.value


def superseded(tracks: Tracks, names: Iterable[Name]) -> Iterator[SegmentJudged]:
    """The ends of open episodes of a former champion."""
    return _open(tracks, names, "superseded", Episode.CLOSED)


def _judged(one: SegmentWindow, held: Sequence[Measure], scores: Sequence[Measure], limit: float) -> SegmentJudged:
    share, drifted = share_drifted(held), [found for found in (*held, *scores) if found.drifted]
    is_drift = share >= limit or any(found.drifted for found in scores)
    return SegmentJudged(
        column=one.column, value=one.value, rows=one.rows, verdict="drifted" if is_drift else "stable", share=share,
        worst=max(drifted, key=_excess, default=None), episode=Episode.NONE,
    )  # fmt: skip


def _held(
    segments: Sequence[Sequence[ColumnWindow]], hold: Callable[[Iterable[Measured]], tuple[Measure, ...]], level: float
) -> list[list[Measure]]:
    """Measure the columns of all segments together, and hold those of each against the limits."""
    measured = iter(measure([column for columns in segments for column in columns]))
    return [[_sure(found, level, columns) for found in hold(islice(measured, len(columns)))] for columns in segments]


def _columns(arm: ArmWindow, one: SegmentWindow) -> list[ColumnWindow]:
    pairs = zip(arm.columns, one.columns, strict=True)
    return [_beside(column, side) for column, side in pairs if column.name != one.column or one.value is None]


def _scores(arm: ArmWindow, one: SegmentWindow) -> list[ColumnWindow]:
    enough = sum(one.score.reference.counts) >= REFERENCE_ROWS
    return [_beside(arm.score, one.score)] if arm.score is not None and enough else []


def _divided(rules: Rules, segments: int) -> Rules:
    """Divide the limits that are p-values by the number of segments."""

    def strict(rule: Rule) -> Rule:
        return replace(rule, limit=rule.limit / max(1, segments)) if rule.test in P_VALUE_TESTS else rule

    columns = {name: strict(rule) for name, rule in rules.columns.items()}
    return replace(rules, default=strict(rules.default), columns=columns, score=strict(rules.score))


def _beside(column: ColumnWindow, side: SegmentColumn) -> ColumnWindow:
    """The column with the segment's counts, in groups that its own reference fills; new categories stay apart."""
    reference = at_the_hour(column, side.reference)
    counts = reference.counts
    groups = solid_groups(psi_groups(counts), counts)
    if column.kind == "categorical":
        new = max(groups) + 1
        groups = tuple(group if count else new for group, count in zip(groups, counts, strict=True))
    return column.model_copy(update={"current": side.current, "reference": reference, "groups": groups})


def solid_groups(groups: Sequence[int], counts: Sequence[int]) -> tuple[int, ...]:
    """Join neighbouring groups until each has `GROUP_ROWS` reference rows; the last ones join the one before."""
    sizes = np.bincount(groups, counts, minlength=max(groups, default=0) + 1)
    places, place, rows, rest = [], 0, 0, float(sizes.sum())
    for size in sizes.tolist():
        places.append(place)
        rows, rest = rows + size, rest - size
        if rows >= GROUP_ROWS and rest >= GROUP_ROWS:
            place, rows = place + 1, 0
    return tuple(places[group] for group in groups)


def _sure(found: Measure, level: float, columns: Sequence[ColumnWindow]) -> Measure:
    """A distance that could be chance between so many rows is none."""
    if not found.drifted or found.test in P_VALUE_TESTS:
        return found
    column = next(one for one in columns if one.name == found.name)
    return found.model_copy(update={"drifted": _chance(found.test, column) < level})


def _chance(test: str, column: ColumnWindow) -> float:
    """P-value of homogeneity on what a distance is measured on: rows in no bin, rows off the constant, or groups."""
    then, now = column.reference, column.current
    if test == "missing_rate":
        tables = [[sum(side.counts), side.missing + side.nonfinite + side.malformed] for side in (then, now)]
    elif test == "outside_constant":
        tables = [_off(side, then) for side in (then, now)]
    else:
        width = max(column.groups) + 1
        tables = [np.bincount(column.groups, side.counts, minlength=width).tolist() for side in (then, now)]
    return float(statistics.chi_square(*tables).p_value)


def _off(side: ColumnSide, then: ColumnSide) -> list[int]:
    """Rows where the reference has its one value, and elsewhere; where it has none, rows without a value and others."""
    there = sum(count for count, known in zip(side.counts, then.counts, strict=True) if known)
    elsewhere = sum(side.counts) - there
    return [there, elsewhere] if any(then.counts) else [side.missing + side.nonfinite + side.malformed, elsewhere]


def _reference(one: SegmentWindow) -> int:
    """Rows of a segment's reference: what its fullest column has."""
    sides = [column.reference for column in one.columns]
    return max((sum(side.counts) + side.missing for side in sides), default=0)


def _excess(found: Measure) -> float:
    """How far a measure is beyond its limit, as a ratio."""
    value, limit = abs(found.value or 0.0), found.limit or 0.0
    if found.test in P_VALUE_TESTS:
        return limit / value if value else inf
    return value / limit if limit else inf


def _step(one: SegmentJudged, track: SegmentTrack | None, start: int, confirm: int, *, calm: bool) -> SegmentJudged:
    if track is not None and track.is_open:
        ends = calm and one.verdict == "stable" and track.stable + 1 >= confirm
        return one.model_copy(update={"episode": Episode.CLOSED if ends else Episode.CONTINUING, "since": track.since})
    before = track.drifted if track else 0
    if calm and one.verdict == "drifted" and before + 1 >= confirm:
        return one.model_copy(update={"episode": Episode.OPENED, "since": track.since if track else start})
    return one


def _after(track: SegmentTrack | None, one: SegmentJudged, start: int, *, calm: bool) -> SegmentTrack | None:
    if one.episode is Episode.CLOSED:
        return None
    if one.episode is Episode.OPENED:
        return SegmentTrack(since=start if one.since is None else one.since, is_open=True)
    if not calm or one.verdict not in {"stable", "drifted"}:
        return track
    if one.verdict == "drifted":
        before = track or SegmentTrack(since=start)
        return replace(before, drifted=before.drifted + 1, stable=0)
    return replace(track, stable=track.stable + 1) if track is not None and track.is_open else None


def _open(
    tracks: Tracks, names: Iterable[Name], verdict: Literal["too_few", "superseded"], stage: Episode
) -> Iterator[SegmentJudged]:
    """Those of these segments that have an open episode; `other` comes first."""
    for column, value in sorted(names, key=lambda name: (name[0], name[1] is not None, name[1] or "")):
        track = tracks[column, value]
        if track.is_open:
            yield SegmentJudged(column=column, value=value, rows=0, verdict=verdict, episode=stage, since=track.since)
