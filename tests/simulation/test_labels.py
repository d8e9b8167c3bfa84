"""Labels that come late or stop on the stream of the demo: no alarm of quality, and one alert where it is true."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from pydantic import JsonValue

from everloop import topics
from everloop.buckets import partition
from everloop.events import (
    Episode,
    Event,
    HeartbeatPassed,
    LabelFlow,
    LoopApplied,
    OutcomesJoined,
    PredictionsLogged,
    TurnOpened,
    WindowJudged,
)
from everloop.loop import Loop
from everloop.profile.values import QualityProfile
from everloop.runtime.log import Place
from everloop.simulation import Simulation
from tests.simulation.heard import alert_names, judged_outcomes
from tests.simulation.labels_stage import EVERY_MS, WEEK, LabelStage, Mask, at_once
from tests.simulation.stack import LOOP, START, Shown, builds, publish
from tests.simulation.window_stream import START_MS, a_version

LAG_FROM = 12
HOUR_MS = 3_600_000


def a_week_late(window: int, easy: Mask) -> Iterator[tuple[int, Mask]]:
    """From one window on labels come seven days late; those of the hard rows at once, as of people who complain."""
    if window < LAG_FROM:
        yield from at_once(window, easy)
        return
    yield 1, ~easy
    yield WEEK, easy


def flows(stage: LabelStage) -> list[LabelFlow]:
    """How labels came, window by window."""
    return [one.labels for one in stage.judged() if one.labels is not None]


@pytest.fixture(scope="module")
def lagged() -> LabelStage:
    """Seven days and a little of the lag."""
    return LabelStage(when=a_week_late, change_at=None).run(LAG_FROM + WEEK + 3)


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
    assert {(one.reason.rule, one.reason.samples) for one in held} == {("labels.matured", 600)}


def test_the_lag_is_learnt_though_its_labels_are_in_no_window(lagged: LabelStage) -> None:
    before, after = flows(lagged)[LAG_FROM + WEEK - 2], flows(lagged)[-1]
    assert before.p95 is not None
    assert before.p95 < 2 * EVERY_MS
    assert after.p95 is not None
    assert WEEK * EVERY_MS <= after.p95 <= 1.2 * WEEK * EVERY_MS
    assert after.ever == pytest.approx(1.0, abs=0.01)
    assert after.needed == pytest.approx(0.8, abs=0.01)
    assert sum(after.arrived.late.values()) > 400


@dataclass
class Counted:
    """Rows and outcomes go to those who count and judge them, hour after hour; windows wait for labels for six hours.

    Whoever counts or judges dies every few windows, where `deaths` says so.
    """

    deaths: int | None = None
    hour: int = 0

    def __post_init__(self) -> None:
        """A model with one version."""
        processes = builds(1, Shown())
        self.simulation = Simulation({name: processes[name] for name in ("windows-0", "merge-0", "judge-0")})
        rules: dict[str, JsonValue] = {
            "windows": {"every": "1h", "grace": "0s", "min_rows": 30},
            "labels": {"horizon": "6h"},
        }
        deaf: dict[str, JsonValue] = {
            "drift": {"default": {"limit": 100.0}, "score": {"limit": 100.0}}
        }  # to inputs: rows are few
        loop = Loop.from_payload({**LOOP, **rules, **deaf, "model": "alpha", "train": {}, "rollout": {}})
        self._say(topics.LOOPS, LoopApplied.named("alpha", START, "alpha", loop=loop.to_payload(), digest="d"))
        known = a_version("alpha", "1", 1)
        quality = (QualityProfile(metric="roc_auc", value=0.83, standard_error=0.01, rows=1000, positives=500),)
        profile = known.profile.model_copy(update={"quality": quality})
        self._say(topics.TRAINING, known.model_copy(update={"profile": profile}))

    def play(self, hours: int, *, labels_of: Iterable[int] | None = None) -> None:
        """So many hours of rows, in each of which labels of the hour before come, or first those of these hours."""
        for _ in range(hours):
            self._say(topics.PREDICTIONS, self._rows(self.hour), self.hour % topics.PARTITIONS)
            for hour in [self.hour - 1] if labels_of is None else labels_of:
                if hour >= 0:
                    self._say(topics.OUTCOMES, self._outcomes(hour), hour % topics.PARTITIONS)
            self.hour += 1
            self._beat()
            if self.deaths and self.hour % self.deaths == 0:
                for name in ("windows-0", "merge-0", "judge-0"):
                    self.simulation.kill(name)

    def said(self, topic: topics.Topic) -> list[bytes]:
        """The values of the model's records in a topic, in order, each once."""
        place = Place(topic.name, partition("alpha", topics.PARTITIONS))
        return [*dict.fromkeys(record.value for record in self.simulation.broker.records[place] if record.value)]

    def judged(self) -> list[WindowJudged]:
        """The judged windows of outcomes, in order."""
        return judged_outcomes(self.simulation, "alpha")

    def alerts(self) -> list[str]:
        """The names of the alerts, each once."""
        return alert_names(self.simulation, "alpha")

    def _rows(self, hour: int) -> PredictionsLogged:
        (score, _), rng = self._drawn(hour), np.random.default_rng([hour, 1])
        return PredictionsLogged.named(
            f"rows/{hour}", START, "alpha", source="serving", version="1", arm="champion", epoch=1,
            prediction_id=tuple(f"{hour}-{row}" for row in range(len(score))), times=self._times(hour),
            features={"n": tuple(rng.normal(size=60).tolist()), "w": tuple(rng.choice(["a", "b", "c"], 60).tolist())},
            score=score,
        )  # fmt: skip

    def _outcomes(self, hour: int) -> OutcomesJoined:
        score, label = self._drawn(hour)
        return OutcomesJoined.named(
            f"outcomes/{hour}", START, "alpha", source="serving", version="1", arm="champion", epoch=1,
            prediction_id=tuple(f"{hour}-{row}" for row in range(len(score))), times=self._times(hour),
            bucket=(0,) * len(score), score=score, label=label,
            labelled_at=tuple(time + HOUR_MS for time in self._times(hour)),
        )  # fmt: skip

    def _drawn(self, hour: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        rng = np.random.default_rng(hour)
        score = rng.random(60)
        return tuple(score.tolist()), tuple((rng.random(60) < score).astype(float).tolist())

    def _times(self, hour: int) -> tuple[int, ...]:
        return tuple(START_MS + hour * HOUR_MS + row * 1000 for row in range(60))

    def _beat(self) -> None:
        now = {"alpha": START_MS + self.hour * HOUR_MS}
        for number in range(topics.PARTITIONS):
            name = f"beat/{self.hour}/{number}"
            beat = HeartbeatPassed.named(name, START, "*", topic="keys", partition=number, clocks=now)
            for topic in (topics.PREDICTIONS, topics.OUTCOMES):
                self._say(topic, beat, number)
        self.simulation.settle()

    def _say(self, topic: topics.Topic, event: Event, number: int | None = None) -> None:
        publish(self.simulation.client(), topic, event, number)


def stopped(deaths: int | None) -> Counted:
    """A day of labels, a day without, then all that are missing, and half a day more."""
    stage = Counted(deaths)
    stage.play(24)
    stage.play(24, labels_of=())
    stage.play(1, labels_of=range(23, 48))
    stage.play(12)
    return stage


@pytest.fixture(scope="module")
def outage() -> Counted:
    """Without any fault."""
    return stopped(None)


def test_labels_that_stop_are_one_alert_and_no_alarm_of_quality(outage: Counted) -> None:
    assert outage.alerts() == ["labels_stopped", "labels_resumed"]
    assert {one.episode for one in outage.judged()} == {Episode.NONE}
    told = [one.labels for one in outage.judged() if one.labels and one.labels.stopped is Episode.OPENED]
    assert [(one.since, one.silent) for one in told] == [(START_MS + 23 * HOUR_MS, told[0].silent_limit)]


def test_when_they_come_again_windows_that_are_still_open_are_judged(outage: Counted) -> None:
    found = [one.labels for one in outage.judged() if one.labels]
    verdicts = [one.verdict for one in outage.judged()]
    assert verdicts[23:42] == ["labels_immature"] * 19
    assert {*verdicts[:23], *verdicts[42:]} == {"stable"}
    assert sum(sum(one.arrived.late.values()) for one in found) == 60 * 19
    assert found[-1].ever == 1.0


def test_whoever_dies_on_the_way_the_same_is_said(outage: Counted) -> None:
    disturbed = stopped(deaths=5)
    assert disturbed.said(topics.WINDOWS) == outage.said(topics.WINDOWS)
    assert disturbed.said(topics.DRIFT) == outage.said(topics.DRIFT)
    assert disturbed.alerts() == outage.alerts()
