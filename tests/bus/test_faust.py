"""The Faust carrier on a real Kafka: exact counts through `kill -9`, poison counted, offsets committed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from everloop import topics
from everloop.codec import decode
from everloop.events import (
    BooksKept,
    HeartbeatPassed,
    HeartbeatSent,
    PartialSaved,
    PredictionsLogged,
)
from everloop.runtime.kafka_log import KafkaLog
from everloop.runtime.log import Message, Place, Record, places_of
from tests.bus.rows import make_known, say

pytestmark = pytest.mark.kafka

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR_MS = 3_600_000
ROWS = 40
GROUP = "everloop.drift.windows"
PATIENCE_S = 300


class Worker:
    """`python -m everloop_drift windows` on this broker: the product's own process."""

    def __init__(self, address: str, var: Path, *, replica: str = "0") -> None:
        self.environment = {
            **os.environ, "EVERLOOP_BROKER": address, "EVERLOOP_VAR": str(var), "EVERLOOP_REPLICA": replica,
        }  # fmt: skip
        self.start()

    def start(self) -> None:
        """Run."""
        command = [sys.executable, "-m", "everloop_drift", "windows"]
        self.process = subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.wait()


def rows_of(model: str, hour: int, number: int) -> PredictionsLogged:
    """The rows of one hour in one partition."""
    first = round(START.timestamp() * 1000) + hour * HOUR_MS
    rng = np.random.default_rng([hour, number])
    return PredictionsLogged.named(
        f"{model}/{hour}/{number}", START, model, source="serving", version="1", arm="champion", epoch=1,
        prediction_id=tuple(f"{model}-{hour}-{number}-{row}" for row in range(ROWS)),
        times=tuple(first + row for row in range(ROWS)), features={"a": tuple(map(float, rng.normal(size=ROWS)))},
        score=tuple(map(float, rng.random(ROWS))),
    )  # fmt: skip


def beat(log: KafkaLog, model: str, hour: int) -> None:
    """The end of an hour, in every partition."""
    moment = round(START.timestamp() * 1000) + (hour + 1) * HOUR_MS + 120_001
    for number in range(topics.PARTITIONS):
        heartbeat = HeartbeatSent.named(f"{model}/{moment}/{number}", START, "*", replica="t", clocks={model: moment})
        say(log, topics.PREDICTIONS, number, heartbeat)


def is_committed(log: KafkaLog) -> bool:
    """Everything on `predictions` has been folded, published and committed."""
    places = places_of(log, [topics.PREDICTIONS.name])
    return log.committed(GROUP, places) == log.ends(places)


def wait(done: Callable[[], bool]) -> None:
    latest = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < latest, "the worker did not get there"
        time.sleep(0.1)


def partials(log: KafkaLog) -> dict[bytes, Record]:
    """The newest record per key, as compaction would leave it."""
    tail = log.tail()
    places = places_of(log, [topics.PARTIALS.name])
    tail.seek(dict.fromkeys(places, 0))
    found = {record.key or b"": record for record in tail.read_to(log.ends(places))}
    tail.close()
    return found


def test_counts_are_exact_through_two_kills_and_poison_is_in_the_books(
    log: KafkaLog, kafka: str, tmp_path: Path
) -> None:
    model = f"faust-{uuid4()}"
    make_known(log, model)
    before = log.ends(places_of(log, [topics.PREDICTIONS.name]))
    worker = Worker(kafka, tmp_path)
    try:
        for hour in range(6):
            for number in range(topics.PARTITIONS):
                say(log, topics.PREDICTIONS, number, rows_of(model, hour, number))
            log.publish([Message(Place(topics.PREDICTIONS.name, hour % topics.PARTITIONS), b"k", b"{not json")])
            beat(log, model, hour)
            if hour in {1, 3}:
                wait(lambda: bool(partials(log)))
                worker.kill()
                worker.start()
        wait(lambda: is_committed(log))
    finally:
        worker.kill()
    cells: Counter[int] = Counter()
    quarantined = 0
    for record in partials(log).values():
        match decode(record.value, record.headers):
            case PartialSaved(model=name, start=start, sketch={"inputs": {"rows": int(rows)}}) if name == model:
                cells[start] += rows
            case BooksKept() as books if books.topic == topics.PREDICTIONS.name:
                quarantined += books.quarantined
            case HeartbeatPassed() | _:
                pass
    first = round(START.timestamp() * 1000)
    assert dict(cells) == {first + hour * HOUR_MS: ROWS * topics.PARTITIONS for hour in range(6)}
    assert quarantined >= 6, f"six records were poison, from {before} on"
