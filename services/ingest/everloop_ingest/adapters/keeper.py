"""The keeper of the archive: merges small files, lets old ones expire, deletes bytes that nobody may ask for any more.

It holds nothing: what is to be done follows from `archive`, and one thing is done at a time, each ending in one event.
After a crash the same thing is found again, and done again to the same bytes. Of two keepers the first in the log wins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from everloop import topics
from everloop.archive.files import schema_of
from everloop.archive.keeping import name_of
from everloop.artifacts import ArtifactStore
from everloop.buckets import partition
from everloop.errors import EverloopError, FatalError, InvalidError
from everloop.events import Event, FilesExpired, FilesMerged, FilesRemoved, ManifestCommitted, Reason
from everloop.metrics import Metrics
from everloop.runtime.broadcast import Broadcast, World
from everloop.runtime.log import Log, Record
from everloop_ingest.adapters.parquet import merged
from everloop_ingest.adapters.records import Wall, message, moment
from everloop_ingest.domain.keeping import Chore, Expire, Merge, Remove, Rules, Shelf, coverage_of, next_chore

NAME: Final = "ingest.keeper"
SAID: Final = (ManifestCommitted, FilesMerged, FilesExpired, FilesRemoved)
GRACE_MS: Final = 7 * 24 * 60 * 60 * 1000
LEAST_GRACE_MS: Final = 60 * 1000
"""Between a file is put and announced no keeper may take it for one that nobody needs."""
RETRY_S: Final = 30.0
logger = structlog.get_logger()


class Keeper:
    """Hears `archive`, `loops` and `clock` in full, in every replica; replica n acts n times later than the first."""

    def __init__(
        self, log: Log, store: ArtifactStore, wall: Wall, metrics: Metrics, *, settle_ms: int, replica: str = "0"
    ) -> None:
        """Open the broadcasts; nothing is read yet."""
        self.log = log
        self.store = store
        self.wall = wall
        self.metrics = metrics
        self.settle_ms = settle_ms * (1 + (int(replica) if replica.isdecimal() else 0))
        self.world = World()
        self.shelves: dict[str, Shelf] = {}
        self.damaged: set[str] = set()
        self.said: dict[str, UUID] = {}
        self.broadcast = Broadcast(
            log, (topics.LOOPS.name, topics.CLOCK.name, topics.ARCHIVE.name), f"everloop.{NAME}.broadcast.{replica}"
        )

    def step(self, timeout_s: float = 0.0) -> bool:
        """Read to the present end, then do one thing for each model that has something to do."""
        news = self.broadcast.news()
        for record, event in news:
            self._hear(record, event)
        done = [self._keep(model, shelf) for model, shelf in sorted(self.shelves.items())]
        del timeout_s
        return any(done)

    def close(self) -> None:
        """Let go of the reader."""
        self.broadcast.tail.close()

    def _hear(self, record: Record, event: Event | None) -> None:
        if isinstance(event, SAID):
            self.shelves.setdefault(event.model, Shelf()).hear(event, record.appended_ms)
        elif record.place.topic != topics.ARCHIVE.name:
            self.world.learn(record, event)

    def _keep(self, model: str, shelf: Shelf) -> bool:
        """Do the next thing of one model; whether there was one. What cannot be read is left alone until a restart."""
        chore = next_chore(shelf, self._rules(model), int(self.wall().timestamp() * 1000), self._now(model))
        if chore is None or model in self.damaged:
            return False
        try:
            said = self._do(model, chore)
        except InvalidError as error:
            self.damaged.add(model)
            logger.error("archive_damaged", model=model, reason=error.reason, message=str(error))  # noqa: TRY400 -- one line
            return False
        if self.said.get(model) == said.id:
            raise FatalError(f"what was said of the archive of {model!r} had no effect: {type(said).__name__}")
        self.said[model] = said.id
        self.log.publish([message(topics.ARCHIVE, partition(model, topics.PARTITIONS), said, self.wall())])
        self.metrics.inc("everloop_archive_kept_total", kind=type(chore).__name__.lower(), model=model)
        return True

    def _do(self, model: str, chore: Chore) -> Event:
        match chore:
            case Merge():
                return self._merge(model, chore)
            case Expire():
                rows = sum(file.rows for file in chore.files)
                why = Reason(rule="archive.keep", measured=len(chore.files), samples=rows, where="loop")
                return FilesExpired.named(
                    f"{chore.files[0].id}/{len(chore.files)}/{chore.before}", moment(chore.before), model,
                    files=tuple(file.id for file in chore.files), rows=rows, before=chore.before, reason=why,
                )  # fmt: skip
            case Remove():
                for file in chore.files:
                    self.store.remove(file.uri, "archive")
                first, last = chore.files[0].sha256, chore.files[-1].sha256
                return FilesRemoved.named(
                    f"{first}/{last}", self.wall(), model, files=tuple(file.sha256 for file in chore.files)
                )

    def _merge(self, model: str, chore: Merge) -> FilesMerged:
        files, (first, *_) = chore.files, chore.files
        data = merged(self.store.fetch(file.uri, file.sha256) for file in files)
        offsets = first.first_offset, files[-1].last_offset
        kept = self.store.put(data, "archive", name_of(model, first.kind, first.partition, offsets))
        watermark = max(file.watermark for file in files)
        return FilesMerged.named(
            f"{first.id}/{len(files)}/{kept.sha256}", moment(watermark), model, kind=first.kind, replaces=chore.parts,
            topic=first.topic, partition=first.partition, first_offset=offsets[0], last_offset=offsets[1],
            uri=kept.uri, sha256=kept.sha256, size=kept.size, rows=sum(file.rows for file in files),
            history_rows=sum(file.history_rows for file in files), coverage=coverage_of(files), watermark=watermark,
            columns=schema_of(data),
        )  # fmt: skip

    def _rules(self, model: str) -> Rules:
        """Files of a model without a loop file are merged, and none of them expires."""
        loop = self.world.loops.get(model)
        if loop is None:
            return Rules(settle=self.settle_ms, grace=GRACE_MS)
        keep = _ms(loop.archive.keep) if loop.archive.keep else None
        return Rules(self.settle_ms, max(LEAST_GRACE_MS, _ms(loop.archive.grace)), keep, _ms(loop.windows.every))

    def _now(self, model: str) -> int | None:
        clock = self.world.clock(model)
        return int(clock.moved.data.timestamp() * 1000) if clock else None


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)


def keep_on(build: Callable[[], AbstractContextManager[Keeper]], stop: threading.Event, pause_s: float) -> None:
    """Keep the archive until `stop`, in the calling thread. What fails is logged, and tried again after a while."""
    while not stop.is_set():
        try:
            with build() as keeper:
                while not stop.is_set():
                    if not keeper.step():
                        stop.wait(pause_s)
        except Exception as error:  # noqa: BLE001 -- rows come in all the same; the keeper begins anew
            said = str(error) if isinstance(error, EverloopError) else ""
            logger.warning("keeper_failed", error=type(error).__name__, message=said)
            stop.wait(RETRY_S)
