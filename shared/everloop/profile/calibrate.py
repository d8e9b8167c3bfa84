"""Measure the reference by itself, window by window: what a budget of false alarms needs to know, and the season.

The rows that a version learnt from are cut into windows as the loop file cuts them, and each is measured against the
reference as a window of production will be, less its own rows where they are in it. Pure; used by the trainer's job.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from everloop.loop import Test
from everloop.measures import components, policy, running
from everloop.measures.divergence import Shape, divergence, inverse_rows, noise_per_row, standardised
from everloop.profile.cut import Cuts, cut
from everloop.profile.groups import column_groups
from everloop.profile.hours import Hours, of_holdout, references, with_slots
from everloop.profile.places import places_of
from everloop.profile.sample import Counted, Sample, counted
from everloop.profile.seasons import SLOTS
from everloop.profile.values import AlarmCurve, Band, Bands, Calibration, ColumnProfile, Profile, Season

Floats = NDArray[np.float64]
CONFIRMS: Final = (1, 2, 3, 5)
"""Numbers of confirming windows that curves are made for; for another the next smaller one errs towards quiet."""
SCORE: Final = "score"
USUAL: Final = (0.5, 0.95)
"""Quantiles that each statistic is put in place by, so that one threshold serves all."""
FOLDS: Final = 8
FEWEST: Final = 40
"""Windows that say anything about what windows show."""
LONGEST_MS: Final = 6 * 3_600_000
"""Windows up to this long have an hour."""
REPEATS: Final[dict[Season, int]] = {"hour_of_day": 3, "hour_of_week": 3}
"""Days, or weeks, in which each slot must have rows."""
DAY_MS: Final = 24 * 3_600_000
SIGNS: Final = 3.0
"""Standard errors, over days, that a season must stand out by."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the loop file cuts windows and compares them. Durations in ms; `rows` where windows close by rows."""

    every_ms: int
    size_ms: int
    min_rows: int
    test: Test = "psi"
    score_test: Test = "psi"
    rows: int | None = None
    season: Literal["auto", "none", "hour_of_day", "hour_of_week"] = "auto"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """One column over all windows: standardised divergences (windows,), components (windows, components), the usual.

    Each eighth of the windows is standardised by what the others show. A window that helps to say what is usual is
    never far from it: where windows hang together, limits made of all of them raised half as many alarms again.
    """

    name: str
    strong: Floats
    numbers: Floats
    usual: Usual


def calibrated(profile: Profile, sample: Sample, rules: Rules) -> Profile:
    """The profile with its season, and with what its windows show; without the latter where there are too few."""
    cuts = cut(sample.times, rules.every_ms, rules.size_ms, rules.rows, rules.min_rows, sample.since)
    counts = {column.name: counted(column, sample.columns[column.name], sample, cuts) for column in profile.columns}
    season, why = _season(profile, counts, cuts, rules, sample)
    hours = Hours.of(cuts, season, sample, sample.known) if season else None
    held, of_scores = of_holdout(cuts, season, sample)
    known = profile.model_copy(update={"season": season, "season_why": why})
    known = with_slots(known, sample, season, scores=of_scores is not None) if season else known
    if len(cuts.ranges) < FEWEST:
        return known
    columns = [measured(column, counts[column.name], cuts, rules.test, hours) for column in profile.columns]
    scores = counted(profile.score, sample.scores, sample.all_inside(), cuts)
    columns.append(measured(profile.score, scores, cuts, rules.score_test, held, name=SCORE))
    return known.model_copy(update={"calibration": _calibration(columns, cuts, rules)})


def measured(
    column: ColumnProfile, counts: Counted, cuts: Cuts, test: Test, hours: Hours | None, *, name: str | None = None
) -> Column:
    """Each window against the reference without its own rows."""
    shape = shape_of(column, test)
    scores = components.of_column(column.counts, column_groups(column), numeric=column.kind == "numeric")
    reference, current = references(counts, cuts, hours), counts.windows
    inverse = inverse_rows(reference.sum(axis=1), current.sum(axis=1))
    raw = Raw(
        divergence(shape, reference, current), noise_per_row(shape, reference) * inverse,
        components.moved(scores, reference, current), components.noise(scores, reference, inverse),
    )  # fmt: skip
    strong, numbers = np.full(len(inverse), np.nan), np.zeros_like(raw.moved)
    for fold in np.array_split(np.arange(len(inverse)), FOLDS):
        usual = Usual.of(raw.without(fold))
        strong[fold], numbers[fold] = usual.strong(raw.only(fold)), usual.numbers(raw.only(fold))
    return Column(name or column.name, strong, numbers, Usual.of(raw))


@dataclass(frozen=True, slots=True)
class Raw:
    """Per window: divergence and its noise (windows,), what mean scores moved and their noise (windows, components)."""

    found: Floats
    noise: Floats
    moved: Floats
    variance: Floats

    def only(self, places: NDArray[np.int64]) -> Raw:
        """Some windows."""
        return Raw(self.found[places], self.noise[places], self.moved[places], self.variance[places])

    def without(self, places: NDArray[np.int64]) -> Raw:
        """The others."""
        return self.only(np.delete(np.arange(len(self.found)), places))


