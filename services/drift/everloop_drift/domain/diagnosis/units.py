"""A column in another unit, scale or sign. Pure; from means and deviations, since bins show no shape outside them.

x → a + b x moves the mean m to a + b m and the deviation s to b s. So a change of scale alone keeps the coefficient of
variation, s / m, whatever the distribution is; a known conversion predicts both; a sign flip mirrors the mean. Beside
the signature, three things tell a pipe from the world:

- the column was not like that in its last usual window (a date moves on and on, and is always out of range);
- where nothing usual is known, only signatures that the world does not write count;
- the columns with a signature are at least half of those that moved at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from everloop.events import Evidence
from everloop_drift.domain.diagnosis.columns import Column, evidence

BEYOND: Final = 100.0
"""Deviations of the reference that no world moves a mean by; a window cuts values off at 1,024 of them."""
SCALE: Final = 6.5
"""A factor from which on (or from its inverse down) mean and deviation that went together are a unit."""
TENFOLD: Final = 9.0
"""The same where nothing usual is known: a decimal place, or more."""
CENTRED: Final = 20.0
"""The same for a column around zero, whose mean says nothing."""
AGREE: Final = math.log(1.2)
"""How far the two factors may be apart (logarithms): the sampling error of a deviation with heavy tails."""
JUMP: Final = math.log(4.0)
"""Change of ln deviation since the usual window that is a jump."""
JUMPED: Final = 2.0
"""Change of the mean since the usual window that is a jump, in deviations of the reference."""
OUT: Final = 0.9
LEAP: Final = 5.0
"""Nearly all values where the reference never had any, so many deviations away from the last usual window."""
NEAR: Final = 0.5
"""How far from the predicted mean a conversion may be, in deviations of its own."""
SPREAD: Final = math.log(1.2)
"""How far its deviation may be from the predicted one (logarithms)."""
MIRRORED: Final = 0.25
"""How far from the mirrored mean a flip may be, in deviations, and how far its deviation (logarithms)."""
ALIKE: Final = math.log(1.4)
FAR: Final = 2.5
"""Deviations by which a conversion has to move a column: a smaller one the world may do as well."""


class Conversion(NamedTuple):
    """x → shift + factor x."""

    name: str
    factor: float
    shift: float


CONVERSIONS: Final = (
    Conversion("celsius_to_fahrenheit", 1.8, 32.0),
    Conversion("fahrenheit_to_celsius", 1 / 1.8, -32 / 1.8),
    Conversion("celsius_to_kelvin", 1.0, 273.15),
    Conversion("kelvin_to_celsius", 1.0, -273.15),
    Conversion("fahrenheit_to_kelvin", 1 / 1.8, 459.67 / 1.8),
    Conversion("kelvin_to_fahrenheit", 1.8, -459.67),
)
"""Affine units in use; scales need no list."""


class _Moments(NamedTuple):
    """Means and deviations, now and of the reference; `usual` is the shift of mean and ln deviation of last time."""

    mean: float
    deviation: float
    mean_then: float
    deviation_then: float
    usual: tuple[float, float] | None

    @property
    def shift(self) -> float:
        return (self.mean - self.mean_then) / self.deviation_then

    @property
    def spread(self) -> float:
        """Logarithm of the factor of the deviation; −inf for a column without one."""
        return math.log(self.deviation / self.deviation_then) if self.deviation > 0 else -math.inf

    @property
    def jump(self) -> float:
        """How far the mean has moved since the last usual window, in deviations of the reference."""
        return abs(self.shift - self.usual[0]) if self.usual else math.inf


def changed_unit(columns: Sequence[Column]) -> Iterator[Evidence]:
    """Columns whose values came in another unit, where most of what moved looks like it."""
    found = [(one, said) for one in columns if (said := signature(one)) is not None]
    moved = {one.name for one in columns if one.moved} | {one.name for one, _ in found}
    if 2 * len(found) >= len(moved):
        yield from (said for _, said in found)


def signature(one: Column) -> Evidence | None:
    """What of a column says that its unit changed; None where nothing does."""
    moments = _moments(one)
    if moments is None:
        return None
    return (
        _beyond(one, moments)
        or _scaled(one, moments)
        or _converted(one, moments)
        or _flipped(one, moments)
        or _elsewhere(one, moments)
    )


def _moments(one: Column) -> _Moments | None:
    then, now, usual = one.window.reference, one.window.current, one.usual
    if then.mean is None or not then.deviation or now.mean is None or now.deviation is None:
        return None
    if not (one.varied and one.rows):
        return None
    known = usual and usual.mean_shift is not None and usual.variance_shift is not None
    shifts = (usual.mean_shift, usual.variance_shift) if usual and known else None
    return _Moments(now.mean, now.deviation, then.mean, then.deviation, shifts)  # type: ignore[arg-type]


def _beyond(one: Column, m: _Moments) -> Evidence | None:
    """So far away that sums were cut off, or nearly. A clock goes as far, and keeps its ratio of means near 1."""
    ratio = m.mean / m.mean_then if m.mean_then else math.inf
    if abs(m.shift) >= BEYOND and m.jump >= BEYOND / 2 and not 1 / 3 < ratio < 3:  # noqa: PLR2004 - as a unit at least
        return evidence(one, "mean_shift", m.shift, BEYOND)
    return None


def _scaled(one: Column, m: _Moments) -> Evidence | None:
    if not math.isfinite(m.spread) or (m.usual and abs(m.spread - m.usual[1]) < JUMP):
        return None
    factor, least = math.exp(m.spread), SCALE if m.usual else TENFOLD
    if abs(m.mean_then) < MIRRORED * m.deviation_then:
        around = one.window.edges[0] < 0 < one.window.edges[-1] and abs(m.mean) <= NEAR * m.deviation
        return evidence(one, "scale", factor, CENTRED) if abs(m.spread) >= math.log(CENTRED) and around else None
    ratio = m.mean / m.mean_then
    together = ratio > 0 and abs(math.log(ratio) - m.spread) <= AGREE
    return evidence(one, "scale", factor, least) if abs(m.spread) >= math.log(least) and together else None


def _converted(one: Column, m: _Moments) -> Evidence | None:
    for known in CONVERSIONS:
        mean, deviation = known.shift + known.factor * m.mean_then, known.factor * m.deviation_then
        far = abs(mean - m.mean_then) >= FAR * max(deviation, m.deviation_then)
        near = abs(m.mean - mean) <= NEAR * deviation and m.deviation > 0
        if far and near and m.jump >= JUMPED and abs(math.log(m.deviation / deviation)) <= SPREAD:
            return evidence(one, known.name, m.mean, mean)
    return None


def _flipped(one: Column, m: _Moments) -> Evidence | None:
    """The mirror image of the reference, where that is not where the reference is: beyond it, or far away."""
    apart = abs(m.shift) >= FAR or one.figures.get("out_of_range", 0.0) >= NEAR
    mirrored = abs(m.mean + m.mean_then) <= MIRRORED * m.deviation_then and abs(m.spread) <= ALIKE
    if apart and mirrored and m.jump >= min(JUMPED, abs(m.shift) / 2):
        return evidence(one, "sign", m.mean, -m.mean_then)
    return None


def _elsewhere(one: Column, m: _Moments) -> Evidence | None:
    """No known signature, but a leap: nearly all is out of the range that its last window was well within."""
    usual, out = one.usual, one.figures.get("out_of_range", 0.0)
    if usual is None or out < OUT or (usual.outside or 0.0) > 1 - OUT or m.jump < LEAP:
        return None
    return evidence(one, "out_of_range", out, OUT)
