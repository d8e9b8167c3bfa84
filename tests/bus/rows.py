"""What producers may send, and what becomes of it: one suite for the in-memory log and a real Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
import orjson

from everloop import topics
from everloop.buckets import partition
from everloop.codec import Headers, decode, encode
from everloop.errors import InvalidError
from everloop.events import (
    DeadLettered,
    Event,
    FileRef,
    KeysRouted,
    LoopApplied,
    ModelVersionCreated,
    PartialSaved,
    PredictionsLogged,
    Snapshot,
)
from everloop.loop import Loop
from everloop.metrics import Metrics
from everloop.profile import build_profile
from everloop.rows import rows_of, write_rows
from everloop.runtime.data import DataService, Fold
from everloop.runtime.log import Log, Message, Place, places_of
from everloop_drift.adapters import WindowsFold
from everloop_ingest.adapters.routes import RouteFold
from tests.bus.suite import structured

START = datetime(2026, 1, 1, tzinfo=UTC)
START_MS = round(START.timestamp() * 1000)
JSON: Headers = (("content-type", b"application/json"),)
STRUCTURED: Headers = (("content-type", b"application/cloudevents+json"),)


def say(log: Log, topic: topics.Topic, number: int, event: Event) -> None:
    """Publish as the product does, into any partition."""
    value, headers = encode(event, source="test", recorded=START)
    log.publish([Message(Place(topic.name, number), event.model.encode(), value, headers)])


def make_known(log: Log, model: str) -> None:
    """A loop and a first version with its profile."""
    loop = Loop.from_payload(
        {
            "kind": "Loop",
            "version": 1,
            "model": model,
            "task": "binary",
            "columns": {"id": "i", "time": "t", "label": "y"},
            "windows": {"every": "1h"},
        }
    )
    rng = np.random.default_rng(0)
    nothing = Snapshot(start=0, end=1, strategy="full", predictions=(), outcomes=())
    version = ModelVersionCreated.named(
        model, START, model, sequence=1, version="1", artifact=FileRef(uri="file:///none", sha256="0"), size=1,
        task="binary", recipe="none", features={"a": "numeric"}, metrics={}, snapshot=nothing, holdout=nothing,
        profile=build_profile({"a": rng.normal(size=500)}, scores=rng.random(500)), train_rows=1, holdout_rows=1, cut=0,
    )  # fmt: skip
    home = partition(model, topics.PARTITIONS)
    say(log, topics.LOOPS, home, LoopApplied.named(model, START, model, loop=loop.to_payload(), digest="d"))
    say(log, topics.TRAINING, home, version)


def plain_row(model: str, name: str) -> bytes:
    """A scored row as a producer sends it that knows no CloudEvents."""
    row = {"model": model, "prediction_id": name, "time": START_MS + 1, "features": {"a": 0.5}, "score": 0.25}
    return orjson.dumps({**row, "version": "1", "entity_id": "card-1"})


def a_record(model: str, name: str) -> PredictionsLogged:
    """Two rows as columns."""
    return PredictionsLogged.named(
        f"{model}/{name}", START, model, version="1", prediction_id=(f"{name}-0", f"{name}-1"),
        times=(START_MS + 2, START_MS + 3), features={"a": (0.5, None)}, score=(0.25, 0.75),
    )  # fmt: skip


def events(log: Log, topic: topics.Topic) -> Iterator[Event]:
    """All that can be read on a topic."""
    tail, places = log.tail(), places_of(log, [topic.name])
    tail.seek(dict.fromkeys(places, 0))
    for record in tail.read_to(log.ends(places)):
        try:
            yield decode(record.value, record.headers)
        except InvalidError:
            continue
    tail.close()


def windowed_rows(log: Log, model: str) -> int:
    """Rows of the model in the newest cell of each partition."""
    cells = {
        (e.topic, e.partition): e
        for e in events(log, topics.PARTIALS)
        if isinstance(e, PartialSaved) and e.model == model
    }
    inputs = [cell.sketch["inputs"] for cell in cells.values()]
    return sum(int(str(found["rows"])) for found in inputs if isinstance(found, dict))


@contextmanager
def carried(fold: Fold, log: Log) -> Iterator[DataService]:
    """The room on the carrier that polls."""
    service = DataService(fold, log, replica="0")
    try:
        yield service
    finally:
        service.close()


def run_room(service: DataService, done: Callable[[], bool], rounds: int = 600) -> None:
    """Step until the room is at rest and `done`."""
    for _ in range(rounds):
        if not service.step(0.05) and done():
            return
    raise AssertionError("the room did not get there")


def wall() -> datetime:
    """Time stands still in these tests."""
    return START


class PolledWindows(WindowsFold):
    """In a group of its own: members of a Faust worker that was killed a moment ago speak another group protocol."""

    name = "drift.windows.polled"


class RowsSuite:
    """What producers may send. A subclass gives `client()` and `fresh_model()`, as for `BusSuite`."""

    def client(self) -> Log:
        """Connect."""
        raise NotImplementedError

    def fresh_model(self) -> str:
        """A model that no other test has used."""
        raise NotImplementedError

    def test_rows_count_whatever_their_form_their_key_and_their_partition(self) -> None:
        log, model = self.client(), self.fresh_model()
        make_known(log, model)
        keys: Sequence[bytes | None] = (None, b"", b"\xff\xfe", b"some-card")
        for number, key in enumerate(keys):
            place, record = Place(topics.PREDICTIONS.name, number), a_record(model, f"columns-{number}")
            value, headers = encode(record, source="test", recorded=START)
            arrow = write_rows(rows_of(a_record(model, f"arrow-{number}")), source="test", now=START)
            log.publish([
                Message(place, key, plain_row(model, f"plain-{number}"), JSON),
                Message(place, key, plain_row(model, f"bare-{number}")),
                Message(place, key, value, headers),
                Message(place, key, *arrow),
                Message(place, key, *arrow),
                Message(place, key, structured(a_record(model, f"whole-{number}")), STRUCTURED),
                Message(place, key, structured(a_record(model, f"whole-{number}")), STRUCTURED),
            ])  # fmt: skip
        with carried(PolledWindows(wall), self.client()) as service:
            run_room(service, lambda: windowed_rows(log, model) == len(keys) * 8)
        assert windowed_rows(log, model) == len(keys) * 8, "1 + 1 + 2 + 2 + 2, and the repeats are known"

    def test_a_plain_row_goes_to_the_join_and_a_broken_one_to_the_dead_letters(self) -> None:
        log, model = self.client(), self.fresh_model()
        place = Place(topics.PREDICTIONS.name, 1)
        name, broken = f"{model}-plain", orjson.dumps({"model": model, "prediction_id": "x", "time": "noon"})
        value, headers = write_rows(rows_of(a_record(model, name)), source="test", now=START)
        offset, _, torn, _ = log.publish([
            Message(place, None, broken, JSON),
            Message(place, None, plain_row(model, name), JSON),
            Message(place, None, value[:-20], headers),
            Message(place, None, value, headers),
        ])  # fmt: skip

        def routed() -> list[KeysRouted]:
            return [one for one in events(log, topics.KEYS) if isinstance(one, KeysRouted) and one.model == model]

        with carried(RouteFold(wall, Metrics()), self.client()) as service:
            run_room(service, lambda: len({name for one in routed() for name in one.prediction_id}) == 3)
        found = [
            (row, score) for one in routed() for row, score in zip(one.prediction_id, one.score or (), strict=True)
        ]
        assert {one.version for one in routed()} == {"1"}
        assert sorted(found) == [(name, 0.25), (f"{name}-0", 0.25), (f"{name}-1", 0.75)]
        letters = [one for one in events(log, topics.DLQ) if isinstance(one, DeadLettered)]
        assert [(one.reason, one.offset) for one in letters if (one.topic, one.partition) == place][-2:] == [
            ("shape", offset), ("malformed", torn),
        ]  # fmt: skip
