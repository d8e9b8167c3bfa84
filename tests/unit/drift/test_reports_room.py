"""The reports in their runtime, on the in-memory log: one for each cause, whoever dies; nothing heavy is loaded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta

import pytest
from pydantic import JsonValue

from everloop import events as e
from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.jobs import Finished, InlineJobs
from everloop.loop import loop_digest
from everloop.runtime.control import ControlService
from everloop.runtime.journal import Validity
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryLog
from everloop.simulation import Build, Simulation
from everloop_drift.domain.reporting import State
from everloop_drift.handlers import reporter
from tests.builders import HOUR_MS, NOON, a_fresh_id, a_loop, a_manifest, a_version_created, a_window_judged, millis
from tests.unit.drift.test_reporting import WRITTEN

END = millis(NOON)
HOME = partition("fraud", topics.PARTITIONS)


class EndlessJobs:
    """The fake of work that does not end: it knows what was started and what was killed."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.killed: list[str] = []

    def start(self, key: str, kind: str, spec: bytes, timeout_s: float) -> None:
        self.started.append(key)

    def finished(self) -> list[Finished]:
        return []

    def kill(self, key: str) -> None:
        self.killed.append(key)

    def close(self) -> None:
        self.killed += self.started


class Room:
    """A log with a loop, a version and its archive; replicas are started on it."""

    def __init__(self) -> None:
        self.log = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
        self.specs: list[e.ReportSpec] = []
        loop = a_loop()
        self.put(
            topics.LOOPS, e.LoopApplied.named("a loop", NOON, "fraud", loop=loop.to_payload(), digest=loop_digest(loop))
        )
        version = a_version_created("1").model_copy(update={"sequence": 1, "cut": END - 2 * HOUR_MS})
        self.put(topics.TRAINING, version)

    def replica(self, name: str = "0", jobs: InlineJobs | EndlessJobs | None = None) -> ControlService[State]:
        return ControlService(
            reporter(), self.log.client(), jobs or InlineJobs({"ReportStarted": self.written}), replica=name,
            wall=lambda: NOON,
        )  # fmt: skip

    def written(self, spec: bytes) -> dict[str, JsonValue]:
        self.specs.append(e.ReportSpec.model_validate_json(spec))
        return WRITTEN

    def put(self, topic: topics.Topic, event: e.Event) -> None:
        value, headers = encode(event, source="test", recorded=NOON)
        self.log.client().publish([Message(Place(topic.name, HOME), b"fraud", value, headers)])

    def archive(self) -> None:
        self.put(topics.ARCHIVE, a_manifest("predictions", {END - HOUR_MS: 1600}, watermark=END))

    def judge(self, sequence: int = 1) -> e.WindowJudged:
        window = a_window_judged().model_copy(update={"sequence": sequence})
        self.put(topics.DRIFT, window)
        return window

    def tick(self, minutes: int, *services: ControlService[State]) -> None:
        moment = NOON + timedelta(minutes=minutes)
        self.put(topics.CLOCK, e.ClockMoved(id=a_fresh_id(), time=moment, model="fraud", data=moment, control=moment))
        while any([service.step() for service in services]):  # noqa: C419 -- each must step
            pass

    def said(self, topic: topics.Topic = topics.REPORTS) -> Sequence[e.Event]:
        place, tail = Place(topic.name, HOME), self.log.client().tail()
        tail.seek({place: 0})
        return [decode(record.value, record.headers) for record in tail.read_to(self.log.client().ends([place]))]


REPORT = [e.ReportRequested, e.ReportStarted, e.ReportWritten]


def kinds(said: Sequence[e.Event]) -> list[type[e.Event]]:
    return [type(event) for event in said]


