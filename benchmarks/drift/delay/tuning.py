"""Thresholds of equal alarm: each side's is set on seeds of its own where nothing changes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def alarms(fired: Sequence[bool]) -> int:
    """How often it began to fire: one alarm for windows in a row."""
    return sum(now and not before for before, now in zip((False, *fired), fired, strict=False))


def tuned(fires: Callable[[float], Sequence[Sequence[bool]]], low: float, high: float, most: int, steps: int) -> float:
    """The threshold with at most so many alarms over all streams that is nearest to more; they grow towards `low`.

    By bisection between `low` (too many) and `high` (few enough), on a logarithmic scale where both are above 0.
    """
    for _ in range(steps):
        middle = (low * high) ** 0.5
        if sum(map(alarms, fires(middle))) > most:
            low = middle
        else:
            high = middle
    return high


def delay(fired: Sequence[bool], onset: int) -> int | None:
    """Windows from the first changed one until it fires, that one counted; None where it never does."""
    return next((place + 1 for place, one in enumerate(fired[onset:]) if one), None)