@dataclass(frozen=True, slots=True)
class Usual:
    """What some windows of one column show: see `Calibration` for each."""

    unit: float
    center: float
    spread: float
    shift: Floats

    @classmethod
    def of(cls, raw: Raw) -> Usual:
        """Learn it from these windows."""
        unit = max(0.0, _mean(raw.found - raw.noise))
        roots = np.cbrt(raw.found / (raw.noise + unit))
        known = roots[np.isfinite(roots)]
        beyond = raw.moved**2 - raw.variance
        shift = np.array([max(0.0, _mean(one)) for one in beyond.T])
        return cls(unit, _mean(roots), float(known.std()) if known.size else 0.0, shift)

    def strong(self, raw: Raw) -> Floats:
        """The standardised divergences of windows."""
        return standardised(raw.found / (raw.noise + self.unit), self.center, self.spread)

    def numbers(self, raw: Raw) -> Floats:
        """What their mean scores moved, over its deviation."""
        return components.standardised(raw.moved, raw.variance + self.shift)


def shape_of(column: ColumnProfile, test: Test) -> Shape:
    """How a column is measured by this test."""
    numeric = column.kind == "numeric"
    return Shape.of(test, column_groups(column), places_of(column.edges) if numeric else None, column.deviation)


def _season(
    profile: Profile, counts: dict[str, Counted], cuts: Cuts, rules: Rules, sample: Sample
) -> tuple[Season | None, str]:
    """Which season, and why: what the loop file says, or what the windows show."""
    if rules.season != "auto":
        wanted = None if rules.season == "none" else rules.season
        return (wanted, "loop") if wanted is None or not _lacks(cuts, wanted) else (None, _lacks(cuts, wanted))
    if rules.size_ms > LONGEST_MS or rules.rows is not None:
        return None, "windows of several hours have none"
    best: tuple[Season | None, str] = (None, _lacks(cuts, "hour_of_day") or "none shown")
    wide = _excess(profile, counts, cuts, rules.test, None)
    for season in SLOTS:
        if _lacks(cuts, season):
            continue
        near = _excess(profile, counts, cuts, rules.test, Hours.of(cuts, season, sample, sample.known))
        if _shows(wide, near, cuts):
            best, wide = (season, "shown"), near
    return best


def _lacks(cuts: Cuts, season: Season) -> str:
    """What is missing for this season; empty where nothing is."""
    repeats = cuts.repeats(season)
    return "" if repeats >= REPEATS[season] else f"too short: each hour needs {REPEATS[season]} times, has {repeats}"


def _shows(wide: Floats, near: Floats, cuts: Cuts) -> bool:
    """Whether windows are clearly nearer to their own hour than to the reference (or to the coarser season).

    What divergences have beyond their noise must at least halve, and the gain stand out over days by three errors.
    """
    days = cuts.ends // DAY_MS
    gains = np.array([np.mean((wide - near)[days == day]) for day in np.unique(days)])
    if len(gains) < 2:  # noqa: PLR2004 - a deviation needs two
        return False
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    return bool(gains.mean() > SIGNS * error and near.mean() <= wide.mean() / 2)


def _excess(profile: Profile, counts: dict[str, Counted], cuts: Cuts, test: Test, hours: Hours | None) -> Floats:
    """Per window the divergences beyond their noise, in units of noise per row, added up over columns."""
    total = np.zeros(len(cuts.ranges))
    for column in profile.columns:
        shape, held = shape_of(column, test), counts[column.name]
        reference = references(held, cuts, hours)
        inverse = inverse_rows(reference.sum(axis=1), held.windows.sum(axis=1))
        found = divergence(shape, reference, held.windows) / noise_per_row(shape, reference) - inverse
        total += np.where(np.isfinite(found), found, 0.0)
    return total


def _calibration(columns: Sequence[Column], cuts: Cuts, rules: Rules) -> Calibration:
    strongest = np.nan_to_num(np.stack([one.strong for one in columns])).max(axis=0)
    numbers = np.concatenate([one.numbers for one in columns], axis=1)
    sums = running.sums(numbers, running.owners([one.numbers.shape[1] for one in columns]))
    each = strongest, sums.own.max(axis=1, initial=0.0), sums.joint
    window, column, joint = bands = [_band(one) for one in each]
    found = np.max([(one - band.middle) / band.reach for one, band in zip(each, bands, strict=True)], axis=0)
    return Calibration(
        every_ms=rules.every_ms, size_ms=rules.size_ms, rows=rules.rows, windows=len(found), span_ms=cuts.span_ms,
        test=rules.test, score_test=rules.score_test,
        unit={one.name: _short(one.usual.unit) for one in columns},
        shift={f"{one.name}/{n}": _short(shift) for one in columns for n, shift in enumerate(one.usual.shift.tolist())},
        center={one.name: _short(one.usual.center) for one in columns},
        spread={one.name: _short(one.usual.spread) for one in columns},
        bands=Bands(window=window, column=column, joint=joint),
        curves={confirm: _curve(found, confirm, rules.seed) for confirm in CONFIRMS},
    )  # fmt: skip


def _curve(found: Floats, confirm: int, seed: int) -> AlarmCurve:
    alarms, thresholds = zip(*policy.curve(found, confirm, seed), strict=True)
    return AlarmCurve(alarms=alarms, threshold=thresholds)


def _band(found: Floats) -> Band:
    middle, high = np.quantile(found, USUAL)
    return Band(middle=_short(middle), reach=_short(max(high - middle, 1e-9)))


def _short(number: float) -> float:
    return float(f"{number:.6g}")


def _mean(values: Floats) -> float:
    """Of what is finite; 0 of nothing."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else 0.0