def test_a_judged_window_becomes_one_follow_up_event() -> None:
    room = Room()
    service = room.replica()
    window = room.judge()
    room.tick(1, service)
    assert kinds(room.said()) == [e.ReportRequested]  # it waits for the archive, and nobody waits for it
    room.archive()
    room.tick(2, service)
    assert kinds(room.said()) == REPORT
    written = room.said()[-1]
    assert isinstance(written, e.ReportWritten)
    assert (written.judged, written.correlation_id) == (window.id, window.correlation_id)
    assert room.said(topics.ALERTS) == []


def test_a_redelivered_window_and_a_restart_write_no_second_report() -> None:
    room = Room()
    room.archive()
    room.judge()
    first = room.replica()
    room.tick(1, first)
    first.close()
    room.log.offsets["everloop.drift.reports"] = {}  # everything is delivered again
    room.tick(2, room.replica())
    assert kinds(room.said()) == REPORT
    assert len(room.specs) == 1


def test_a_killed_worker_is_followed_by_the_next_attempt() -> None:
    room = Room()
    room.archive()
    room.judge()
    dies = room.replica(jobs=EndlessJobs())
    room.tick(1, dies)
    dies.close()
    room.tick(2, room.replica())
    assert kinds(room.said()) == [e.ReportRequested, e.ReportStarted, e.ReportStarted, e.ReportWritten]
    assert [one.attempt for one in room.said() if isinstance(one, e.ReportStarted)] == [1, 2]


def test_who_loses_the_partition_ends_its_child() -> None:
    room, jobs = Room(), EndlessJobs()
    room.archive()
    room.judge()
    first = room.replica("a", jobs)
    room.tick(1, first)
    others = [room.replica(name) for name in "bcd"]
    assert first.held.keys() == set(range(topics.PARTITIONS))
    room.tick(2, first, *others)
    written = [one for one in room.said() if isinstance(one, e.ReportWritten)]
    if HOME in first.held:  # the first of four keeps the first partition
        pytest.fail("the model's partition stayed: choose another model")
    assert len(written) == 1
    assert jobs.killed == jobs.started


class Crashing(Room):
    """Two replicas under the simulator's scheduler, one of which dies at the effect with this number."""

    def __init__(self, at: int | None) -> None:
        super().__init__()
        build: Build = lambda client: ControlService(  # noqa: E731 - as the simulator wants it
            reporter(), client, InlineJobs({"ReportStarted": self.written}), replica="0", wall=lambda: NOON
        )
        self.simulation = Simulation({"a": build, "b": build}, crash=lambda point: point.number == at)
        self.simulation.broker.records.update({place: list(kept) for place, kept in self.log.records.items()})
        self.log = self.simulation.broker

    def play(self) -> list[e.Event]:
        """Two windows are judged, the archive comes after the first; the valid records of the journal."""
        self.judge(1)
        self.simulation.settle()
        self.archive()
        self.judge(2)
        for minute in range(1, 6):
            moment = NOON + timedelta(minutes=minute)
            self.put(
                topics.CLOCK, e.ClockMoved(id=a_fresh_id(), time=moment, model="fraud", data=moment, control=moment)
            )
            self.simulation.settle()
        validity = Validity()
        found = (validity.accept(record) for record in self.log.records[Place(topics.REPORTS.name, HOME)])
        return [event for event in found if event is not None]


def test_every_window_has_one_report_wherever_a_worker_dies() -> None:
    whole = Crashing(None)
    assert [type(one) for one in whole.play()].count(e.ReportWritten) == 2
    points = len(whole.simulation.points)
    assert points > 30
    for at in range(points):
        room = Crashing(at)
        said = room.play()
        assert room.simulation.crashes, f"nobody died at effect {at}"
        written = [one.judged for one in said if isinstance(one, e.ReportWritten)]
        assert len(written) == len(set(written)) == 2, f"effect {at}"
        assert not any(isinstance(one, e.ReportFailed) for one in said)


LOADED = """
import sys
import everloop_drift.app, everloop_drift.handlers, everloop_drift.adapters
print("LOADED", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_no_room_loads_what_only_the_child_needs() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, check=True, text=True)
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert loaded & {"evidently", "sklearn", "plotly"} == set()
