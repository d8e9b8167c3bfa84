"""The room that folds rows, fed by hand: bad input has its count, good rows are counted, nothing stops a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest
from pydantic import JsonValue

from everloop import topics
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.events import (
    AlertRaised,
    Event,
    HeartbeatSent,
    LoopApplied,
    OutcomesJoined,
    PartialSaved,
    PredictionsLogged,
    ShadowScores,
)
from everloop.loop import Loop
from everloop.metrics import Metrics
from everloop.rows import rows_of
from everloop.runtime.data import DataService
from everloop.runtime.log import Message, Place, Record
from everloop.runtime.memory import MemoryClient, MemoryLog
from everloop.topics import TOPICS
from everloop_drift.adapters import MergeFold, WindowsFold
from everloop_drift.domain import lane as lanes
from everloop_drift.domain.cells import MOST_SCHEMAS, Cell, Key
from everloop_drift.domain.lane import Lane
from tests.simulation.window_stream import HOUR, START, START_MS, a_version

PLACE = Place(topics.PREDICTIONS.name, 0)
OUTCOMES = Place(topics.OUTCOMES.name, 0)


@dataclass
class Room:
    """Drift's windows on the log in memory, with one model and one version that it knows."""

    windows: Mapping[str, JsonValue] = field(default_factory=dict)
    broker: MemoryLog = field(default_factory=lambda: MemoryLog({t.name: t.partitions for t in TOPICS.values()}))

    def __post_init__(self) -> None:
        """Start."""
        self.log: MemoryClient = self.broker.client()
        self.apply("m")
        self.say(topics.TRAINING, a_version("m", "1", 1))
        self.metrics = Metrics()
        self.fold = WindowsFold(lambda: START, self.metrics)
        self.service = DataService(self.fold, self.log, replica="0")
        self.run()

    def apply(self, model: str) -> None:
        """A loop file."""
        payload: dict[str, JsonValue] = {
            "kind": "Loop", "version": 1, "model": model, "task": "binary",
            "columns": {"id": "i", "time": "t", "label": "y"}, "windows": {"every": "1h", **self.windows},
        }  # fmt: skip
        loop = Loop.from_payload(payload)
        self.say(topics.LOOPS, LoopApplied.named(model, START, model, loop=loop.to_payload(), digest="d"))

    def say(self, topic: topics.Topic, event: Event, number: int | None = None) -> None:
        """Publish an event."""
        value, headers = encode(event, source="test", recorded=START)
        place = Place(topic.name, partition(event.model, topics.PARTITIONS) if number is None else number)
        self.log.publish([Message(place, event.model.encode(), value, headers)])

    def predict(self, name: str, **more: Any) -> None:  # noqa: ANN401 -- raw data
        """A record of rows on partition 0."""
        self.say(topics.PREDICTIONS, rows(name, **more), 0)

    def beat(self, hours: float, number: int = 0) -> None:
        """What time it is."""
        moment = START_MS + int(hours * HOUR)
        beat = HeartbeatSent.named(f"{moment}/{number}", START, "*", replica="r", clocks={"*": moment})
        self.say(topics.PREDICTIONS, beat, number)

    def run(self) -> None:
        """To rest."""
        while self.service.step():
            pass

    @property
    def lane(self) -> Lane:
        """Partition 0 of `predictions`."""
        self.run()
        return self.fold.lanes[PLACE]

    def cells(self) -> dict[Key, Cell]:
        """What is held of it."""
        return self.lane.cells

    def written(self, topic: topics.Topic, key: bytes = b"") -> list[Record]:
        """The records of a topic whose key begins so, tombstones left out."""
        self.run()
        logged = (records for place, records in sorted(self.broker.records.items()) if place.topic == topic.name)
        return [one for records in logged for one in records if (one.key or b"").startswith(key) and one.value]

    def refused(self, reason: str) -> float:
        """Rows that were quarantined for it."""
        self.run()
        return self.metrics.value("everloop_quarantined_rows_total", group="drift.windows", reason=reason)


def rows(name: str, count: int = 2, **more: Any) -> PredictionsLogged:  # noqa: ANN401 -- raw data
    given: dict[str, Any] = {
        "version": "1", "features": {"n": (0.5,) * count, "w": ("a",) * count}, "score": (0.5,) * count, **more,
    }  # fmt: skip
    model = given.pop("model", "m")
    return PredictionsLogged.named(
        name, START, model, prediction_id=tuple(f"{name}-{row}" for row in range(count)),
        times=given.pop("times", (START_MS + 1,) * count), **given,
    )  # fmt: skip


