"""The worker on the log in memory: each row once in outcomes and in the archive, wherever it crashes."""

from __future__ import annotations

import io
import random
from collections import Counter
from functools import reduce

import pyarrow.parquet as pq
import pytest

from everloop import topics
from everloop.archive.verifying import verify
from everloop.artifacts import ArtifactStore
from everloop.books import audit, unbalanced
from everloop.dataset import load_rows
from everloop.events import (
    DeadLettered,
    FeedbackJoined,
    HeartbeatPassed,
    KeysRouted,
    ManifestCommitted,
    OutcomesJoined,
    ShadowScores,
    Snapshot,
)
from everloop.events import FileRef as Ref
from everloop.facts import Facts, fold
from everloop.runtime.log import Message, Place, Record
from everloop.runtime.memory import MemoryClient, MemoryLog
from everloop.simulation import Point, Simulation
from tests.builders import a_manifest
from tests.unit.ingest.builders import (
    MINUTE,
    NOON_MS,
    Worker,
    a_range,
    apply_loop,
    beat,
    feedback_rows,
    outcome_rows,
    places,
    said,
    some_feedback,
    some_labels,
    some_predictions,
    write,
)

NAMES = tuple(f"t{number}" for number in range(12))


def _story(log: MemoryClient) -> None:
    """Predictions in two partitions, labels before and after, a repeat, a correction, a bootstrap, heartbeats."""
    apply_loop(log)
    beat(log, NOON_MS, fraud=NOON_MS)
    write(log, topics.LABELS, 0, some_labels(1.0, "t0", "t1"))
    write(log, topics.PREDICTIONS, 0, some_predictions(*NAMES[:6]))
    write(log, topics.PREDICTIONS, 1, some_predictions(*NAMES[6:], version="v2", at=NOON_MS + 20 * MINUTE))
    write(log, topics.PREDICTIONS, 0, some_predictions(*NAMES[:6]))
    old = some_predictions("b0", "b1", version=None, score=None, source="bootstrap", label=(1.0, None))
    write(log, topics.PREDICTIONS, 2, old)
    write(log, topics.LABELS, 3, some_labels(0.0, *NAMES[2:]))
    write(log, topics.LABELS, 2, some_feedback(2.5, "t1", "t7"))
    write(log, topics.LABELS, 2, some_feedback(1.0, "t1", "nobody", name="click"))


def _epilogue(log: MemoryClient) -> None:
    """A correction of a label that has met its prediction."""
    write(log, topics.LABELS, 1, some_labels(1.0, "t2", at=NOON_MS + 1))
    write(log, topics.LABELS, 1, some_feedback(0.0, "t7", at=NOON_MS + 1))
    beat(log, NOON_MS + MINUTE, fraud=NOON_MS + MINUTE)


EXPECTED_OUTCOMES = sorted(
    [
        ("b0", 1.0, NOON_MS),
        *((name, 1.0, NOON_MS) for name in NAMES[:2]),
        *((name, 0.0, NOON_MS) for name in NAMES[2:]),
        ("t2", 1.0, NOON_MS + 1),
    ]
)
EXPECTED_FEEDBACK = [
    ("click", "t1", 1.0, NOON_MS, None),
    ("revenue", "t1", 2.5, NOON_MS, None),
    ("revenue", "t7", 0.0, NOON_MS + 1, 2.5),
    ("revenue", "t7", 2.5, NOON_MS, None),
]
EXPECTED_PREDICTIONS = Counter([*NAMES, "b0", "b1"])


def _counting(broker: MemoryLog, kind: str) -> list[ManifestCommitted]:
    """The manifests that readers of the archive heed."""
    facts = reduce(fold, said(broker, topics.ARCHIVE, ManifestCommitted), Facts())
    return [one for one in facts.manifests if isinstance(one, ManifestCommitted) and one.kind == kind]


