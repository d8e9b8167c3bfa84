"""Hold a window against a budget of false alarms: one number for all columns, and the threshold that the budget buys.

Each column gives its standardised divergence, and a few numbers that are added up over windows, and over all columns
(`everloop.measures`). The reference was measured in the same way when the version was trained; its profile carries what
it showed (`Calibration`), and every window carries that, so that a verdict is a function of the window and of the
windows before it. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from everloop import durations
from everloop.events import Budget, Episode, Measure
from everloop.measures import components, policy, running
from everloop.measures.divergence import (
    Shape,
    divergence,
    in_unit_of_the_test,
    inverse_rows,
    noise_per_row,
    ratio_of,
    standardised,
)
from everloop.profile.places import places_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from everloop.durations import Rate
    from everloop.events import ArmWindow, ColumnWindow, WindowJudged
    from everloop.loop import Loop, Test
    from everloop.profile import Calibration
    from everloop.profile.values import Bands

BESIDE: Final = frozenset({"missing_rate", "outside_constant"})
"""Measures that keep their fixed limits under a budget: by chance they do not come near."""
RUNNING: Final = "running_shift"
JOINT: Final = "joint_shift"
SCORE: Final = "score"
NAMES: Final[Mapping[str, str]] = {"ks": "ks_statistic", "chi_square": "chi_square_statistic"}
"""What is held against a limit in place of a p-value."""
DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class Look:
    """What a window shows: `found` against `threshold` (None: fixed limits apply), and `numbers` to add up.

    The latter are by column and component, such as `amount/0`.
    """

    budget: Budget
    found: float = 0.0
    threshold: float | None = None
    measures: tuple[Measure, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """One column of the window: its divergence, what that is a ratio of, what it gives, and its components."""

    window: ColumnWindow
    test: Test
    divergence: float
    unit: float
    inverse: float
    strong: float
    numbers: Mapping[str, float]


def budgeted(arm: ArmWindow, loop: Loop, trail: Sequence[Mapping[str, float]], *, is_open: bool) -> Look | None:
    """Look at the champion's columns and scores; None where the loop file has no budget.

    `trail` are the numbers of the windows before, oldest first. While an episode `is_open`, no more windows are added
    up than would close it: what has ended must be seen to have ended.
    """
    rate = loop.drift.false_alarms
    if rate is None:
        return None
    known, note = arm.calibration, unusable(arm.calibration, loop)
    asked = durations.format_rate(rate)
    if known is None or known.bands is None or note:
        return Look(Budget(asked=asked, note=note))
    threshold, certified = bought(known, rate, loop.drift.confirm)
    most = loop.drift.confirm if is_open else running.MOST
    seen = [*_seen(arm.columns, loop.drift.default.test, known)]
    seen += _seen([arm.score] if arm.score else [], loop.drift.score.test, known)
    added = Added.up(seen, trail, most)
    found = rounded(added.found(seen, known.bands))
    budget = Budget(
        asked=asked, certified=certified, windows=known.windows, needed=_needed(known, rate), found=found,
        threshold=threshold,
    )  # fmt: skip
    measures = tuple(measure for one in seen for measure in _measures(one, threshold, known, known.bands))
    measures += tuple(added.measures(seen, threshold, known.bands))
    return Look(budget, found, threshold, measures, {name: one for side in seen for name, one in side.numbers.items()})


@dataclass(frozen=True, slots=True)
class Added:
    """What columns show over the last windows: components, shape (windows, components), and the column of each."""

    numbers: NDArray[np.float64]
    owner: NDArray[np.int64]
    most: int
    sums: running.Sums

    @classmethod
    def up(cls, seen: Sequence[Seen], trail: Sequence[Mapping[str, float]], most: int) -> Added:
        """Add this window to those before it; what a window has not counts as 0."""
        names = [name for one in seen for name in one.numbers]
        now = {name: number for one in seen for name, number in one.numbers.items()}
        windows = [*trail[-running.MOST :], now][-running.MOST :]
        numbers = np.array([[window.get(name, 0.0) for name in names] for window in windows])
        owner = running.owners([len(one.numbers) for one in seen])
        return cls(numbers, owner, most, running.sums(numbers, owner, most))

    def found(self, seen: Sequence[Seen], bands: Bands) -> float:
        """The one number that a threshold is held against: whichever statistic stands farthest above its usual."""
        return max(
            bands.window.standing(max((one.strong for one in seen), default=0.0)),
            bands.column.standing(float(self.sums.own[-1].max(initial=0.0))),
            bands.joint.standing(float(self.sums.joint[-1])),
        )

    def measures(self, seen: Sequence[Seen], threshold: float, bands: Bands) -> Iterator[Measure]:
        """The columns that are above the threshold by what adds up: each by itself, or together with others."""
        for one, own in zip(seen, self._own(seen), strict=True):
            if rounded(bands.column.standing(own)) > threshold:
                yield _summed(one, RUNNING, own, bands.column.value(threshold))
        together = float(self.sums.joint[-1])
        if rounded(bands.joint.standing(together)) > threshold:
            usual = bands.joint.value(1.0)
            for column in running.outstanding(self.numbers, self.owner, usual, self.most):
                yield _summed(seen[column], JOINT, together, bands.joint.value(threshold))

    def _own(self, seen: Sequence[Seen]) -> list[float]:
        """Of each column; 0 of the last ones, where they have no components."""
        found: list[float] = self.sums.own[-1].tolist()
        return found + [0.0] * (len(seen) - len(found))


def unusable(known: Calibration | None, loop: Loop) -> str:
    """Why what the reference showed cannot be used under this loop file; empty where it can."""
    if known is None:
        return "the version was trained on too few windows to say what they show by chance: fixed limits apply"
    if known.bands is None:
        return "the version was trained by an older release: fixed limits apply until the next version"
    windows, every = loop.windows, timedelta(milliseconds=known.every_ms)
    size = timedelta(milliseconds=known.size_ms)
    if (every, size, known.rows) != (windows.every, windows.size or windows.every, windows.rows):
        return "the version was trained under other windows: fixed limits apply until the next version"
    if (known.test, known.score_test) != (loop.drift.default.test, loop.drift.score.test):
        return "the version was trained under other tests: fixed limits apply until the next version"
    return ""


def bought(known: Calibration, rate: Rate, confirm: int) -> tuple[float, str]:
    """The threshold that a budget buys, and the budget that the reference can certify, at best the one asked for.

    To hold one alarm in a time, the reference must be that long: the rarest thing that it can show comes once in it.
    """
    usable = max((one for one in known.curves if one <= confirm), default=min(known.curves))
    allowed = known.span_ms * rate.count / (rate.per / timedelta(milliseconds=1))
    threshold = policy.threshold(known.curves[usable].points, max(1.0, allowed))
    finest = durations.Rate(1, _whole(known.span_ms))
    return threshold, durations.format_rate(rate if allowed >= 1 else finest)


def follow_running(trail: tuple[Mapping[str, float], ...], event: WindowJudged) -> tuple[Mapping[str, float], ...]:
    """The numbers with those of a judged window; they begin anew where an episode opens or closes."""
    if event.episode in {Episode.OPENED, Episode.CLOSED}:
        return (event.running,) if event.episode is Episode.OPENED and event.running else ()
    return (*trail, event.running)[-running.MOST :] if event.running else trail


def rounded(number: float) -> float:
    """As the event says it, so that what is read back is what was decided on."""
    return float(f"{number:.{DIGITS}g}")


def _seen(windows: Sequence[ColumnWindow], test: Test, known: Calibration) -> Iterator[Seen]:
    for window in windows:
        if window.name not in known.unit:
            continue
        shape = _shape(window, test)
        inverse = float(inverse_rows(sum(window.reference.counts), sum(window.current.counts)))
        found = float(divergence(shape, window.reference.counts, window.current.counts))
        unit = float(noise_per_row(shape, window.reference.counts)) * inverse + known.unit[window.name]
        strong = _finite(float(standardised(found / unit, *_usual(window, known)))) if unit > 0 else 0.0
        yield Seen(window, shape.test, found, unit, inverse, strong, _components(window, inverse, known))


def _usual(window: ColumnWindow, known: Calibration) -> tuple[float, float]:
    return known.center[window.name], known.spread[window.name]


def _finite(number: float) -> float:
    return number if math.isfinite(number) else 0.0


def _shape(window: ColumnWindow, test: Test) -> Shape:
    places = places_of(window.edges) if window.kind == "numeric" else None
    deviation = (window.overall or window.reference).deviation
    groups = window.groups or range(len(window.current.counts))
    return Shape.of(test, list(groups), places, deviation)


def _components(window: ColumnWindow, inverse: float, known: Calibration) -> dict[str, float]:
    """What mean scores moved, over its deviation, by component; none where the reference had another number of them."""
    whole = (window.overall or window.reference).counts
    scores = components.of_column(whole, window.groups or tuple(range(len(whole))), numeric=window.kind == "numeric")
    names = [f"{window.name}/{place}" for place in range(scores.shape[1])]
    if any(name not in known.shift for name in names):
        return {}
    variance = components.noise(scores, window.reference.counts, inverse) + [known.shift[name] for name in names]
    moved = components.moved(scores, window.reference.counts, window.current.counts)
    return dict(zip(names, map(rounded, components.standardised(moved, variance).tolist()), strict=True))


def _measures(one: Seen, threshold: float, known: Calibration, bands: Bands) -> Iterator[Measure]:
    """The column's statistic in this window, beside the limit that the threshold is for it."""
    rows = sum(one.window.current.counts)
    ratio = ratio_of(bands.window.value(threshold), *_usual(one.window, known))
    limit = in_unit_of_the_test(one.test, ratio * one.unit, one.inverse)
    usable = math.isfinite(one.divergence) and math.isfinite(limit)
    yield Measure(
        name=one.window.name, test=NAMES.get(one.test, one.test), rows=rows, limit=limit if usable else None,
        value=in_unit_of_the_test(one.test, one.divergence, one.inverse) if usable else None,
        drifted=usable and rounded(bands.window.standing(one.strong)) > threshold,
    )  # fmt: skip


def _summed(one: Seen, test: str, value: float, limit: float) -> Measure:
    return Measure(
        name=one.window.name, test=test, value=rounded(value), limit=rounded(limit), drifted=True,
        rows=sum(one.window.current.counts),
    )  # fmt: skip


def _needed(known: Calibration, rate: Rate) -> int:
    """Windows that the reference must have for a budget."""
    per = rate.per / timedelta(milliseconds=1) / rate.count
    return math.ceil(known.windows * per / known.span_ms)


def _whole(span_ms: int) -> timedelta:
    """A span in whole hours, of several days in whole days; rounded up, which promises less."""
    hours = math.ceil(span_ms / 3_600_000)
    return timedelta(days=math.ceil(hours / 24)) if hours >= 48 else timedelta(hours=max(1, hours))  # noqa: PLR2004
