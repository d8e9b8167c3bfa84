"""What the join keeps on disk is a cache of `keys`: with it, without it, with a wrong one, the same outcomes."""

from __future__ import annotations

import errno
import os
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from everloop import topics
from everloop.codec import Headers, decode, encode
from everloop.errors import FatalError
from everloop.events import (
    Event,
    FeedbackJoined,
    FeedbackLogged,
    FeedbackRouted,
    KeysRouted,
    LabelsLogged,
    OutcomesJoined,
)
from everloop.metrics import Metrics
from everloop.rows import Rows, rows_of
from everloop.runtime.log import Message, Place, Record
from everloop.runtime.memory import MemoryClient, MemoryLog, MemoryTail, no_hook
from everloop_ingest.adapters import caches, shelves
from everloop_ingest.adapters.caches import FolderCache, MemoryCache
from everloop_ingest.adapters.joins import JoinFold
from everloop_ingest.adapters.routes import RouteFold
from everloop_ingest.adapters.shelves import FolderShelf
from everloop_ingest.domain.shelves import ROW, MemoryShelf, digests
from tests.unit.ingest.builders import (
    NOON,
    FakeWall,
    a_range,
    routed_of,
    some_feedback,
    some_labels,
    some_predictions,
)

KEYS = Place(topics.KEYS.name, 0)
RECORDS = 60
Said = tuple[bytes | None, Headers]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of few rows, written often, so that a short story has many of them."""
    for module in (caches, shelves):
        monkeypatch.setattr(module, "FILED", 16)
    monkeypatch.setattr(shelves, "_ROWS_END", 16 * ROW.itemsize)
    monkeypatch.setattr(shelves, "_KEYS_END", 16 * (ROW.itemsize + 16))
    monkeypatch.setattr(shelves, "_NAMES_START", 16 * (ROW.itemsize + 20))
    monkeypatch.setattr(caches, "OFTEN", 1)


def _log(seed: int = 0, records: int = RECORDS) -> MemoryLog:
    """`keys` with predictions, labels and feedback in all orders, repeats and corrections, a heartbeat now and then."""
    chance, broker = random.Random(seed), MemoryLog({t.name: t.partitions for t in topics.TOPICS.values()})
    for number in range(records):
        names = [f"t{chance.randrange(400)}" for _ in range(chance.randint(1, 12))]
        event: Rows | LabelsLogged | FeedbackLogged = some_labels(
            float(chance.randint(0, 1)), *names, at=chance.randint(0, 9)
        )
        if chance.random() < 0.5:
            once = tuple(dict.fromkeys(names))
            whose = tuple(f"e{int(name[1:]) % 7}" for name in once)
            region = {"region": tuple(f"region of {name}" for name in once)}
            event = rows_of(some_predictions(*once, version=chance.choice("vw"), entity_id=whose, features=region))
        elif chance.random() < 0.3:
            event = a_range(float(chance.randint(0, 1)), f"e{chance.randrange(7)}", at=chance.randint(0, 9))
        elif chance.random() < 0.4:
            name, at = chance.choice(["click", "revenue"]), chance.randint(0, 9)
            event = some_feedback(float(chance.randint(0, 3)), *dict.fromkeys(names), name=name, at=at)
        declared: tuple[str, ...] = chance.choice([(), ("region",), ("region", "none")])
        for _, keys in routed_of(event, 1, f"{seed}/{number}", declared):
            _write(broker, keys)
    return broker


def _write(broker: MemoryLog, event: KeysRouted | FeedbackRouted) -> None:
    broker.now_ms += 7
    value, headers = encode(event, source="test", recorded=NOON)
    broker.client().publish([Message(KEYS, b"fraud", value, headers)])


class Run:
    """One process after the other over one log, as a carrier runs them: take, flush, commit."""

    def __init__(self, broker: MemoryLog, cache: Callable[[], FolderCache | MemoryCache]) -> None:
        self.broker = broker
        self.cache = cache
        self.committed = 0
        self.said: dict[bytes, list[Said]] = {}

    def start(self) -> JoinFold:
        fold = JoinFold(FakeWall(), Metrics(), cache=self.cache())
        fold.restore(self.broker.client(), {KEYS: self.committed})
        return fold

    def take(self, fold: JoinFold, records: int, *, commit: bool = True) -> None:
        end = self.committed + records
        found = self.broker.read(KEYS, self.committed, end)
        if found:
            fold.take_many(found)
        while said := fold.flush():
            for message in said:
                if message.place.topic == topics.OUTCOMES.name:
                    headers = dict(message.headers)
                    self.said.setdefault(headers["ce_id"], []).append((message.value, message.headers))
        self.committed = end if commit else self.committed

    def outcomes(self) -> dict[bytes, Said]:
        """Each record by its id; said twice, it was said in the same bytes."""
        assert all(len({value for value, _ in said}) == 1 for said in self.said.values())
        return {identity: said[0] for identity, said in self.said.items()}


def _straight(broker: MemoryLog) -> dict[bytes, Said]:
    run = Run(broker, MemoryCache)
    run.take(run.start(), len(broker.records[KEYS]))
    return run.outcomes()


@pytest.mark.parametrize("seed", range(12))
def test_whenever_a_process_ends_the_outcomes_are_the_same(seed: int, tmp_path: Path) -> None:
    """Also between what it writes and what it commits, so that what is kept may be ahead."""
    broker, chance = _log(seed), random.Random(seed)
    run = Run(broker, lambda: FolderCache(tmp_path))
    fold, starts = run.start(), 0
    while run.committed < RECORDS:
        run.take(fold, chance.randint(0, 5), commit=chance.random() < 0.8)
        if chance.random() < 0.3:
            fold, starts = run.start(), starts + 1
    assert starts
    assert run.outcomes() == _straight(broker)
    assert _regions(run) == {"carried": True, "right": True}


def _regions(run: Run) -> dict[str, bool]:
    """Whether outcomes carry regions, and whether each is that of its prediction."""
    found = [decode(*said) for said in run.outcomes().values()]
    pairs = [
        pair for one in found if isinstance(one, OutcomesJoined) and one.segments
        for pair in zip(one.prediction_id, one.segments["region"], strict=True)
    ]  # fmt: skip
    return {"carried": bool(pairs), "right": all(region == f"region of {name}" for name, region in pairs)}


def test_what_is_kept_is_continued_and_what_came_since_is_folded(tmp_path: Path) -> None:
    run = Run(_log(), lambda: FolderCache(tmp_path))
    fold = run.start()
    for _ in range(4):
        run.take(fold, 10)
    cache = FolderCache(tmp_path)
    kept = cache.kept(KEYS, 4, run.broker.client(), 40)
    assert kept is not None
    assert isinstance(kept.join.shelf, FolderShelf)
    assert (kept.position, len(kept.join.shelf.files) > 2) == (30, True)
    reads = _Noting(run.broker)
    again = JoinFold(FakeWall(), Metrics(), cache=cache)
    again.restore(reads, {KEYS: 40})
    assert reads.offsets == [*range(30, 40)]
    assert len(again.held[KEYS].join.open) == len(fold.held[KEYS].join.open)


class _Reads(MemoryTail):
    """A tail that notes the offsets of `keys` that it has read."""

    def __init__(self, broker: MemoryLog, offsets: list[int]) -> None:
        super().__init__(broker)
        self.offsets = offsets

    def read_to(self, ends: Mapping[Place, int]) -> list[Record]:
        found = super().read_to(ends)
        self.offsets += [record.offset for record in found if record.place == KEYS]
        return found


class _Noting(MemoryClient):
    """A connection that notes which records of `keys` are read from it without a group."""

    def __init__(self, broker: MemoryLog) -> None:
        super().__init__(broker, no_hook)
        self.offsets: list[int] = []

    def tail(self) -> MemoryTail:
        return _Reads(self.broker, self.offsets)


def _torn(folder: Path) -> None:
    (folder / caches.STATE).write_bytes((folder / caches.STATE).read_bytes()[:-100])


def _flipped(folder: Path) -> None:
    data = bytearray((folder / caches.STATE).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / caches.STATE).write_bytes(bytes(data))


def _flipped_rows(folder: Path) -> None:
    path = sorted(folder.glob("*.rows"))[1]
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(bytes(data))


def _lost_rows(folder: Path) -> None:
    sorted(folder.glob("*.rows"))[1].unlink()


def _no_file(folder: Path) -> None:
    (folder / caches.STATE).write_bytes(b"")


@pytest.mark.parametrize("damage", [_torn, _flipped, _flipped_rows, _lost_rows, _no_file, shutil.rmtree])
def test_what_is_damaged_is_rebuilt(damage: Callable[[Path], None], tmp_path: Path) -> None:
    broker = _log()
    run = Run(broker, lambda: FolderCache(tmp_path))
    fold = run.start()
    for _ in range(4):
        run.take(fold, 10)
    damage(FolderCache(tmp_path).folder_of(KEYS))
    assert FolderCache(tmp_path).kept(KEYS, 4, broker.client(), 40) is None
    run.take(run.start(), 20)
    assert run.outcomes() == _straight(broker)


def test_what_another_log_has_left_is_rebuilt(tmp_path: Path) -> None:
    other = Run(_log(1), lambda: FolderCache(tmp_path))
    fold = other.start()
    for _ in range(4):
        other.take(fold, 10)
    broker = _log(2)
    run = Run(broker, MemoryCache)
    run.take(run.start(), 40)
    run.cache = lambda: FolderCache(tmp_path)
    run.take(run.start(), 20)
    assert run.outcomes() == _straight(broker)


def test_what_is_ahead_or_made_under_another_bound_is_rebuilt(tmp_path: Path) -> None:
    run = Run(_log(), lambda: FolderCache(tmp_path))
    fold = run.start()
    for _ in range(4):
        run.take(fold, 10)
    log = run.broker.client()
    assert FolderCache(tmp_path).kept(KEYS, 4, log, 29) is None
    assert FolderCache(tmp_path, most=1_000).kept(KEYS, 4, log, 40) is None
    assert FolderCache(tmp_path).kept(KEYS, 5, log, 40) is None
    assert FolderCache(tmp_path).kept(KEYS, 4, log, 30) is not None


def test_a_full_disk_ends_the_process_before_the_commit_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    broker = _log()
    run = Run(broker, lambda: FolderCache(tmp_path))
    fold = run.start()
    run.take(fold, 10)
    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", full)
        with pytest.raises(FatalError, match=r"cannot write to .*: No space left on device. Free some space"):
            run.take(fold, 10)
    assert run.committed == 10
    run.take(run.start(), RECORDS - 10)
    assert run.outcomes() == _straight(broker)


def test_old_files_are_removed_when_nobody_needs_them(tmp_path: Path) -> None:
    broker = _log(records=200)
    run = Run(broker, lambda: FolderCache(tmp_path, most=50))
    fold = run.start()
    for _ in range(20):
        run.take(fold, 10)
    assert 0 < len(list(FolderCache(tmp_path).folder_of(KEYS).glob("*.rows"))) < 50 // 16 + 4
    assert not list(tmp_path.rglob("*.half"))


def test_both_shelves_give_the_same_rows(tmp_path: Path) -> None:
    disk, memory, chance = FolderShelf(tmp_path), MemoryShelf(), random.Random(0)
    for start in range(0, 300, 30):
        keys = digests("fraud", [str(number) for number in range(start, start + 30)])
        rows = np.zeros(30, ROW)
        rows["time"] = np.arange(start, start + 30)
        rows["entity"][:, 0] = np.arange(30) % 3
        names = [f"é{number}" for number in range(start, start + 30)]
        disk.append(keys, rows, names)
        memory.append(keys, rows, names)
    for shelf in (disk, memory):
        shelf.drop(100)
        numbers = np.array([chance.randrange(100, 300) for _ in range(50)])
        assert shelf.take(numbers)["time"].tolist() == numbers.tolist()
        assert shelf.names(numbers) == [f"é{number}" for number in numbers.tolist()]
        found = shelf.of_entities(np.array([[2, 0]], np.uint64), 110, 160)
        assert found.tolist() == [number for number in range(110, 160) if number % 30 % 3 == 2]
    assert (disk.all_keys(100) == digests("fraud", [str(number) for number in range(100, 300)])).all()


def test_outcomes_are_as_the_contract_writes_them() -> None:
    said, kinds = _straight(_log()), set[type[Event]]()
    for value, headers in said.values():
        event = decode(value, headers)
        kinds.add(type(event))
        assert encode(event, source="ingest", recorded=NOON) == (value, headers)
    assert kinds == {OutcomesJoined, FeedbackJoined}


def test_keys_are_as_the_contract_writes_them() -> None:
    log = MemoryLog({t.name: t.partitions for t in topics.TOPICS.values()})
    route = RouteFold(FakeWall(), Metrics())
    route.restore(log.client(), {})
    told = some_predictions("a", "b", label=(1.0, None), source="bootstrap", score=(0.5, None))
    for number, event in enumerate((told, some_labels(1.0, "a", "b"))):
        value, headers = encode(event, source="test", recorded=NOON)
        route.take(
            Record(Place(topics.PREDICTIONS.name if not number else topics.LABELS.name, 0), 0, None, value, headers)
        )
    said = [one for one in route.flush() if one.place.topic == topics.KEYS.name]
    assert len(said) > 2
    for message in said:
        event = decode(message.value, message.headers)
        assert isinstance(event, KeysRouted)
        assert encode(event, source="ingest", recorded=NOON) == (message.value, message.headers)
