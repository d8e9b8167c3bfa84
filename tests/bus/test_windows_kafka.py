"""The same stream through two Faust workers on a real Kafka, both killed in the middle: the bytes of the quiet run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from everloop import topics
from everloop.local import topics_admin
from everloop.local.testing import running_broker
from everloop.runtime.data import DataService
from everloop.runtime.kafka_log import KafkaLog
from everloop.runtime.log import Record, places_of
from everloop_drift.adapters import MergeFold
from tests.bus.test_faust import Worker
from tests.simulation.test_windows_exact import REVISED, play, said, written
from tests.simulation.window_stream import Stream

pytestmark = pytest.mark.kafka

PATIENCE_S = 300
GROUPS = {"everloop.drift.windows": (topics.PREDICTIONS.name, topics.OUTCOMES.name)}
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A broker of its own: heartbeats of other tests would move this one's windows."""
    with running_broker(tmp_path / "kafka") as found:
        topics_admin.create(found)
        yield found


def is_read(log: KafkaLog) -> bool:
    """Whether every row is in published state."""
    return all(
        log.committed(group, places_of(log, names)) == log.ends(places_of(log, names))
        for group, names in GROUPS.items()
    )


def wait(done: Callable[[], bool], meanwhile: Callable[[], object] = lambda: time.sleep(0.1)) -> None:
    latest = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < latest, "it did not get there"
        meanwhile()


def records(log: KafkaLog, topic: topics.Topic) -> list[Record]:
    places = places_of(log, [topic.name])
    tail = log.tail()
    tail.seek(dict.fromkeys(places, 0))
    found = tail.read_to(log.ends(places))
    tail.close()
    return found


def by_model(found: list[Record]) -> dict[tuple[str, int], list[bytes]]:
    """As `written`, of a real log."""
    kept: dict[tuple[str, int], list[bytes]] = {}
    for record in sorted(found, key=lambda one: (one.place, one.offset)):
        held = kept.setdefault((str(record.key), record.place.partition), [])
        if said(record) not in held:
            held.append(said(record))
    return kept


def test_two_workers_that_are_killed_write_the_bytes_of_one_that_is_not(address: str, tmp_path: Path) -> None:
    stream = Stream(77, REVISED)
    undisturbed = written(play(stream))
    log = KafkaLog(address, client_id="test-windows")
    workers = [Worker(address, tmp_path / f"worker-{replica}", replica=str(replica)) for replica in range(2)]
    merge = DataService(MergeFold(lambda: START), log, replica="0")
    third = len(stream.messages) // 3
    try:
        log.publish(stream.messages[:third])
        wait(lambda: bool(records(log, topics.PARTIALS)))
        workers[0].kill()
        log.publish(stream.messages[third : 2 * third])
        workers[0].start()
        wait(lambda: is_read(log), merge.step)
        workers[1].kill()
        log.publish(stream.messages[2 * third :])
        workers[1].start()
        wait(lambda: is_read(log), merge.step)
        wait(lambda: not merge.step(0.5))
    finally:
        for worker in workers:
            worker.kill()
        merge.close()
        log.close()
    log = KafkaLog(address, client_id="test-windows-after")
    assert by_model(records(log, topics.WINDOWS)) == undisturbed
    log.close()
