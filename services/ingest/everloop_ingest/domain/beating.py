"""When a heartbeat is due and what it says: silence of producers must still be in the log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from everloop.events import EVERY_MODEL

EVERY_MS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Written:
    """What this replica wrote last: when (ms, None before the first time), and the models' own clocks in it."""

    at: int | None = None
    own: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be written now. `heartbeat` goes into every partition; `clock` (ms) is the clock of all."""

    heartbeat: Mapping[str, int] | None
    clock: int | None


def due(own: Mapping[str, int], now: int, last: Written) -> Due:
    """Every second both; between, a heartbeat at once when a model's own clock has moved (replay waits for it).

    `own`: data clock (ms) of each model that has one of its own. `now`: the wall in ms; time never goes back.
    """
    moment = max(now, last.at or 0)
    second = last.at is None or moment - last.at >= EVERY_MS
    if not second and own == last.own:
        return Due(None, None)
    return Due({EVERY_MODEL: moment, **own}, moment if second else None)


def after(wrote: Due, own: Mapping[str, int], last: Written) -> Written:
    """What was written last, once `wrote` has been acknowledged."""
    if wrote.heartbeat is None:
        return last
    return Written(last.at if wrote.clock is None else wrote.clock, dict(own))
