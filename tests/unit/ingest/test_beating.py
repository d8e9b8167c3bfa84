"""When a heartbeat is written, and that replay does not wait a second for it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from everloop import topics
from everloop.buckets import partition
from everloop.errors import FatalError
from everloop.events import EVERY_MODEL, ClockMoved, HeartbeatSent
from everloop.hosting import Health
from everloop.metrics import Metrics
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryClient, MemoryLog
from everloop_ingest.adapters.beats import Beater, Patient
from everloop_ingest.domain.beating import Due, Written, after, due
from tests.unit.ingest.builders import NOON, NOON_MS, FakeWall, a_clock, apply_loop, said, write

FRAUD = partition("fraud", topics.PARTITIONS)


@pytest.fixture
def broker() -> MemoryLog:
    return MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})


def _beater(broker: MemoryLog, wall: FakeWall) -> Beater:
    return Beater(broker.client(), replica="0", wall=wall, metrics=Metrics(), sleep=lambda _: None)


def test_the_first_time_both_are_due() -> None:
    assert due({}, 5_000, Written()) == Due({EVERY_MODEL: 5_000}, 5_000)


def test_within_a_second_nothing_is_due() -> None:
    assert due({}, 5_999, Written(5_000)) == Due(None, None)
    assert due({}, 6_000, Written(5_000)) == Due({EVERY_MODEL: 6_000}, 6_000)


def test_a_models_own_clock_is_due_at_once_without_the_clock_of_all() -> None:
    last = Written(5_000, {"fraud": 1})
    now = due({"fraud": 2}, 5_001, last)
    assert now == Due({EVERY_MODEL: 5_001, "fraud": 2}, None)
    assert after(now, {"fraud": 2}, last) == Written(5_000, {"fraud": 2})
    assert after(Due(None, None), {"fraud": 2}, last) == last


def test_time_never_goes_back() -> None:
    assert due({"fraud": 2}, 4_000, Written(5_000)) == Due({EVERY_MODEL: 5_000, "fraud": 2}, None)


def test_every_second_into_every_partition(broker: MemoryLog) -> None:
    wall = FakeWall()
    beater = _beater(broker, wall)
    assert beater.step()
    assert not beater.step()
    wall.move(1)
    assert beater.step()
    beats = said(broker, topics.PREDICTIONS, HeartbeatSent)
    assert len(beats) == 2 * topics.PREDICTIONS.partitions
    assert {beat.clocks[EVERY_MODEL] for beat in beats} == {NOON_MS, NOON_MS + 1000}
    clocks = said(broker, topics.CLOCK, ClockMoved)
    assert [(clock.model, clock.data, clock.control) for clock in clocks] == [
        (EVERY_MODEL, wall.at - timedelta(seconds=1), wall.at - timedelta(seconds=1)),
        (EVERY_MODEL, wall.at, wall.at),
    ]


def test_a_models_clock_is_answered_in_the_same_step_and_committed_after(broker: MemoryLog) -> None:
    beater = _beater(broker, FakeWall())
    beater.step()
    write(broker.client(), topics.CLOCK, FRAUD, a_clock("fraud", NOON - timedelta(days=300)))
    assert beater.step()
    newest = said(broker, topics.PREDICTIONS, HeartbeatSent)[-1]
    assert newest.clocks["fraud"] == NOON_MS - 300 * 86_400_000
    committed = broker.offsets["everloop.ingest.door.broadcast.0"]
    place = Place(topics.CLOCK.name, FRAUD)
    assert committed[place] == len(broker.records[place])


def test_a_withdrawn_clock_is_said_no_more(broker: MemoryLog) -> None:
    beater = _beater(broker, FakeWall())
    write(broker.client(), topics.CLOCK, FRAUD, a_clock("fraud", NOON))
    beater.step()
    broker.client().publish([Message(Place(topics.CLOCK.name, FRAUD), b"fraud", None)])
    beater.step()
    assert said(broker, topics.PREDICTIONS, HeartbeatSent)[-1].clocks == {EVERY_MODEL: NOON_MS}


def test_the_door_outlives_an_outage_but_not_for_ever(broker: MemoryLog) -> None:
    down = [False]

    def hook(effect: str, moment: str, _detail: str) -> None:
        if down[0] and (effect, moment) == ("publish", "before"):
            raise FatalError("gone")

    client = MemoryClient(broker, hook)
    wall, health = FakeWall(), Health()
    beater = Beater(client, replica="0", wall=wall, metrics=Metrics(), sleep=lambda _: None)
    patient = Patient(beater, health, most=3)
    apply_loop(broker.client())
    patient.step()
    health.is_ready()
    down[0] = True
    wall.move(1)
    assert not patient.step()
    assert health.why_not_ready() == "an answer of the broker"
    assert patient.assigned.generation == 0
    down[0] = False
    assert patient.step()
    assert patient.assigned.generation == 1
    assert "fraud" in beater.world.loops
    assert (beater.is_binary("fraud"), beater.is_binary("evil")) == (True, False)
    down[0] = True
    wall.move(1)
    patient.step()
    patient.step()
    with pytest.raises(FatalError):
        patient.step()
