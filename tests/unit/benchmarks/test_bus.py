"""What is under test in `bus` does its work: on the in-memory log, so that a benchmark cannot rot unseen."""

from __future__ import annotations

import orjson
import pytest

from benchmarks.bus import decode as decode_alone
from benchmarks.bus import dispatch, journal
from benchmarks.bus.compared import compared, in_turn
from benchmarks.bus.counting import COUNTS, PARTITIONS, ROWS, CountingFold
from benchmarks.children import Usage
from benchmarks.figures import Size
from everloop import topics
from everloop.codec import decode
from everloop.events import PredictionsLogged, WindowJudged
from everloop.jobs import InlineJobs
from everloop.runtime.control import ControlService
from everloop.runtime.data import DataService
from everloop.runtime.journal import Validity
from everloop.runtime.log import places_of
from everloop.runtime.memory import MemoryLog
from everloop_drift.handlers import decider


def test_every_row_of_the_load_is_counted_once() -> None:
    broker = MemoryLog({ROWS.name: PARTITIONS, COUNTS.name: PARTITIONS})
    client = broker.client()
    client.publish(list(dispatch.messages(50)))
    service = DataService(CountingFold("bench"), client, replica="0")
    while service.step():
        pass
    newest = [broker.records[place][-1] for place in places_of(client, [COUNTS.name])]
    assert sum(orjson.loads(record.value or b"")["rows"] for record in newest) == 50
    assert client.committed("everloop.bench", places_of(client, [ROWS.name])) == client.ends(
        places_of(client, [ROWS.name])
    )


def test_the_load_is_single_rows_of_20_columns_and_always_the_same() -> None:
    first, again = list(dispatch.messages(8)), list(dispatch.messages(8))
    assert first == again
    event = decode(first[0].value, first[0].headers)
    assert isinstance(event, PredictionsLogged)
    assert (len(event.prediction_id), len(event.features)) == (1, 20)
    assert {one.place.partition for one in first} == set(range(PARTITIONS))


def test_each_window_of_the_load_leads_to_one_decision() -> None:
    broker = MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()})
    client = broker.client()
    client.publish(list(journal.messages(3)))
    service = ControlService(decider(), client, InlineJobs({}), replica="0", wall=lambda: journal.START)
    while service.step():
        pass
    validity = Validity()
    places = places_of(client, [topics.DRIFT.name])
    said = [validity.accept(record) for place in places for record in broker.records[place]]
    assert len([one for one in said if isinstance(one, WindowJudged)]) == 3 * len(journal.MODELS)
    assert {place.partition for place in places if broker.records[place]} == set(range(topics.PARTITIONS))


def test_decoding_gives_a_rate_for_the_contract_and_one_for_the_parser() -> None:
    found = decode_alone.measure(Size(quick=True), lambda _: None)
    assert (len(found.ours), len(found.peer)) == (1, 1)


def test_ours_and_the_peer_go_first_in_turn() -> None:
    order: list[str] = []

    def run(side: str) -> Usage:
        order.append(side)
        return Usage(1, 1.0, 1.0)

    for number in range(2):
        in_turn(number, run)
    assert order == ["ours", "peer", "peer", "ours"]


def test_rates_are_per_cpu_second_and_the_wall_stands_beside() -> None:
    found = compared([{"ours": Usage(100, 2.0, 4.0, rss_mb=70.0), "peer": Usage(100, 1.0, 5.0)}], "records")
    assert (found.ours, found.peer) == ((50.0,), (100.0,))
    assert found.also == {"records/s on the wall": 25.0, "the peer's": 20.0, "peak RSS MiB": pytest.approx(70.0)}
