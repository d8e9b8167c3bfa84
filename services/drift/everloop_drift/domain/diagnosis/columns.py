"""What the rules see of one column: its counts, its figures, and those of earlier windows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from everloop import diagnoses
from everloop.events import ColumnWindow, Diagnosis, Evidence, MeasureTable
from everloop.profile import MAX_BINS

MOST: Final = 20
"""Columns and evidence that a diagnosis names."""
MOVED: Final = 0.2
"""The PSI from which on a column has moved, whatever the loop file takes for drift (the well-known limit)."""


class Known(NamedTuple):
    """What is remembered of a column in one window, to the five digits of its figures; None: not measured.

    `outside` is the share of values that the reference never had.
    """

    mean_shift: float | None = None
    variance_shift: float | None = None
    psi: float | None = None
    outside: float | None = None
    constant: float | None = None

    @classmethod
    def of(cls, figures: Mapping[str, float]) -> Known:
        """Keep what later windows are compared with."""
        return cls(
            figures.get("mean_shift"), figures.get("variance_shift"), figures.get("psi"),
            figures.get("out_of_range", figures.get("unseen")), figures.get("constant"),
        )  # fmt: skip

    @property
    def content(self) -> tuple[float | None, ...]:
        """What two windows with the same values have in common."""
        return self.mean_shift, self.variance_shift, self.psi


@dataclass(frozen=True, slots=True)
class Column:
    """One column now. `usual` is its last window without a fault, `before` the last of all; None: there was none.

    `changes` is how often in a row it was seen to change from one window to the next, up to `stale.LIVELY`.
    """

    window: ColumnWindow
    figures: Mapping[str, float]
    rows: int
    usual: Known | None = None
    before: Known | None = None
    changes: int = 0

    @property
    def name(self) -> str:
        """Its name."""
        return self.window.name

    @property
    def now(self) -> Known:
        """What will be remembered of it."""
        return Known.of(self.figures)

    @property
    def varied(self) -> bool:
        """Whether the reference has several values: against a constant one nothing can be absurd."""
        return sum(count > 0 for count in self.window.reference.counts) > 1

    @property
    def fine(self) -> bool:
        """Whether it has more different numbers than bins: a calendar or a count of few values has not."""
        return self.window.kind == "numeric" and len(self.window.edges) >= MAX_BINS - 1

    @property
    def moved(self) -> bool:
        """Whether it is other than the reference by the well-known limit, and was not so in its usual window."""
        usual = self.usual.psi if self.usual else None
        return (self.now.psi or 0.0) >= MOVED > (usual or 0.0)


def columns_of(
    windows: Sequence[ColumnWindow],
    table: MeasureTable,
    usual: Mapping[str, Known],
    before: Mapping[str, Known],
    changes: Mapping[str, int],
) -> tuple[Column, ...]:
    """The columns that were measured, beside what is remembered of them."""
    return tuple(
        Column(
            one, table.of(found), found.rows, usual.get(one.name), before.get(one.name), changes.get(one.name, 0)
        )
        for one in windows
        if (found := table.columns.get(one.name)) is not None
    )  # fmt: skip


def evidence(one: Column, test: str, value: float | str | None, limit: float | str | None) -> Evidence:
    """Say what was measured of a column."""
    return Evidence(name=one.name, test=test, value=value, limit=limit)


def diagnosis(kind: diagnoses.Kind, found: Iterable[Evidence], *, named: bool = True) -> Diagnosis:
    """Put evidence together; `named`: it is about columns."""
    kept = tuple(found)[:MOST]
    names = tuple(dict.fromkeys(one.name for one in kept)) if named else ()
    return Diagnosis(kind=kind, columns=names, evidence=kept)
