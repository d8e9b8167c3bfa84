"""How long labels take: which share of the rows has its label by which age. Pure.

Labels of young rows are still to come: a row without one is censored at the age that has been watched of it. The curve
is the product-limit estimate over such rows (Kaplan and Meier 1958), in bins of `everloop.sketch.delays`. It levels out
at the share of rows that ever get a label, where not all do (Maller and Zhou 1996). Among labels alone the same would
be the estimate for right-truncated delays (Lagakos, Barraj and De Gruttola 1988); here the rows without one are known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from everloop.sketch.delays import DELAY_BINS, UPPERS

MOST_COHORTS: Final = 128
"""Cohorts that are remembered; beyond it old neighbours are put together."""
OLDEST_MS: Final = 60 * 24 * 60 * 60 * 1000
"""Cohorts are forgotten after so long."""
FORGOTTEN_MS: Final = 30 * 24 * 60 * 60 * 1000
"""How long the join remembers a prediction: a label that comes later meets none."""


class Cohort(NamedTuple):
    """Rows predicted in `[start, end)` (ms), and those of them that were labelled, by the bin of their delay."""

    start: int
    end: int
    predicted: int
    delays: Mapping[int, int]

    @property
    def labelled(self) -> int:
        """Rows that have a label by now."""
        return sum(self.delays.values())

    def beside(self, later: Cohort) -> Cohort:
        """Both as one."""
        return Cohort(self.start, later.end, self.predicted + later.predicted, added(self.delays, later.delays))


class Curve(NamedTuple):
    """`shares` (`DELAY_BINS`,): share of the rows with a label by the end of each bin, known up to `reach` (ms)."""

    shares: NDArray[np.float64]
    reach: int

    @property
    def ever(self) -> float:
        """Share of the rows that get a label at all, as far as was watched."""
        return float(self.shares[-1])

    def by(self, age_ms: int) -> float:
        """Share of the rows with a label by this age."""
        place = int(np.searchsorted(UPPERS, age_ms, side="right")) - 1
        return float(self.shares[place]) if place >= 0 else 0.0

    def delay_ms(self, share: float) -> int | None:
        """The delay that this share of the labels does not exceed; None where there is no label."""
        if self.ever <= 0:
            return None
        return int(UPPERS[np.argmax(self.shares >= share * self.ever * (1 - 1e-12))])


def accepted(cohorts: Sequence[Cohort], matured: float, now: int) -> list[Cohort]:
    """Leave out cohorts with fewer labels, as yet, than `matured` of what was usual before: theirs may still come.

    What the join has forgotten gets no more labels, and is believed as it is. A cohort may be two standard errors
    short, so that few rows are no lack.
    """
    found: list[Cohort] = []
    rows = labels = 0
    for one in cohorts:
        usual = min(1.0, labels / rows) if rows else 0.0
        short = 2 * math.sqrt(usual * (1 - usual) / max(1, one.predicted))
        if now - one.end >= FORGOTTEN_MS or one.labelled >= (matured * usual - short) * one.predicted:
            found.append(one)
            rows, labels = rows + one.predicted, labels + one.labelled
    return found


def curve(cohorts: Sequence[Cohort], now: int) -> Curve:
    """The product-limit estimate at `now` (ms). A cohort counts up to the age that the youngest of its rows has."""
    places = sorted({place for cohort in cohorts for place in cohort.delays})  # between these nothing changes
    came = np.array([[cohort.delays.get(place, 0) for place in places] for cohort in cohorts], dtype=np.float64)
    came = came.reshape(len(cohorts), len(places))
    ages = np.array([now - cohort.end for cohort in cohorts], dtype=np.int64)
    rows = np.array([max(cohort.predicted, cohort.labelled) for cohort in cohorts], dtype=np.float64)
    watched = ages[:, None] >= UPPERS[places]
    waiting = np.where(watched, rows[:, None] - (np.cumsum(came, axis=1) - came), 0).sum(axis=0)
    staying = 1 - np.where(watched, came, 0).sum(axis=0) / np.where(waiting > 0, waiting, 1)
    steps = np.zeros(DELAY_BINS)
    steps[places] = -np.diff(np.cumprod(staying), prepend=1.0)
    reached = UPPERS[ages.max(initial=-1) >= UPPERS]
    return Curve(np.cumsum(steps), int(reached.max(initial=0)))


def remembered(cohorts: Sequence[Cohort], now: int) -> tuple[Cohort, ...]:
    """Forget the oldest, and put those neighbours together that differ least in age."""
    kept = [one for one in cohorts if now - one.end < OLDEST_MS]
    while len(kept) > MOST_COHORTS:
        spans = [(later.end - one.start) / max(1, now - later.end) for one, later in pairwise(kept)]
        place = spans.index(min(spans))
        kept[place : place + 2] = [kept[place].beside(kept[place + 1])]
    return tuple(kept)


def came_late(cohorts: Sequence[Cohort], late: Mapping[int, int], now: int) -> tuple[Cohort, ...]:
    """Add labels that came behind the closing of their windows, by delay: to the cohort that is about so old.

    What is older than all cohorts is left out.
    """
    found = list(cohorts)
    for place, rows in late.items():
        born = now - int(UPPERS[place])
        home = next((one for one, cohort in enumerate(found) if born < cohort.end), None)
        if home is not None and born >= found[0].start:
            found[home] = found[home]._replace(delays=added(found[home].delays, {place: rows}))
    return tuple(found)


def added(one: Mapping[int, int], two: Mapping[int, int]) -> dict[int, int]:
    """Counts of both, in order of bins."""
    return {place: one.get(place, 0) + two.get(place, 0) for place in sorted({*one, *two})}
