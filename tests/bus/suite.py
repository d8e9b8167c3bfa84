"""One behaviour suite for every log: the in-memory one and a real Kafka pass the same tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import orjson
from pydantic import JsonValue

from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.errors import FatalError
from everloop.events import DeadLettered, Event, LoopApplied, WindowClosed, WindowJudged
from everloop.jobs import InlineJobs
from everloop.loop import Loop
from everloop.runtime.control import ControlService
from everloop.runtime.journal import Validity
from everloop.runtime.log import Assignment, Consumer, Log, Message, Place, Record, Tail, places_of
from everloop.simulation import CrashError
from everloop_drift.domain.judging import State
from everloop_drift.handlers import decider

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR_MS = 3_600_000
EFFECTS = ("publish.before", "publish.after", "commit.before", "commit.after")


@dataclass
class CrashingLog:
    """A log whose effects may crash the process: the n-th effect of the kind that was named."""

    inner: Log
    where: str
    after: int
    crashed: bool = False
    consumers: list[Consumer] = field(default_factory=list)

    def meet(self, where: str) -> None:
        """Crash here, once."""
        if where != self.where or self.crashed:
            return
        self.after -= 1
        if self.after < 0:
            self.crashed = True
            raise CrashError(where)

    def partitions(self, topic: str) -> int:
        """As the inner log."""
        return self.inner.partitions(topic)

    def publish(self, messages: Sequence[Message]) -> list[int]:
        """Write, unless the process is gone before it or before it learns of the acknowledgement."""
        self.meet("publish.before")
        offsets = self.inner.publish(messages)
        self.meet("publish.after")
        return offsets

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """As the inner log."""
        return self.inner.ends(places)

    def committed(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        """As the inner log."""
        return self.inner.committed(group, places)

    def commit_as(self, group: str, offsets: Mapping[Place, int]) -> None:
        """As the inner log."""
        self.inner.commit_as(group, offsets)

    def tail(self) -> Tail:
        """As the inner log."""
        return self.inner.tail()

    def record_at(self, place: Place, offset: int) -> Record | None:
        """As the inner log."""
        return self.inner.record_at(place, offset)

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        """A member whose commits may crash."""
        member = CrashingConsumer(self.inner.consumer(group, topics), self)
        self.consumers.append(member)
        return member


@dataclass
class CrashingConsumer:
    """A member of a group on a `CrashingLog`."""

    inner: Consumer
    log: CrashingLog

    def poll(self, timeout_s: float) -> list[Record]:
        """As the inner member."""
        return self.inner.poll(timeout_s)

    def assignment(self) -> Assignment:
        """As the inner member."""
        return self.inner.assignment()

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Commit, unless the process is gone."""
        self.log.meet("commit.before")
        self.inner.commit(offsets)
        self.log.meet("commit.after")

    def rewind(self, offsets: Mapping[Place, int]) -> None:
        """As the inner member."""
        self.inner.rewind(offsets)

    def close(self) -> None:
        """As the inner member."""
        self.inner.close()


def wall() -> datetime:
    """Time stands still in these tests."""
    return START


def judge(log: Log, replica: str = "0") -> ControlService[State]:
    """A control service of the product: one record on `windows` leads to one on `drift`."""
    return ControlService(decider(), log, InlineJobs({}), replica=replica, wall=wall)


def apply_loop(log: Log, model: str) -> None:
    """Make the model known."""
    payload: dict[str, JsonValue] = {
        "kind": "Loop",
        "version": 1,
        "model": model,
        "task": "binary",
        "columns": {"id": "i", "time": "t", "label": "y"},
    }
    loop = Loop.from_payload(payload)
    say(log, topics.LOOPS, LoopApplied.named(model, START, model, loop=loop.to_payload(), digest="d"))


def a_window(model: str, number: int) -> WindowClosed:
    """An empty window; its place in time is its number."""
    start = int(START.timestamp() * 1000) + number * HOUR_MS
    return WindowClosed.named(
        f"{model}/{number}", START + timedelta(hours=number), model, kind="inputs", start=start, end=start + HOUR_MS,
        arms=(), rows=0,
    )  # fmt: skip


def say(log: Log, topic: topics.Topic, event: Event) -> int:
    """Publish as the product does; the offset."""
    return log.publish([a_message(topic, event)])[0]


def a_message(topic: topics.Topic, event: Event) -> Message:
    """The event as the product writes it."""
    value, headers = encode(event, source="test", recorded=START)
    return Message(home(topic, event.model), event.model.encode(), value, headers)


def home(topic: topics.Topic, model: str) -> Place:
    """Where a model lives."""
    return Place(topic.name, partition(model, topic.partitions))


def records(log: Log, topic: topics.Topic, model: str) -> list[Record]:
    """All records of the model's partition."""
    place = home(topic, model)
    tail = log.tail()
    tail.seek({place: 0})
    found = tail.read_to(log.ends([place]))
    tail.close()
    return found


