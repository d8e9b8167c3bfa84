"""The gatekeeper in its runtime, on the in-memory log: from a version to a signed verdict and an alert."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue

from everloop import events as e
from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.jobs import InlineJobs
from everloop.loop import loop_digest
from everloop.runtime.control import ControlService
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryLog
from everloop.signing import PrivateKey, generate, verify_verdict
from everloop_gatekeeper import domain
from everloop_gatekeeper.adapters import sealer
from everloop_gatekeeper.domain import Figures, MetricFigures
from everloop_gatekeeper.domain.figures import Latency
from everloop_gatekeeper.handlers import decider
from tests.builders import NOON, a_fresh_id, a_loop, a_version_created


class Room:
    """One replica with a fake job that has measured `area`."""

    def __init__(self, key: PrivateKey, area: float) -> None:
        self.log = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
        self.area = area
        self.service: ControlService[domain.State] = ControlService(
            decider(sealer(key)), self.log.client(), InlineJobs({"ChecksStarted": self.measured}), replica="0",
            wall=lambda: NOON,
        )  # fmt: skip
        loop = a_loop(gate={"floor": {"roc_auc": 0.8}})
        fields = {"loop": loop.to_payload(), "digest": loop_digest(loop)}
        self.put(topics.LOOPS, e.LoopApplied.named("a loop", NOON, "fraud", **fields))

    def measured(self, spec: bytes) -> dict[str, JsonValue]:
        asked = e.CheckSpec.model_validate_json(spec)
        area = MetricFigures(value=(self.area,), covariance=((1e-6,),), samples=300)
        figures = Figures(
            size=1, features=asked.features, task="binary", rows=1000, metrics={"roc_auc": area},
            latency=Latency(rows=100, p50=1, p95=2),
        )  # fmt: skip
        return figures.model_dump(mode="json")

    def put(self, topic: topics.Topic, event: e.Event) -> None:
        value, headers = encode(event, source="test", recorded=NOON)
        place = Place(topic.name, partition("fraud", topics.PARTITIONS))
        self.log.client().publish([Message(place, b"fraud", value, headers)])

    def tick(self, minutes: int) -> None:
        moment = NOON + timedelta(minutes=minutes)
        self.put(topics.CLOCK, e.ClockMoved(id=a_fresh_id(), time=moment, model="fraud", data=moment, control=moment))
        while self.service.step():
            pass

    def said(self, topic: topics.Topic) -> Sequence[e.Event]:
        place = Place(topic.name, partition("fraud", topics.PARTITIONS))
        tail = self.log.client().tail()
        tail.seek({place: 0})
        return [decode(record.value, record.headers) for record in tail.read_to(self.log.client().ends([place]))]


@pytest.fixture
def key(tmp_path: Path) -> PrivateKey:
    return generate(tmp_path / "gatekeeper.key")


def a_room_that_heard_a_version(key: PrivateKey, area: float) -> Room:
    room = Room(key, area)
    room.tick(0)
    room.put(topics.TRAINING, a_version_created("1").model_copy(update={"sequence": 1}))
    room.tick(1)
    room.tick(2)
    return room


def test_the_first_version_passes_and_its_verdict_is_believed(key: PrivateKey) -> None:
    room = a_room_that_heard_a_version(key, area=0.9)
    said = room.said(topics.VERDICTS)
    assert [type(event) for event in said] == [e.VersionReceived, e.ChecksStarted, e.VersionPassed]
    assert [event.sequence for event in said] == [1, 2, 3]
    assert len({event.correlation_id for event in said}) == 1
    passed = said[-1]
    assert isinstance(passed, e.VersionPassed)
    verify_verdict(key.public, passed.verdict)
    assert room.said(topics.ALERTS) == []


def test_a_refusal_is_an_alert(key: PrivateKey) -> None:
    room = a_room_that_heard_a_version(key, area=0.7)
    assert isinstance(room.said(topics.VERDICTS)[-1], e.VersionRefused)
    (alert,) = room.said(topics.ALERTS)
    assert isinstance(alert, e.AlertRaised)
    assert (alert.name, alert.details) == ("version_refused", {"checks": ["floor.roc_auc"]})
