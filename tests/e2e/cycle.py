"""One short turn of the loop on a real stack, in lock-step: a first champion, a change of the world, its successor.

The world has two numeric features. A positive is likelier where `a` is large; after the change where it is small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
from pydantic import JsonValue

from everloop import topics
from everloop.events import Event
from everloop.local.state import Stack
from everloop.loop import Loop
from everloop.replay.commands import History, first_champion
from everloop.replay.connecting import connected
from everloop.replay.lockstep import Client, Door, LockStep
from everloop.replay.rows import Labels, Rows
from everloop.replay.watching import Follower, Said
from everloop.runtime.journal import Validity
from everloop.runtime.log import Log, Place
from tests.e2e.faults import Steadfast

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
ROWS = 240
CHANGE_AT = 1
HISTORY = 3
WINDOWS = 8
"""Enough for the promotion of the successor, and for one window under it."""
PATIENCE = Steadfast(limit_s=240)
"""Long enough for whoever was killed to come back, and for jobs that start anew, on a busy machine."""
JOURNALS = (topics.DRIFT, topics.TRAINING, topics.VERDICTS, topics.ROLLOUTS)
LOOP: Mapping[str, JsonValue] = {
    "kind": "Loop",
    "version": 1,
    "task": "binary",
    "columns": {"id": "id", "time": "ts", "label": "y", "entity": "card"},
    "windows": {"every": "1h", "grace": "0s", "min_rows": 50},
    "labels": {"horizon": "1h", "delay": "1h"},
    "train": {
        "on": ["drift", "quality"],
        "cooldown": "1h",
        "max_per_day": 10,
        "fresh_labels": 400,
        "recipe": "sklearn.linear_model.LogisticRegression",
        "data": {"rolling": "2h"},
    },
    "gate": {"floor": {"roc_auc": 0.7}, "latency_p95": "10s"},
    "rollout": {"shadow": "1h", "steps": ["50%", "100%"], "hold": "1h", "min_rows": 40, "deadline": "24h"},
}


def rows_of(model: str, hour: int) -> Rows:
    """The requests of one hour and what became of them; the same for each model but for the ids."""
    rng = np.random.default_rng([7, hour + 1_000])
    a, b = rng.normal(size=ROWS), rng.normal(size=ROWS)
    changed = hour >= CHANGE_AT
    label = rng.random(ROWS) < 1 / (1 + np.exp(3 * a if changed else -3 * a))
    first = round((START + hour * HOUR).timestamp() * 1000)
    return Rows(
        ids=tuple(f"{model}-{hour}-{n}" for n in range(ROWS)),
        times=tuple(first + n * HOUR_MS // ROWS for n in range(ROWS)),
        entities=tuple(f"card-{n}" for n in rng.integers(0, 150, ROWS)),
        features={"a": tuple(map(float, a + (3.0 if changed else 0.0))), "b": tuple(map(float, b))},
        labels=tuple(map(float, label)),
    )


def history_of(model: str) -> Rows:
    """What the first champion learns from: the hours before the first window."""
    hours = [rows_of(model, hour) for hour in range(-HISTORY, 0)]
    return Rows(
        ids=tuple(name for one in hours for name in one.ids),
        times=tuple(time for one in hours for time in one.times),
        entities=tuple(card for one in hours for card in one.entities or ()),
        features={name: tuple(value for one in hours for value in one.features[name]) for name in hours[0].features},
        labels=tuple(label for one in hours for label in one.labels),
    )


@dataclass
class Cycle:
    """The person who drives one model. `before(window)` is called in the middle of each window's rows."""

    model: str
    client: Client
    before: Callable[[int], None] = lambda _: None
    due: list[Labels] = field(default_factory=list)

    def play(self, windows: int = WINDOWS) -> None:
        """All of it."""
        lock = LockStep(self.model, self.client)
        loop, rows, begin = (
            Loop.from_payload({**LOOP, "model": self.model}),
            history_of(self.model),
            START - HISTORY * HOUR,
        )
        first_champion(lock, loop, History(rows, rows.labelled(HOUR_MS), begin, START), "test")
        for window in range(windows):
            rows, until = rows_of(self.model, window), START + (window + 1) * HOUR
            due, self.due = self.due, [rows.labelled(HOUR_MS)]
            half, rest = rows.batches(ROWS // 2)
            lock.feed(half, due)
            self.before(window)
            lock.step(until, rest)


@contextmanager
def driver(
    stack: Stack,
    hear: Callable[[Event], None] = lambda _: None,
    see: Callable[[Said], None] = lambda _: None,
    door: Callable[[Door], Door] = lambda door: door,
) -> Iterator[Client]:
    """A client of the stack; `hear` is told of journal events as they come, `see` of rows on `predictions`."""
    names = [process.name for process in stack.processes]
    with connected(stack.broker, stack.urls, names, hear, see) as client:
        client.door = door(client.door)
        client.patience = client.quiescence.patience = PATIENCE
        yield client


def journal(log: Log, topic: topics.Topic, model: str) -> list[Event]:
    """The valid records of the model's journal, in order."""
    follower, validity = Follower(log, [topic.name]), dict[Place, Validity]()
    said = [validity.setdefault(record.place, Validity()).accept(record) for record in follower.news()]
    follower.close()
    return [event for event in said if event is not None and event.model == model]


def await_champion_shown(stack: Stack, model: str, version: str) -> None:
    """Wait until MLflow shows this version as champion, whatever was away meanwhile."""
    with httpx.Client(base_url=stack.urls["mlflow"], timeout=10) as mlflow:

        def missing() -> list[str]:
            asked = {"name": model, "alias": "champion"}
            try:
                answer = mlflow.get("/api/2.0/mlflow/registered-models/alias", params=asked)
            except httpx.TransportError as error:
                return [type(error).__name__]
            tags = answer.json().get("model_version", {}).get("tags", [])
            shown = {tag["key"]: tag["value"] for tag in tags}.get("everloop.version")
            return [] if shown == version else [f"{model}: champion is {shown}, not {version}"]

        PATIENCE.until(missing, "the champion's alias in MLflow")


def decisions(log: Log, model: str) -> list[str]:
    """What was decided, journal by journal: no ids, no wall times, no restarts of jobs. Equal runs have equal lists."""
    events = [event for topic in JOURNALS for event in journal(log, topic, model)]
    return [_told(event) for event in events if getattr(event, "attempt", 1) == 1]


def _told(event: Event) -> str:
    said = event.model_dump(mode="json", include=set(_TOLD))
    facts = " ".join(f"{name}={value}" for name, value in said.items() if value is not None)
    return f"{type(event).__name__} {event.time.isoformat()} {facts} {_checks(event)}".rstrip()


def _checks(event: Event) -> str:
    """The verdict on each check, of a gate's verdict; its figures of latency are the machine's."""
    found = getattr(event, "checks", ())
    return " ".join(f"{check.name}:{check.verdict}" for check in found if "latency" not in check.name)


_TOLD = frozenset({
    "version", "champion", "previous", "cause", "episode", "episode_kind", "outcome", "failed", "step",
    "phase", "weight", "start", "end", "kind", "train_rows", "holdout_rows", "cut", "fresh_labels",
})  # fmt: skip
