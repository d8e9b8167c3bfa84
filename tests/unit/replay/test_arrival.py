"""When what was sent lies in the archive."""

from __future__ import annotations

from everloop import topics
from everloop.replay.arrival import Arrival
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryLog

PREDICTED = Place(topics.PREDICTIONS.name, 2)
KEYED = Place(topics.KEYS.name, 1)
JOINED = Place(topics.OUTCOMES.name, 3)


def a_log(*places: Place) -> MemoryLog:
    log = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
    for place in places:
        log.append(Message(place, b"fraud", b"{}"))
    return log


def read(log: MemoryLog, stage: str, place: Place, offset: int = 1) -> None:
    log.client().commit_as(f"everloop.ingest.{stage}", {place: offset})


def test_an_empty_log_lacks_nothing() -> None:
    assert Arrival(a_log().client()).missing() == []


def test_each_stage_is_waited_for_up_to_what_the_one_before_has_written() -> None:
    log = a_log(PREDICTED)
    arrival = Arrival(log.client())
    assert arrival.missing() == ["everloop.ingest.route is 1 behind on everloop.predictions.v1[2] (0 of 1)"]
    log.append(Message(KEYED, b"fraud", b"{}"))
    read(log, "route", PREDICTED)
    assert arrival.missing() == ["everloop.ingest.join is 1 behind on everloop.keys.v1[1] (0 of 1)"]
    log.append(Message(JOINED, b"fraud", b"{}"))
    read(log, "join", KEYED)
    read(log, "archive", PREDICTED)
    assert arrival.missing() == ["everloop.ingest.archive is 1 behind on everloop.outcomes.v1[3] (0 of 1)"]
    read(log, "archive", JOINED)
    assert arrival.missing() == []


def test_what_comes_later_is_not_waited_for() -> None:
    log = a_log(PREDICTED)
    arrival = Arrival(log.client())
    assert arrival.missing()
    log.append(Message(PREDICTED, b"fraud", b"{}"))
    for stage in ("route", "archive"):
        read(log, stage, PREDICTED, 2 if stage == "archive" else 1)
    assert arrival.missing() == []
