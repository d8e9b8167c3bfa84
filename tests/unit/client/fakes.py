"""A front door that a test opens, shuts and slows, and what it has received."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from everloop.client import Client, Limits, Stats
from everloop.client.batches import Batch
from everloop.client.sending import Accepted, Answer, Later

FAST = Limits(linger_s=0.001, close_s=5)
ROW = {"amount": 12.5, "country": "CH"}


@dataclass
class FakeDoor:
    """A transport. It answers `answers` in turn, then accepts; while it is `shut`, nothing arrives."""

    answers: list[Answer] = field(default_factory=list)
    got: list[Batch] = field(default_factory=list)
    shut: bool = False
    opened: threading.Event = field(default_factory=threading.Event)
    slow: bool = False

    def send(self, batch: Batch) -> Answer:
        if self.slow:
            self.opened.wait(10)
        if self.shut:
            return Later("shut", 0.01)
        self.got.append(batch)
        return self.answers.pop(0) if self.answers else Accepted()

    def close(self) -> None:
        pass

    @property
    def ids(self) -> list[str]:
        """Prediction ids in the order in which they came, repeats among them."""
        return [one for batch in self.got for one in orjson.loads(batch.body)["prediction_id"]]


def a_client(door: FakeDoor, limits: Limits = FAST, spill: Path | None = None) -> Client:
    return Client("http://127.0.0.1:1", model="fraud", version="1", limits=limits, spill=spill, connect=lambda: door)


def log(client: Client, *names: str) -> None:
    for name in names:
        client.log_predictions(ROW, 0.5, prediction_id=name)


def until(done: Callable[[], bool]) -> None:
    """Wait for threads that nobody can join yet."""
    limit = time.monotonic() + 30
    while not done():
        assert time.monotonic() < limit, "it never came"
        time.sleep(0.002)


def rows_of(stats: Stats) -> int:
    """All rows that are accounted for."""
    return stats.sent + stats.refused + stats.dropped + stats.queued + stats.on_disk


def a_batch(name: str, rows: int = 1, size: int = 10, kind: str = "predictions") -> Batch:
    body = orjson.dumps({"prediction_id": [name] * rows, "filler": "x" * size})
    return Batch(name, "labels" if kind == "labels" else "predictions", "fraud", rows, 1, body)


def names(batches: Sequence[Batch]) -> list[str]:
    return [batch.id for batch in batches]
