"""Labels that come late or stop on the stream of the demo: no alarm of quality, and one alert where it is true."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from everloop import topics
from everloop.events import Episode, LabelFlow, TurnOpened
from tests.simulation.labels_stage import EVERY_MS, WEEK, LabelStage, Mask, at_once

LAG_FROM = 16
STOPS, RETURNS = 24, 40


def a_week_late(window: int, easy: Mask) -> Iterator[tuple[int, Mask]]:
    """From one window on labels come seven days late; those of the hard rows at once, as of people who complain."""
    if window < LAG_FROM:
        yield from at_once(window, easy)
        return
    yield 1, ~easy
    yield WEEK, easy


def not_for_days(window: int, easy: Mask) -> Iterator[tuple[int, Mask]]:
    """For four days no label comes, then all that are missing."""
    yield max(1, RETURNS - window if window >= STOPS else 1), np.ones_like(easy)


def flows(stage: LabelStage) -> list[LabelFlow]:
    """How labels came, window by window."""
    return [one.labels for one in stage.judged() if one.labels is not None]


@pytest.fixture(scope="module")
def lagged() -> LabelStage:
    """Seven days and a little of the lag."""
    return LabelStage(when=a_week_late, change_at=None).run(LAG_FROM + WEEK + 6)


def test_a_lag_of_seven_days_gives_no_alarm_of_quality_and_wakes_nobody(lagged: LabelStage) -> None:
    assert lagged.episodes() == []
    assert lagged.alerts() == []
    assert len([one for one in lagged.journal(topics.TRAINING) if isinstance(one, TurnOpened)]) == 1
    verdicts = [one.verdict for one in lagged.judged()]
    assert verdicts == ["stable"] * LAG_FROM + ["labels_immature"] * (len(verdicts) - LAG_FROM)


def test_the_labels_that_came_in_time_are_worse_than_all_are(lagged: LabelStage) -> None:
    """Else it would prove nothing: each of these windows has rows enough, and would be judged as fallen."""
    held = [one for one in lagged.judged() if one.verdict == "labels_immature"]
    auc = [one.quality["roc_auc"] for one in held]
    assert min(one.rows for one in held) > 100
    assert np.mean([one.upper < (one.reference or 0.0) - 0.03 for one in auc]) > 0.9
    assert {(one.reason.rule, one.reason.samples) for one in held} == {("labels.matured", 800)}


def test_the_lag_is_learnt_though_its_labels_are_in_no_window(lagged: LabelStage) -> None:
    before, after = flows(lagged)[LAG_FROM + WEEK - 2], flows(lagged)[-1]
    assert before.p95 is not None
    assert before.p95 < 2 * EVERY_MS
    assert after.p95 is not None
    assert WEEK * EVERY_MS <= after.p95 <= 1.2 * WEEK * EVERY_MS
    assert (after.ever, after.needed) == (pytest.approx(1.0, abs=0.01), pytest.approx(0.8, abs=0.01))
    assert sum(after.arrived.late.values()) > 500


@pytest.fixture(scope="module")
def stopped() -> LabelStage:
    """Windows wait a day for labels. Whoever counts or judges them dies every few windows."""
    stage = LabelStage(when=not_for_days, horizon="24h", change_at=None).run(1)
    for window in range(1, RETURNS + 6):
        if window % 4 == 0:
            for name in ("windows-0", "merge-0", "judge-0"):
                stage.simulation.kill(name)
        stage.play(1)
    return stage


def test_labels_that_stop_are_one_alert_and_no_alarm_of_quality(stopped: LabelStage) -> None:
    assert stopped.alerts() == ["labels_stopped", "labels_resumed"]
    assert stopped.episodes() == []
    assert len([one for one in stopped.journal(topics.TRAINING) if isinstance(one, TurnOpened)]) == 1
    told = [one for one in flows(stopped) if one.stopped is Episode.OPENED]
    assert [(one.arrived.start - one.arrived.end, one.since) for one in told] == [
        (-EVERY_MS, told[0].arrived.end - told[0].silent * EVERY_MS)
    ]


def test_when_they_come_again_windows_that_are_mature_are_judged(stopped: LabelStage) -> None:
    verdicts = [one.verdict for one in stopped.judged()]
    open_still = 4
    assert verdicts[:STOPS] == ["stable"] * STOPS
    assert verdicts[STOPS : RETURNS - open_still] == ["labels_immature"] * (RETURNS - open_still - STOPS)
    assert set(verdicts[RETURNS - open_still :]) == {"stable"}
    assert sum(sum(one.arrived.late.values()) for one in flows(stopped)) == 800 * (RETURNS - open_still - STOPS)
