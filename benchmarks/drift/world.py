"""The models of these benchmarks: one reference of 15 numeric and 5 categorical columns, and rows like it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import numpy as np

from everloop import topics
from everloop.buckets import partition
from everloop.codec import encode
from everloop.events import Event, FileRef, LoopApplied, ModelVersionCreated, Snapshot
from everloop.loop import Loop
from everloop.profile import Profile, build_profile
from everloop.runtime.log import Message, Place

START: Final = datetime(2026, 1, 5, tzinfo=UTC)
START_MS: Final = round(START.timestamp() * 1000)
VERSION: Final = "1"
NUMERIC: Final = tuple(f"n{number:02}" for number in range(15))
CATEGORIES: Final = {"c0": 2, "c1": 5, "c2": 10, "c3": 20, "c4": 50}
"""Categorical columns, and how many categories each has."""
REFERENCE_ROWS: Final = 10_000
DIGITS: Final = 4

Columns = Mapping[str, list[Any]]


def columns(rows: int, seed: int) -> Columns:
    """Rows as columns: nine normal ones, three with a long tail, three of small integers, five of categories."""
    rng = np.random.default_rng(seed)
    made: dict[str, list[Any]] = {}
    for number, name in enumerate(NUMERIC):
        if number % 5 == 3:  # noqa: PLR2004 -- one in five
            made[name] = rng.lognormal(3, 1, rows).round(2).tolist()
        elif number % 5 == 4:  # noqa: PLR2004 -- as above
            made[name] = rng.poisson(4, rows).tolist()
        else:
            made[name] = rng.normal(size=rows).round(DIGITS).tolist()
    for name, many in CATEGORIES.items():
        codes = np.minimum(rng.geometric(2 / (many + 1), rows) - 1, many - 1)
        made[name] = [f"{name}-{code}" for code in codes.tolist()]
    return made


def scores(rows: int, seed: int) -> list[float]:
    """Probabilities."""
    found: list[float] = np.random.default_rng([seed, 1]).beta(2, 5, rows).round(DIGITS).tolist()
    return found


@cache
def reference() -> Profile:
    """The reference profile of every version."""
    return build_profile(columns(REFERENCE_ROWS, seed=1), scores=scores(REFERENCE_ROWS, seed=1))


def names(models: int) -> Sequence[str]:
    """What the models are called."""
    return [f"bench-{number:04}" for number in range(models)]


def a_loop(model: str, every: str = "5m") -> Loop:
    """The rules of a model: windows by time, all measures at their defaults."""
    return Loop.from_payload({
        "kind": "Loop", "version": 1, "model": model, "task": "binary",
        "columns": {"id": "id", "time": "ts", "label": "y"}, "windows": {"every": every, "grace": "1m"},
    })  # fmt: skip


def introduced(models: Sequence[str], every: str = "5m") -> Iterator[Message]:
    """The rules of each model and its first version, as the product says them."""
    for model in models:
        loop = a_loop(model, every)
        yield _said(topics.LOOPS, LoopApplied.named(model, START, model, loop=loop.to_payload(), digest="0"))
        yield _said(topics.TRAINING, _version(model))


def _version(model: str) -> ModelVersionCreated:
    nothing = Snapshot(start=0, end=1, strategy="full", predictions=(), outcomes=())
    kinds = {**dict.fromkeys(NUMERIC, "numeric"), **dict.fromkeys(CATEGORIES, "categorical")}
    return ModelVersionCreated.named(
        model, START, model, sequence=1, version=VERSION, artifact=FileRef(uri="file:///none", sha256="0"), size=1,
        task="binary", recipe="none", features=kinds, metrics={}, snapshot=nothing, holdout=nothing,
        profile=reference(), train_rows=REFERENCE_ROWS, holdout_rows=REFERENCE_ROWS, cut=0,
    )  # fmt: skip


def _said(topic: topics.Topic, event: Event) -> Message:
    value, headers = encode(event, source="bench", recorded=START)
    return Message(Place(topic.name, partition(event.model, topic.partitions)), event.model.encode(), value, headers)