def _archived(broker: MemoryLog, store: ArtifactStore, kind: str) -> Counter[str]:
    manifests = _counting(broker, kind)
    tables = [pq.read_table(io.BytesIO(store.fetch(event.uri, event.sha256))) for event in manifests]
    assert [table.num_rows for table in tables] == [event.rows for event in manifests]
    assert sum(coverage.rows for event in manifests for coverage in event.coverage) == sum(
        event.rows for event in manifests
    )
    return Counter(name for table in tables for name in table["prediction_id"].to_pylist())


def _check(simulation: Simulation, worker: Worker) -> None:
    assert outcome_rows(said(simulation.broker, topics.OUTCOMES, OutcomesJoined)) == EXPECTED_OUTCOMES
    corrected = [one for one in said(simulation.broker, topics.OUTCOMES, OutcomesJoined) if one.before is not None]
    assert {(one.prediction_id, one.label, one.before) for one in corrected} == {(("t2",), (1.0,), (0.0,))}
    assert feedback_rows(said(simulation.broker, topics.OUTCOMES, FeedbackJoined)) == EXPECTED_FEEDBACK
    assert _archived(simulation.broker, worker.store, "predictions") == EXPECTED_PREDICTIONS
    assert _archived(simulation.broker, worker.store, "feedback") == Counter(row[1] for row in EXPECTED_FEEDBACK)
    assert _archived(simulation.broker, worker.store, "outcomes") == Counter(name for name, _, _ in EXPECTED_OUTCOMES)
    assert verify(simulation.client(), worker.store).damages == []
    for group in ("route", "join", "archive"):
        committed = simulation.broker.offsets[f"everloop.ingest.{group}"]
        assert committed == {place: len(simulation.broker.records[place]) for place in committed}


def _tell(simulation: Simulation) -> None:
    _story(simulation.client())
    simulation.settle()
    _epilogue(simulation.client())
    simulation.settle()


def _run(worker: Worker, crash_at: int = -1, seed: int = 0) -> Simulation:
    def crash(point: Point) -> bool:
        return point.number == crash_at

    simulation = Simulation(worker.builds(), crash=crash, seed=seed)
    _tell(simulation)
    return simulation


def test_each_row_is_once_in_outcomes_and_archive() -> None:
    worker = Worker()
    _check(_run(worker), worker)
    assert worker.metrics.value("everloop_duplicate_rows_total", model="fraud") == 6


def test_a_crash_at_any_point_changes_nothing() -> None:
    points = len(_run(Worker()).points)
    assert points > 80
    for number in range(points):
        worker = Worker()
        simulation = _run(worker, number, seed=number)
        assert number >= len(simulation.points) or len(simulation.crashes) == 1
        _check(simulation, worker)


@pytest.mark.parametrize("seed", range(8))
def test_many_crashes_and_two_replicas(seed: int) -> None:
    worker, chance = Worker(limit=1), random.Random(seed)
    builds = worker.builds() | {f"{name}-1": build for name, build in worker.builds().items()}
    simulation = Simulation(builds, crash=lambda _: chance.random() < 0.02, seed=seed)
    _tell(simulation)
    assert len(simulation.crashes) > 1
    _check(simulation, worker)


def test_two_replicas_share_the_work() -> None:
    worker = Worker()
    builds = worker.builds() | {f"{name}-1": build for name, build in worker.builds().items()}
    simulation = Simulation(builds, seed=3)
    _tell(simulation)
    _check(simulation, worker)


def test_rows_of_a_model_without_own_clock_wait_for_company() -> None:
    worker = Worker()
    simulation = Simulation(worker.builds())
    log = simulation.client()
    apply_loop(log)
    write(log, topics.PREDICTIONS, 0, some_predictions("t0"))
    beat(log)
    simulation.settle()
    place = Place(topics.PREDICTIONS.name, 0)
    group = simulation.broker.offsets.get("everloop.ingest.archive", {})
    assert said(simulation.broker, topics.ARCHIVE, ManifestCommitted) == []
    assert group.get(place, 0) == 0
    worker.wall.move(10)
    simulation.settle()
    (manifest,) = said(simulation.broker, topics.ARCHIVE, ManifestCommitted)
    assert (manifest.rows, manifest.watermark, manifest.first_offset) == (1, NOON_MS, 0)
    assert simulation.broker.offsets["everloop.ingest.archive"][place] == 2


