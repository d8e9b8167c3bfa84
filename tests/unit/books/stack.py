"""The rooms that keep books, on the log in memory: rows, repeats, late ones, rubbish, and crashes where one wants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import orjson

from everloop import events as e
from everloop import topics
from everloop.buckets import partition
from everloop.codec import encode
from everloop.loop import Loop
from everloop.rows import rows_of, write_rows
from everloop.runtime.data import DataService
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryClient
from everloop.simulation import Build, Point, Simulation
from everloop_drift.adapters import WindowsFold
from tests.builders import HOUR_MS, NOON, a_fresh_id, a_loop, millis
from tests.unit.cli.turns import START, a_start, a_version
from tests.unit.ingest.builders import Worker

LOOP = a_loop(windows={"every": "1h", "grace": "5m"}, labels={"horizon": "1h"})
STRUCTURED = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
Fold = Callable[[], WindowsFold]


def windows_fold() -> WindowsFold:
    """As the service makes it."""
    return WindowsFold(lambda: NOON)


def a_stack(make: Fold = windows_fold, crash: Callable[[Point], bool] = lambda _: False, seed: int = 0) -> Simulation:
    """The worker of ingest and drift's windows, each room a process of its own."""
    worker = Worker(limit=2)
    builds: dict[str, Build] = {
        **worker.builds(),
        "windows": lambda log: DataService(make(), log, replica="0", limit=2),
    }
    return Simulation(builds, crash=crash, seed=seed)


def rows(name: str, *ids: str, at: int = START, **more: object) -> e.PredictionsLogged:
    """A record of scored rows at `at` (ms)."""
    given = {"version": "2", "source": "serving", "score": (0.5,) * len(ids), **more}
    return e.PredictionsLogged.named(
        name, NOON, "fraud", prediction_id=ids, times=(at,) * len(ids), features={"amount": (1.0,) * len(ids)}, **given
    )


def in_arrow(log: MemoryClient, number: int, event: e.PredictionsLogged, cut: int = 0) -> None:
    """The rows of an event as an Arrow stream, without so many of its last bytes."""
    value, headers = write_rows(rows_of(event), source="test", now=NOON)
    log.publish([Message(Place(topics.PREDICTIONS.name, number), b"k", value[: len(value) - cut], headers)])


def labels(name: str, *ids: str, model: str = "fraud") -> e.LabelsLogged:
    count = len(ids)
    return e.LabelsLogged.named(
        name, NOON, model, prediction_id=ids, label=(1.0,) * count, labelled_at=(START,) * count
    )


def write(log: MemoryClient, topic: topics.Topic, number: int, event: e.Event) -> None:
    value, headers = encode(event, source="test", recorded=NOON)
    log.publish([Message(Place(topic.name, number), event.model.encode(), value, headers)])


def raw(log: MemoryClient, topic: topics.Topic, value: bytes | None, *headers: tuple[str, bytes]) -> None:
    log.publish([Message(Place(topic.name, 0), b"k", value, headers)])


def begin(log: MemoryClient) -> None:
    """The rules and the profile of version 2."""
    write(log, topics.LOOPS, partition("fraud", topics.PARTITIONS), applied(LOOP))
    started = a_start("2", a_fresh_id(), NOON)
    numbered = [
        one.model_copy(update={"sequence": at}) for at, one in enumerate((started, a_version(started, NOON)), 1)
    ]
    for one in numbered:
        write(log, topics.TRAINING, partition("fraud", topics.PARTITIONS), one)


def applied(loop: Loop) -> e.LoopApplied:
    return e.LoopApplied.named("books", NOON, loop.model, loop=loop.to_payload(), digest="0" * 64)


def beat(log: MemoryClient, at: int) -> None:
    sent = e.HeartbeatSent.named(f"beat/{at}", NOON, "*", replica="0", clocks={"*": at, "fraud": at})
    for number in range(topics.PREDICTIONS.partitions):
        write(log, topics.PREDICTIONS, number, sent)


def tell(log: MemoryClient) -> None:
    """First part: 15 good rows on `predictions/0` and `/1`, 4 in Arrow on `/3`, 3 of history, labels; some twice."""
    begin(log)
    beat(log, START)
    write(log, topics.PREDICTIONS, 0, rows("r1", *map(str, range(5))))
    write(log, topics.PREDICTIONS, 0, rows("r1", *map(str, range(5))))
    write(log, topics.PREDICTIONS, 1, rows("r2", *map(str, range(5, 15))))
    for _ in range(2):
        in_arrow(log, 3, rows("a1", "x1", "x2", "x3", "x4"))
    old = rows("old", "o1", "o2", "o3", version=None, source="bootstrap", score=None, label=(1.0, 0.0, None))
    write(log, topics.PREDICTIONS, 2, old)
    write(log, topics.LABELS, 0, labels("l1", *map(str, range(7))))
    write(log, topics.LABELS, 3, labels("l2", *map(str, range(4, 9)), "nobody"))


def spoil(log: MemoryClient) -> None:
    """Second part: late rows, rows from the future, of no known model or version, and what nobody can read."""
    beat(log, START + 3 * HOUR_MS)
    write(log, topics.PREDICTIONS, 0, rows("late", "a", "b"))
    ahead = rows("ahead", "c", at=millis(NOON + timedelta(days=3)))
    write(log, topics.PREDICTIONS, 0, ahead)
    write(log, topics.PREDICTIONS, 1, rows("strange", "d", "e", version="9"))
    stranger = rows("nobody's", "f", "g").model_copy(update={"model": "unknown"})
    write(log, topics.PREDICTIONS, 1, stranger)
    write(log, topics.LABELS, 1, labels("l3", "f", "g", model="unknown"))
    write(log, topics.PREDICTIONS, 0, labels("astray", "h", "i", "j"))
    whole = {"specversion": "1.0", "type": e.PredictionsLogged.TYPE, "id": str(a_fresh_id()), "subject": "fraud"}
    uneven = {"prediction_id": ["k", "l"], "times": [1], "features": {}}
    structured = orjson.dumps({**whole, "time": NOON.isoformat(), "data": {"version": "2", **uneven, "times": [1, 2]}})
    raw(log, topics.PREDICTIONS, structured, *STRUCTURED)
    raw(log, topics.PREDICTIONS, orjson.dumps(uneven), ("ce_type", e.PredictionsLogged.TYPE.encode()))
    raw(log, topics.PREDICTIONS, b"{not json", ("ce_type", e.PredictionsLogged.TYPE.encode()))
    in_arrow(log, 0, rows("torn", "m", "n"), cut=20)
    in_arrow(log, 1, rows("unknown", "p", "q", "r", version="9"))
    in_arrow(log, 1, rows("wrong", "s", "t", status=None).model_copy(update={"source": "nobody"}))
    raw(log, topics.PREDICTIONS, None)
    raw(log, topics.PREDICTIONS, b"[]")
    raw(log, topics.PREDICTIONS, b'{"clocks": "?"}', ("ce_type", e.HeartbeatSent.TYPE.encode()))
    raw(log, topics.LABELS, b'{"prediction_id": "one"}')
    raw(log, topics.KEYS, b"\xff")
    beat(log, START + 4 * HOUR_MS)


def run(simulation: Simulation) -> Simulation:
    """Both parts, each to rest."""
    for part in (tell, spoil):
        part(simulation.client())
        simulation.settle()
    return simulation
