"""The client as a server uses it: in order, bounded, never raising for the other side, and every row accounted for."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import orjson
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from everloop.client import Client, Limits, Stats, StatsCollector
from everloop.client.sending import Accepted, Later, Refused
from tests.unit.client.fakes import FAST, ROW, FakeDoor, a_client, log, rows_of, until


def test_rows_arrive_in_their_order_and_the_ids_are_those_that_were_given_back() -> None:
    door = FakeDoor()
    with a_client(door) as client:
        told = [one for number in range(50) for one in client.log_predictions({"n": number}, 0.5)]
        told += client.log_predictions([{"n": 1}, {"n": 2}], [0.1, 0.2])
    assert door.ids == told
    assert len(set(told)) == 52
    assert client.stats() == Stats(sent=52)


def test_labels_follow_in_batches_of_their_own() -> None:
    door = FakeDoor()
    with a_client(door) as client:
        (name,) = client.log_predictions(ROW, 0.5)
        client.log_labels(name, 1)
    assert [(batch.kind, batch.model) for batch in door.got] == [("predictions", "fraud"), ("labels", "fraud")]
    assert orjson.loads(door.got[1].body)["prediction_id"] == [name]


def test_labels_by_entity_go_out_as_such() -> None:
    door = FakeDoor()
    with a_client(door) as client:
        client.log_labels(entity_id="card-7", start=1_767_268_800_000, end=1_767_268_900_000, label=1)
    body = orjson.loads(door.got[0].body)
    assert (body["entity_id"], body["start"], body["end"]) == (["card-7"], [1_767_268_800_000], [1_767_268_900_000])


def test_feedback_goes_out_by_name_and_one_prediction_may_have_several() -> None:
    door = FakeDoor()
    with a_client(door) as client:
        client.log_feedback("a", "revenue", 12.9, said_at=1_767_268_800_000)
        client.log_feedback(["a", "b"], ["click", "click"], [1, True], said_at=1_767_268_800_000)
        client.log_feedback("a", "revenue", 14.0, said_at=1_767_268_800_001)
        client.log_feedback(["c", "d", "e"], "revenue", [float("nan"), "12", None])
        client.log_feedback("f", 7, 1.0)
    bodies = [orjson.loads(batch.body) for batch in door.got]
    assert {batch.kind for batch in door.got} == {"feedback"}
    told = [row for body in bodies for row in zip(body["prediction_id"], body["name"], body["value"], strict=True)]
    assert told == [("a", "revenue", 12.9), ("a", "click", 1), ("b", "click", 1), ("a", "revenue", 14.0)]
    assert all(len(set(zip(body["prediction_id"], body["name"], strict=True))) == len(body["name"]) for body in bodies)
    assert client.stats() == Stats(sent=4, refused=4)
    with pytest.raises(ValueError, match="unequal columns"):
        client.log_feedback(["a", "b"], ["click"], 1)


def test_a_label_names_predictions_or_an_entity_and_its_time() -> None:
    client = Client("http://127.0.0.1:1", model="fraud", connect=FakeDoor)
    with pytest.raises(TypeError, match="give it with prediction_id, or with entity_id"):
        client.log_labels("a", 1, entity_id="card-7")
    with pytest.raises(TypeError, match="start, end: missing"):
        client.log_labels(entity_id="card-7", label=1)


def test_a_model_and_a_version_are_required() -> None:
    client = Client("http://127.0.0.1:1", connect=FakeDoor)
    with pytest.raises(TypeError, match=r"^model: missing: give it"):
        client.log_predictions(ROW, 0.5)
    with pytest.raises(TypeError, match=r"^version: missing: give it"):
        client.log_predictions(ROW, 0.5, model="fraud")
    with pytest.raises(TypeError, match=r"^model: missing: give it"):
        client.log_labels("a", 1)
    with pytest.raises(TypeError, match=r"^model: missing: give it"):
        client.log_feedback("a", "click", 1)
    client.close()


@pytest.mark.parametrize("target", ["", "ftp://cnry", "http://user:cnry@host", "cnry.example:9092", "127.0.0.1:cnry"])
def test_a_target_that_is_none_is_refused_without_its_text(target: str) -> None:
    with pytest.raises(ValueError, match=r"^target: .*: give http://HOST:PORT") as found:
        Client(target)
    assert "cnry" not in str(found.value)


def test_a_token_that_cannot_stand_in_a_header_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^tokens: ingest: not printable ASCII") as found:
        Client("http://127.0.0.1:1", tokens={"ingest": "cnry\r\nx: y"})
    assert "cnry" not in str(found.value)


def test_while_nobody_answers_rows_lie_on_disk_and_come_in_their_order_later(tmp_path: Path) -> None:
    door = FakeDoor(shut=True)
    client = a_client(door, spill=tmp_path)
    log(client, *"abc")
    until(lambda: client.stats().on_disk == 3)
    log(client, *"def")
    until(lambda: client.stats().on_disk == 6)
    door.shut = False
    client.close()
    client = a_client(door, spill=tmp_path)
    client.start()
    until(lambda: client.stats().sent == 6)
    client.close()
    assert door.ids == list("abcdef")
    assert client.stats() == Stats(sent=6, recovered=6)


def test_without_a_spill_what_is_beyond_memory_is_dropped_with_its_count() -> None:
    door = FakeDoor(slow=True)
    client = a_client(door, Limits(linger_s=0.001, batch_rows=10, queue_rows=20, queue_bytes=4_000))
    for number in range(500):
        log(client, f"p{number}")
    assert client.stats().dropped > 0
    assert client.stats().queued < 100
    door.opened.set()
    client.close()
    stats = client.stats()
    assert (rows_of(stats), stats.queued) == (500, 0)
    assert len(door.ids) == stats.sent


def test_an_acknowledgement_that_was_lost_repeats_the_same_batch_under_the_same_id(tmp_path: Path) -> None:
    door = FakeDoor([Later("the answer was lost", 0.01)])
    with a_client(door, spill=tmp_path) as client:
        log(client, "a")
        until(lambda: client.stats().sent == 1)
    first, second = door.got
    assert first == second


def test_the_same_id_after_a_restart(tmp_path: Path) -> None:
    door = FakeDoor([Later("the answer was lost", 60.0)])
    with a_client(door, spill=tmp_path) as client:
        log(client, "a")
        until(lambda: client.stats().on_disk == 1)
    with a_client(door, spill=tmp_path) as client:
        client.start()
        until(lambda: client.stats().sent == 1)
    assert door.got[0] == door.got[1]


def test_refusals_are_counted_and_not_repeated() -> None:
    door = FakeDoor([Refused("404 unknown_model"), Accepted()])
    with a_client(door) as client:
        log(client, "a")
        until(lambda: client.stats().refused == 1)
        log(client, "b")
    assert door.ids == ["a", "b"]
    assert client.stats() == Stats(sent=1, refused=1)


def test_after_close_rows_are_dropped_with_their_count() -> None:
    client = a_client(FakeDoor())
    client.close()
    client.close()
    client.start()
    log(client, "a")
    client.log_predictions([], [])
    assert client.stats() == Stats(dropped=1)


def test_close_does_not_wait_longer_than_it_was_told() -> None:
    door = FakeDoor(shut=True)
    client = a_client(door)
    log(client, "a")
    client.close(timeout_s=0.05)
    assert client.stats() == Stats(dropped=1)


def test_many_threads_log_and_every_row_arrives_once() -> None:
    door = FakeDoor()
    with a_client(door) as client:
        threads = [threading.Thread(target=log, args=(client, *(f"{n}-{i}" for i in range(250)))) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(door.ids) == len(set(door.ids)) == 2_000
    for number in range(8):
        own = [one for one in door.ids if one.startswith(f"{number}-")]
        assert own == [f"{number}-{place}" for place in range(250)]


def test_a_column_that_fails_when_it_is_read_costs_its_own_call_alone() -> None:
    class Odd(list[object]):
        def __copy__(self) -> Odd:
            return self

        def tolist(self) -> list[object]:
            raise RuntimeError("cnry")

    door = FakeDoor()
    with a_client(door) as client:
        client.log_predictions({"a": Odd([1, 2])}, [0.1, 0.2])
        log(client, "b")
    assert door.ids == ["b"]
    assert client.stats() == Stats(sent=1, refused=2)


FORK = """
import os, sys
from pathlib import Path
from everloop.client import Client, Limits
from everloop.client.batches import Batch
from everloop.client.sending import Accepted
from everloop.client.spill import Spill

