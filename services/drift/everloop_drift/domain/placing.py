"""Which slice each row of a record falls into, which rows are late, and which are dated too far ahead. Pure.

A slice stays open until the watermark has passed its end and the slack. Rows that come later are taken into one
revision of it for `revise` more, then they are late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from everloop.listed import ends_of

if TYPE_CHECKING:
    from everloop_drift.domain.rules import Kind, WindowRules

AHEAD_MS: Final = 24 * 60 * 60 * 1000
"""A row dated further ahead of its model's watermark is implausible, and quarantined; where a slice is longer than
this, one dated more than a slice ahead: a replay sends a slice whole, and moves the clock then."""


class Slice(NamedTuple):
    """A stretch `[start, end)` in ms; `revision` 1 is for rows that came after it was final."""

    start: int
    end: int
    revision: int


@dataclass(slots=True)
class Placed:
    """Row numbers per slice (None: all rows of the record), those that are late, and how many are implausible."""

    rows: dict[Slice, list[int] | None] = field(default_factory=dict)
    late: Sequence[int] = ()
    implausible: int = 0

    def behind(self, rows: int) -> list[int]:
        """Of so many rows, those that came behind the closing of their slice: for its revision, or late."""
        revised = (range(rows) if index is None else index for where, index in self.rows.items() if where.revision)
        return sorted({*self.late, *chain.from_iterable(revised)})


def place(times: Sequence[int], watermark: int | None, rules: WindowRules, kind: Kind) -> Placed:
    """Place the rows of one record, `times` in ms. Without a watermark nothing is late or ahead."""
    if not times:
        return Placed()
    first, last = ends_of(times)
    start = first - first % rules.every
    if last < start + rules.every and not _is_ahead(last, watermark, rules):
        return _whole(start, len(times), watermark, rules, kind)
    return _each(times, watermark, rules, kind)


def _whole(start: int, rows: int, watermark: int | None, rules: WindowRules, kind: Kind) -> Placed:
    revision = _revision(start + rules.every, watermark, rules, kind)
    if revision is None:
        return Placed(late=range(rows))
    return Placed({Slice(start, start + rules.every, revision): None})


def _each(times: Sequence[int], watermark: int | None, rules: WindowRules, kind: Kind) -> Placed:
    placed = Placed()
    found: dict[Slice, list[int] | None] = placed.rows
    late: list[int] = []
    for row, time in enumerate(times):
        start = time - time % rules.every
        revision = _revision(start + rules.every, watermark, rules, kind)
        if revision is None:
            late.append(row)
        elif _is_ahead(time, watermark, rules):
            placed.implausible += 1
        else:
            rows = found.setdefault(Slice(start, start + rules.every, revision), [])
            if rows is not None:
                rows.append(row)
    placed.late = late
    return placed


def _is_ahead(time: int, watermark: int | None, rules: WindowRules) -> bool:
    return watermark is not None and time > watermark + max(AHEAD_MS, rules.every)


def _revision(end: int, watermark: int | None, rules: WindowRules, kind: Kind) -> int | None:
    """0 while the slice is open, 1 while late rows are taken, then None."""
    if watermark is None or watermark < rules.final_at(end, kind, 0):
        return 0
    return 1 if watermark < rules.final_at(end, kind, 1) else None
