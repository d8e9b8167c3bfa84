"""The measuring job: figures of a version beside its champion, on rows that neither was trained on."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event as Signal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from everloop.artifacts import ArtifactStore, FolderStore, MemoryStore
from everloop.errors import InvalidError
from everloop.events import ChampionRef, CheckSpec, FileRef, Snapshot
from everloop.models import Kind, ModelManifest, Task, dump, frame, pipeline
from everloop.models.probe import ProbeRequest, ProbeResult, probe
from everloop_gatekeeper.adapters import child_jobs, job
from everloop_gatekeeper.adapters.measuring import Opinion, Truth, calibration_error, measure
from everloop_gatekeeper.domain import Figures
from everloop_gatekeeper.domain.noninferiority import delong
from everloop_gatekeeper.settings import GatekeeperSettings

SEED = 5
FEATURES: dict[str, Kind] = {"amount": "numeric", "country": "categorical"}
CLASSES: dict[Task, tuple[str, ...]] = {"binary": ("0", "1"), "multiclass": ("0", "1", "2"), "regression": ()}


class World:
    """Rows whose label follows from `amount`, in a store, and models of them."""

    def __init__(self, store: ArtifactStore, rows: int = 400, task: Task = "binary", entities: int = 0) -> None:
        self.store, self.task, self.rows = store, task, rows
        chance = np.random.default_rng(SEED)
        self.amount = chance.normal(size=rows)
        self.country = chance.choice(["de", "fr"], rows).tolist()
        near = self.amount + chance.normal(size=rows)
        found = {"binary": near > 0, "multiclass": np.digitize(near, [-0.5, 0.5]), "regression": near}
        self.labels = found[task].astype(np.float64)
        self.entities = [f"card{row % entities}" for row in range(rows)] if entities else None

    @property
    def columns(self) -> dict[str, list[object]]:
        return {"amount": self.amount.tolist(), "country": list(self.country)}

    def kept(self, kind: str, columns: dict[str, object]) -> FileRef:
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink)
        return self.ref(sink.getvalue(), kind)

    def ref(self, data: bytes, kind: str = "model") -> FileRef:
        artifact = self.store.put(data, kind)
        return FileRef(uri=artifact.uri, sha256=artifact.sha256)

    def holdout(self) -> Snapshot:
        ids, times = [f"{row:05d}" for row in range(self.rows)], np.arange(self.rows) * 1000
        features = {"f.amount": self.amount, "f.country": self.country}
        entities = {"entity_id": self.entities} if self.entities else {}
        predictions = {"prediction_id": ids, "time": times, **entities, **features}
        outcomes = {"prediction_id": ids, "time": times, "label": self.labels, "labelled_at": times}
        return Snapshot(
            start=0, end=self.rows * 1000 + 1, strategy="holdout", predictions=(self.kept("predictions", predictions),),
            outcomes=(self.kept("outcomes", outcomes),),
        )  # fmt: skip

    def model(self, *, blur: float = 0.0, task: Task | None = None) -> bytes:
        """Fitted on other rows of the same world; with `blur` on noisy ones, so that it is worse."""
        kind = task or self.task
        twin = World(MemoryStore(), 2000, kind)
        chance = np.random.default_rng([SEED, 1])
        twin.amount = twin.amount + blur * chance.normal(size=2000)
        estimator = LinearRegression() if kind == "regression" else LogisticRegression()
        fitted = pipeline(estimator, FEATURES).fit(frame(twin.columns, FEATURES), _classes(twin.labels, kind))
        return dump(fitted, ModelManifest(features=FEATURES, task=kind, classes=CLASSES[kind]))

    def spec(
        self, candidate: bytes, champion: bytes | None = None, metrics: tuple[str, ...] = ("roc_auc",)
    ) -> CheckSpec:
        reference = None
        if champion:
            reference = ChampionRef(version="1", artifact=self.ref(champion), features=FEATURES, task=self.task)
        return CheckSpec(
            version="2", artifact=self.ref(candidate), features=FEATURES, task=self.task, champion=reference,
            holdout=self.holdout(), latency_rows=20, timeout_s=120.0, metrics=metrics,
        )  # fmt: skip


def in_this_process(path: Path, digest: str, sample: Mapping[str, Sequence[object]], timeout: float) -> ProbeResult:
    """What the child would do, without the seconds that its imports take."""
    return probe(path, digest, ProbeRequest(columns={name: list(values) for name, values in sample.items()}))


def run(spec: CheckSpec, store: ArtifactStore) -> Figures:
    return job.run(spec, store, in_this_process)


def _classes(labels: NDArray[np.float64], task: Task) -> NDArray[np.float64] | NDArray[np.int64]:
    return labels if task == "regression" else labels.astype(np.int64)


def test_a_candidate_and_its_champion_are_scored_on_the_same_rows() -> None:
    world = World(MemoryStore())
    found = run(world.spec(world.model(), world.model(blur=2.0)), world.store)
    assert found.loads
    assert (found.rows, found.task, dict(found.features)) == (400, "binary", FEATURES)
    area = found.metrics["roc_auc"]
    assert area.value[0] == pytest.approx(roc_auc_score(world.labels, world.amount), abs=0.01)
    assert area.value[0] > area.value[1] > 0.5
    assert len(area.covariance) == 2
    assert area.samples == int(min(world.labels.sum(), 400 - world.labels.sum()))
    assert found.latency is not None
    assert found.champion_latency is not None
    assert (found.latency.rows, found.champion_latency.rows) == (20, 20)
    assert found.latency.p95 >= found.latency.p50 > 0


def test_the_same_specification_gives_the_same_figures_but_for_time() -> None:
    world = World(MemoryStore())
    spec = world.spec(world.model(), world.model(blur=2.0), ("roc_auc", "log_loss"))
    wall: dict[str, object] = {"seconds": {}, "latency": None, "champion_latency": None}
    first, second = (run(spec, world.store).model_copy(update=wall) for _ in range(2))
    assert first == second


def test_the_first_version_is_measured_alone() -> None:
    world = World(MemoryStore())
    found = run(world.spec(world.model()), world.store)
    assert len(found.metrics["roc_auc"].value) == 1
    assert found.champion_latency is None


def test_only_what_the_rules_ask_for_is_measured() -> None:
    world = World(MemoryStore())
    found = run(world.spec(world.model(), world.model(), ("log_loss",)), world.store)
    assert set(found.metrics) == {"log_loss"}
    assert found.metrics["log_loss"].value[0] == found.metrics["log_loss"].value[1]


@pytest.mark.parametrize(
    ("task", "metrics"), [("multiclass", ("accuracy", "log_loss")), ("regression", ("mae", "rmse"))]
)
def test_other_tasks_have_their_own_metrics(task: Task, metrics: tuple[str, ...]) -> None:
    world = World(MemoryStore(), task=task)
    found = run(world.spec(world.model(), world.model(blur=2.0), metrics), world.store)
    assert set(found.metrics) == set(metrics)
    assert found.calibration_error is None
    assert all(one.value[0] != one.value[1] and one.samples == 400 for one in found.metrics.values())


def test_a_file_with_what_is_not_on_the_list_is_a_figure_and_no_error() -> None:
    world = World(MemoryStore())
    bad = world.model().replace(b"LogisticRegression", b"LogisticRegressioN")
    found = run(world.spec(bad, world.model()), world.store)
    assert (found.loads, found.metrics, found.size) == (False, {}, len(bad))
    assert found.reason in {"untrusted_type", "malformed"}


def test_bytes_that_are_not_those_of_the_digest_are_a_figure_and_no_error() -> None:
    store = MemoryStore()
    world = World(store)
    spec = world.spec(world.model())
    store.kept[spec.artifact.uri] += b"x"
    found = run(spec, store)
    assert (found.reason, found.size) == ("digest_mismatch", 0)


def test_a_file_of_another_task_is_compared_with_nothing() -> None:
    world = World(MemoryStore())
    found = run(world.spec(world.model(task="regression"), world.model()), world.store)
    assert (found.loads, found.task, found.metrics) == (True, "regression", {})


def test_a_missing_file_is_an_error_and_says_nothing_of_the_version() -> None:
    world = World(MemoryStore())
    spec = world.spec(world.model())
    gone = spec.model_copy(update={"artifact": FileRef(uri="memory://model/gone", sha256="0" * 64)})
    with pytest.raises(InvalidError) as refusal:
        run(gone, world.store)
    assert refusal.value.reason == "missing"


def test_a_champion_that_cannot_be_loaded_is_an_error() -> None:
    world = World(MemoryStore())
    with pytest.raises(InvalidError, match="the champion cannot be loaded"):
        run(world.spec(world.model(), b"no model"), world.store)


def test_without_rows_nothing_but_the_file_is_measured() -> None:
    world = World(MemoryStore())
    spec = world.spec(world.model())
    empty = spec.model_copy(update={"holdout": spec.holdout.model_copy(update={"start": spec.holdout.end})})
    found = run(empty, world.store)
    assert (found.loads, found.rows, found.metrics, found.calibration_error) == (True, 0, {}, None)


def test_rows_of_one_entity_count_as_one_where_they_depend_on_one_another() -> None:
    rows = World(MemoryStore(), entities=40)
    found = run(rows.spec(rows.model(), rows.model(blur=2.0), ("brier", "roc_auc")), rows.store)
    assert (found.metrics["brier"].samples, found.metrics["roc_auc"].samples) == (40, 40)


# ---------------------------------------------------------------------------------------------------------- the figures


def a_truth(labels: list[float], entities: list[str] | None = None, task: Task = "binary") -> Truth:
    whom = entities or [str(row) for row in range(len(labels))]
    return Truth(task, np.array(labels), np.array(whom, dtype=object))


def an_opinion(scores: list[float]) -> Opinion:
    positive = np.array(scores)
    return Opinion(np.column_stack([1 - positive, positive]), ("0", "1"))


def test_areas_are_those_of_delong() -> None:
    chance = np.random.default_rng(SEED)
    labels = (np.arange(60) % 3 == 0).astype(np.float64)
    scores = chance.random((2, 60))
    found = measure(["roc_auc"], a_truth(labels.tolist()), [an_opinion(one.tolist()) for one in scores])["roc_auc"]
    expected = delong(labels, scores, np.arange(60))
    assert found.value == expected.auc
    assert np.allclose(found.covariance, expected.covariance)
    assert found.degrees == expected.degrees


def test_a_class_with_one_row_has_no_area_but_a_loss() -> None:
    found = measure(["log_loss", "roc_auc"], a_truth([0, 0, 1]), [an_opinion([0.2, 0.4, 0.6])])
    assert set(found) == {"log_loss"}
    assert found["log_loss"].value[0] == pytest.approx(log_loss([0, 0, 1], [0.2, 0.4, 0.6]))


def test_one_entity_says_nothing_about_spread() -> None:
    assert measure(["log_loss"], a_truth([0, 1], ["a", "a"]), [an_opinion([0.2, 0.6])]) == {}


def test_a_class_that_a_model_does_not_know_has_no_probability() -> None:
    truth = a_truth([0, 1, 2, 2], task="multiclass")
    knows = Opinion(np.full((4, 3), 1 / 3), ("0", "1", "2"))
    knows_two = Opinion(np.tile([0.9, 0.1], (4, 1)), ("0", "1"))
    found = measure(["accuracy", "log_loss"], truth, [knows, knows_two])
    assert found["accuracy"].value == (0.25, 0.25)
    assert found["log_loss"].value[1] > found["log_loss"].value[0] == pytest.approx(np.log(3))


def test_a_perfectly_calibrated_model_has_no_error() -> None:
    labels = np.tile([0.0, 1.0], 50)
    assert calibration_error(labels, np.full(100, 0.5)) == pytest.approx(0)
    assert calibration_error(labels, np.full(100, 0.9)) == pytest.approx(0.4)
    assert calibration_error(labels[:9], labels[:9]) is None


def test_the_child_process_does_the_same(tmp_path: Path) -> None:
    settings = GatekeeperSettings(var=tmp_path)
    world = World(FolderStore(settings.artifacts))
    spec, jobs = world.spec(world.model(), world.model(blur=2.0)), child_jobs(settings)
    jobs.start("one", "ChecksStarted", spec.model_dump_json().encode(), spec.timeout_s)
    while not (ended := jobs.finished()):
        Signal().wait(0.02)
    (end,) = ended
    assert (end.ok, end.error) == (True, "")
    assert Figures.model_validate(end.result).metrics == run(spec, world.store).metrics