class OneByOne(WindowsFold):
    """Never takes rows together."""

    def take_many(self, records: Sequence[Record]) -> None:
        """Each by itself."""
        for record in records:
            self.take(record)


def plain(name: str, **more: Any) -> bytes:  # noqa: ANN401 -- raw data
    row = {
        "model": "m", "version": "1", "prediction_id": name, "time": START_MS + 1, "features": {"n": 0.5, "w": "a"},
        "score": 0.5, **more,
    }  # fmt: skip
    return orjson.dumps(row)


def a_mixture(room: Room) -> None:
    """Plain rows, and all that may come between them."""
    rng = np.random.default_rng(5)
    for number in range(600):
        value = plain(f"p{number}", features={"n": float(rng.normal()), "w": str(rng.choice(["a", "b", "new"]))})
        match number:
            case 100:
                value = b"{"
            case 150:
                room.predict("columns")
            case 200:
                value = plain("p199")
            case 250:
                value = plain("history", source="bootstrap")
            case 300:
                value = plain("unknown", model="other")
            case 350:
                room.beat(0.5)
            case 400:
                value = plain("late", time=START_MS - 40 * HOUR)
            case 450:
                value = plain("other", arm="candidate", score=None)
        room.log.publish([Message(PLACE, b"k", value)])


@pytest.mark.parametrize("crash", [False, True])
def test_plain_rows_that_are_taken_together_lead_to_the_same_as_one_by_one(*, crash: bool) -> None:
    seen = []
    for fold in (WindowsFold, OneByOne):
        room = Room()
        room.fold = fold(lambda: START, room.metrics)
        room.service.close()
        room.service = DataService(room.fold, room.log, replica="0", limit=10_000)
        room.run()
        a_mixture(room)
        if crash:  # after the cells are on the log, before the books that say so
            room.fold.take_many(room.service.consumer.poll(0)[:30])
            room.log.publish(room.fold.flush())
            room.service.close()
            room.fold = fold(lambda: START, room.metrics)
            room.service = DataService(room.fold, room.log, replica="0", limit=10_000)
        cells = [record.value for record in room.written(topics.PARTIALS, b"cell|")]
        ids = [record.value for record in room.written(topics.PARTIALS, b"ids|")]
        seen.append((room.lane.books, cells[-2:], ids[-1:], room.lane.recent.newer))
    assert seen[0] == seen[1]
    books = seen[0][0]
    assert (books.history, books.duplicate) == (1, 1)
    assert books.quarantined == 2
    assert books.counted > 590


def test_good_rows_are_counted_between_everything_that_is_bad() -> None:
    room = Room()
    bad: Sequence[bytes | None] = (
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"prediction_id": ["a"]}', b'{"a": NaN}', None,
        b'{"model": "m", "prediction_id": "x", "time": "noon"}', b'{"model": "m", "prediction_id": "x"}' * 2,
    )  # fmt: skip
    for number, value in enumerate(bad):
        headers = encode(rows(f"bad-{number}"), source="t", recorded=START)[1]
        room.log.publish([Message(PLACE, b"k", value, headers), Message(PLACE, b"k", value)])
        room.predict(f"good-{number}")
    books = room.lane.books
    assert books.counted == 2 * len(bad)
    assert books.quarantined == 2 * len(bad)
    assert sum(cell.inputs.rows for cell in room.cells().values() if cell.inputs) == 2 * len(bad)


@pytest.mark.parametrize("value", [None, "text", 1e308, -1e308, -0.0, True, [1], {"a": 1}, 2**60])
def test_a_bad_value_costs_neither_its_row_nor_its_neighbours(value: object) -> None:
    room = Room()
    room.predict("r", count=3, features={"n": (0.1, value, 0.2), "w": ("a", value, "b")})
    (cell,) = room.cells().values()
    assert room.lane.books.counted == 3
    assert cell.inputs is not None
    assert cell.inputs.rows == 3
    for place in (0, 2):
        assert int(cell.inputs.counts(place).sum() + cell.inputs.lost[:3, place].sum()) == 3


def test_rows_of_a_version_without_a_profile_are_refused_and_the_lane_goes_on() -> None:
    room = Room()
    looked: list[int] = []
    hear = room.fold.refresh

    def look() -> None:
        looked.append(1)
        hear()

    room.fold.refresh = look
    room.predict("unknown", version="7")
    room.predict("known")
    assert (room.lane.books.quarantined, room.lane.books.counted) == (2, 2)
    assert room.refused("version_unknown") == 2
    assert len(looked) == 1, "one more look at the end of `training`, no waiting"


