"""From rows and labels to segments that are judged: their values go through the join, whoever dies on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import JsonValue

from everloop import topics
from everloop.events import HeartbeatSent, LabelsLogged, LoopApplied, PredictionsLogged, WindowJudged
from everloop.loop import Loop
from everloop.profile import Profile, QualityProfile, build_profile
from everloop.profile.segments import Given, with_segments
from everloop.simulation import Simulation
from everloop_trainer.adapters.segment_quality import with_segment_quality
from tests.simulation.heard import alert_names, judged_outcomes
from tests.simulation.stack import LOOP, START, Shown, builds, publish
from tests.simulation.window_stream import START_MS, a_version

HOUR_MS = 3_600_000
SHOPS, EACH = ("s0", "s1", "s2", "s3", "s4", "s5"), 100
HOURS, FLIPPED_FROM = 8, 3
PROCESSES = ("route-0", "join-0", "windows-0", "merge-0", "judge-0")


def drawn(seed: int) -> tuple[list[str], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Shop, score and label of the rows of an hour."""
    rng = np.random.default_rng(seed)
    score = rng.random(len(SHOPS) * EACH)
    return list(SHOPS) * EACH, score, (rng.random(score.size) < score**2 / (score**2 + (1 - score) ** 2)).astype(float)


def a_profile() -> Profile:
    shops, score, label = drawn(999)
    columns = {"n": np.random.default_rng(1).normal(size=score.size)}
    whole = QualityProfile(metric="roc_auc", value=0.89, standard_error=0.01, rows=600, positives=300)
    profile = build_profile(columns, scores=score, quality=(whole,)).model_copy(update={"ignored": ("shop",)})
    by = {"shop": shops}
    profile = with_segments(profile, 5, Given(by, columns), Given(by, {profile.score.name: score}))
    return with_segment_quality(profile, "binary", {"shop": shops}, score, label)


class Stage:
    """Hour after hour rows are scored, and labelled an hour later; shop s2 gets labels for half of its rows."""

    def __init__(self, *, deaths: bool) -> None:
        self.deaths, processes = deaths, builds(1, Shown())
        self.simulation = Simulation({name: processes[name] for name in PROCESSES})
        rules: dict[str, JsonValue] = {
            "windows": {"every": "1h", "grace": "0s", "min_rows": 80, "segments": {"columns": ["shop"], "most": 5}},
            "labels": {"horizon": "2h"}, "drift": {"quality": {"drop": 0.15}}, "train": {}, "rollout": {},
        }  # fmt: skip
        loop = Loop.from_payload({**LOOP, **rules, "model": "alpha"})
        client = self.simulation.client()
        publish(client, topics.LOOPS, LoopApplied.named("a", START, "alpha", loop=loop.to_payload(), digest="d"))
        made = a_version("alpha", "1", 1).model_copy(update={"profile": a_profile()})
        publish(client, topics.TRAINING, made)
        for hour in range(HOURS):
            self._hour(hour)

    def _hour(self, hour: int) -> None:
        client, (shops, score, _) = self.simulation.client(), drawn(hour)
        ids = [f"{hour}-{row}" for row in range(len(shops))]
        for part in range(4):
            rows = slice(part, None, 4)
            publish(client, topics.PREDICTIONS, PredictionsLogged.named(
                f"p/{hour}/{part}", START, "alpha", source="serving", version="1", arm="champion", epoch=1,
                prediction_id=ids[rows], times=[START_MS + hour * HOUR_MS + row for row in range(len(ids))][rows],
                features={"n": np.random.default_rng([hour, part]).normal(size=len(ids[rows])).tolist(),
                          "shop": shops[rows]},
                score=score[rows].tolist(),
            ), part)  # fmt: skip
        if hour:
            publish(client, topics.LABELS, self._labels(hour - 1), hour % 4)
        clocks = {"alpha": START_MS + (hour + 1) * HOUR_MS}
        for number in range(topics.PARTITIONS):
            for topic in (topics.PREDICTIONS, topics.LABELS):
                beat = HeartbeatSent.named(f"{hour}/{number}/{topic.name}", START, "*", replica="0", clocks=clocks)
                publish(client, topic, beat, number)
        if self.deaths:
            self.simulation.kill(PROCESSES[hour % len(PROCESSES)])
        self.simulation.settle()

    def _labels(self, hour: int) -> LabelsLogged:
        shops, _, label = drawn(hour)
        rows = [row for row, shop in enumerate(shops) if shop != "s2" or (row // len(SHOPS)) % 2]
        wrong = [shops[row] == "s1" and hour >= FLIPPED_FROM for row in rows]
        return LabelsLogged.named(
            f"l/{hour}", START, "alpha", prediction_id=[f"{hour}-{row}" for row in rows],
            label=[1 - label[row] if bad else label[row] for row, bad in zip(rows, wrong, strict=True)],
            labelled_at=[START_MS + (hour + 1) * HOUR_MS] * len(rows),
        )  # fmt: skip

    def judged(self) -> list[WindowJudged]:
        return judged_outcomes(self.simulation, "alpha")

    def alerts(self) -> list[str]:
        return alert_names(self.simulation, "alpha")


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(deaths=False)


def test_each_segment_has_its_coverage_and_its_quality(stage: Stage) -> None:
    judged = stage.judged()
    assert len(judged) == HOURS - 2
    for window in judged:
        found = {one.value: (one.rows, one.predicted) for one in window.segments}
        other = next(shop for shop in SHOPS if shop not in found)
        expected = {(None if shop == other else shop): (EACH // 2 if shop == "s2" else EACH, EACH) for shop in SHOPS}
        assert found == expected
        assert sum(rows for rows, _ in found.values()) == window.rows
        assert all(one.quality and one.quality.reference for one in window.segments)


def test_labels_that_flip_in_one_segment_are_one_alert_and_the_window_is_calm(stage: Stage) -> None:
    judged = stage.judged()
    assert {one.verdict for one in judged} == {"stable"}
    fallen = [(place, one.value) for place, window in enumerate(judged)
              for one in window.segments if one.verdict == "drifted"]  # fmt: skip
    assert fallen == [(place, "s1") for place in range(FLIPPED_FROM, HOURS - 2)]
    assert stage.alerts() == ["segment_quality_opened"]
    assert {one.verdict for window in judged for one in window.segments if one.value == "s2"} == {"too_few"}


def test_whoever_dies_the_same_is_said(stage: Stage) -> None:
    again = Stage(deaths=True)
    assert again.judged() == stage.judged()
    assert again.alerts() == stage.alerts()
