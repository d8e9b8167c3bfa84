"""The job: from a specification to a version, the same each time; nothing of the holdout is learned from."""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Signal
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from everloop.artifacts import ArtifactStore, FolderStore, MemoryStore
from everloop.dataset import load_rows
from everloop.errors import InvalidError
from everloop.events import FileRef, ModelVersionCreated, Snapshot, Tail, TrainingSpec
from everloop.models import load
from everloop.profile.segments import unpack
from everloop_trainer.adapters import child_jobs, measures
from everloop_trainer.adapters.job import split, train
from everloop_trainer.adapters.reference import REFERENCE_ROWS
from everloop_trainer.settings import TrainerSettings
from tests.unit.matrix.archive import PandasBuilder

SEED = 11
LOGISTIC = "sklearn.linear_model.LogisticRegression"
HISTOGRAM = "sklearn.ensemble.HistGradientBoostingClassifier"


def kept(store: ArtifactStore, kind: str, columns: dict[str, object]) -> FileRef:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    artifact = store.put(sink.getvalue(), kind)
    return FileRef(uri=artifact.uri, sha256=artifact.sha256)


def a_spec(store: ArtifactStore, rows: int = 400, task: str = "binary", **other: object) -> TrainingSpec:
    """Rows of two numbers and a text, one per second; only `amount` says something about the label."""
    chance = np.random.default_rng(SEED)
    ids, times = [f"{row:05d}" for row in range(rows)], np.arange(rows) * 1000
    amount, noise = chance.normal(size=rows), chance.normal(size=rows)
    country = chance.choice(["de", "fr"], rows).tolist()
    label = {
        "binary": (amount + 0.5 * noise > 0).astype(float),
        "multiclass": np.digitize(amount, [-0.5, 0.5]).astype(float),
        "regression": 2 * amount + 0.1 * noise,
        "constant": np.zeros(rows),
        "odd": amount,
        "endless": np.full(rows, np.inf),
    }[task]
    features = {"f.amount": amount, "f.noise": chance.normal(size=rows), "f.country": country}
    cards = [f"card-{row % 350}" for row in range(rows)]
    predictions = kept(store, "predictions", {"prediction_id": ids, "time": times, "entity_id": cards, **features})
    outcomes = kept(store, "outcomes", {"prediction_id": ids, "time": times, "label": label, "labelled_at": times})
    snapshot = Snapshot(start=0, end=rows * 1000, strategy="full", predictions=(predictions,), outcomes=(outcomes,))
    fields = {
        "recipe": LOGISTIC, "task": task if task in {"multiclass", "regression"} else "binary", "seed": SEED,
        "features": None, "snapshot": snapshot, "holdout": 0.25, "version": "1", "timeout_s": 60.0,
    }  # fmt: skip
    return TrainingSpec.model_validate({**fields, **other})


def created(spec: TrainingSpec, store: ArtifactStore) -> ModelVersionCreated:
    """The result of the job as the trainer's event."""
    envelope = {"id": UUID(int=1), "time": datetime(2026, 1, 1, tzinfo=UTC), "model": "fraud"}
    return ModelVersionCreated.model_validate({**train(spec, store), **envelope})


class WithinRows:
    """Remembers what it was given, to see that nothing of the holdout was."""

    seen: NDArray[np.float64] = np.empty((0, 0))

    def fit(self, features: NDArray[np.float64], labels: NDArray[np.int64], seed: int) -> LogisticRegression:
        type(self).seen = features
        return LogisticRegression(random_state=seed).fit(features, labels)


class OfAnotherKind:
    """Gives back an estimator whose class is not on the allow-list."""

    def fit(self, features: NDArray[np.float64], labels: NDArray[np.int64], seed: int) -> LogisticRegression:
        return OwnRegression(random_state=seed).fit(features, labels)


class OwnRegression(LogisticRegression):  # type: ignore[misc]  # sklearn has no types
    """Runs our code when it predicts."""


class WithoutSeed:
    def fit(self, features: NDArray[np.float64]) -> None:
        """Not the protocol."""


@pytest.fixture(autouse=True)
def recipes_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "recipes_of_a_test", sys.modules[__name__])


