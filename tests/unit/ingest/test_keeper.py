"""The keeper beside the worker, on the log in memory: the same rows in the same order, wherever it is killed."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import product

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydantic import JsonValue

from everloop import topics
from everloop.archive.parts import parts_of
from everloop.archive.verifying import Report, verify
from everloop.artifacts import Artifact, MemoryStore
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.dataset import load, load_rows
from everloop.errors import InvalidError
from everloop.events import FileRef, FilesMerged, FilesRemoved, LoopApplied, ManifestCommitted, Snapshot
from everloop.facts import Facts
from everloop.loop import Loop
from everloop.metrics import Metrics
from everloop.runtime.memory import MemoryClient, MemoryLog
from everloop.simulation import Build, CrashError, Point, Simulation
from everloop_ingest.adapters.keeper import GRACE_MS, Keeper
from tests.unit.ingest.builders import (
    LOOP,
    NOON,
    NOON_MS,
    E,
    FakeWall,
    Worker,
    a_clock,
    apply_loop,
    beat,
    said,
    some_labels,
    some_predictions,
    write,
)

DAY = 86_400_000
DAYS = 3


@dataclass
class FragileStore(MemoryStore):
    """A store whose process dies before or after its `fatal`-th change."""

    fatal: int = -1
    changes: int = 0

    def __init__(self) -> None:
        super().__init__()
        self.fatal, self.changes = -1, 0

    def put(self, data: bytes, kind: str, name: str = "") -> Artifact:
        self._change()
        kept = super().put(data, kind, name)
        self._change()
        return kept

    def remove(self, uri: str, kind: str) -> None:
        self._change()
        super().remove(uri, kind)
        self._change()

    def _change(self) -> None:
        self.changes += 1
        if self.changes == self.fatal:
            raise CrashError


@cache
def told_once() -> tuple[MemoryLog, dict[str, bytes]]:
    """Three days of small files, as the worker writes them: the log, and what the store holds."""
    worker, store = Worker(), MemoryStore()
    worker.store = store
    simulation = Simulation(worker.builds())
    simulation.broker.now_ms = NOON_MS
    log = simulation.client()
    apply_loop(log)
    for day, hour in product(range(DAYS), range(3)):
        at = NOON_MS + day * DAY + hour * 3_600_000
        names = [f"{day}-{hour}-{number}" for number in range(4)]
        for number, name in enumerate(names):
            again = "twice" if number < 2 else f"{name}-b"
            write(log, topics.PREDICTIONS, number, some_predictions(name, again, at=at))
        write(log, topics.LABELS, 0, some_labels(float(hour % 2), *names, "twice", at=at))
        beat(log, at, fraud=at)
        simulation.settle()
    return simulation.broker, store.kept


@dataclass
class House:
    """An archive of three days of small files, and its keepers."""

    keepers: int = 1
    crash: Callable[[Point], bool] = lambda _: False
    seed: int = 0
    store: FragileStore = field(default_factory=FragileStore)

    def __post_init__(self) -> None:
        keepers: dict[str, Build] = {f"keeper-{number}": self._keeper(number) for number in range(self.keepers)}
        self.wall, self.broker = (
            FakeWall(),
            MemoryLog({topic.name: topic.partitions for topic in topics.TOPICS.values()}),
        )
        told, kept = told_once()
        self.store.kept.update(kept)
        self.broker.records = {place: list(records) for place, records in told.records.items()}
        self.broker.offsets, self.broker.now_ms = dict(told.offsets), told.now_ms
        self.keeping = Simulation(keepers, crash=self.crash, seed=self.seed)
        self.keeping.broker = self.broker

    def _keeper(self, number: int) -> Build:
        def build(log: MemoryClient) -> Keeper:
            return Keeper(log, self.store, self.wall, Metrics(), settle_ms=0, replica=str(number))

        return build

    def manifests(self) -> list[ManifestCommitted]:
        return said(self.broker, topics.ARCHIVE, ManifestCommitted)

    def facts(self) -> Facts:
        keeper = Keeper(self.broker.client(), MemoryStore(), self.wall, Metrics(), settle_ms=10**15)
        keeper.step()
        return keeper.shelves["fraud"].facts

    def ids(self, kind: str) -> list[str]:
        """Every id in the order in which a reader of all files finds it: by partition and offset."""
        files = [one for one in self.facts().manifests if one.kind == kind]
        files.sort(key=lambda one: (one.partition, one.first_offset))
        tables = [pq.read_table(io.BytesIO(self.store.fetch(one.uri, one.sha256))) for one in files]
        return [name for table in tables for name in table["prediction_id"].to_pylist()]

    def fetch(self, file: FileRef) -> bytes:
        return self.store.fetch(file.uri, file.sha256)

    def rows(self, snapshot: Snapshot | None = None) -> pd.DataFrame:
        return load_rows(snapshot or self.snapshot(), self.fetch)

    def snapshot(self, start: int = NOON_MS + 3_600_000, end: int = NOON_MS + DAYS * DAY) -> Snapshot:
        facts = self.facts()
        return Snapshot(
            start=start, end=end, strategy="full", predictions=facts.files("predictions", start, end),
            outcomes=facts.files("outcomes", start, end),
        )  # fmt: skip


def test_small_files_become_few_and_every_row_stays_in_its_order() -> None:
    house = House()
    files = len(house.facts().manifests)
    house.keeping.settle()
    assert {kind: house.ids(kind) for kind in before()} == before()
    closed = [one for one in house.facts().manifests if max(part.start for part in one.coverage) < NOON_MS + 2 * DAY]
    assert len(closed) < (files - len(house.facts().manifests) + len(closed)) / 2
    report = verify(house.broker.client(), house.store)
    assert (report.damages, report.rows) == ([], sum(map(len, before().values())))


def test_a_snapshot_gives_the_same_rows_before_and_after() -> None:
    house = House()
    taken, rows = house.snapshot(), house.rows()
    assert rows["prediction_id"].is_unique
    house.keeping.settle()
    pd.testing.assert_frame_equal(house.rows(taken), rows)
    pd.testing.assert_frame_equal(house.rows(), rows)
    assert house.snapshot() != taken


def test_the_content_of_a_snapshot_has_the_same_digest_before_and_after() -> None:
    house = House()
    before_it = load(house.snapshot(), house.fetch).content
    house.keeping.settle()
    assert load(house.snapshot(), house.fetch).content == before_it


def test_a_file_that_is_gone_is_cut_out_of_the_merged_one_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the merged one was merged again."""
    monkeypatch.setattr("everloop_ingest.domain.keeping.FEWEST", 2)
    house = House()
    taken, rows = house.snapshot(), house.rows()
    old = {one.sha256: house.store.kept[one.uri] for one in house.manifests()}
    uris = {one.sha256: one.uri for one in house.manifests()}
    house.wall.move(GRACE_MS / 1000)
    house.keeping.settle()
    parts = parts_of([*house.manifests(), *said(house.broker, topics.ARCHIVE, FilesMerged)])
    gone = [digest for digest in old if digest in parts.found]
    assert len(gone) > 20
    for digest in gone:
        assert parts.bytes_of(house.store, digest) == old[digest]
        assert parts.restore(house.store, digest).uri == uris[digest]
    pd.testing.assert_frame_equal(house.rows(taken), rows)
    with pytest.raises(InvalidError, match="no such artifact"):
        parts.bytes_of(house.store, "0" * 64)