def test_rows_that_wait_survive_a_crash() -> None:
    worker = Worker()
    simulation = Simulation(worker.builds())
    log = simulation.client()
    apply_loop(log)
    write(log, topics.PREDICTIONS, 0, some_predictions("t0"))
    simulation.settle()
    simulation.kill("archive")
    worker.wall.move(10)
    write(log, topics.PREDICTIONS, 0, some_predictions("t1"))
    simulation.settle()
    worker.wall.move(10)
    simulation.settle()
    assert _archived(simulation.broker, worker.store, "predictions") == Counter(["t0", "t1"])


def test_a_record_repeated_after_a_restart_is_archived_once() -> None:
    worker = Worker(linger_ms=0)
    simulation = Simulation(worker.builds())
    log = simulation.client()
    apply_loop(log)
    for _ in range(2):
        write(log, topics.PREDICTIONS, 0, some_predictions("t0"))
        simulation.settle()
        simulation.kill("archive")
    write(log, topics.PREDICTIONS, 0, some_predictions("t1"))
    simulation.settle()
    assert _archived(simulation.broker, worker.store, "predictions") == Counter(["t0", "t1"])


@pytest.mark.parametrize(("due", "files"), [("after", [(0, 1), (0, 2), (2, 2)]), ("before", [(0, 2), (0, 1)])])
def test_whoever_of_two_writers_is_first_each_row_is_in_one_file_that_counts(
    due: str, files: list[tuple[int, int]]
) -> None:
    """One stands still before and after it announces a file; the other has taken its place, with rows beyond it."""
    worker, met = Worker(), list[str]()
    simulation = Simulation({name: worker.builds()["archive"] for name in ("archive", "archive-1")})
    log = simulation.client()

    def stand_still(point: Point) -> bool:
        first = (point.effect, point.detail) == ("publish", topics.ARCHIVE.name) and point.moment not in met
        if first and point.moment == ("after" if met else "before"):
            met.append(point.moment)
            if point.moment == "before":
                simulation.evict(point.process)
                write(log, topics.PREDICTIONS, 0, some_predictions("t2"))
                simulation.settle(without=point.process)
            worker.wall.move(10 if point.moment == due else 0)
            simulation.settle(without=point.process)
        return False

    simulation.crash = stand_still
    apply_loop(log)
    for name in ("t0", "t1"):
        write(log, topics.PREDICTIONS, 0, some_predictions(name))
    simulation.settle()
    worker.wall.move(10)
    simulation.settle()

    assert [
        (m.first_offset, m.last_offset) for m in said(simulation.broker, topics.ARCHIVE, ManifestCommitted)
    ] == files
    assert _archived(simulation.broker, worker.store, "predictions") == Counter(["t0", "t1", "t2"])
    assert simulation.broker.offsets["everloop.ingest.archive"][Place(topics.PREDICTIONS.name, 0)] == 3


def test_a_void_file_is_no_reason_to_leave_rows_out() -> None:
    archive, counts = Worker().archive(), a_manifest("predictions", {0: 2})
    record = Record(Place(topics.ARCHIVE.name, 0), 0, b"fraud", b"")
    archive.learn(record, counts.model_copy(update={"first_offset": 0, "last_offset": 1}))
    archive.learn(record, counts.model_copy(update={"first_offset": 0, "last_offset": 2}))
    assert [one.last_offset for one in archive.written.values()] == [1]


def test_a_label_finds_its_prediction_wherever_both_were_put() -> None:
    simulation = Simulation(Worker().builds())
    log = simulation.client()
    for number in range(4):
        write(log, topics.PREDICTIONS, number, some_predictions(f"t{number}"))
        write(log, topics.LABELS, 3 - number, some_labels(1.0, f"t{number}"))
    simulation.settle()
    assert [row[0] for row in outcome_rows(said(simulation.broker, topics.OUTCOMES, OutcomesJoined))] == [
        "t0", "t1", "t2", "t3",
    ]  # fmt: skip


