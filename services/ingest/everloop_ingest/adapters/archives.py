"""The third room of the worker: rows become Parquet files, each announced on `archive` by its manifest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from everloop import topics
from everloop.archive.files import schema_of
from everloop.archive.keeping import name_of
from everloop.artifacts import ArtifactStore
from everloop.buckets import partition
from everloop.errors import InvalidError, StoreError
from everloop.events import (
    EVERY_MODEL,
    AlertRaised,
    Event,
    FeedbackJoined,
    HeartbeatPassed,
    HeartbeatSent,
    LoopApplied,
    ManifestCommitted,
    OutcomesJoined,
    Severity,
    named_id,
)
from everloop.facts import announced
from everloop.ledger import Ledger, named_rows
from everloop.loop import Loop, Windows
from everloop.metrics import Metrics
from everloop.rows import Rows, read_record
from everloop.runtime.log import Log, Message, Place, Record
from everloop_ingest.adapters.parquet import to_parquet
from everloop_ingest.adapters.records import Wall, message, moment
from everloop_ingest.domain import archiving
from everloop_ingest.domain.archiving import LINGER_MS, Batch, Source, Taken, coverage, newest
from everloop_ingest.domain.spacing import Space

logger = structlog.get_logger()
REMEMBERED_IDS: Final = 20_000
"""Record ids per partition, within which a repeated record is known."""


class ArchiveFold:
    """Rows wait in memory, their offsets uncommitted, until a file of them is announced; nothing else is state.

    After a crash rows are read again from the first that was not written, and those up to the last offset of a manifest
    are left out. Where two writers met, the first manifest in the log counts: a file is done when its manifest was read
    back as one that counts, and rows that are in no other such file are written again. So each row is in exactly one.
    """

    name = "ingest.archive"
    hears = (topics.PREDICTIONS.name, topics.OUTCOMES.name)
    broadcasts = (topics.LOOPS.name, topics.ARCHIVE.name)

    def __init__(
        self, store: ArtifactStore, wall: Wall, metrics: Metrics, *, linger_ms: int = LINGER_MS,
        know: Callable[[Sequence[str]], None] = lambda _: None, replica: str = "0",
    ) -> None:  # fmt: skip
        """`wall` says when rows have waited long enough, and `recordedtime`; `know` hears the models of `loops`."""
        self.store = store
        self.wall = wall
        self.metrics = metrics
        self.linger_ms = linger_ms
        self.know = know
        self.space = Space()
        self.tell: Callable[[str | None], None] = lambda _: None
        """Hears what the archive waits for, and None when it waits no more."""
        self.every: dict[str, timedelta] = {}
        self.batches: dict[Source, Batch] = {}
        self.unproven: dict[Source, Batch] = {}
        self.written: dict[Source, ManifestCommitted] = {}
        self.clocks: dict[Place, dict[str, int]] = {}
        self.recent: dict[Place, OrderedDict[str, None]] = {}
        self.refresh: Callable[[], object] = lambda: None
        self.ledger = Ledger(self.name, wall, replica)

    def restore(self, log: Log, committed: dict[Place, int]) -> None:
        """Learn from `archive` what is written, and the ids of the records before the committed offsets."""
        self.batches, self.unproven, self.clocks = {}, {}, {}
        self.ledger.restore(log, committed)
        self.refresh()
        self.recent = {place: OrderedDict() for place in committed}
        starts = {place: max(0, offset - REMEMBERED_IDS) for place, offset in committed.items()}
        self._remember(log, starts, committed)

    def learn(self, record: Record, event: Event | None) -> None:
        """Note what is written, and how long the slices of a model are; a tombstone takes the model away."""
        match event:
            case ManifestCommitted():
                self._note(event)
                return
            case LoopApplied():
                self.every[event.model] = Loop.from_payload(event.loop).windows.every
            case None if record.key:
                self.every.pop(record.key.decode(errors="replace"), None)
        self.know(tuple(self.every))

    def take(self, record: Record) -> None:
        """Take rows that are not in a file yet; rows of a model without a loop are not archived."""
        found: Rows | Event | None = None
        with suppress(InvalidError):  # `RouteFold` has made a dead letter of it
            found = read_record(record.value, record.headers)
        match found:
            case HeartbeatSent() | HeartbeatPassed():
                self.clocks[record.place] = newest(self.clocks.get(record.place, {}), found.clocks)
            case Rows() | OutcomesJoined() | FeedbackJoined() if self._seen(record.place, str(found.id)):
                self.ledger.enter(record, duplicate=len(found.prediction_id))
            case Rows() | OutcomesJoined() | FeedbackJoined():
                self._add(record, found)
            case _:
                self.ledger.enter(record, quarantined=named_rows(record))

    def flush(self) -> Sequence[Message]:
        """Write what is due, and read back which manifest counts; then the books, which hold for what waits no more."""
        if self.unproven:
            self.refresh()
            self._take_back()
        now = self._now()
        due = [source for source, batch in self.batches.items() if batch.due(
            now, own_clock=self._own_clock(source), linger_ms=self.linger_ms)]  # fmt: skip
        return self._write_all([] if self.space.rests(now) else due) or self.ledger.messages(self._waiting())

    def accepts(self) -> bool:
        """While the store is full, so many rows wait here; the others wait in the log."""
        return self.space.accepts(sum(batch.rows for batch in self.batches.values()) if self.space.full_since else 0)

    def _write_all(self, due: Sequence[Source]) -> list[Message]:
        """Write and announce. Where the store takes nothing the rows wait, and a person is told, once."""
        said: list[Message] = []
        try:
            for source in due:
                said.append(self._write(source, self.batches[source]))
                self.unproven[source] = self.batches.pop(source)
        except StoreError as error:
            if self.space.refused(self._now()):
                logger.error("archive_waits", message=str(error))  # noqa: TRY400 -- one line
                self.tell("the store of the archive")
                said.append(self._alert("archive_waits", "error", f"the archive waits, no row is lost: {error}"))
        else:
            if due and self.space.found():
                self.tell(None)
                said.append(self._alert("archive_goes_on", "info", "the archive is written again"))
        return said

    def _alert(self, name: str, severity: Severity, summary: str) -> Message:
        """An alert of the machine's time: it is about no model."""
        at = self.wall()
        alert = AlertRaised(
            id=named_id("AlertRaised", f"{name}/{at.isoformat()}"), time=at, model=EVERY_MODEL, name=name,
            severity=severity, summary=summary,
        )  # fmt: skip
        return message(topics.ALERTS, partition(EVERY_MODEL, topics.ALERTS.partitions), alert, at)

    def committable(self, positions: Mapping[Place, int]) -> dict[Place, int]:
        """Offsets may be committed up to the first row that waits."""
        waiting = self._waiting()
        return {place: min(offset, waiting.get(place, offset)) for place, offset in positions.items()}

    def _take_back(self) -> None:
        """Rows of files that another writer's made void wait again, but for those that are in the other's."""
        for source, batch in self.unproven.items():
            known, newer = self.written.get(source), self.batches.get(source)
            left = batch.after(known.last_offset if known else -1, newer.events if newer else ())
            if left.events:
                self.batches[source] = left
        self.unproven = {}

    def _waiting(self) -> dict[Place, int]:
        """Offset of the first row that waits, by place."""
        waiting: dict[Place, int] = {}
        for source, batch in self.batches.items():
            place = Place(source.topic, source.partition)
            waiting[place] = min(batch.first_offset, waiting.get(place, batch.first_offset))
        return waiting

    def _add(self, record: Record, event: Taken) -> None:
        source = Source(record.place.topic, record.place.partition, event.model, archiving.kind_of(event))
        self.metrics.inc("everloop_rows_total", len(event.prediction_id), group=self.name, topic=source.topic)
        known, rows = self.written.get(source), len(event.prediction_id)
        written = known is not None and record.offset <= known.last_offset
        if event.model not in self.every and not written:
            self.ledger.enter(record, quarantined=rows)
            return
        self.ledger.enter(record, **{"history" if event.source == "bootstrap" else "counted": rows})
        if not rows or written:
            return
        self.batches.setdefault(source, Batch(self._now())).add(record.offset, event)

    def _write(self, source: Source, batch: Batch) -> Message:
        kind = source.kind
        data = to_parquet(archiving.COLUMNS[kind](batch))
        name = name_of(source.model, kind, source.partition, (batch.first_offset, batch.last_offset))
        kept = self.store.put(data, "archive", name)
        known, watermark = self.written.get(source), self._watermark(source)
        event = ManifestCommitted.named(
            f"{source.topic}/{source.partition}/{batch.first_offset}-{batch.last_offset}/{source.model}{_suffix(kind)}",
            moment(watermark), source.model, kind=kind, topic=source.topic, partition=source.partition,
            first_offset=batch.first_offset, last_offset=batch.last_offset, uri=kept.uri, sha256=kept.sha256,
            rows=batch.rows, history_rows=batch.history_rows, coverage=coverage(batch, self._every(source.model)),
            watermark=watermark, covers_from=known.last_offset + 1 if known else 0, columns=schema_of(data),
            size=kept.size,
        )  # fmt: skip
        self.metrics.inc("everloop_archive_files_total", kind=kind, model=source.model)
        self.metrics.inc("everloop_archive_rows_total", batch.rows, kind=kind, model=source.model)
        return message(topics.ARCHIVE, partition(source.model, topics.PARTITIONS), event, self.wall())

    def _note(self, event: ManifestCommitted) -> None:
        source = Source(event.topic, event.partition, event.model, event.kind)
        known = self.written.get(source)
        if known is None or not announced(event, known):
            self.written[source] = event

    def _seen(self, place: Place, identity: str) -> bool:
        known = self.recent.setdefault(place, OrderedDict())
        if identity in known:
            return True
        known[identity] = None
        if len(known) > REMEMBERED_IDS:
            known.popitem(last=False)
        return False

    def _remember(self, log: Log, starts: Mapping[Place, int], ends: Mapping[Place, int]) -> None:
        tail = log.tail()
        tail.seek(starts)
        for record in tail.read_to(ends):
            identity = _identity(record)
            if identity:
                self._seen(record.place, identity)
        tail.close()

    def _own_clock(self, source: Source) -> bool:
        return source.model in self.clocks.get(Place(source.topic, source.partition), {})

    def _watermark(self, source: Source) -> int:
        clocks = self.clocks.get(Place(source.topic, source.partition), {})
        known = self.written.get(source)
        return clocks.get(source.model, clocks.get(EVERY_MODEL, known.watermark if known else 0))

    def _every(self, model: str) -> timedelta:
        """The default of `windows.every` for a loop that was taken away while its rows waited."""
        return self.every.get(model, Windows().every)

    def _now(self) -> int:
        return int(self.wall().timestamp() * 1000)


def _suffix(kind: archiving.Kind) -> str:
    """What tells files of feedback from those of labels of the same offsets; other names are as they always were."""
    return "/feedback" if kind == "feedback" else ""


def _identity(record: Record) -> str | None:
    """The id from the header, which is where all but structured records have it: reading rows again costs seconds."""
    raw = dict(record.headers).get("ce_id")
    try:
        return str(UUID(raw.decode()) if raw else read_record(record.value, record.headers).id)
    except (InvalidError, ValueError):
        return None
