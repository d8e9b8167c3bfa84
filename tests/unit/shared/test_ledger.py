"""Books outlive whoever wrote them, a late zombie and the compaction of their topic included."""

from __future__ import annotations

from everloop import topics
from everloop.ledger import Ledger
from everloop.runtime.log import Place, Record
from everloop.runtime.memory import MemoryLog
from tests.builders import NOON

PLACE = Place(topics.PREDICTIONS.name, 2)


def a_ledger(log: MemoryLog, replica: str) -> Ledger:
    """Books of one replica, as published so far."""
    ledger = Ledger("ingest.route", lambda: NOON, replica)
    ledger.restore(log.client(), [PLACE])
    return ledger


def enter(ledger: Ledger, *offsets: int) -> None:
    for offset in offsets:
        ledger.enter(Record(PLACE, offset, None, None), counted=10)


def test_what_a_zombie_publishes_late_replaces_no_newer_books() -> None:
    log = MemoryLog({topics.BOOKS.name: topics.BOOKS.partitions})
    zombie, heir = a_ledger(log, "0"), a_ledger(log, "1")
    enter(zombie, 0, 1)
    enter(heir, 0, 1, 2, 3)
    log.client().publish(heir.messages())
    log.client().publish(zombie.messages())
    log.compact(topics.BOOKS.name)
    account = a_ledger(log, "2").accounts[PLACE]
    assert (account.offset, account.counts["counted"]) == (3, 40)


def test_books_go_on_where_the_published_ones_end() -> None:
    log = MemoryLog({topics.BOOKS.name: topics.BOOKS.partitions})
    first = a_ledger(log, "0")
    enter(first, 0, 1)
    log.client().publish(first.messages())
    second = a_ledger(log, "1")
    enter(second, 0, 1, 2)
    log.client().publish(second.messages())
    log.compact(topics.BOOKS.name)
    account = a_ledger(log, "0").accounts[PLACE]
    assert (account.offset, account.counts["counted"]) == (2, 30)