def test_a_label_by_entity_finds_its_predictions_in_every_partition_and_counts_once() -> None:
    simulation = Simulation(Worker().builds())
    log = simulation.client()
    for number in range(4):
        write(log, topics.PREDICTIONS, number, some_predictions(f"t{number}", entity_id=("card-7",)))
    write(log, topics.LABELS, 0, a_range(1.0, "card-7", "card-9"))
    simulation.settle()
    for number in range(4, 8):
        write(log, topics.PREDICTIONS, number - 4, some_predictions(f"t{number}", entity_id=("card-9",)))
    simulation.settle()
    outcomes = outcome_rows(said(simulation.broker, topics.OUTCOMES, OutcomesJoined))
    assert outcomes == [(f"t{number}", 1.0, NOON_MS) for number in range(8)]
    balances = audit(log)
    assert unbalanced(balances) == []
    assert sum(one.booked for one in balances if one.group.endswith("route")) == 8 + 2


@pytest.mark.parametrize(
    "wrong",
    [{"start": (9,), "end": (9,)}, {"end": None}, {"prediction_id": ("t0",)}, {"label": (1.0, 0.0)}],
)
def test_a_wrong_label_by_entity_is_a_dead_letter(wrong: dict[str, object]) -> None:
    simulation = Simulation(Worker().builds())
    write(simulation.client(), topics.LABELS, 0, a_range(1.0, "card-7").model_copy(update=wrong))
    simulation.settle()
    assert [letter.reason for letter in said(simulation.broker, topics.DLQ, DeadLettered)] == ["shape"]
    assert unbalanced(audit(simulation.client())) == []


def test_outcomes_carry_what_the_prediction_said() -> None:
    simulation = Simulation(Worker().builds())
    log = simulation.client()
    said_then = some_predictions(
        "t0", entity_id=("card",), arm="champion", epoch=3, digest="d", shadow=ShadowScores(version="v9", score=(0.9,))
    )
    write(log, topics.PREDICTIONS, 0, said_then)
    write(log, topics.LABELS, 0, some_labels(1.0, "t0", at=NOON_MS + 5))
    simulation.settle()
    (row,) = said(simulation.broker, topics.OUTCOMES, OutcomesJoined)
    (keys,) = [k for k in said(simulation.broker, topics.KEYS, KeysRouted) if k.kind == "prediction"]
    assert (row.version, row.arm, row.epoch, row.digest, row.shadow_version) == ("v1", "champion", 3, "d", "v9")
    assert (row.score, row.shadow_score, row.bucket) == ((0.5,), (0.9,), keys.bucket)
    assert (row.times, row.labelled_at) == ((NOON_MS,), (NOON_MS + 5,))


def test_heartbeats_wait_for_all_sources_and_follow_the_rows() -> None:
    simulation = Simulation(Worker().builds())
    log = simulation.client()
    write(log, topics.PREDICTIONS, 0, some_predictions("t0"))
    write(log, topics.LABELS, 0, some_labels(1.0, "t0"))
    simulation.settle()
    assert said(simulation.broker, topics.OUTCOMES, HeartbeatPassed) == []
    beat(log, NOON_MS, fraud=7)
    simulation.settle()
    passed = said(simulation.broker, topics.OUTCOMES, HeartbeatPassed)
    assert len(passed) >= topics.OUTCOMES.partitions
    assert {event.partition for event in passed} == set(range(4))
    assert all(event.clocks == {"*": NOON_MS, "fraud": 7} for event in passed)


def test_a_heartbeat_never_overtakes_the_rows_before_it() -> None:
    simulation = Simulation(Worker().builds())
    log = simulation.client()
    names = [f"t{number}" for number in range(30)]
    write(log, topics.PREDICTIONS, 0, some_predictions(*names))
    write(log, topics.LABELS, 0, some_labels(1.0, *names))
    beat(log)
    simulation.settle()
    for topic in (topics.KEYS, topics.OUTCOMES):
        for number in range(topic.partitions):
            beats = [
                isinstance(event, HeartbeatPassed) for at, event in places(simulation.broker, topic) if at == number
            ]
            assert beats == sorted(beats)
            assert set(beats) == {False, True}


