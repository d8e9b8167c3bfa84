"""Which window of a model closes next: unions of slices, by time or by rows, following one another or sliding. Pure.

A window is closed when the watermark of every source partition has passed its end and the slack: grace for inputs, the
horizon of labels for its outcomes, `revise` more for its revision. What closes next depends on what the final slices
hold, never on how far a reader is: whoever closes it, and however late, it is the same window.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from everloop_drift.domain.rules import Kind, WindowRules

MOST_EMPTY: Final = 96
"""Empty windows in a row that are said; the following ones are passed over until rows come again."""


MOST_OWED: Final = 1 << 17
"""Rows by segment that are remembered for windows that still wait for labels: less than a megabyte in the record. Of
further windows it is not known how many rows of each segment there were."""
SegmentRows = Mapping[str, Sequence[int]]


class Bounds(NamedTuple):
    """Slices that end after `start` and at or before `end` (ms); those that end after `fresh` were in no window yet."""

    start: int
    end: int
    fresh: int


@dataclass(frozen=True, slots=True)
class Owed:
    """An inputs window whose outcomes are still to be closed, and its rows by arm and version (`arm|version`).

    `fresh_rows` are those of its slices that were in no window before; None where an older version did not say.
    `segments` are the champion's rows by version and segment, in the order of the profile; a version whose rows are not
    all known by segment is not there.
    """

    bounds: Bounds
    predicted: Mapping[str, int]
    fresh_rows: int | None = None
    segments: SegmentRows = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chain:
    """What has been closed of one model. `until`: the end of its last inputs window; None before the first.

    `said` counts the records of its windows, `empty` windows without rows in a row. `revisable` are closed windows that
    late rows may still revise.
    """

    said: int = 0
    until: int | None = None
    start: int | None = None
    empty: int = 0
    owed: tuple[Owed, ...] = ()
    revisable: tuple[tuple[Kind, Bounds], ...] = ()

    def needs(self, kind: Kind, rules: WindowRules) -> int | None:
        """Slices of this kind that end at or before this time (ms) are needed no more; None: all are."""
        if self.until is None:
            return None
        bound = self.until
        if rules.rows is None:
            bound -= rules.size - rules.every
        elif rules.sliding and self.start is not None:
            bound = self.start
        later = [bounds.start for one, bounds in self.revisable if one == kind]
        later += [owed.bounds.start for owed in self.owed] if kind == "outcomes" else []
        return min([bound, *later])


@dataclass(frozen=True, slots=True)
class Closing:
    """One window record to be written: `at` is when it closes (ms).

    `predicted`, `fresh_rows` and `segments` only for outcomes, as in `Owed`.
    """

    kind: Kind
    bounds: Bounds
    revision: int
    at: int
    predicted: Mapping[str, int] | None = None
    fresh_rows: int | None = None
    segments: SegmentRows = field(default_factory=dict)


class Slices(Protocol):
    """What is known of the slices of inputs."""

    @property
    def begin(self) -> int | None:
        """The start of the first one that is known (ms)."""

    @property
    def rows(self) -> Sequence[tuple[int, int]]:
        """End and rows of each, without shadows, in order of end."""


def next_closing(chain: Chain, rules: WindowRules, slices: Slices) -> Closing | None:
    """The window that closes next, whenever that is; None where nothing is known to close."""
    found = [*_inputs(chain, rules, slices), *_outcomes(chain, rules), *_revisions(chain, rules)]
    return min(found, key=lambda one: (one.at, one.revision, one.kind, one.bounds), default=None)


def closed(
    chain: Chain, closing: Closing, rules: WindowRules, predicted: Mapping[str, int], fresh_rows: int | None = None,
    segments: SegmentRows | None = None,
) -> Chain:  # fmt: skip
    """The chain after this record was written; what is known of an inputs window is as in `Owed`."""
    bounds, kind = closing.bounds, closing.kind
    chain = replace(chain, said=chain.said + 1)
    if closing.revision:
        return replace(chain, revisable=tuple(one for one in chain.revisable if one != (kind, bounds)))
    revisable = (*chain.revisable, (kind, bounds)) if rules.revise else chain.revisable
    if kind == "outcomes":
        return replace(chain, owed=chain.owed[1:], revisable=revisable)
    empty = 0 if any(predicted.values()) else chain.empty + 1
    owed = (*chain.owed, Owed(bounds, predicted, fresh_rows, _remembered(chain, segments or {})))
    return replace(chain, until=bounds.end, start=bounds.start, empty=empty, owed=owed, revisable=revisable)


def _remembered(chain: Chain, segments: SegmentRows) -> SegmentRows:
    """What there is room for, beside the windows that wait already."""
    held = sum(len(rows) for owed in chain.owed for rows in owed.segments.values())
    return segments if held + sum(map(len, segments.values())) <= MOST_OWED else {}


def passed_over(chain: Chain, rules: WindowRules, slices: Slices, watermark: int) -> Chain:
    """Go on, without a word, over windows that would be empty after many empty ones; by time only.

    As far as the watermark is sure that they are empty, and no further than to the next slice with rows.
    """
    if chain.until is None or chain.empty < MOST_EMPTY or rules.rows is not None:
        return chain
    reach = watermark - rules.grace
    end = reach - reach % rules.every
    following = [slice_end for slice_end, rows in slices.rows if rows and slice_end > chain.until]
    end = min([end, *(slice_end - rules.every for slice_end in following[:1])])
    return replace(chain, until=end) if end > chain.until else chain


def _inputs(chain: Chain, rules: WindowRules, slices: Slices) -> Sequence[Closing]:
    begin = slices.begin if chain.until is None else chain.until
    if begin is None:
        return ()
    bounds = _by_time(chain, rules, begin) if rules.rows is None else _by_rows(chain, rules, slices, begin)
    return () if bounds is None else (Closing("inputs", bounds, 0, bounds.end + rules.grace),)


def _by_time(chain: Chain, rules: WindowRules, begin: int) -> Bounds:
    """The next boundary; the first window is a whole one."""
    first = begin - begin % rules.every
    end = first + (rules.size if chain.until is None else rules.every)
    return Bounds(end - rules.size, end, first if chain.until is None else chain.until)


def _by_rows(chain: Chain, rules: WindowRules, slices: Slices, begin: int) -> Bounds | None:
    """The first boundary at which the slices since the last window, or the newest ones, have their rows."""
    until = begin - begin % rules.every if chain.until is None else chain.until
    since = chain.start if rules.sliding and chain.start is not None else until
    needed, held = rules.rows or 0, deque[tuple[int, int]]()
    for end, rows in slices.rows:
        if end <= since or not rows:
            continue
        held.append((end, rows))
        while rules.sliding and sum(count for _, count in held) - held[0][1] >= needed:
            since = held.popleft()[0]
        if end > until and sum(count for _, count in held) >= needed:
            return Bounds(since, end, until)
    return None


def _outcomes(chain: Chain, rules: WindowRules) -> Sequence[Closing]:
    return [
        Closing(
            "outcomes", owed.bounds, 0, owed.bounds.end + rules.horizon, owed.predicted, owed.fresh_rows, owed.segments
        )
        for owed in chain.owed[:1]
    ]


def _revisions(chain: Chain, rules: WindowRules) -> Sequence[Closing]:
    return [Closing(kind, bounds, 1, rules.final_at(bounds.end, kind, 1)) for kind, bounds in chain.revisable]
