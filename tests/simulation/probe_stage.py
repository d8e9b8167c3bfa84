"""The rooms of drift on the in-memory log, their probe, and a clock that a test drives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from everloop import topics
from everloop.codec import decode, encode
from everloop.events import AlertRaised, Event, HeartbeatPassed, HeartbeatSent, WindowClosed, WindowJudged
from everloop.jobs import ChildJobs
from everloop.metrics import Metrics
from everloop.names import PROBE
from everloop.runtime.control import ControlService
from everloop.runtime.data import DataService
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryLog
from everloop.topics import TOPICS
from everloop_drift.adapters import MergeFold, Probe, WindowsFold
from everloop_drift.adapters.probe import adopt, milliseconds
from everloop_drift.domain.probe import WINDOWS, Schedule, probe_loop
from everloop_drift.handlers import decider

START = datetime(2026, 1, 1, tzinfo=UTC)
SCHEDULE = Schedule(60_000)
EVERY = timedelta(milliseconds=SCHEDULE.every)


class Process(Protocol):
    """What is stepped."""

    def step(self, timeout_s: float = 0.0) -> bool:
        """One round."""


@dataclass
class Stage:
    """`replicas` of each room and of the probe; a process that raises is gone. rooms in `without` are never stepped."""

    replicas: int = 1
    without: frozenset[str] = frozenset()
    now: datetime = START
    broker: MemoryLog = field(default_factory=lambda: MemoryLog({t.name: t.partitions for t in TOPICS.values()}))
    died: list[str] = field(default_factory=list)
    beats: int = 0

    def __post_init__(self) -> None:
        """Start all."""
        self.client = self.broker.client()
        self.metrics = Metrics()
        self.running: dict[str, Process] = {}
        for n in range(self.replicas):
            for name, build in self.builds(str(n)).items():
                self.running[f"{name}-{n}"] = build()

    def builds(self, replica: str) -> dict[str, Callable[[], Process]]:
        """As the composition root does."""
        return {
            "windows": lambda: self.windows(replica),
            "merge": lambda: self.merge(replica),
            "judge": lambda: self.judge(replica),
            "probe": self.probe,
        }

    def wall(self) -> datetime:
        """The clock of the machine."""
        return self.now

    def windows(self, replica: str) -> Process:
        """Rows to cells."""
        fold = WindowsFold(self.wall, replica=replica)
        adopt(fold.known, SCHEDULE)
        return DataService(fold, self.broker.client(), replica=replica)

    def merge(self, replica: str) -> Process:
        """Cells to windows."""
        fold = MergeFold(self.wall, replica=replica)
        adopt(fold.known, SCHEDULE)
        return DataService(fold, self.broker.client(), replica=replica)

    def judge(self, replica: str) -> Process:
        """Windows to verdicts."""
        jobs = ChildJobs({}, Path("unused"))
        made = ControlService(decider(), self.broker.client(), jobs, replica=replica, wall=self.wall)
        made.world.loops[PROBE] = probe_loop(SCHEDULE)
        return made

    def probe(self) -> Probe:
        """Sends and watches."""
        return Probe(self.broker.client(), self.wall, SCHEDULE, self.metrics)

    def play(self, windows: int) -> Stage:
        """So many windows: their rows when they have begun, and once more the clock when the one before has closed."""
        for _ in range(windows):
            self.at(timedelta(seconds=1))
            self.at(timedelta(milliseconds=SCHEDULE.grace + 1000))
            self.now += EVERY
        return self

    def at(self, after: timedelta) -> None:
        """The machine's clock stands so long behind the begin of the window; everything comes to rest."""
        begin = self.now
        self.now = begin + after
        self._beat()
        while any([self._step(name) for name in self.running]):  # noqa: C419 -- each must step
            pass
        self.now = begin

    @property
    def periods(self) -> tuple[int, int]:
        """How many were found in time, and how many were not."""
        found = self.metrics.value("everloop_probe_found_total")
        return round(found), round(self.metrics.value("everloop_probe_missed_total"))

    def alerts(self) -> list[AlertRaised]:
        """In order of the log."""
        return [event for event in self.events(topics.ALERTS) if isinstance(event, AlertRaised)]

    def names(self) -> list[str]:
        """Of the alerts."""
        return [alert.name for alert in self.alerts()]

    def judged(self) -> list[WindowJudged]:
        """Every verdict."""
        return [event for event in self.events(topics.DRIFT) if isinstance(event, WindowJudged)]

    def closed(self, kind: str) -> list[WindowClosed]:
        """Every window of this kind that had rows."""
        events = [event for event in self.events(topics.WINDOWS) if isinstance(event, WindowClosed)]
        return [event for event in events if event.kind == kind and event.arms]

    def events(self, topic: topics.Topic) -> list[Event]:
        """All of a topic."""
        records = [record for n in range(topic.partitions) for record in self.broker.records[Place(topic.name, n)]]
        return [decode(record.value, record.headers) for record in records if record.value is not None]

    def _step(self, name: str) -> bool:
        if name.rpartition("-")[0] in self.without or name in self.died:
            return False
        try:
            return self.running[name].step()
        except Exception:  # noqa: BLE001 -- rule 12: whatever a process raises ends it
            self.died.append(name)
            return True

    def _beat(self) -> None:
        now = milliseconds(self.now)
        self.beats += 1
        for number in range(topics.PARTITIONS):
            name = f"{self.beats}/{number}"
            sent = HeartbeatSent.named(name, self.now, "*", replica="0", clocks={"*": now})
            passed = HeartbeatPassed.named(
                name, self.now, "*", topic=topics.KEYS.name, partition=number, clocks={"*": now}
            )
            self._say(topics.PREDICTIONS, sent, number)
            self._say(topics.OUTCOMES, passed, number)

    def _say(self, topic: topics.Topic, event: Event, number: int) -> None:
        value, headers = encode(event, source="test", recorded=self.now)
        self.client.publish([Message(Place(topic.name, number), b"*", value, headers)])


def periods(count: int) -> int:
    """Windows until the drift of the last of so many periods is due."""
    return count * WINDOWS + 2


def lacking(alerts: Sequence[AlertRaised]) -> list[set[str]]:
    """What each blind alert names."""
    named = [alert.details.get("lacking") for alert in alerts if alert.name == "detector_blind"]
    return [set(map(str, one)) for one in named if isinstance(one, list | tuple)]