class Door:
    def send(self, batch):
        with open(sys.argv[1], "ab") as out:
            out.write(batch.body + b"\\n")
        return Accepted()
    def close(self): pass

folder = Path(sys.argv[2])
spill = Spill(folder, 1 << 20, 1 << 20)
assert spill.append(Batch("b", "labels", "fraud", 1, 1, b"{}"))
client = Client("http://127.0.0.1:1", model="fraud", version="1", connect=Door, limits=Limits(linger_s=0.5))
(before,) = client.log_predictions({"who": "parent"}, 0.5)
ready, wait = os.pipe(), os.pipe()
child = os.fork()
(name,) = client.log_predictions({"who": "parent" if child else "child"}, 0.5)
if child:
    assert name.split("-")[0] == before.split("-")[0]
    os.read(ready[0], 1)
    spill.abandon()  # as if this process had ended while the child lives on
    assert Spill(folder, 1 << 20, 1 << 20).adopt() == 1
    os.write(wait[1], b".")
    assert os.waitpid(child, 0)[1] == 0
else:
    assert name.split("-")[0] != before.split("-")[0]
    spill.abandon()
    os.write(ready[1], b".")
    os.read(wait[0], 1)
"""


def test_a_forked_child_sends_its_own_rows_at_its_end_and_leaves_the_parents_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, str(out), str(tmp_path / "spill")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [who for line in out.read_bytes().splitlines() for who in orjson.loads(line)["features"]["who"]]
    assert sorted(said) == ["child", "parent", "parent"]


def test_prometheus_sees_the_counts() -> None:
    registry = CollectorRegistry()
    with a_client(FakeDoor(), FAST) as client:
        registry.register(StatsCollector(client))
        log(client, "a", "b")
    shown = generate_latest(registry).decode()
    assert 'everloop_client_rows_total{outcome="sent"} 2.0' in shown
    assert 'everloop_client_waiting_rows{place="memory"} 0.0' in shown
