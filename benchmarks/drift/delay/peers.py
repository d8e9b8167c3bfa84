"""The two that we are compared with, on the same windows: the threshold of each is one number, and is tuned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from river.drift import ADWIN

from benchmarks.drift.delay.streams import CATEGORICAL, NAMES, NUMERIC, Values, Window
from everloop_drift.domain.measures import measure

if TYPE_CHECKING:
    from everloop.events import ColumnWindow


def strongest_distance(columns: Sequence[ColumnWindow]) -> float:
    """Evidently's default statistic for a reference of more than 1,000 rows, the largest of all columns.

    The normed Wasserstein distance of numbers, the Jensen-Shannon distance of categories, by our functions, which the
    tests of parity hold to scipy's and Evidently's.
    """
    test = {"numeric": "wasserstein", "categorical": "jensen_shannon"}
    return max(one.by_test[test[one.kind]] for one in measure(columns))


def adwin(windows: Iterable[Window], delta: float) -> list[bool]:
    """Whether a bare ADWIN of any column fired within each window; it hears every row, categories by their number."""
    hearing = {name: ADWIN(delta=delta) for name in (*NUMERIC, *CATEGORICAL)}  # type: ignore[no-untyped-call]
    heard = ([_fired(hearing[name], name, values) for name, values in one.items()] for one in windows)  # all, always
    return [any(fired) for fired in heard]


def _fired(hearing: ADWIN, name: str, values: Values) -> bool:
    fired, update = False, hearing.update
    for value in _numbers(name, values):
        update(value)  # type: ignore[no-untyped-call]  # River has types in parts
        fired = fired or hearing.drift_detected
    return fired


def _numbers(name: str, values: Values) -> list[float]:
    if name in NUMERIC:
        return [*map(float, values)]
    return [*map(float, np.searchsorted(NAMES[CATEGORICAL.index(name)], values))]
