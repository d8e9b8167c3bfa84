"""How labels come: when they have stopped, how seldom that is said falsely, and which windows are mature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from everloop import events as e
from everloop.loop import Loop
from everloop.sketch.delays import places_of_delays
from everloop_drift.domain import label_flow
from everloop_drift.domain.label_flow import LEARNT, MOST_COUNTED, Flow, Looks
from tests.builders import HOUR_MS, a_fresh_id, a_loop

OPENED, CONTINUING, CLOSED, NONE = e.Episode.OPENED, e.Episode.CONTINUING, e.Episode.CLOSED, e.Episode.NONE
BEGIN = round(datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1000)
DAY = 24
MONTH = 30 * DAY
Random = np.random.Generator


@dataclass
class Watch:
    """Hears hour after hour how many of its rows have a label when it closes, after `horizon` hours."""

    loop: Loop = field(default_factory=lambda: a_loop(windows={"every": "1h", "grace": "2m"}))
    horizon: int = 1
    flow: Flow = field(default_factory=Flow)
    hour: int = 0
    said: list[e.LabelFlow] = field(default_factory=list)

    def hear(self, rows: int, labels: int, late: dict[int, int] | None = None) -> e.LabelFlow:
        """One hour; `late` are labels of older hours by their delay in hours."""
        start = BEGIN + self.hour * HOUR_MS
        arrived = e.LabelsArrived(
            start=start, end=start + HOUR_MS, predicted=rows, delays={place(1800): labels} if labels else {},
            late={place(delay * 3600): found for delay, found in (late or {}).items()},
        )  # fmt: skip
        closed = datetime.fromtimestamp((start + HOUR_MS) / 1000, UTC) + timedelta(hours=self.horizon)
        window = e.WindowClosed(
            id=a_fresh_id(), time=closed, model="m", kind="outcomes", start=start, end=start + HOUR_MS, arms=(),
            rows=labels, labels=arrived,
        )  # fmt: skip
        found = label_flow.look(self.flow, window, None, self.loop)
        assert found is not None
        self.flow = label_flow.follow(self.flow, e.LabelFlow.model_validate_json(found.model_dump_json()))
        self.hour += 1
        self.said.append(found)
        return found

    def hear_quickly(self, labels: NDArray[np.int64], rows: int = 100) -> None:
        """The same without what a person is shown."""
        every = round(self.loop.windows.every.total_seconds() * 1000)
        for one in labels.tolist():
            start = BEGIN + self.hour * HOUR_MS
            delays = {place(1800): one} if one else {}
            arrived = e.LabelsArrived(start=start, end=start + HOUR_MS, predicted=rows, delays=delays)
            at = start + HOUR_MS + self.horizon * HOUR_MS
            after = label_flow.taken(self.flow, arrived, at)
            stage = label_flow.stage(self.flow, after, after.limit(every, at))
            said = e.LabelFlow(at=at, arrived=arrived, stopped=stage, silent=after.run)
            self.flow = label_flow.follow(self.flow, said)
            self.hour += 1
            self.said.append(said)

    def hear_all(self, labels: Iterable[int], rows: int = 100) -> list[e.Episode]:
        return [self.hear(rows, one).stopped for one in labels]

    def alarms(self) -> int:
        return sum(one.stopped is OPENED for one in self.said)


def place(seconds: int) -> int:
    return int(places_of_delays(np.array([seconds * 1000]))[0])


# ------------------------------------------------------------------------------------------------------ when they stop


def test_labels_that_stop_are_said_once_and_once_that_they_come_again() -> None:
    watch = Watch()
    assert set(watch.hear_all([90] * 40)) == {NONE}
    stages = watch.hear_all([0] * 30)
    assert stages == [NONE] * 8 + [OPENED] + [CONTINUING] * 21
    opened = watch.said[48]
    assert (opened.since, opened.silent, opened.silent_limit) == (BEGIN + 40 * HOUR_MS, 9, 9)
    assert watch.hear_all([90] * 5) == [CLOSED, NONE, NONE, NONE, NONE]


def test_one_missing_window_is_no_stop_nor_are_few_rows() -> None:
    watch = Watch()
    watch.hear_all([90] * 200)
    assert watch.hear(100, 0).stopped is NONE
    watch.hear_all([90] * 3)
    for _ in range(50):
        assert watch.hear(0, 0).stopped is NONE
    assert [watch.hear(1, 0).silent for _ in range(6)] == [0, 0, 0, 0, 0, 1]  # as many rows as five labels are due of


def test_nothing_is_said_before_enough_is_known_nor_where_no_label_ever_came() -> None:
    watch = Watch()
    assert set(watch.hear_all([0] * 100)) == {NONE}
    early = Watch()
    early.hear_all([90] * (LEARNT - 1))
    assert [(one.silent_limit, one.ever, one.needed) for one in early.said] == [(None, None, None)] * (LEARNT - 1)


def test_an_outage_of_weeks_is_no_ordinary_silence() -> None:
    watch = Watch()
    watch.hear_all([90] * 60)
    watch.hear_all([0] * 300)
    watch.hear_all([90] * 60)
    assert watch.flow.looks == Looks(loud=121, begun=1, silent=7, gone_on=7)
    assert watch.hear_all([0] * 50).count(OPENED) == 1


def test_a_horizon_that_changed_is_learnt_anew_and_the_curve_is_kept() -> None:
    watch = Watch()
    watch.hear_all([90] * 40)
    watch.horizon = 4
    said = watch.hear(100, 20)
    assert (said.usual, said.silent_limit, said.stopped) == (None, None, NONE)
    assert said.ever == pytest.approx(0.9, abs=0.01)
    assert set(watch.hear_all([20] * 40)) == {NONE}


def test_while_labels_are_stopped_a_new_horizon_neither_ends_nor_repeats_it() -> None:
    watch = Watch()
    watch.hear_all([90] * 40)
    watch.hear_all([0] * 12)
    watch.horizon = 48
    assert set(watch.hear_all([0] * 10)) == {CONTINUING}
    assert watch.hear_all([90] * 2) == [CLOSED, NONE]


def test_counts_of_silences_are_bounded() -> None:
    looks = Looks()
    for _ in range(3 * MOST_COUNTED):
        looks = looks.over(1)
    assert looks.loud + looks.silent <= MOST_COUNTED


# --------------------------------------------------------------------------- how seldom it is said falsely, how surely


def steady(rng: Random, hours: int) -> NDArray[np.int64]:
    return rng.binomial(100, 0.9, hours)


def few(rng: Random, hours: int) -> NDArray[np.int64]:
    """Three of a hundred rows get a label at all."""
    return rng.binomial(100, 0.03, hours)


def clustered(rng: Random, hours: int) -> NDArray[np.int64]:
    """Labels pause with a chance of 5 % in an hour, for four hours in the mean."""
    paused, found = False, []
    for _ in range(hours):
        paused = rng.random() < (0.75 if paused else 0.05)
        found.append(0 if paused else int(rng.binomial(100, 0.9)))
    return np.array(found)


def uneven(rng: Random, hours: int) -> NDArray[np.int64]:
    """The share that is labelled in time wanders by a factor of two from hour to hour."""
    return rng.binomial(100, np.clip(0.4 * np.exp(rng.normal(0, 0.7, hours)), 0, 1))


def daily(rng: Random, hours: int) -> NDArray[np.int64]:
    """People label at work: from 8 to 18 o'clock, from Monday to Friday."""
    hour = np.arange(hours)
    at_work = (hour % 24 >= 8) & (hour % 24 < 18) & (hour // 24 % 7 < 5)
    return rng.binomial(100, np.where(at_work, 0.9, 0.0))


def batches(rng: Random, hours: int) -> NDArray[np.int64]:
    """A job hands labels in once a day."""
    return np.where(np.arange(hours) % 24 == 18, rng.binomial(100, 0.9, hours), 0)


WORLDS: list[Callable[[Random, int], NDArray[np.int64]]] = [steady, few, clustered, uneven, daily, batches]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("runs", [2, pytest.param(24, marks=pytest.mark.soak)])
def test_while_labels_come_as_usual_it_is_said_less_than_once_in_30_days(
    world: Callable[[Random, int], NDArray[np.int64]], runs: int
) -> None:
    """Months from the first hour on, while all is still to be learnt."""
    months = 2
    alarms = 0
    for seed in range(runs):
        watch = Watch()
        watch.hear_quickly(world(np.random.default_rng(seed), months * MONTH))
        alarms += watch.alarms()
    assert alarms <= runs * months


@pytest.mark.parametrize(("world", "within"), [(steady, 6), (few, 24), (clustered, 40), (uneven, 6)])
def test_a_stop_is_found(world: Callable[[Random, int], NDArray[np.int64]], within: int) -> None:
    for seed in range(2):
        watch = Watch()
        watch.hear_quickly(world(np.random.default_rng(seed), 14 * DAY))
        watch.hear_quickly(np.zeros(within, dtype=np.int64))
        assert watch.said[-1].stopped in {OPENED, CONTINUING}


# --------------------------------------------------------------------------------------------- which windows are mature


def test_the_coverage_that_is_needed_is_a_share_of_the_labels_that_come_at_all() -> None:
    watch = Watch()
    watch.hear_all([45] * 40)
    assert watch.said[LEARNT - 2].needed is None
    said = watch.said[-1]
    assert said.ever == pytest.approx(0.45)
    assert said.needed == pytest.approx(0.36)
    assert said.usual == 0.45


def test_late_labels_count_to_what_comes_at_all_and_say_how_long_they_take() -> None:
    """Half of the labels come in time, the other half two days later."""
    watch = Watch()
    for hour in range(8 * DAY):
        watch.hear(100, 45, {48: 45} if hour > 48 else None)
    said = watch.said[-1]
    assert said.ever == pytest.approx(0.9, abs=0.02)
    assert said.needed == pytest.approx(0.72, abs=0.02)
    assert said.usual == 0.45
    assert said.p95 is not None
    assert 48 * HOUR_MS <= said.p95 <= 48 * HOUR_MS * 1.125


def few_at_once(watch: Watch, hours: int) -> Iterator[e.LabelFlow]:
    """A third of the labels comes in time, of the rest nothing is heard."""
    yield from (watch.hear(100, 30) for _ in range(hours))


def test_a_lag_makes_no_window_mature_until_the_join_has_forgotten_the_rows() -> None:
    watch = Watch()
    watch.hear_all([90] * 10 * DAY)
    assert all(said.needed and said.needed > 0.7 for said in few_at_once(watch, 29 * DAY))
    *_, last = few_at_once(watch, 45 * DAY)
    assert last.needed is not None
    assert last.needed < 0.3


def test_a_share_of_nothing_holds_nothing_back() -> None:
    watch = Watch(a_loop(windows={"every": "1h", "grace": "2m"}, labels={"matured": 0.0}))
    watch.hear_all([90] * 40)
    assert watch.hear(100, 1).needed == 0.0