def test_the_version_is_complete_and_proven_on_rows_that_came_later() -> None:
    store = MemoryStore()
    spec = a_spec(store)
    version = created(spec, store)
    assert (version.train_rows, version.holdout_rows, version.cut) == (300, 100, 300_000)
    assert version.features == {"amount": "numeric", "country": "categorical", "noise": "numeric"}
    assert version.metrics["roc_auc"] > 0.8
    quality = {one.metric: one for one in version.profile.quality}
    for name in ("roc_auc", "brier", "log_loss", "accuracy"):
        assert quality[name].value == pytest.approx(version.metrics[name], abs=0.002)  # scores on a grid of 1,000
        assert quality[name].rows == 100
    assert quality["roc_auc"].standard_error == pytest.approx(version.metrics["roc_auc_se"], rel=0.02)
    assert {"precision", "recall", "f1", "calibration_error", "label_rate"} < set(quality)
    held = load_rows(version.holdout, lambda file: store.fetch(file.uri, file.sha256))
    assert len(held) == version.holdout_rows
    assert int(held["time"].min()) == version.cut
    scorer = load(store.fetch(version.artifact.uri, version.artifact.sha256))
    scores = scorer.score({name: held[f"f.{name}"].tolist() for name in version.features})
    assert roc_auc_score(held["label"], scores) == pytest.approx(version.metrics["roc_auc"])


@pytest.mark.parametrize("recipe", [LOGISTIC, HISTOGRAM])
def test_the_same_specification_gives_the_same_bytes(recipe: str) -> None:
    store = MemoryStore()
    spec = a_spec(store, recipe=recipe)
    assert created(spec, store).artifact == created(spec, store).artifact
    assert created(a_spec(store, recipe=recipe, holdout=0.5), store).artifact != created(spec, store).artifact


def test_no_entity_is_on_both_sides_where_it_is_asked() -> None:
    store = MemoryStore()
    together = created(a_spec(store, recipe="recipes_of_a_test:WithinRows"), store)
    apart = created(a_spec(store, recipe="recipes_of_a_test:WithinRows", holdout_by="entity"), store)
    held = load_rows(apart.holdout, lambda file: store.fetch(file.uri, file.sha256))
    rows = load_rows(apart.snapshot, lambda file: store.fetch(file.uri, file.sha256))
    alone = rows[(rows["time"] < apart.cut) & ~rows["entity_id"].isin(set(held["entity_id"]))]
    assert WithinRows.seen[:, 0].tolist() == alone["f.amount"].tolist()
    assert apart.train_rows == len(alone) < together.train_rows
    assert apart.holdout_rows == together.holdout_rows == len(held)


def test_the_holdout_is_of_whole_rows_and_sampled_ones_weigh_more() -> None:
    store = MemoryStore()
    spec = a_spec(store)
    tail = Tail(before=300_000, rows=60, by="label")
    sampled = spec.model_copy(update={"snapshot": spec.snapshot.model_copy(update={"tail": tail})})
    version = created(sampled, store)
    assert (version.holdout_rows, version.train_rows) == (25, 135)
    rows = load_rows(version.snapshot, lambda file: store.fetch(file.uri, file.sha256))
    weights = split(rows, 0.25, "binary", whole_from=300_000)[0].weights
    assert weights is not None
    assert weights.sum() == pytest.approx(375)
    assert weights[60:].tolist() == [1.0] * 75
    held = load_rows(version.holdout, lambda file: store.fetch(file.uri, file.sha256))
    assert (len(held), int(held["time"].min()), "weight" in held) == (25, version.cut, False)


def test_an_id_of_the_training_rows_is_not_held_out() -> None:
    store = MemoryStore()
    spec = a_spec(store)
    again = kept(store, "predictions", {"prediction_id": ["00000"], "time": [399_500], "f.amount": [1.0]})
    files = (*spec.snapshot.predictions, again)
    twice = spec.model_copy(update={"snapshot": spec.snapshot.model_copy(update={"predictions": files})})
    version = created(twice, store)
    held = load_rows(version.holdout, lambda file: store.fetch(file.uri, file.sha256))
    assert len(held) == version.holdout_rows == created(spec, store).holdout_rows
    assert "00000" not in set(held["prediction_id"])


