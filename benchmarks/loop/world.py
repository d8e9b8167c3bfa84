"""The model of `loop.overhead`: the fraud stream of the examples, one window as ever, then one with other cards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from everloop.loop import Loop
from everloop.replay.course import Course
from everloop.replay.rows import Rows
from examples.fraud import stream

SCENARIO: Final = stream.Scenario(stationary=1, covariate_at=1, concept_at=None, windows=2)
RULES: Final[Mapping[str, JsonValue]] = {
    "kind": "Loop",
    "version": 1,
    "task": "binary",
    "columns": {"id": stream.ID, "time": stream.TIME, "label": stream.LABEL, "entity": stream.ENTITY},
    "windows": {"every": "1h", "grace": "0s"},
    "labels": {"horizon": "0s", "delay": "0s"},
    "drift": {"confirm": 1},
    "train": {"on": ["drift"], "cooldown": "0s", "fresh_labels": 1_000, "data": {"rolling": "4h"}},
    "gate": {"floor": {"roc_auc": 0.6}, "latency_p95": "10s"},
}
"""All that a run needs is there when the episode opens, and nothing but the run is waited for."""


def course(model: str) -> Course:
    """The history that the first champion learns from, and the two windows after it. Every model has the same rows."""
    parts = [stream.bootstrap_rows(SCENARIO), *(stream.rows(SCENARIO, window) for window in range(SCENARIO.windows))]
    rows = Rows(
        ids=tuple(f"{model}-{name}" for part in parts for name in part.ids),
        times=tuple(_ms(time) for part in parts for time in part.times),
        entities=tuple(entity for part in parts for entity in part.entity),
        features={name: tuple(v for part in parts for v in part.columns[name]) for name in parts[0].columns},
        labels=tuple(float(label) for part in parts for label in part.labels),
    )
    return Course(Loop.from_payload({**RULES, "model": model}), rows, warmup=len(parts[0].ids))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
