"""Worlds in which nothing changes, and what a judge makes of them: rows, a profile as the trainer makes it, windows.

Four columns of numbers, one of categories, and scores; a window per hour. `stationary` rows are independent; in an
`autocorrelated` world the means of windows wander (AR(1), 0.8, by 0.1 deviations); in a `seasonal` one they swing by
0.4 in a day, in a `tidal` one by 2, which is most of what there is to see. Scores are those of the first column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from everloop import events as e
from everloop.loop import Loop, Test
from everloop.profile import ColumnProfile, Profile, build_profile, column_groups
from everloop.profile.calibrate import Rules, calibrated
from everloop.profile.cells import FIRST_BIN
from everloop.profile.sample import Sample, cells_of
from everloop_drift.domain.arms import seasonal
from everloop_drift.domain.budget import Look, budgeted, follow_running
from everloop_drift.domain.closing import Bounds, Closing
from tests.builders import HOUR_MS, NOON, a_fresh_id, a_loop

Floats = NDArray[np.float64]
World = Literal["stationary", "autocorrelated", "seasonal", "tidal"]
WEEK: Final = 168
ROWS: Final = 100
NUMBERS: Final = ("a", "b", "c", "d")
MIXES: Final = ("w", "x", "y", "z")
BEGIN: Final = 1_767_571_200_000
_NATURE: Final[Mapping[World, tuple[float, float, float]]] = {
    "stationary": (0.0, 0.0, 0.0), "autocorrelated": (0.8, 0.1, 0.0), "seasonal": (0.0, 0.0, 0.4),
    "tidal": (0.0, 0.0, 2.0),
}  # fmt: skip


@dataclass(frozen=True)
class Lived:
    """One world from one seed: `reference` windows that the version learnt from, then as many as are asked for."""

    world: World
    seed: int
    reference: int = 6 * WEEK
    test: Test = "psi"
    shift: float = 0.0
    budget: str = "1 per 30d"
    moving: tuple[int, ...] = (1,)
    each: int = ROWS
    loop: Loop = field(init=False)

    def __post_init__(self) -> None:
        limits = {"default": {"test": self.test}, "score": {"test": self.test}}
        drift = {**limits, "false_alarms": self.budget}
        object.__setattr__(self, "loop", a_loop(windows={"every": "1h", "min_rows": 50}, drift=drift))

    def rows(self, windows: int, first: int, part: int) -> tuple[Floats, NDArray[np.str_], Floats]:
        """Numbers (windows, rows, columns), categories and scores (windows, rows)."""
        hold, sway, swing = _NATURE[self.world]
        draw = np.random.default_rng([self.seed, part, len(self.world)])
        steps = draw.standard_normal((windows, len(NUMBERS))) * sway * (1 - hold**2) ** 0.5
        means = np.zeros_like(steps)
        means[0] = draw.standard_normal(len(NUMBERS)) * sway
        for place in range(1, windows):
            means[place] = hold * means[place - 1] + steps[place]
        means += swing * np.sin(2 * np.pi * (first + np.arange(windows)) / 24)[:, None]
        numbers = draw.standard_normal((windows, self.each, len(NUMBERS))) + means[:, None]
        chosen = draw.choice(MIXES, size=(windows, self.each), p=[0.5, 0.3, 0.15, 0.05])
        return numbers, chosen, 1 / (1 + np.exp(-numbers[:, :, 0]))

    @cached_property
    def profile(self) -> Profile:
        """What the trainer would make of the reference: its newest fifth before the holdout is compared with."""
        numbers, chosen, scores = self.rows(self.reference, 0, 0)
        hours = np.repeat(np.arange(self.reference), self.each)
        times = BEGIN + hours * HOUR_MS + np.tile(np.arange(self.each) * 30_000, self.reference)
        cut = len(times) * 4 // 5
        inside = (np.arange(len(times)) >= cut - len(times) // 5) & (np.arange(len(times)) < cut)
        columns: dict[str, Floats | list[object]] = {
            name: numbers[:, :, place].ravel() for place, name in enumerate(NUMBERS)
        }
        columns["mix"] = [*map(str, chosen.ravel())]
        shown = {name: values[cut - len(times) // 5 : cut] for name, values in columns.items()}
        made = build_profile(shown, scores=scores.ravel()[cut:])
        rules = Rules(HOUR_MS, HOUR_MS, 50, self.test, self.test)
        held = np.arange(len(times)) >= cut
        return calibrated(made, Sample(columns, scores.ravel(), times, inside, held=held), rules)

    def moved_by(self, shift: float) -> Lived:
        """The same world and version, but that one column has moved after the reference."""
        made = Lived(self.world, self.seed, self.reference, self.test, shift, self.budget)
        object.__setattr__(made, "profile", self.profile)
        return made

    def arms(self, windows: int, part: int = 1) -> Iterator[e.ArmWindow]:
        """So many windows after the reference; from the first on the `moving` columns have moved by `shift`."""
        numbers, chosen, scores = self.rows(windows, self.reference, part)
        numbers[:, :, self.moving] += self.shift
        profile = self.profile
        for place in range(windows):
            start = BEGIN + (self.reference + place) * HOUR_MS
            values = [*(numbers[place, :, column] for column in range(len(NUMBERS))), chosen[place].tolist()]
            closing = Closing("inputs", Bounds(start, start + HOUR_MS, start), 0, start + HOUR_MS)
            columns = tuple(
                seasonal(beside(column, some), column, profile.season, closing)
                for column, some in zip(profile.columns, values, strict=True)
            )
            yield e.ArmWindow.model_construct(
                arm="champion", version="1", rows=self.each, columns=columns, splits=(), season=profile.season,
                score=seasonal(beside(profile.score, scores[place]), profile.score, profile.season, closing),
                calibration=profile.calibration, task="binary",
            )  # fmt: skip

    def looks(self, windows: int, part: int = 1) -> Iterator[tuple[Look, e.Episode]]:
        """What the judge makes of each, with the episode that the policy makes of it."""
        trail: tuple[Mapping[str, float], ...] = ()
        opened, above, below, confirm = False, 0, 0, self.loop.drift.confirm
        for arm in self.arms(windows, part):
            look = budgeted(arm, self.loop, trail, is_open=opened)
            assert look is not None
            assert look.threshold is not None
            above, below = (above + 1, 0) if look.found > look.threshold else (0, below + 1)
            episode = e.Episode.CONTINUING if opened else e.Episode.NONE
            if not opened and above >= confirm:
                opened, episode = True, e.Episode.OPENED
            elif opened and below >= confirm:
                opened, episode = False, e.Episode.CLOSED
            trail = follow_running(trail, said(look, episode))
            yield look, episode

    def alarms(self, windows: int, part: int = 1) -> int:
        """Episodes that open."""
        return [episode for _, episode in self.looks(windows, part)].count(e.Episode.OPENED)


def said(look: Look, episode: e.Episode) -> e.WindowJudged:
    """As much of the event as the running numbers are folded from."""
    return e.WindowJudged(
        id=a_fresh_id(), time=NOON, model="fraud", kind="inputs", start=0, end=1, revision=0, version="1",
        verdict="stable", measures=(), reason=e.Reason(rule="drift.false_alarms"), episode=episode,
        running=look.numbers,
    )  # fmt: skip


def beside(column: ColumnProfile, values: Floats | list[object]) -> e.ColumnWindow:
    """Values of one column beside its reference, counted as the trainer counts them."""
    cells, _ = cells_of(column, values)
    counts = np.bincount(cells - FIRST_BIN, minlength=len(column.counts))
    current = e.ColumnSide(
        counts=tuple(counts.tolist()), mean=float(values.mean()) if isinstance(values, np.ndarray) else None,
        deviation=float(values.std()) if isinstance(values, np.ndarray) else None,
    )  # fmt: skip
    reference = e.ColumnSide(counts=column.counts, mean=column.mean, deviation=column.deviation)
    return e.ColumnWindow(
        name=column.name, kind=column.kind, current=current, reference=reference, edges=column.edges,
        categories=column.categories, groups=groups_of(column),
    )  # fmt: skip


@lru_cache
def groups_of(column: ColumnProfile) -> tuple[int, ...]:
    """The groups of a column's bins; the same for each window."""
    return column_groups(column)