def valid(log: Log, topic: topics.Topic, model: str) -> list[Event]:
    """The model's valid journal records, in order."""
    validity = Validity()
    events = [validity.accept(record) for record in records(log, topic, model)]
    return [event for event in events if event is not None and event.model == model]


@contextmanager
def running(service: ControlService[State]) -> Iterator[ControlService[State]]:
    """Close the service at the end, whatever happened."""
    try:
        yield service
    finally:
        with suppress(FatalError):
            service.close()


def run_until(service: ControlService[State], done: Callable[[], bool], rounds: int = 400) -> None:
    """Step until `done`; a crash ends the process and its memberships."""
    for _ in range(rounds):
        if done():
            return
        service.step(0.05)
    raise AssertionError("the service did not get there")


@dataclass
class Kept:
    """A replica under a supervisor: one that ends because the group has moved on is started again."""

    make: Callable[[], ControlService[State]]
    restarts: int = 0

    def __post_init__(self) -> None:
        self.service = self.make()

    def step(self) -> None:
        """One round."""
        try:
            self.service.step(0.05)
        except FatalError:
            self.close()
            self.restarts += 1
            self.service = self.make()

    def close(self) -> None:
        """Leave the group."""
        with suppress(FatalError):
            self.service.close()


def step_until(replicas: Sequence[Kept], done: Callable[[], bool], rounds: int = 600) -> None:
    """Step all replicas in turn until `done`."""
    for _ in range(rounds):
        if done():
            return
        for replica in replicas:
            replica.step()
    raise AssertionError("the replicas did not get there")


def structured(event: Event) -> bytes:
    """The event as one JSON document, as a producer in structured mode writes it."""
    value, headers = encode(event, source="test", recorded=START)
    attributes = {name[3:]: text.decode() for name, text in headers if name.startswith("ce_")}
    return orjson.dumps({**attributes, "datacontenttype": "application/json", "data": orjson.loads(value)})