@pytest.mark.parametrize(
    ("topic", "value", "reason"),
    [
        (topics.PREDICTIONS, None, "null_value"),
        (topics.PREDICTIONS, b"{", "malformed"),
        (topics.LABELS, b"[]", "shape"),
        (topics.LABELS, b"{}", "unknown_type"),
        (topics.PREDICTIONS, b"x" * (5 * 1024 * 1024), "malformed"),
    ],
)
def test_a_bad_record_is_a_dead_letter_and_stops_nobody(topic: topics.Topic, value: bytes | None, reason: str) -> None:
    worker = Worker()
    simulation = Simulation(worker.builds())
    log = simulation.client()
    log.publish([Message(Place(topic.name, 1), b"k", value, ())])
    write(log, topics.PREDICTIONS, 1, some_predictions("t0"))
    write(log, topics.LABELS, 1, some_labels(1.0, "t0"))
    simulation.settle()
    (letter,) = said(simulation.broker, topics.DLQ, DeadLettered)
    assert (letter.topic, letter.partition, letter.offset, letter.reason) == (topic.name, 1, 0, reason)
    assert all(len(r.value or b"") < 8 * 1024 * 1024 for r in simulation.broker.records[Place(topics.DLQ.name, 1)])
    assert worker.metrics.value("everloop_dead_letters_total", topic=topic.name, reason=reason) == 1
    assert len(said(simulation.broker, topics.OUTCOMES, OutcomesJoined)) == 1


def test_an_event_on_the_wrong_topic_and_unequal_labels_are_dead_letters() -> None:
    simulation = Simulation(Worker().builds())
    log = simulation.client()
    write(log, topics.LABELS, 0, some_predictions("t0"))
    write(log, topics.LABELS, 0, some_labels(1.0, "t0", "t1").model_copy(update={"label": (1.0,)}))
    simulation.settle()
    assert [letter.reason for letter in said(simulation.broker, topics.DLQ, DeadLettered)] == ["shape", "shape"]


def test_rows_without_a_loop_are_not_archived() -> None:
    worker = Worker()
    simulation = Simulation(worker.builds())
    beat(simulation.client(), NOON_MS, other=1)
    write(simulation.client(), topics.PREDICTIONS, 0, some_predictions("t0", model="other"))
    simulation.settle()
    assert said(simulation.broker, topics.ARCHIVE, ManifestCommitted) == []


def test_a_manifest_says_what_its_file_covers_and_training_can_read_it() -> None:
    worker = Worker()
    simulation = _run(worker)
    manifests = said(simulation.broker, topics.ARCHIVE, ManifestCommitted)
    (bootstrap,) = [m for m in manifests if m.topic == topics.PREDICTIONS.name and m.partition == 2]
    assert (bootstrap.rows, bootstrap.history_rows) == (2, 2)
    name = f"predictions.fraud/2/{bootstrap.first_offset:020d}-{bootstrap.last_offset:020d}-{bootstrap.sha256[:16]}"
    assert bootstrap.uri == f"memory://archive/{name}.parquet"
    starts = {coverage.start for manifest in manifests for coverage in manifest.coverage}
    assert starts == {NOON_MS, NOON_MS + 15 * MINUTE}
    refs = {
        kind: tuple(Ref(uri=m.uri, sha256=m.sha256) for m in manifests if m.kind == kind)
        for kind in ("predictions", "outcomes")
    }
    snapshot = Snapshot(start=NOON_MS, end=NOON_MS + 60 * MINUTE, strategy="full", **refs)
    rows = load_rows(snapshot, lambda ref: worker.store.fetch(ref.uri, ref.sha256))
    assert len(rows) == 13
    assert rows[rows["prediction_id"] == "t2"]["label"].tolist() == [1.0]
    assert rows["f.amount"].dtype == "float64"