def test_a_profile_that_has_just_been_written_is_found_by_that_look() -> None:
    room = Room()
    room.say(topics.TRAINING, a_version("m", "2", 2))
    room.predict("r", version="2")
    assert room.lane.books.counted == 2


def test_rows_of_an_unknown_model_are_refused() -> None:
    room = Room()
    room.predict("r", model="stranger")
    assert room.refused("unknown_model") == 2
    room.say(topics.OUTCOMES, labelled("stranger"), 0)
    room.run()
    assert room.fold.lanes[OUTCOMES].books.quarantined == 1


def labelled(model: str, version: str = "1") -> OutcomesJoined:
    return OutcomesJoined.named(
        f"{model}/{version}", START, model, source="serving", version=version, prediction_id=("p",),
        times=(START_MS,), bucket=(3,), score=(0.5,), label=(1.0,), labelled_at=(START_MS + 5,),
    )  # fmt: skip


def test_labels_of_a_version_without_a_profile_are_refused() -> None:
    room = Room()
    room.say(topics.OUTCOMES, labelled("m", "9"), 0)
    room.say(topics.OUTCOMES, labelled("m"), 0)
    room.run()
    books = room.fold.lanes[OUTCOMES].books
    assert (books.counted, books.quarantined) == (1, 1)


def test_a_repeat_is_dropped_and_a_refused_record_may_come_again() -> None:
    room = Room()
    for _ in range(2):
        room.predict("r")
    room.predict("early", version="2")
    room.run()
    room.say(topics.TRAINING, a_version("m", "2", 2))
    room.predict("early", version="2")
    books = room.lane.books
    assert (books.counted, books.duplicate, books.quarantined) == (4, 2, 2)


def test_more_models_than_are_held_are_refused_with_an_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "MOST_MODELS", 3)
    room = Room()
    for number in range(5):
        room.apply(f"m{number}")
        room.say(topics.TRAINING, a_version(f"m{number}", "1", 1))
        room.predict(f"r{number}", model=f"m{number}")
        room.run()
    assert (room.lane.books.counted, room.lane.books.quarantined) == (6, 4)
    alerts = [decode(one.value, one.headers) for one in room.written(topics.ALERTS)]
    assert [one.name for one in alerts if isinstance(one, AlertRaised)] == ["models_capped"]
    room.beat(2)
    room.run()
    room.predict("later", model="m4", times=(START_MS + 2 * HOUR,) * 2)
    assert room.lane.books.counted == 8, "there is room again when slices are final"


def test_a_hundred_thousand_models_stop_nobody() -> None:
    """A model without a loop costs nothing but the count of its rows."""
    room = Room()
    value, headers = encode(rows("r", model="MODEL"), source="t", recorded=START)
    for number in range(100_000):
        named = tuple((name, b"m%d" % number if name == "ce_subject" else raw) for name, raw in headers)
        room.log.publish([Message(PLACE, None, value, named)])
    room.predict("good")
    assert room.lane.books.counted == 2
    assert room.refused("unknown_model") == 200_000
    assert len(room.cells()) == 1


def test_rows_with_other_columns_are_counted_apart() -> None:
    room = Room()
    room.predict("plain")
    room.predict("more", features={"n": (0.1, 0.2), "w": ("a", "b"), "x": (1, 2)})
    room.predict("less", features={"n": (0.1, 0.2)})
    room.predict("other", features={"n": ("1", "2"), "w": ("a", "b")})
    schemas = {key.schema for key in room.cells()}
    assert {(one.added, one.removed, one.retyped) for one in schemas} == {
        ((), (), ()), (("x",), (), ()), ((), ("w",), ()), ((), (), ("n",)),
    }  # fmt: skip
    assert room.lane.books.counted == 8


def test_columns_made_up_without_end_do_not_make_cells_without_end() -> None:
    room = Room()
    for number in range(50):
        room.predict(f"r{number}", features={"n": (0.1, 0.2), "w": ("a", "b"), f"x{number}": (1, 2)})
    assert len(room.cells()) == MOST_SCHEMAS + 1
    assert sum(cell.inputs.rows for cell in room.cells().values() if cell.inputs) == 100


def test_a_shadow_has_cells_of_its_own_with_scores_alone() -> None:
    room = Room()
    room.say(topics.TRAINING, a_version("m", "2", 2))
    room.predict("r", shadow=ShadowScores(version="2", score=(0.1, None)))
    room.predict("s", shadow=ShadowScores(version="unknown", score=(0.1, None)))
    shadows = {key.version: cell for key, cell in room.cells().items() if key.arm == "shadow"}
    assert list(shadows) == ["2"]
    cell = shadows["2"]
    assert cell.inputs is not None
    assert (cell.inputs.rows, int(cell.inputs.counts(1).sum()), int(cell.inputs.counts(0).sum())) == (2, 1, 0)
    assert int(cell.sums.arm_sums().scored.sum()) == 1