def test_replaced_bytes_stay_for_the_grace() -> None:
    house = House()
    taken, rows = house.snapshot(), house.rows()
    house.wall.move(GRACE_MS / 1000 - 1)
    house.keeping.settle()
    pd.testing.assert_frame_equal(house.rows(taken), rows)
    assert said(house.broker, topics.ARCHIVE, FilesRemoved) == []
    house.wall.move(1)
    house.keeping.settle()
    assert set(house.store.kept) == {one.uri for one in house.facts().manifests}
    pd.testing.assert_frame_equal(house.rows(), rows)
    assert verify(house.broker.client(), house.store).damages == []


def _check(house: House) -> None:
    house.wall.move(GRACE_MS / 1000)
    house.keeping.settle()
    assert {kind: house.ids(kind) for kind in ("predictions", "outcomes")} == before()
    assert verify(house.broker.client(), house.store).damages == []


@cache
def before() -> dict[str, list[str]]:
    """The ids of all rows, in order, of the untouched archive."""
    house = House()
    return {kind: house.ids(kind) for kind in ("predictions", "outcomes")}


def test_a_keeper_killed_at_any_effect_loses_nothing() -> None:
    first = House()
    first.wall.move(GRACE_MS / 1000)
    first.keeping.settle()
    points = len(first.keeping.points)
    assert points > 10
    for number in range(0, points, 3):
        house = House(crash=lambda point, number=number: point.number == number)  # type: ignore[misc]  # a default
        house.keeping.settle()
        assert len(house.keeping.crashes) <= 1
        _check(house)


def test_a_keeper_killed_at_any_change_of_the_store_loses_nothing() -> None:
    first = House()
    first.wall.move(GRACE_MS / 1000)
    first.keeping.settle()
    changes = first.store.changes
    assert changes > 20
    for number in [*range(1, 17), *range(17, changes + 1, 9)]:
        house = House()
        house.store.fatal = number
        house.wall.move(GRACE_MS / 1000)
        house.keeping.settle()
        assert house.store.changes >= number
        _check(house)


@pytest.mark.parametrize("seed", range(6))
def test_two_keepers_agree_by_the_order_of_the_log(seed: int) -> None:
    chance = random.Random(seed)
    house = House(keepers=2, crash=lambda _: chance.random() < 0.05, seed=seed)
    _check(house)


