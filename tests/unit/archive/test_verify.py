"""An archive that the worker has written is whole; each way to damage it is named for what it is."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import orjson
import pyarrow.parquet as pq
import pytest

from everloop import topics
from everloop.archive.damages import FIXES
from everloop.archive.verifying import Report, verify
from everloop.artifacts import MemoryStore
from everloop.buckets import partition
from everloop.codec import decode, encode
from everloop.events import ManifestCommitted
from everloop.runtime.log import Place, Record
from everloop.simulation import Simulation
from tests.unit.ingest.builders import (
    NOON,
    NOON_MS,
    Worker,
    apply_loop,
    beat,
    some_labels,
    some_predictions,
    write,
)

PLACE = Place(topics.ARCHIVE.name, partition("fraud", topics.PARTITIONS))
SOURCE = topics.PREDICTIONS.name
Manifests = list[ManifestCommitted]


class World:
    """Three files of predictions from one partition, one from another, and outcomes; mutants change what is said."""

    def __init__(self) -> None:
        self.worker = Worker()
        self.simulation = Simulation(self.worker.builds())
        log = self.simulation.client()
        apply_loop(log)
        for at in range(3):
            beat(log, NOON_MS + at, fraud=NOON_MS + at)
            write(log, topics.PREDICTIONS, 0, some_predictions(f"a{at}", f"b{at}", at=NOON_MS + at * 900_000))
            self.simulation.settle()
        old = some_predictions("h0", "h1", version=None, score=None, source="bootstrap", label=(1.0, 0.0))
        write(log, topics.PREDICTIONS, 1, old)
        write(log, topics.LABELS, 0, some_labels(1.0, "a0", "a1"))
        beat(log, NOON_MS + 9, fraud=NOON_MS + 9)
        self.simulation.settle()

    @property
    def store(self) -> MemoryStore:
        assert isinstance(self.worker.store, MemoryStore)
        return self.worker.store

    def said(self) -> Manifests:
        """In the order of the log."""
        events = [decode(one.value, one.headers) for one in self.simulation.broker.records[PLACE]]
        return [event for event in events if isinstance(event, ManifestCommitted)]

    def first(self) -> Manifests:
        """The three of predictions/0."""
        return [one for one in self.said() if (one.topic, one.partition) == (SOURCE, 0)]

    def say(self, manifests: Sequence[ManifestCommitted]) -> None:
        """Put these in place of all that was announced."""
        records = []
        for offset, said in enumerate(manifests):
            value, headers = encode(said, source="ingest", recorded=NOON)
            records.append(Record(PLACE, offset, b"fraud", value, headers))
        self.simulation.broker.records[PLACE] = records

    def change(self, number: int, **fields: object) -> None:
        """Say something else of the file `number` of predictions/0."""
        mine = self.first()[number]
        self.say([one.model_copy(update=fields) if one.id == mine.id else one for one in self.said()])

    def report(self, model: str | None = None) -> Report:
        return verify(self.simulation.client(), self.store, model)


@pytest.fixture
def world() -> World:
    return World()


def test_what_the_worker_has_written_is_whole(world: World) -> None:
    report = world.report()
    assert (report.damages, report.files, report.rows, report.void) == ([], len(world.said()), 12, 0)
    assert report.bytes == sum(one.size or 0 for one in world.said())


def test_a_manifest_says_where_its_file_begins_to_cover_and_what_its_columns_are(world: World) -> None:
    first, second, third = world.first()
    assert [first.covers_from, second.covers_from, third.covers_from] == [
        0, first.last_offset + 1, second.last_offset + 1,
    ]  # fmt: skip
    assert first.columns is not None
    assert {"prediction_id": "string", "time": "int64", "f.amount": "double"}.items() <= first.columns.items()


def _remove_a_file(world: World) -> None:
    del world.store.kept[world.first()[1].uri]


def _flip_a_byte(world: World) -> None:
    data = bytearray(world.store.kept[world.first()[1].uri])
    data[len(data) // 2] ^= 1
    world.store.kept[world.first()[1].uri] = bytes(data)


def _lacking(world: World, number: int) -> bytes:
    """The file without its last row."""
    table = pq.read_table(io.BytesIO(world.store.kept[world.first()[number].uri]))
    sink = io.BytesIO()
    pq.write_table(table.slice(0, table.num_rows - 1), sink, store_schema=False)
    return sink.getvalue()


def _drop_a_row(world: World) -> None:
    world.store.kept[world.first()[1].uri] = _lacking(world, 1)


def _drop_a_row_and_say_so(world: World, **more: object) -> None:
    kept = world.store.put(_lacking(world, 1), "archive")
    world.change(1, uri=kept.uri, sha256=kept.sha256, **more)


def _drop_a_row_everywhere_but_in_the_books(world: World) -> None:
    coverage = tuple(one.model_copy(update={"rows": one.rows - 1}) for one in world.first()[1].coverage)
    _drop_a_row_and_say_so(world, rows=1, coverage=coverage)


def _drop_a_manifest(number: int) -> Callable[[World], None]:
    def drop(world: World) -> None:
        gone = world.first()[number]
        world.say([one for one in world.said() if one.id != gone.id])

    return drop


def _overlap(world: World) -> None:
    world.change(1, first_offset=world.first()[0].last_offset)


def _overlap_at_the_end(world: World) -> None:
    world.change(2, first_offset=world.first()[1].last_offset)


def _move_the_rows(world: World) -> None:
    world.change(1, coverage=tuple(c.model_copy(update={"start": c.start + 1}) for c in world.first()[1].coverage))


def _forget_a_column(world: World) -> None:
    world.change(1, columns={"prediction_id": "string"})


def _deny_history(world: World) -> None:
    world.change(1, history_rows=1)


def _not_parquet(world: World) -> None:
    kept = world.store.put(b"no parquet", "archive")
    world.change(1, uri=kept.uri, sha256=kept.sha256)


def _count_twice(world: World) -> None:
    first = world.first()[0]
    behind = first.last_offset + 1
    again = first.model_copy(update={"first_offset": behind, "last_offset": behind, "covers_from": behind})
    world.say([one for said in world.said() for one in ([said, again] if said.id == first.id else [said])])


MUTANTS: dict[str, tuple[Callable[[World], None], str]] = {
    "a removed file": (_remove_a_file, "missing"),
    "a flipped byte": (_flip_a_byte, "digest_mismatch"),
    "a row removed from a file": (_drop_a_row, "digest_mismatch"),
    "a row removed, with its digest": (_drop_a_row_and_say_so, "rows"),
    "a row removed, and all said of it": (_drop_a_row_everywhere_but_in_the_books, "rows_missing"),
    "the first manifest dropped": (_drop_a_manifest(0), "gap"),
    "a manifest dropped in between": (_drop_a_manifest(1), "gap"),
    "the last manifest dropped": (_drop_a_manifest(2), "rows_missing"),
    "two overlapping manifests": (_overlap, "overlap"),
    "two overlapping manifests at the end": (_overlap_at_the_end, "overlap"),
    "rows said to be of another slice": (_move_the_rows, "coverage"),
    "other columns": (_forget_a_column, "schema"),
    "other history": (_deny_history, "history_rows"),
    "no Parquet": (_not_parquet, "malformed"),
    "a file announced again for later offsets": (_count_twice, "rows_doubled"),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_damage_is_named(world: World, name: str) -> None:
    mutate, rule = MUTANTS[name]
    mutate(world)
    report = world.report()
    assert report.damages[0].rule == rule, report.damages
    assert FIXES[rule] in str(report.damages[0])


@pytest.mark.parametrize("number", [0, 1])
def test_the_offsets_of_a_gap_are_those_of_the_lost_manifest(world: World, number: int) -> None:
    lost = world.first()[number]
    _drop_a_manifest(number)(world)
    (gap, *_) = world.report("fraud").damages
    assert (gap.model, gap.topic, gap.partition) == ("fraud", SOURCE, 0)
    assert gap.first_offset <= lost.first_offset
    assert gap.last_offset == lost.last_offset


def test_damage_of_a_file_names_offsets_and_file(world: World) -> None:
    _remove_a_file(world)
    said, (damage,) = world.first()[1], world.report().damages
    assert (damage.first_offset, damage.last_offset, damage.uri) == (said.first_offset, said.last_offset, said.uri)


def test_an_overlap_names_the_rows_that_no_file_has(world: World) -> None:
    _overlap(world)
    first, second, _ = world.first()
    (damage, *_) = world.report("fraud").damages
    assert (damage.first_offset, damage.last_offset) == (first.last_offset + 1, second.last_offset)
    assert damage.uri == second.uri


def test_a_manifest_that_is_announced_twice_is_no_damage(world: World) -> None:
    world.say([*world.said(), world.first()[0], world.first()[2]])
    report = world.report()
    assert (report.damages, report.void) == ([], 2)


def test_an_overlap_whose_rows_are_still_to_be_committed_is_no_damage(world: World) -> None:
    last = world.first()[-1]
    ahead = last.model_copy(update={"last_offset": last.last_offset + 5})
    world.say([*world.said(), ahead])
    assert world.report().damages == []


def test_older_manifests_say_less_and_are_read_all_the_same(world: World) -> None:
    less = {"covers_from": None, "columns": None, "size": None}
    world.say([one.model_copy(update=less) for one in world.said()])
    assert world.report().damages == []


def test_what_is_not_readable_among_the_manifests_is_passed_over(world: World) -> None:
    world.simulation.broker.records[PLACE].append(Record(PLACE, len(world.said()), b"fraud", orjson.dumps({}), ()))
    assert world.report().damages == []


def test_another_model_is_not_looked_at(world: World) -> None:
    _remove_a_file(world)
    assert world.report("other").files == 0


def test_every_rule_has_a_mutant_or_is_the_stores() -> None:
    rest = {"too_large", "bad_uri", "unreadable", "merge", "removed"}
    assert set(FIXES) - {rule for _, rule in MUTANTS.values()} == rest