def test_rows_that_are_not_those_of_before_are_refused() -> None:
    store = MemoryStore()
    spec = a_spec(store)
    version = created(spec, store)
    assert version.snapshot == spec.snapshot.model_copy(update={"content": version.snapshot.content})
    again = spec.model_copy(update={"snapshot": version.snapshot})
    assert created(again, store).artifact == version.artifact
    fewer = version.snapshot.model_copy(update={"end": version.snapshot.end - 1000})
    with pytest.raises(InvalidError, match="not those that were read before") as refusal:
        train(again.model_copy(update={"snapshot": fewer}), store)
    assert refusal.value.reason == "snapshot_changed"


def test_nothing_of_the_holdout_is_learned_from() -> None:
    store = MemoryStore()
    spec = a_spec(store, recipe="recipes_of_a_test:WithinRows")
    version = created(spec, store)
    rows = load_rows(spec.snapshot, lambda file: store.fetch(file.uri, file.sha256))
    assert WithinRows.seen[:, 0].tolist() == rows.loc[rows["time"] < version.cut, "f.amount"].tolist()


def test_the_reference_is_the_newest_rows_before_the_cut() -> None:
    store = MemoryStore()
    version = created(a_spec(store, rows=4000), store)
    assert version.train_rows > REFERENCE_ROWS
    assert version.profile.rows == REFERENCE_ROWS
    assert version.profile.score.present == version.holdout_rows


def test_flipped_labels_make_a_bad_version_and_no_error() -> None:
    store = MemoryStore()
    assert created(a_spec(store, recipe="examples.fraud.flipped:Recipe"), store).metrics["roc_auc"] < 0.3


def test_weights_halve_with_age() -> None:
    store = MemoryStore()
    plain = a_spec(store)
    halving = plain.snapshot.model_copy(update={"strategy": "weighted", "half_life_ms": 10_000})
    weighted = plain.model_copy(update={"snapshot": halving})
    assert created(plain, store).artifact != created(weighted, store).artifact
    with pytest.raises(InvalidError, match="takes no sample weights"):
        train(weighted.model_copy(update={"recipe": "recipes_of_a_test:WithinRows"}), store)


@pytest.mark.parametrize(
    ("task", "recipe", "metrics"),
    [
        ("multiclass", LOGISTIC, ["accuracy"]),
        ("regression", "sklearn.linear_model.LinearRegression", ["rmse", "mae"]),
    ],
)
def test_other_tasks_have_their_own_metrics(task: str, recipe: str, metrics: list[str]) -> None:
    store = MemoryStore()
    version = created(a_spec(store, task=task, recipe=recipe), store)
    assert [quality.metric for quality in version.profile.quality] == metrics
    for quality in version.profile.quality:
        assert quality.value == pytest.approx(version.metrics[quality.metric], abs=1e-5)
        assert quality.standard_error > 0


def test_columns_that_the_model_does_not_use_are_known_to_the_profile() -> None:
    store = MemoryStore()
    version = created(a_spec(store, features={"amount": "numeric"}), store)
    assert version.profile.ignored == ("country", "noise")
    (amount,) = version.profile.columns
    rows = load_rows(version.snapshot, lambda file: store.fetch(file.uri, file.sha256))
    learned = rows.loc[rows["time"] < version.cut, "f.amount"].to_numpy()
    assert (amount.mean, amount.deviation) == pytest.approx((learned.mean(), learned.std()), rel=1e-12)
    assert created(a_spec(store), store).profile.ignored == ()


@pytest.mark.parametrize(
    ("other", "reason", "text"),
    [
        ({"recipe": "no.such:Recipe"}, "recipe", "cannot be imported"),
        ({"recipe": "os.path.join"}, "recipe", "is no class"),
        ({"recipe": "recipes_of_a_test:WithoutSeed"}, "recipe", "has no fit"),
        ({"recipe": "recipes_of_a_test:OfAnotherKind"}, "untrusted_type", "not on our list"),
        ({"task": "constant"}, "one_class", "have the same label"),
        ({"task": "odd"}, "label", "0 or 1"),
        ({"task": "endless"}, "label", "not a finite number"),
        ({"rows": 1}, "too_few", "cannot be split by time"),
    ],
)
def test_what_a_person_can_do_wrong_is_named(other: dict[str, object], reason: str, text: str) -> None:
    store = MemoryStore()
    rows, task = other.pop("rows", 400), other.pop("task", "binary")
    assert isinstance(rows, int)
    with pytest.raises(InvalidError, match=text) as refusal:
        train(a_spec(store, rows, str(task), **other), store)
    assert refusal.value.reason == reason


