"""A recount of what drift was given, which shares no code with drift: rows on the topics against its published books.

Per partition of `predictions` and `outcomes`, up to the committed offset of drift's group: each row is in exactly one
of counted, history, late, duplicate, quarantined (DESIGN rule 14). What is no rows record counts as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from everloop import topics
from everloop.runtime.log import Log, Place, Record, places_of

GROUP: Final = "everloop.drift.windows"
ROWS: Final = {b"io.everloop.predictions.logged.v1", b"io.everloop.outcomes.joined.v1"}
SILENT: Final = {b"io.everloop.heartbeat.sent.v1", b"io.everloop.heartbeat.passed.v1"}
BOOKS: Final = b"io.everloop.books.kept.v1"
COUNTS: Final = ("counted", "history", "late", "duplicate", "quarantined")


@dataclass(frozen=True, slots=True)
class Balance:
    """One partition: rows that the topic has, rows that the books have."""

    place: Place
    recounted: int
    booked: int


def recount(log: Log) -> list[Balance]:
    """Every partition's balance."""
    places = places_of(log, [topics.PREDICTIONS.name, topics.OUTCOMES.name])
    recounted = dict.fromkeys(places, 0)
    for record in _read(log, log.committed(GROUP, places)):
        recounted[record.place] += _rows(record)
    booked = _booked(log)
    return [Balance(place, recounted[place], booked.get(place, 0)) for place in places]


def unbalanced(balances: list[Balance]) -> list[Balance]:
    """Partitions where the two differ; all of them when there was nothing to count, which proves nothing."""
    if not sum(balance.recounted for balance in balances):
        return balances
    return [balance for balance in balances if balance.recounted != balance.booked]


def _booked(log: Log) -> dict[Place, int]:
    """Sums of the newest books per place; where two writers met, the larger source offset wins."""
    newest: dict[Place, tuple[int, int]] = {}
    for record in _read(log, log.ends(places_of(log, [topics.PARTIALS.name]))):
        if record.value is None or dict(record.headers).get("ce_type") != BOOKS:
            continue
        data = orjson.loads(record.value)
        place, offset = Place(data["topic"], data["partition"]), data["offset"]
        if place not in newest or newest[place][0] <= offset:
            newest[place] = (offset, sum(data[name] for name in COUNTS))
    return {place: rows for place, (_, rows) in newest.items()}


def _read(log: Log, ends: dict[Place, int]) -> list[Record]:
    tail = log.tail()
    tail.seek(dict.fromkeys(ends, 0))
    records = tail.read_to(ends)
    tail.close()
    return records


def _rows(record: Record) -> int:
    kind = dict(record.headers).get("ce_type", b"")
    if kind in SILENT:
        return 0
    if kind not in ROWS or record.value is None:
        return 1
    ids = orjson.loads(record.value).get("prediction_id")
    return len(ids) if isinstance(ids, list) else 1
