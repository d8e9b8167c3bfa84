"""The books of a room: what became of each row that it was given, published with the offset up to which they hold.

Rule 14: each row is in exactly one count. Books are published before the offsets that they cover are committed, and
start where the published ones end; a record that is read again is not entered again. `everloop books` recounts them.

Where two writers met, the larger offset wins (rule 7). The topic is compacted, which keeps the *later* record of a key:
so each replica writes under keys of its own, and what a zombie writes late replaces nothing but its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from everloop import topics
from everloop.codec import ARROW, STRUCTURED, decode, encode, loads
from everloop.errors import InvalidError
from everloop.events import EVERY_MODEL, MOST_ROWS, BooksKept, HeartbeatPassed, HeartbeatSent
from everloop.rows.stream import batches
from everloop.runtime.log import Log, Message, Place, Record, places_of

Count = Literal["counted", "history", "late", "duplicate", "quarantined"]
COUNTS: tuple[Count, ...] = ("counted", "history", "late", "duplicate", "quarantined")
EPOCH = datetime.fromtimestamp(0, UTC)
HEARTBEATS = frozenset({HeartbeatSent.TYPE, HeartbeatPassed.TYPE})


class Entry(NamedTuple):
    """Rows of the record at `offset` that had the same fate."""

    offset: int
    fate: Count
    rows: int


@dataclass
class Account:
    """One partition: the counts up to `offset`, and what is entered but not settled yet."""

    offset: int = -1
    counts: dict[Count, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    pending: list[Entry] = field(default_factory=list)

    def settle(self, limit: int | None) -> bool:
        """Take over what was entered of records below `limit` (None: all); whether there was any."""
        settled = [one for one in self.pending if limit is None or one.offset < limit]
        self.pending = self.pending[len(settled) :]
        for one in settled:
            self.counts[one.fate] += one.rows
            self.offset = one.offset
        return bool(settled)


@dataclass
class Ledger:
    """The books of one room, kept by one replica, on `books`. `wall` is used for `recordedtime` alone."""

    room: str
    wall: Callable[[], datetime]
    replica: str = "0"
    accounts: dict[Place, Account] = field(default_factory=dict)

    def restore(self, log: Log, places: Iterable[Place]) -> None:
        """Hold these places, with the furthest books that any replica has published of them."""
        self.accounts = {place: Account() for place in places}
        for kept in _published(log):
            account = self.accounts.get(Place(kept.topic, kept.partition))
            if account is not None and kept.group == self.room and kept.offset >= account.offset:
                account.offset = kept.offset
                account.counts = {name: getattr(kept, name) for name in COUNTS}

    def enter(self, record: Record, **rows: int) -> None:
        """Say what became of the rows of a record (`counted=3`), unless the books have it already."""
        account = self.accounts.setdefault(record.place, Account())
        if record.offset > account.offset:
            account.pending += [Entry(record.offset, name, rows[name]) for name in COUNTS if rows.get(name)]

    def messages(self, limits: Mapping[Place, int] | None = None) -> list[Message]:
        """The books that have changed, of records below `limits` (a place without one: of all)."""
        known = limits or {}
        changed = [place for place, account in self.accounts.items() if account.settle(known.get(place))]
        return [self._message(place, self.accounts[place]) for place in changed]

    def _message(self, place: Place, account: Account) -> Message:
        event = BooksKept.named(
            f"{self.room}/{place.topic}/{place.partition}/{account.offset}", EPOCH, EVERY_MODEL, group=self.room,
            topic=place.topic, partition=place.partition, offset=account.offset, **account.counts,
        )  # fmt: skip
        value, headers = encode(event, source=self.room, recorded=self.wall())
        key = f"{self.room}|{place.topic}|{place.partition}|{self.replica}"
        return Message(Place(topics.BOOKS.name, place.partition), key.encode(), value, headers)


def named_rows(record: Record) -> int:
    """Rows of a record that leads to nothing, readable or not: as many as ids (else entities) it lists, else one.

    An Arrow stream names as many as its batches say, up to what a record may have. A heartbeat has none. For a readable
    record of rows this is the length of its columns.
    """
    headers = {name: raw or b"" for name, raw in record.headers}
    content = headers.get("content-type", b"")
    if content.startswith(ARROW):
        return 0 if _is_heartbeat(headers) else _streamed_rows(record.value or b"")
    try:
        whole = loads(record.value or b"")
    except InvalidError:
        whole = {}
    structured = content.startswith(STRUCTURED)
    data = whole.get("data") if structured else whole
    if whole.get("type") in HEARTBEATS if structured else _is_heartbeat(headers):
        return 0
    named = data if isinstance(data, dict) else {}
    ids = named.get("prediction_id") or named.get("entity_id") or named.get("prediction_id")
    return len(ids) if isinstance(ids, list) else 1


def _is_heartbeat(headers: Mapping[str, bytes]) -> bool:
    return headers.get("ce_type", b"").decode(errors="replace") in HEARTBEATS


def _streamed_rows(stream: bytes) -> int:
    try:
        rows = sum(one.head.rows for one in batches(stream))
    except InvalidError:
        return 1
    return rows if rows <= MOST_ROWS else 1


def _published(log: Log) -> Iterable[BooksKept]:
    places = dict.fromkeys(places_of(log, [topics.BOOKS.name]), 0)
    tail = log.tail()
    tail.seek(places)
    for record in tail.read_to(log.ends(places)):
        try:
            event = decode(record.value, record.headers)
        except InvalidError:
            continue
        if isinstance(event, BooksKept):
            yield event
    tail.close()