def test_the_area_under_the_curve_counts_ties_by_half() -> None:
    labels = np.array([0, 0, 1, 1, 1])
    scores = np.array([0.1, 0.5, 0.5, 0.9, 0.2])
    assert measures.roc_auc(labels, scores)[0] == pytest.approx((2 + 1.5 + 1) / 6)


def test_the_standard_error_of_the_area_is_the_spread_over_samples() -> None:
    chance = np.random.default_rng(SEED)
    labels = (np.arange(400) < 80).astype(np.int64)
    areas, errors = zip(*(measures.roc_auc(labels, chance.normal(size=400) + labels) for _ in range(400)), strict=True)
    assert float(np.mean(errors)) == pytest.approx(float(np.std(areas)), rel=0.1)


def test_a_holdout_with_one_class_has_no_area_but_a_loss() -> None:
    metrics, quality = measures.of_binary(np.array([0, 0]), np.array([0.1, 0.2]))
    assert "roc_auc" not in {one.metric for one in quality}
    assert "roc_auc" not in metrics
    assert metrics["log_loss"] == pytest.approx(-(np.log(0.9) + np.log(0.8)) / 2)
    assert metrics["brier"] == pytest.approx((0.01 + 0.04) / 2)


def test_the_child_process_does_the_same(tmp_path: Path) -> None:
    settings = TrainerSettings(var=tmp_path)
    store = FolderStore(settings.artifacts)
    spec, jobs = a_spec(store), child_jobs(settings)
    jobs.start("one", "TrainingStarted", spec.model_dump_json().encode(), spec.timeout_s)
    while not (ended := jobs.finished()):
        Signal().wait(0.02)
    (end,) = ended
    assert (end.ok, end.error) == (True, "")
    assert end.result["artifact"] == train(spec, store)["artifact"]
    assert "fit: " in (settings.jobs / "one" / "log").read_text()


def test_the_reference_is_split_by_declared_columns_and_by_no_others() -> None:
    store = MemoryStore()
    asked = {"columns": ["country", "amount", "unknown"], "most": 1}
    features = {"amount": "numeric", "noise": "numeric"}
    version = created(a_spec(store, features=features, segments=asked), store)
    (country,) = version.profile.segments
    assert (country.column, country.kind, len(country.values)) == ("country", "categorical", 1)
    assert version.profile.ignored == ("country",), "a column of segments need not be a feature"
    assert sum(country.rows) == version.profile.rows
    found = unpack(country, version.profile)
    assert found.counts.sum(axis=1).tolist()[0] == 2 * country.rows[0] + found.counts[0, -100:].sum()
    assert found.counts[:, -100:].sum() == version.holdout_rows
    quality = country.quality
    assert len(quality) == len(country.rows)
    assert sum(one.rows for one in quality if one) == version.holdout_rows
    assert {one.metric for one in quality if one} == {"roc_auc"}
    again = created(a_spec(store, features=features), store)
    assert again.profile == version.profile.model_copy(update={"segments": ()})
    assert again.artifact == version.artifact


def test_another_builder_of_the_matrix_gives_the_same_version(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    spec = a_spec(store)
    assert train(spec, store, PandasBuilder())["artifact"] == train(spec, store)["artifact"]


def test_a_builder_that_is_not_there_fails_the_job_and_is_named(tmp_path: Path) -> None:
    settings = TrainerSettings(var=tmp_path, matrix="nosuch.package:Builder")
    spec, jobs = a_spec(FolderStore(settings.artifacts)), child_jobs(settings)
    jobs.start("one", "TrainingStarted", spec.model_dump_json().encode(), spec.timeout_s)
    while not (ended := jobs.finished()):
        Signal().wait(0.02)
    assert not ended[0].ok
    assert "EVERLOOP_MATRIX names nosuch.package:Builder, which cannot be imported" in ended[0].error