class BusSuite:
    """What a log must do. A subclass gives `client()`: a new connection to the same broker."""

    def client(self) -> Log:
        """Connect."""
        raise NotImplementedError

    def fresh_model(self) -> str:
        """A model that no other test has used."""
        raise NotImplementedError

    def judged(self, log: Log, model: str) -> list[int]:
        """Starts of the windows that have a valid answer, in log order."""
        return [event.start for event in valid(log, topics.DRIFT, model) if isinstance(event, WindowJudged)]

    def answers(self, log: Log, models: Sequence[str]) -> int:
        """How many valid answers these models have, all together."""
        places = places_of(log, [topics.DRIFT.name])
        tail, validity = log.tail(), {place: Validity() for place in places}
        tail.seek(dict.fromkeys(places, 0))
        found = [validity[record.place].accept(record) for record in tail.read_to(log.ends(places))]
        tail.close()
        return sum(event is not None and event.model in models for event in found)

    def test_order_per_key_is_kept(self) -> None:
        log, model = self.client(), self.fresh_model()
        offsets = [say(log, topics.WINDOWS, a_window(model, number)) for number in range(20)]
        assert offsets == sorted(offsets)
        starts = [decode(r.value, r.headers) for r in records(log, topics.WINDOWS, model)]
        mine = [event.start for event in starts if isinstance(event, WindowClosed) and event.model == model]
        assert mine == [a_window(model, number).start for number in range(20)]

    def test_a_tail_stops_at_the_end_that_was_asked_for(self) -> None:
        log, model = self.client(), self.fresh_model()
        offsets = [say(log, topics.WINDOWS, a_window(model, number)) for number in range(10)]
        place = home(topics.WINDOWS, model)
        tail = log.tail()
        tail.seek({place: offsets[0]})
        assert [r.offset for r in tail.read_to({place: offsets[4]})] == offsets[:4]
        assert [r.offset for r in tail.read_to({place: offsets[9] + 1})] == offsets[4:]
        tail.close()

    def test_commits_under_a_group_name_are_visible(self) -> None:
        log, place = self.client(), home(topics.WINDOWS, self.fresh_model())
        log.commit_as("everloop.test.visible", {place: 7})
        assert self.client().committed("everloop.test.visible", [place]) == {place: 7}

    def test_every_input_has_one_answer_after_a_crash_at_each_point(self) -> None:
        for where in EFFECTS:
            for after in (0, 1, 2):
                self.crash_once(where, after)

    def crash_once(self, where: str, after: int) -> None:
        """Crash at one point, start again, and look at the journal."""
        log, model = self.client(), self.fresh_model()
        apply_loop(log, model)
        windows = [a_window(model, number) for number in range(4)]
        for window in windows:
            say(log, topics.WINDOWS, window)
        crashing = CrashingLog(self.client(), where, after)
        doomed = judge(crashing)
        with suppress(CrashError), running(doomed):
            run_until(doomed, lambda: len(self.judged(log, model)) == len(windows) and where != "commit.after")
        assert crashing.crashed, f"the crash at {where} never happened"
        with running(judge(self.client())) as service:
            run_until(service, lambda: len(self.judged(log, model)) == len(windows))
            for _ in range(5):
                service.step(0.05)
        assert self.judged(log, model) == [window.start for window in windows]
        causes = [event.causation_id for event in valid(log, topics.DRIFT, model)]
        assert causes == [window.id for window in windows]

    def test_one_record_can_be_read_by_its_offset_again_and_again(self) -> None:
        log = self.client()
        place = home(topics.WINDOWS, self.fresh_model())
        offsets = [log.publish([Message(place, b"k", str(number).encode())])[0] for number in range(3)]
        for number in (1, 0, 2, 2, 0):
            found = log.record_at(place, offsets[number])
            assert found is not None
            assert (found.offset, found.value) == (offsets[number], str(number).encode())

    def test_poison_goes_to_the_dead_letter_topic_and_the_lane_goes_on(self) -> None:
        log, model = self.client(), self.fresh_model()
        apply_loop(log, model)
        place = home(topics.WINDOWS, model)
        poison = Message(place, model.encode(), b'{"broken":', (("ce_type", WindowClosed.TYPE.encode()),))
        offset = log.publish([poison])[0]
        say(log, topics.WINDOWS, a_window(model, 1))
        with running(judge(self.client())) as service:
            run_until(service, lambda: self.judged(log, model) == [a_window(model, 1).start])
        tail = log.tail()
        letters = Place(topics.DLQ.name, place.partition)
        tail.seek({letters: 0})
        found = [decode(r.value, r.headers) for r in tail.read_to(log.ends([letters]))]
        tail.close()
        mine = [
            one
            for one in found
            if isinstance(one, DeadLettered) and (one.partition, one.offset) == (place.partition, offset)
        ]
        assert [letter.reason for letter in mine] == ["malformed"]

    def test_of_two_writers_the_first_in_the_log_wins_and_the_loser_decides_again(self) -> None:
        log, model = self.client(), self.fresh_model()
        apply_loop(log, model)
        first, second = a_window(model, 0), a_window(model, 1)
        with running(judge(self.client())) as service:
            say(log, topics.WINDOWS, first)
            run_until(service, lambda: len(self.judged(log, model)) == 1)
            zombie = WindowJudged.model_validate(
                {
                    **valid(log, topics.DRIFT, model)[0].model_dump(),
                    "id": second.id,
                    "causation_id": second.id,
                    "sequence": 2,
                }
            )
            say(log, topics.DRIFT, zombie)
            say(log, topics.DRIFT, zombie.model_copy(update={"id": first.id, "sequence": 2}))
            third = a_window(model, 2)
            say(log, topics.WINDOWS, second)
            say(log, topics.WINDOWS, third)
            run_until(service, lambda: len(valid(log, topics.DRIFT, model)) == 3)
        journal = valid(log, topics.DRIFT, model)
        assert [event.sequence for event in journal] == [1, 2, 3]
        assert [event.causation_id for event in journal] == [first.id, second.id, third.id]
        assert journal[1].id == second.id, "the zombie's record came first: it counts"

    def test_a_second_member_that_joins_and_leaves_in_mid_stream_costs_nothing(self) -> None:
        log, models = self.client(), [self.fresh_model() for _ in range(8)]
        for model in models:
            apply_loop(log, model)
        said: list[int] = []

        def more() -> None:
            for _ in range(3):
                log.publish([a_message(topics.WINDOWS, a_window(model, len(said))) for model in models])
                said.append(a_window("", len(said)).start)

        def all_answered() -> bool:
            return self.answers(log, models) == len(said) * len(models)

        with closing(Kept(lambda: judge(self.client(), "0"))) as first:
            more()
            step_until([first], lambda: len(self.judged(log, models[0])) > 0)
            with closing(Kept(lambda: judge(self.client(), "1"))) as second:
                more()
                step_until([first, second], lambda: bool(first.service.held) and bool(second.service.held))
                more()
                step_until([first, second], all_answered)
                more()
                second.step()
            step_until([first], all_answered)
        for model in models:
            assert self.judged(log, model) == said, "each once, in the order of the input"

    def test_a_member_far_behind_catches_up_in_order(self) -> None:
        log, model = self.client(), self.fresh_model()
        apply_loop(log, model)
        behind = [a_window(model, number) for number in range(250)]
        log.publish([a_message(topics.WINDOWS, window) for window in behind])
        with running(judge(self.client())) as service:
            run_until(service, lambda: len(self.judged(log, model)) == len(behind))
        assert self.judged(log, model) == [window.start for window in behind]

    def test_an_event_in_structured_mode_is_as_good(self) -> None:
        log, model = self.client(), self.fresh_model()
        apply_loop(log, model)
        place, kind = home(topics.WINDOWS, model), b"application/cloudevents+json; charset=UTF-8"
        log.publish([Message(place, b"any key", structured(a_window(model, 0)), (("content-type", kind),))])
        say(log, topics.WINDOWS, a_window(model, 1))
        with running(judge(self.client())) as service:
            run_until(service, lambda: len(self.judged(log, model)) == 2)
        causes = [event.causation_id for event in valid(log, topics.DRIFT, model)]
        assert causes == [a_window(model, 0).id, a_window(model, 1).id]
