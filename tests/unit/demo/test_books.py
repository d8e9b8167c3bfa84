"""The recount: rows on the topics against the books that drift publishes; a dropped row must turn it red."""

from __future__ import annotations

import pytest

from everloop import events as e
from everloop import topics
from everloop.codec import encode
from everloop.demo.books import GROUP, recount, unbalanced
from everloop.runtime.log import Message, Place
from everloop.runtime.memory import MemoryClient
from tests.builders import NOON, a_fresh_id
from tests.unit.replay.fakes import a_log, write

ROWS, BOOKS = Place(topics.PREDICTIONS.name, 1), Place(topics.PARTIALS.name, 1)


def rows(count: int, source: str = "serving") -> e.PredictionsLogged:
    return e.PredictionsLogged.model_validate({
        "id": a_fresh_id(), "time": NOON, "model": "fraud", "source": source,
        "prediction_id": tuple(map(str, range(count))), "times": (0,) * count, "features": {},
    })  # fmt: skip


def books(offset: int, **counts: int) -> e.BooksKept:
    zeros = dict.fromkeys(("counted", "history", "late", "duplicate", "quarantined"), 0)
    kept = {"group": "drift.windows", "topic": ROWS.topic, "partition": ROWS.partition, "offset": offset}
    return e.BooksKept.model_validate({"id": a_fresh_id(), "time": NOON, "model": "*", **kept, **zeros, **counts})


def a_topic() -> MemoryClient:
    """Ten rows of history, five served, a heartbeat, and a record that nobody can read."""
    log = a_log().client()
    write(log, ROWS, rows(10, "bootstrap"))
    write(log, ROWS, rows(5))
    write(log, ROWS, e.HeartbeatSent(id=a_fresh_id(), time=NOON, model="*", replica="0", clocks={"*": 1}))
    log.publish([Message(ROWS, b"k", b"rubbish")])
    log.commit_as(GROUP, {ROWS: 4})
    return log


def test_every_row_in_one_count_balances() -> None:
    log = a_topic()
    write(log, BOOKS, books(3, counted=4, late=1, history=10, quarantined=1))
    assert unbalanced(recount(log)) == []


@pytest.mark.parametrize("counted", [3, 5])
def test_a_row_that_was_dropped_or_counted_twice_is_found(counted: int) -> None:
    log = a_topic()
    write(log, BOOKS, books(3, counted=counted, late=1, history=10, quarantined=1))
    (wrong,) = unbalanced(recount(log))
    assert (wrong.place, wrong.recounted, wrong.booked) == (ROWS, 16, counted + 12)


def test_the_books_with_the_larger_offset_count() -> None:
    log = a_topic()
    write(log, BOOKS, books(3, counted=5, history=10, quarantined=1))
    write(log, BOOKS, books(1, counted=5))
    assert unbalanced(recount(log)) == []


def test_rows_after_the_committed_offset_are_not_owed_yet() -> None:
    log = a_topic()
    write(log, BOOKS, books(3, counted=5, history=10, quarantined=1))
    write(log, ROWS, rows(7))
    assert unbalanced(recount(log)) == []


def test_a_tombstone_takes_no_books_away_and_nothing_at_all_proves_nothing() -> None:
    log = a_log().client()
    log.publish([Message(BOOKS, b"books", None)])
    assert unbalanced(recount(log)) != []


def test_outcomes_are_counted_as_well() -> None:
    log = a_topic()
    write(log, BOOKS, books(3, counted=5, history=10, quarantined=1))
    place = Place(topics.OUTCOMES.name, 0)
    joined = e.OutcomesJoined(
        id=a_fresh_id(), time=NOON, model="fraud", source="serving", prediction_id=("a",), times=(0,), bucket=(0,),
        score=(0.5,), label=(1.0,), labelled_at=(1,),
    )  # fmt: skip
    value, headers = encode(joined, source="test", recorded=NOON)
    log.publish([Message(place, b"k", value, headers)])
    log.commit_as(GROUP, {place: 1})
    assert [wrong.place for wrong in unbalanced(recount(log))] == [place]
