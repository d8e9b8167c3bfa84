"""Rollout on the in-memory log: plans, tombstones, alerts, the alias; and that a repeat changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.errors import AwayError
from everloop.events import AlertRaised, Event, LoopApplied, TrafficPlanned, VersionPromoted, VersionRolledBack
from everloop.jobs import InlineJobs
from everloop.runtime.control import ControlService
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryClient, MemoryLog
from everloop_rollout.domain.phases import State
from everloop_rollout.handlers import CONSUMES, HEARS, JOURNAL, PRODUCES, decider
from tests.builders import (
    NOON,
    a_fresh_id,
    a_signed_verdict,
    a_version_passed,
    a_window_of_arms,
    an_arm_window,
)
from tests.unit.rollout.stage import WINDOW, a_rollout_loop


class FakeAlias:
    """The alias in a dictionary; the registry can be away."""

    def __init__(self) -> None:
        self.champions: dict[str, str] = {}
        self.away = False

    def __call__(self, event: Event) -> None:
        assert isinstance(event, VersionPromoted | VersionRolledBack)
        if self.away:
            raise AwayError("nobody is there")
        self.champions[event.model] = event.verdict.version


class House:
    """One replica of rollout on a log, with a wall clock that a test turns."""

    def __init__(self) -> None:
        self.registry = FakeAlias()
        self.broker = MemoryLog({name: topic.partitions for name, topic in topics.TOPICS.items()})
        self.client: MemoryClient = self.broker.client()
        self.wall = NOON
        self.service = self.replica()
        loop = a_rollout_loop()
        applied = LoopApplied(id=a_fresh_id(), time=NOON, model="fraud", loop=loop.to_payload(), digest="")
        self.send(topics.LOOPS, applied)
        self.settle()

    def replica(self) -> ControlService[State]:
        """A fresh start."""
        shown = decider({VersionPromoted: self.registry, VersionRolledBack: self.registry})
        return ControlService(shown, self.client, InlineJobs({}), replica="0", wall=lambda: self.wall)

    def restart(self) -> None:
        """The process is gone, another takes its place."""
        self.service.close()
        self.service = self.replica()
        self.settle()

    def send(self, topic: topics.Topic, event: Event) -> None:
        value, headers = encode(event, source="test", recorded=NOON)
        self.client.publish([Message(self.place(topic), event.model.encode(), value, headers)])

    def passes(self, version: str, champion: str | None, sequence: int) -> Event:
        event = a_version_passed(version, champion).model_copy(update={"sequence": sequence})
        self.send(topics.VERDICTS, event)
        self.settle()
        return event

    def settle(self) -> None:
        while self.service.step():
            pass

    def renew(self) -> None:
        self.wall += timedelta(seconds=6)
        self.settle()

    def place(self, topic: topics.Topic) -> Place:
        return Place(topic.name, partition("fraud", topic.partitions))

    def said(self, topic: topics.Topic) -> list[Event]:
        return [event for _, event in self.records(topic) if event is not None]

    def records(self, topic: topics.Topic) -> list[tuple[str, Event | None]]:
        place, tail = self.place(topic), self.client.tail()
        tail.seek({place: 0})
        records = tail.read_to(self.client.ends([place]))
        tail.close()
        return [
            ((record.key or b"").decode(), decode(record.value, record.headers) if record.value else None)
            for record in records
        ]


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    yield made
    made.service.close()


def test_a_rollout_on_the_log_leaves_plans_tombstones_alerts_and_the_alias(house: House) -> None:
    house.passes("1", None, 1)
    house.passes("2", "1", 2)
    keys = [(key, event is None) for key, event in house.records(topics.TRAFFIC)]
    assert keys == [("fraud:1", False), ("fraud:2", False), ("fraud:1", True)]
    alerts = [event.name for event in house.said(topics.ALERTS) if isinstance(event, AlertRaised)]
    assert alerts == ["version_promoted", "rollout_started"]
    assert house.registry.champions == {"fraud": "1"}


def test_a_redelivered_verdict_is_answered_once(house: House) -> None:
    passed = house.passes("1", None, 1)
    house.send(topics.VERDICTS, passed)
    house.settle()
    assert len(house.said(topics.ROLLOUTS)) == 1


def test_a_lease_is_renewed_with_the_same_id_and_epoch_and_no_journal_record(house: House) -> None:
    house.passes("1", None, 1)
    house.renew()
    house.renew()
    plans = [event for event in house.said(topics.TRAFFIC) if isinstance(event, TrafficPlanned)]
    assert len(plans) == 3
    assert len({(one.id, one.epoch) for one in plans}) == 1
    assert len(house.said(topics.ROLLOUTS)) == 1


def test_a_window_that_shows_harm_takes_the_candidate_out_of_traffic(house: House) -> None:
    house.passes("1", None, 1)
    house.passes("2", "1", 2)
    arms = [an_arm_window("champion", "1"), an_arm_window("shadow", "2", errors=0.2)]
    house.send(topics.WINDOWS, a_window_of_arms(*arms, start=NOON, end=NOON + WINDOW))
    house.settle()
    assert [type(event).__name__ for event in house.said(topics.ROLLOUTS)][-1] == "RolloutAborted"
    planned = house.said(topics.TRAFFIC)[-1]
    assert isinstance(planned, TrafficPlanned)
    assert (planned.epoch, planned.shadow) == (3, None)
    assert house.said(topics.ALERTS)[-1].model_dump()["severity"] == "warning"


def test_an_unreachable_registry_does_not_stop_a_rollout(house: House) -> None:
    house.registry.away = True
    house.passes("1", None, 1)
    house.passes("2", "1", 2)
    assert len(house.said(topics.ROLLOUTS)) == 2
    house.registry.away = False
    house.renew()
    assert house.registry.champions == {"fraud": "1"}


def test_an_alias_that_was_not_set_before_a_restart_is_set_after_it(house: House) -> None:
    house.registry.away = True
    house.passes("1", None, 1)
    house.restart()
    assert house.registry.champions == {}
    house.registry.away = False
    house.restart()
    assert house.registry.champions == {"fraud": "1"}


def test_a_person_hears_once_of_a_registry_that_is_away(house: House) -> None:
    house.registry.away = True
    house.passes("1", None, 1)
    for _ in range(60):
        house.renew()
    names = [event.name for event in house.said(topics.ALERTS) if isinstance(event, AlertRaised)]
    assert names == ["version_promoted", "registry_behind"]


def test_the_tables_agree_with_the_registry_of_topics() -> None:
    assert {topic.name for topic in CONSUMES} == {t.name for t in topics.TOPICS.values() if "rollout" in t.consumers}
    own = {t.name for t in topics.TOPICS.values() if "rollout" in t.producers} - {topics.ALERTS.name, topics.DLQ.name}
    assert {topic.name for topic in PRODUCES} == own
    assert all(topic in CONSUMES for topic in HEARS)
    assert JOURNAL in PRODUCES


def test_a_rollback_shows_the_previous_champion(house: House) -> None:
    house.passes("1", None, 1)
    house.send(topics.ROLLOUTS, a_rollback("0", sequence=2))
    house.settle()
    assert house.registry.champions == {"fraud": "0"}


def a_rollback(to: str, sequence: int) -> VersionRolledBack:
    return VersionRolledBack.model_validate({
        "id": a_fresh_id(), "time": NOON, "model": "fraud", "version": "1", "champion": to, "salt": "",
        "verdict": a_signed_verdict(to), "reason": {"rule": "errors"}, "sequence": sequence,
    })  # fmt: skip