def test_a_merge_that_lost_is_void_and_its_file_goes() -> None:
    """Both see the same files; one stands still before it announces its merge, and does so behind the other's."""
    house = House(keepers=2)
    stood = list[str]()

    def stand_still(point: Point) -> bool:
        if not stood and (point.effect, point.moment) == ("publish", "before"):
            stood.append(point.process)
            house.keeping.settle(without=point.process)
        return False

    house.keeping.crash = stand_still
    _check(house)
    merges = said(house.broker, topics.ARCHIVE, FilesMerged)
    assert len({one.id for one in merges}) < len(merges) or verify(house.broker.client(), house.store).void


def test_a_damaged_file_is_left_alone_and_the_others_go_on() -> None:
    house = House()
    first = house.manifests()[0]
    del house.store.kept[first.uri]
    house.keeping.settle()
    assert first.id in {one.id for one in house.facts().manifests}


def _mutated(house: House, kind: type[E], **fields: object) -> Report:
    """The report after the first event of this kind was changed in the log."""
    for place, records in house.broker.records.items():
        for record in records if place.topic == topics.ARCHIVE.name else ():
            event = decode(record.value, record.headers)
            if isinstance(event, kind):
                value, headers = encode(event.model_copy(update=fields), source="ingest", recorded=NOON)
                records[record.offset] = record._replace(value=value, headers=headers)
                return verify(house.broker.client(), house.store)
    raise AssertionError(kind)


def test_a_merge_that_lost_a_row_is_named() -> None:
    house = House()
    house.keeping.settle()
    one = said(house.broker, topics.ARCHIVE, FilesMerged)[0]
    report = _mutated(house, FilesMerged, rows=one.rows - 1)
    assert [damage.rule for damage in report.damages] == ["merge", "rows"]
    assert report.damages[0].uri == one.uri


def test_a_file_that_was_removed_and_still_counts_is_named() -> None:
    house = House()
    house.wall.move(GRACE_MS / 1000)
    house.keeping.settle()
    counting = house.facts().manifests[-1]
    report = _mutated(house, FilesRemoved, files=(counting.sha256,))
    assert "removed" in {damage.rule for damage in report.damages}


def test_a_merge_that_is_gone_leaves_files_that_are_gone() -> None:
    house = House()
    house.wall.move(GRACE_MS / 1000)
    house.keeping.settle()
    report = _mutated(house, FilesMerged, replaces=())
    assert {damage.rule for damage in report.damages} >= {"removed", "missing"}


def _keep(house: House, keep: str) -> None:
    archive: JsonValue = {"keep": keep, "grace": "1h"}
    train: JsonValue = {"data": {"rolling": keep}}
    loop = Loop.from_payload({**LOOP.to_payload(), "archive": archive, "train": train})
    event = LoopApplied.named("keep", NOON, "fraud", loop=loop.to_payload(), digest="1" * 64)
    write(house.broker.client(), topics.LOOPS, partition("fraud", topics.PARTITIONS), event)
    write(house.broker.client(), topics.CLOCK, 0, a_clock("fraud", NOON + timedelta(days=DAYS - 1, hours=6)))


def test_old_rows_expire_by_their_own_time_and_their_bytes_go_later() -> None:
    house = House()
    _keep(house, "1d")
    house.keeping.settle()
    old = {name for name in before()["predictions"] if name.startswith("0-")}
    assert old
    assert old.isdisjoint(house.ids("predictions"))
    assert {name for name in before()["predictions"] if name.startswith("2-")} <= set(house.ids("predictions"))
    report = verify(house.broker.client(), house.store)
    assert (report.damages, report.expired > 0) == ([], True)
    gone = {one.uri for one in house.manifests()} - {one.uri for one in house.facts().manifests}
    assert gone <= set(house.store.kept)
    house.wall.move(3_600)
    house.keeping.settle()
    assert set(house.store.kept) == {one.uri for one in house.facts().manifests}
    assert verify(house.broker.client(), house.store).damages == []


def test_a_snapshot_within_what_is_kept_is_the_same() -> None:
    house = House()
    start, end = NOON_MS + 2 * DAY, NOON_MS + DAYS * DAY
    rows = house.rows(house.snapshot(start, end))
    assert len(rows)
    _keep(house, "1d")
    house.keeping.settle()
    pd.testing.assert_frame_equal(house.rows(house.snapshot(start, end)), rows)


def test_a_keeper_killed_while_files_expire_loses_no_file_that_is_kept() -> None:
    points = 0
    while True:
        house = House(crash=lambda point, number=points: point.number == number)  # type: ignore[misc]  # a default
        _keep(house, "1d")
        house.keeping.settle()
        house.wall.move(3_600)
        house.keeping.settle()
        assert set(house.store.kept) == {one.uri for one in house.facts().manifests}
        assert verify(house.broker.client(), house.store).damages == []
        points += 3
        if points >= len(house.keeping.points):
            break
