"""Silence of ingest is an alert, once, and again after the next silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from everloop import topics
from everloop.codec import decode, encode
from everloop.events import EVERY_MODEL, AlertRaised, ClockMoved
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryClient, MemoryLog
from everloop.runtime.silence import Silence
from everloop.topics import TOPICS

START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Bench:
    """A broker, a wall that a test moves, and the watcher."""

    now: datetime = START
    broker: MemoryLog = field(default_factory=lambda: MemoryLog({t.name: t.partitions for t in TOPICS.values()}))

    def __post_init__(self) -> None:
        self.client: MemoryClient = self.broker.client()
        self.silence = Silence(self.client, lambda: self.now, source="test")

    def after(self, seconds: float) -> bool:
        self.now += timedelta(seconds=seconds)
        return self.silence.step()

    def beat(self, model: str) -> None:
        moved = ClockMoved.named(f"{model}/{self.now}", self.now, model, data=self.now, control=self.now)
        value, headers = encode(moved, source="ingest", recorded=self.now)
        self.client.publish([Message(Place(topics.CLOCK.name, 0), model.encode(), value, headers)])

    @property
    def alerts(self) -> list[str]:
        places = [Place(topics.ALERTS.name, number) for number in range(topics.ALERTS.partitions)]
        records = [record for place in places for record in self.broker.records[place]]
        found = [decode(record.value, record.headers) for record in records]
        return [alert.name for alert in found if isinstance(alert, AlertRaised)]


def test_ten_silent_seconds_are_one_alert() -> None:
    bench = Bench()
    assert [bench.after(5), bench.after(4), bench.after(1), bench.after(60)] == [False, False, True, False]
    assert bench.alerts == ["heartbeat_missing"]


def test_a_heartbeat_ends_the_silence_and_the_next_one_is_an_alert_of_its_own() -> None:
    bench = Bench()
    bench.after(11)
    bench.beat(EVERY_MODEL)
    assert not bench.after(1)
    assert bench.after(10)
    assert len(bench.alerts) == 2


def test_a_model_with_a_clock_of_its_own_is_no_sign_of_life_of_ingest() -> None:
    bench = Bench()
    bench.after(9)
    bench.beat("fraud")
    assert bench.after(2)
