"""What stands in the way of a comparison: other columns than the profile has, or a reference that is none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, get_args

from everloop.diagnoses import FAULT_OF, FaultKind
from everloop.events import ArmWindow, ColumnSide, ColumnWindow, Diagnosis, Episode, Fault, Reason

KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)
SCHEMA_SHARE: Final = 0.01
SCHEMA_ROWS: Final = 30
"""Rows with other columns are a changed pipeline from 1 % of the rows on, and from 30, or from `windows.min_rows` where
that is less: one odd record of a producer is not, and a share that small changes no measure."""
MOST_NAMES: Final = 10


def schema_drift(arm: ArmWindow, min_rows: int) -> Reason | None:
    """Whether enough rows came with other columns; the reason names the columns. None when not."""
    rows = sum(split.rows for split in arm.splits)
    needed = max(SCHEMA_SHARE * arm.rows, min(SCHEMA_ROWS, min_rows))
    if not rows or rows < needed:
        return None
    named = [
        f"{change} {_names(name for split in arm.splits for name in getattr(split, change))}"
        for change in ("removed", "added", "retyped")
        if any(getattr(split, change) for split in arm.splits)
    ]
    return Reason(rule="schema", measured="; ".join(named) or "other columns", limit=needed, samples=rows)


def conforming(arm: ArmWindow) -> int:
    """Rows whose columns are those of the profile."""
    return arm.rows - sum(split.rows for split in arm.splits)


def reference_invalid(arm: ArmWindow) -> Reason | None:
    """Whether the reference cannot be compared with: corrupt in any column, or empty as a whole. None when it can.

    One column without a reference value beside others that have some is no fault: that it has values now can be seen.
    """
    columns = [*arm.columns, *([arm.score] if arm.score else [])]
    corrupt = [f"{one.name}: {why}" for one in columns if (why := _corrupt(one))]
    if corrupt:
        return _invalid("; ".join(corrupt[:MOST_NAMES]), arm)
    if arm.score and not any(arm.score.reference.counts):
        return _invalid(f"{arm.score.name}: no value", arm)
    if arm.columns and not any(any(one.reference.counts) for one in arm.columns):
        return _invalid("no column has a value", arm)
    return None


def stages(known: Iterable[str], verdict: str, diagnosis: Diagnosis | None = None) -> tuple[Fault, ...]:
    """How each fault stands: it opens with its verdict or diagnosis, and ends when a window could be compared."""
    compared = verdict in {"stable", "drifted", "reference_warming", "data_fault"}
    present = FAULT_OF.get(diagnosis.kind, verdict) if diagnosis else verdict
    return tuple(_stages(frozenset(known), present, compared=compared))


def _stages(known: frozenset[str], present: str, *, compared: bool) -> Iterator[Fault]:
    for kind in KINDS:
        if kind == present:
            yield Fault(kind=kind, stage=Episode.CONTINUING if kind in known else Episode.OPENED)
        elif kind in known:
            yield Fault(kind=kind, stage=Episode.CLOSED if compared else Episode.CONTINUING)


def _invalid(why: str, arm: ArmWindow) -> Reason:
    return Reason(rule="reference_invalid", measured=why, samples=arm.rows)


def _corrupt(column: ColumnWindow) -> str:
    """What does not fit; empty where all does."""
    bins = len(column.categories if column.kind == "categorical" else column.edges) + 1
    if len(column.reference.counts) != bins or len(column.current.counts) != bins:
        return f"{bins} bins, but counts of {len(column.reference.counts)} and {len(column.current.counts)}"
    if column.groups and not (len(column.groups) == bins > max(column.groups) and min(column.groups) >= 0):
        return "groups that do not fit the bins"
    if not all(low < high for low, high in pairwise(column.edges)):
        return "edges that do not ascend"
    if any(min(side.counts) < 0 or min(_lost(side)) < 0 for side in (column.reference, column.current)):
        return "negative counts"
    if (column.reference.deviation or 0) < 0:
        return "a negative deviation"
    return ""


def _lost(side: ColumnSide) -> tuple[int, int, int]:
    return side.missing, side.nonfinite, side.malformed


def _names(names: Iterable[str]) -> str:
    found = sorted(set(names))
    more = f" and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
    return ", ".join(found[:MOST_NAMES]) + more
