"""The stream of the demo on the in-memory stack, with labels that come when a test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from itertools import count

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from everloop import topics
from everloop.demo.scenario import LOOP_FILE
from everloop.events import AlertRaised, Episode, LabelsLogged, WindowJudged
from everloop.loop import Loop
from everloop.loopfile import read_loop
from everloop_serving.domain.records import Rows
from examples.fraud import stream
from examples.fraud.world import World, probability
from tests.simulation.stack import MODEL, START, Stack

EVERY = timedelta(hours=12)
"""A window of the demo is longer here, so that seven days are few of them."""
EVERY_MS = round(EVERY.total_seconds() * 1000)
WEEK = timedelta(days=7) // EVERY
"""Windows in seven days."""
Mask = NDArray[np.bool_]
Delays = Callable[[int, Mask], Iterator[tuple[int, Mask]]]
"""When labels of a window come: given its number and which of its rows are easy to tell, pairs of a delay in windows
and the rows whose labels come then. Hard are frauds, and what looks like one."""


def at_once(window: int, easy: Mask) -> Iterator[tuple[int, Mask]]:
    """All labels one window later, as in the demo."""
    del window
    yield 1, np.ones_like(easy)


@dataclass
class LabelStage(Stack):
    """The demo's stream without a change, fewer rows to a window; `when` says when labels come."""

    when: Delays = at_once
    horizon: str = "12h"
    matured: float = 0.8
    pending: dict[int, list[LabelsLogged]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        """The loop file of the demo, but for its labels."""
        usual = read_loop(LOOP_FILE.read_text("utf-8"), str(LOOP_FILE)).to_payload()
        windows: dict[str, JsonValue] = {"every": "12h", "grace": "0s", "min_rows": 100}
        labels: dict[str, JsonValue] = {"horizon": self.horizon, "delay": "12h", "matured": self.matured}
        self.loop = Loop.from_payload({**usual, "windows": windows, "labels": labels}).to_payload()
        super().__post_init__()

    @cached_property
    def scenario(self) -> stream.Scenario:
        """The stream as it is before anything changes."""
        usual = stream.Scenario(rows_per_window=600, history_rows_per_window=1_500, every=EVERY)
        return replace(usual, covariate_at=None, concept_at=None, start=START)

    def rows(self, hour: int) -> tuple[Rows, LabelsLogged]:
        """The requests of one hour, and their labels; those of later hours are kept until they are due."""
        made = stream.rows(self.scenario, hour)
        times = tuple(round(time.timestamp() * 1000) for time in made.times)
        features = {name: tuple(values) for name, values in made.columns.items()}
        asked = Rows(prediction_id=tuple(made.ids), times=times, entity_id=tuple(made.entity), features=features)
        columns = {name: np.array(values) for name, values in made.columns.items()}
        chances = probability(columns, World(shifted=False, changed=False))
        labels = np.array(made.labels, dtype=np.float64)
        whole = np.ones(len(labels), dtype=bool)
        if hour < 0:
            return asked, self._labels(asked, labels, whole, 1)
        for delay, chosen in self.when(hour, (labels == 0) & (chances <= np.quantile(chances, 0.75))):
            self.pending.setdefault(hour + delay, []).append(self._labels(asked, labels, chosen, delay))
        return asked, self._labels(asked, labels, ~whole, 1)

    def run(self, windows: int = WEEK) -> LabelStage:
        """The first champion, then so many windows; what has no part in it then stands still, to save time."""
        self.bootstrap()
        for name in ("archive-0", "gatekeeper-0", "rollout-0"):
            self.simulation.kill(name)
            self.simulation.builds = {one: made for one, made in self.simulation.builds.items() if one != name}
        self.play(windows)
        return self

    def play(self, windows: int) -> None:
        """Play so many windows: labels that are due, rows, the end of the window, decisions."""
        for _ in range(windows):
            rows, _ = self.rows(self.window)
            self.predict(rows)
            for due in self.pending.pop(self.window, []):
                self.say(topics.LABELS, due, self.window % topics.PARTITIONS)
            self.simulation.settle()
            self.window += 1
            now = START + self.window * EVERY
            self.clock(now)
            self.control(now)

    def judged(self) -> list[WindowJudged]:
        """The judged windows of outcomes, in order."""
        said = self.journal(topics.DRIFT)
        return [one for one in said if isinstance(one, WindowJudged) and one.kind == "outcomes"]

    def alerts(self) -> list[str]:
        """The names of all alerts of drift, each once, in order of time."""
        found = {one.id: one for one in self.events(topics.ALERTS) if isinstance(one, AlertRaised)}
        said = sorted(found.values(), key=lambda one: (one.time, one.name))
        return [one.name for one in said if not one.name.startswith("version_")]

    def episodes(self) -> list[str]:
        """The episodes that have opened."""
        said = [one for one in self.journal(topics.DRIFT) if isinstance(one, WindowJudged)]
        return [str(one.episode_kind) for one in said if one.episode is Episode.OPENED]

    def _labels(self, asked: Rows, labels: NDArray[np.float64], chosen: Mask, delay: int) -> LabelsLogged:
        ids = tuple(name for name, yes in zip(asked.prediction_id, chosen, strict=True) if yes)
        known = tuple(time + delay * EVERY_MS for time, yes in zip(asked.times, chosen, strict=True) if yes)
        said = tuple(labels[chosen].tolist())
        return LabelsLogged.named(
            f"labels/{next(self.numbers)}", START, MODEL, prediction_id=ids, label=said, labelled_at=known
        )


__all__ = ["EVERY_MS", "WEEK", "Delays", "LabelStage", "Mask", "at_once"]
