"""The process under test of `drift.verdict`: `python -m benchmarks.drift.verdict_ours ROUNDS`; seconds of CPU as JSON.

Rows come as Arrow gives them (numbers as arrays, texts as codes); and again as JSON gives them, as lists.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from benchmarks.drift.world import CATEGORIES, NUMERIC, START, START_MS, VERSION, a_loop, columns, reference, scores
from everloop.events import WindowClosed, WindowJudged
from everloop.rows import Categories
from everloop.sketch import AS_PROFILE, Inputs, Layout, Sums
from everloop_drift.domain import judging
from everloop_drift.domain.arms import Reference, arm_windows
from everloop_drift.domain.cells import CHAMPION, Cell, Key
from everloop_drift.domain.closing import Bounds, Closing

ROWS: Final = 10_000
HOUR_MS: Final = 3_600_000
MODEL: Final = "bench"


class Took(NamedTuple):
    """Seconds of CPU: rows to counts, counts to a window, a window to a verdict."""

    counting: float
    window: float
    measures: float


def main(rounds: str) -> None:
    """Measure, after one round to warm up."""
    listed, score = columns(ROWS, seed=2), scores(ROWS, seed=2)
    arrays = {name: np.array(listed[name], dtype=np.float64) for name in NUMERIC}
    coded = {name: _coded(listed[name]) for name in CATEGORIES}
    judge = _judge()
    found = [judge({**arrays, **coded}, np.array(score)) for _ in range(int(rounds) + 1)][1:]
    as_lists = [judge(listed, score) for _ in range(int(rounds) + 1)][1:]
    said = {
        "all": median(map(sum, found)),
        "rows to counts": median(one.counting for one in found),
        "window": median(one.window for one in found),
        "measures and verdict": median(one.measures for one in found),
        "in all from lists": median(map(sum, as_lists)),
    }
    sys.stdout.write(orjson.dumps(said).decode())


def _judge() -> Callable[[Mapping[str, object], object], Took]:
    """The way of a window through the engine, without the log between its rooms."""
    layout, loop, bounds = Layout.of(reference()), a_loop(MODEL), Bounds(START_MS, START_MS + HOUR_MS, START_MS)
    key = Key(MODEL, VERSION, CHAMPION, AS_PROFILE, bounds.start, bounds.end, 0)
    closing, references = Closing("inputs", bounds, 0, bounds.end), {VERSION: Reference(reference(), layout)}
    now = START + timedelta(hours=1)

    def judge(features: Mapping[str, object], score: object) -> Took:
        clock = [time.process_time()]
        inputs = Inputs(layout)
        inputs.add(features, score, ROWS)
        clock.append(time.process_time())
        arms = arm_windows({key: [Cell(Sums(), inputs)]}, closing, loop.task, references)
        window = WindowClosed.named(
            MODEL, now, MODEL, kind="inputs", start=bounds.start, end=bounds.end, arms=arms, rows=ROWS
        )
        clock.append(time.process_time())
        judged = judging.decide(judging.initial(), window, now, loop, None)
        clock.append(time.process_time())
        if not isinstance(judged, WindowJudged) or judged.verdict != "stable":
            raise SystemExit("the window was not found stable")
        if len(judged.figures.columns) != len(features):
            raise SystemExit("not all columns were measured")
        return Took(*np.diff(clock).tolist())

    return judge


def _coded(texts: list[Any]) -> Categories:
    names = sorted(set(texts))
    places = {name: place for place, name in enumerate(names)}
    return Categories(np.array([places[text] for text in texts], dtype=np.int32), names)


if __name__ == "__main__":
    main(*sys.argv[1:])