def test_late_rows_go_into_one_revision_of_their_own() -> None:
    room = Room({"revise": "1h"})
    room.predict("r")
    room.beat(1.5)
    room.predict("late")
    assert {key.revision: cell.inputs.rows for key, cell in room.cells().items() if cell.inputs} == {1: 2}
    room.beat(2.5)
    room.predict("too late")
    assert (room.lane.books.counted, room.lane.books.late) == (4, 2)


def test_a_final_cell_is_published_and_let_go() -> None:
    room = Room()
    room.predict("r")
    assert len(room.cells()) == 1
    room.beat(2)
    assert room.cells() == {}
    saved = [decode(one.value, one.headers) for one in room.written(topics.PARTIALS, b"cell|")]
    assert [one.rows for one in saved if isinstance(one, PartialSaved)] == [2]


def test_what_is_written_of_a_cell_is_what_its_event_says() -> None:
    """Cells are written without the event's class, for speed; it reads them, and says the same."""
    room = Room()
    room.predict("r", count=3)
    room.run()
    (record,) = room.written(topics.PARTIALS, b"cell|")
    event = decode(record.value, record.headers)
    assert isinstance(event, PartialSaved)
    again, headers = encode(event, source="drift", recorded=START)
    assert orjson.loads(again) == orjson.loads(record.value or b"")
    assert dict(headers) == dict(record.headers)


def test_what_has_become_final_can_go_out_before_a_checkpoint() -> None:
    room = Room()
    room.run()
    first = room.lane.offset
    for event in (rows("r"), rows("open", times=(START_MS + HOUR + 1,) * 2)):
        room.predict(event.prediction_id[0][:-2], times=event.times)
    room.beat(1.2)
    while records := room.service.consumer.poll(0):
        for record in records:
            room.fold.take(record)
    assert room.fold.urgent
    said: list[Message] = []
    while messages := room.fold.flush_final():
        said += messages
    keys = [(message.key or b"").split(b"|")[0] for message in said]
    assert keys.count(b"cell") == 1, "the open slice waits for the checkpoint"
    assert keys.count(b"clocks") >= topics.PARTITIONS
    assert b"books" not in keys
    assert room.fold.lanes[PLACE].checked == first
    assert not room.fold.urgent


def test_groups_of_rows_are_counted_when_they_are_large_or_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "GROUP_ROWS", 4)
    monkeypatch.setattr(lanes, "WAITING_ROWS", 6)
    room = Room()
    lane, rules, layouts = room.lane, room.fold.known.rules["m"], room.fold.known.layouts
    room.fold.known.find("m", "1")
    for number in range(3):
        lane.offset += 1
        lane.take_rows(rows_of(rows(f"r{number}")), rules, layouts["m"])
    assert lane.waiting == 2
    (cell,) = lane.cells.values()
    assert cell.inputs is not None
    assert cell.inputs.rows == 4
    lane.settle(layouts)
    assert (lane.waiting, cell.inputs.rows) == (0, 6)


def test_windows_and_verdict_of_one_worker_and_of_many_are_the_same_to_the_bit() -> None:
    """One hot model, spread over all partitions and 1 to 4 workers."""
    seen = set()
    for workers in (1, 2, 4):
        broker = MemoryLog({t.name: t.partitions for t in TOPICS.values()})
        room = Room(broker=broker)
        more = [DataService(WindowsFold(lambda: START, replica=str(n)), broker.client(), replica=str(n))
                for n in range(1, workers)]  # fmt: skip
        merge = DataService(MergeFold(lambda: START), broker.client(), replica="0")
        rng = np.random.default_rng(1)
        for number in range(40):
            values = tuple(map(float, rng.normal(size=5)))
            event = rows(f"r{number}", count=5, features={"n": values, "w": ("a", "b", "c", "new", None)})
            room.say(topics.PREDICTIONS, event, number % topics.PARTITIONS)
        for number in range(topics.PARTITIONS):
            room.beat(3, number)
        while any([one.step() for one in (room.service, merge, *more)]):  # noqa: C419 -- each of them, not up to the first
            pass
        seen.add(tuple(one.value for one in room.written(topics.WINDOWS)))
    assert len(seen) == 1
    assert seen.pop()
