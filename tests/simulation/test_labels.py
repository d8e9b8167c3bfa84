"""Labels that come late or stop on the stream of the demo: no alarm of quality, and one alert where it is true."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from everloop import topics
from everloop.events import TrainingStarted
from tests.simulation.labels_stage import WEEK, LabelStage, Mask, at_once

LAG_FROM = 20
DAY_MS = 86_400_000


def a_week_late(window: int, typical: Mask) -> Iterator[tuple[int, Mask]]:
    """From one window on labels come seven days late, all but those of frauds and of what looked like one."""
    if window < LAG_FROM:
        yield from at_once(window, typical)
        return
    odd = ~typical
    yield 1, odd
    yield WEEK, ~odd


@pytest.fixture(scope="module")
def lagged() -> LabelStage:
    stage = LabelStage(when=a_week_late, change_at=None)
    stage.bootstrap()
    stage.play(LAG_FROM + WEEK + 8)
    return stage


def test_a_lag_of_seven_days_gives_no_alarm_of_quality(lagged: LabelStage) -> None:
    print(Counter(one.verdict for one in lagged.judged()), lagged.alerts(), lagged.episodes())
    for one in lagged.judged()[-8:]:
        print(one.verdict, one.reason, one.coverage, one.labels, one.quality.get("roc_auc"))
    assert lagged.episodes() == []
