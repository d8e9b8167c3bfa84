"""The training job: `python -m everloop_trainer.adapters.job SPEC RESULT`, SPEC a `TrainingSpec` as JSON.

Reads the snapshot's rows, keeps the newest share out as holdout, fits the recipe on the others, measures on the
holdout, and puts the model's file into the artifact store. The same specification gives the same bytes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from everloop.artifacts import ArtifactStore
from everloop.dataset import entities, feature_columns, load
from everloop.errors import InvalidError
from everloop.events import FileRef, Snapshot, TrainingSpec
from everloop.jobs import run_child
from everloop.matrix import MatrixBuilder, builder_of
from everloop.matrix.ports import WEIGHT
from everloop.models import Kind, ModelManifest, Scorer, Task, dump, frame
from everloop.profile import Profile, QualityProfile, build_profile
from everloop.profile.build import infer_kind
from everloop.profile.segments import Given, with_segments
from everloop.snapshots import held_out
from everloop_trainer.adapters import measures
from everloop_trainer.adapters.importance import with_importance
from everloop_trainer.adapters.recipes import Lesson, fit
from everloop_trainer.adapters.reference import Side, reference_rows, with_windows
from everloop_trainer.adapters.segment_quality import with_segment_quality
from everloop_trainer.adapters.window_quality import with_window_quality
from everloop_trainer.settings import TrainerSettings

if TYPE_CHECKING:
    import pandas as pd

IMPORTANCE_S: Final = 60.0
IMPORTANCE_SHARE: Final = 0.1
"""How long the importance of columns may take: no version fails, or is late by much, for a figure that only ranks."""
Columns = Mapping[str, Sequence[object] | NDArray[np.float64]]
Labels = NDArray[np.int64] | NDArray[np.float64]


@dataclass
class Stopwatch:
    """Says on standard output, which is the job's log, where the time goes; wall seconds."""

    began: float = field(default_factory=time.perf_counter)
    last: float = field(default_factory=time.perf_counter)

    def lap(self, name: str) -> None:
        """End one part."""
        now = time.perf_counter()
        sys.stdout.write(f"{name}: {now - self.last:.2f} s\n")
        self.last = now

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return round(self.last - self.began, 3)


@dataclass(frozen=True, slots=True)
class Patience:
    """So many wall seconds from now."""

    seconds: float
    began: float = field(default_factory=time.perf_counter)

    def is_left(self) -> bool:
        """Whether they are not over."""
        return time.perf_counter() - self.began <= self.seconds


@dataclass(frozen=True, slots=True)
class Rows:
    """One side of the split: features by name, labels, times in ms, weights if any; all of one length."""

    columns: Columns
    labels: Labels
    times: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None


def train(spec: TrainingSpec, store: ArtifactStore, builder: MatrixBuilder | None = None) -> dict[str, JsonValue]:
    """Make the version: every field of `ModelVersionCreated` but the envelope.

    `builder` makes the matrix of the rows; None: this machine does.
    One thread: how many there were stands in some models, and what they share out differs in its last bits.
    Raises `InvalidError`: what is wrong with rows or recipe, and what to do about it.
    """
    import sklearn.ensemble  # noqa: F401, PLC0415 - costs seconds, and loads the libraries that are limited
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # noqa: PLC0415 - as above

    with threadpool_limits(1):
        return _train(spec, store, builder)


def _train(spec: TrainingSpec, store: ArtifactStore, builder: MatrixBuilder | None) -> dict[str, JsonValue]:
    watch = Stopwatch()
    rows, content = load(spec.snapshot, lambda file: store.fetch(file.uri, file.sha256), builder)
    watch.lap(f"load {len(rows)} rows")
    task = cast("Task", spec.task)
    learned, held, cut = split(
        rows, spec.holdout, task, apart=spec.holdout_by == "entity", whole_from=_whole_from(spec.snapshot)
    )
    features = _features(spec, learned)
    table = frame({name: list(values) for name, values in learned.columns.items()}, features)
    weights = _weights(spec.snapshot, learned, cut)
    fitted = fit(spec.recipe, Lesson(table, learned.labels, features, weights), spec.seed)
    watch.lap("fit")
    classes = () if task == "regression" else tuple(str(label) for label in fitted.classes_)
    manifest = ModelManifest(features=features, task=task, classes=classes)
    scorer = Scorer(fitted, manifest)
    metrics, profile = judge(scorer, learned, held, spec)
    watch.lap("measure")
    if spec.watch is not None:
        profile = with_windows(
            profile, scorer, Side(learned.columns, learned.times), Side(held.columns, held.times), spec
        )
        watch.lap("windows of the reference")
    patience = Patience(min(IMPORTANCE_S, IMPORTANCE_SHARE * spec.timeout_s))
    later = frame({name: list(values) for name, values in held.columns.items()}, features)
    profile = with_importance(profile, scorer, later, held.labels, seed=spec.seed, in_time=patience.is_left)
    watch.lap("importance")
    data = dump(fitted, manifest)
    kept = store.put(data, "model")
    watch.lap("dump")
    return {
        "version": spec.version,
        "artifact": FileRef(uri=kept.uri, sha256=kept.sha256).model_dump(mode="json"),
        "size": kept.size,
        "task": task,
        "recipe": spec.recipe,
        "features": dict(features),
        "profile": profile.model_dump(mode="json"),
        "metrics": dict(metrics),
        "snapshot": spec.snapshot.model_copy(update={"content": content}).model_dump(mode="json"),
        "holdout": held_out(spec.snapshot, cut).model_dump(mode="json"),
        "train_rows": len(learned.times),
        "holdout_rows": len(held.times),
        "cut": cut,
        "seconds": watch.seconds,
    }


def _whole_from(snapshot: Snapshot) -> int:
    """From when on (ms) all rows are there, and not a sample."""
    return snapshot.tail.before if snapshot.tail else snapshot.start


def split(
    rows: pd.DataFrame, share: float, task: Task, *, apart: bool = False, whole_from: int = 0
) -> tuple[Rows, Rows, int]:
    """Cut at a time (ms): rows before it are for training, the newest `share` from it on are the holdout.

    Rows of one time stay together, on the side of the holdout. Before `whole_from` (ms) they are a sample: the share is
    one of the rows after it. `apart`: rows before the cut whose entity has some behind it are left out.
    """
    times = rows["time"].to_numpy(dtype=np.int64)
    place = len(times) - max(1, round(int((times >= whole_from).sum()) * share))
    if place <= 0 or times[0] == times[place]:
        message = f"{len(times)} labelled rows cannot be split by time; send more rows, of different times"
        raise InvalidError("too_few", message)
    cut = int(times[place])
    learned, held = rows[times < cut], rows[times >= cut]
    if apart:
        learned = learned[~np.isin(entities(learned), np.unique(entities(held)))]
    return _learned(learned, task), _side(held, task), cut


def _learned(rows: pd.DataFrame, task: Task) -> Rows:
    side = _side(rows, task)
    if not len(side.labels):
        raise InvalidError("too_few", "no entity has rows in training alone; widen train.data, or leave out holdout_by")
    if task != "regression" and len(np.unique(side.labels)) == 1:
        message = f"all {len(side.labels)} rows for training have the same label; rows of both are needed"
        raise InvalidError("one_class", message)
    return side


def _side(rows: pd.DataFrame, task: Task) -> Rows:
    labels = _labels(rows, task)
    weights = rows[WEIGHT].to_numpy(dtype=np.float64) if WEIGHT in rows else None
    return Rows(feature_columns(rows), labels, rows["time"].to_numpy(dtype=np.int64), weights)


def _labels(rows: pd.DataFrame, task: Task) -> Labels:
    labels = rows["label"].to_numpy(dtype=np.float64)
    if not np.isfinite(labels).all():
        raise InvalidError("label", "a label is not a finite number; send labels as numbers")
    if task == "regression":
        return np.asarray(labels)
    whole = labels.astype(np.int64)
    if (whole != labels).any() or (task == "binary" and not np.isin(whole, (0, 1)).all()):
        allowed = "0 or 1" if task == "binary" else "whole numbers"
        raise InvalidError("label", f"a {task} task has labels that are {allowed}; others were sent")
    return whole


def _features(spec: TrainingSpec, rows: Rows) -> dict[str, Kind]:
    """The loop's or the champion's features; for the first version what the columns look like."""
    if spec.features is not None:
        return {name: cast("Kind", kind) for name, kind in spec.features.items()}
    found: dict[str, Kind] = {name: infer_kind(values) for name, values in rows.columns.items()}
    if not found:
        raise InvalidError("features", "the rows have no features; send some with the predictions")
    return found


def _weights(snapshot: Snapshot, rows: Rows, cut: int) -> NDArray[np.float64] | None:
    """Halve the weight of a row with each half-life of its age before the cut; a sampled row has its own."""
    if snapshot.half_life_ms is None:
        return rows.weights
    return np.exp2((rows.times - cut) / snapshot.half_life_ms)


def judge(scorer: Scorer, learned: Rows, held: Rows, spec: TrainingSpec) -> tuple[dict[str, float], Profile]:
    """Measure on the holdout, and describe the reference: inputs from before the cut, scores from after it."""
    scores, metrics, quality = _measure(scorer, held)
    newest = slice(-reference_rows(len(held.times)), None)
    inputs = {name: list(values[newest]) for name, values in learned.columns.items()}
    table = frame(inputs, scorer.manifest.features)
    columns: dict[str, Sequence[object] | NDArray[np.float64]] = {
        name: table[:, place].astype(np.float64) if kind == "numeric" else table[:, place].tolist()
        for place, (name, kind) in enumerate(scorer.manifest.features.items())
    }
    task = scorer.manifest.task
    rate = float(held.labels.mean()) if task == "binary" else None
    profile = build_profile(columns, scores=scores, quality=quality, positive_rate=rate, task=task)
    unused = tuple(sorted(learned.columns.keys() - scorer.manifest.features.keys()))
    profile = profile.model_copy(update={"ignored": unused})
    labels = np.asarray(held.labels, dtype=np.float64)
    if spec.segments is not None:
        declared = Given({name: inputs[name] for name in spec.segments.columns if name in inputs}, columns)
        holdout = Given(held.columns, {profile.score.name: scores})
        profile = with_segments(profile, spec.segments.most, declared, holdout)
        later = {one.column: list(held.columns[one.column]) for one in profile.segments}
        profile = with_segment_quality(profile, task, later, scores, labels)
    if spec.watch is not None:
        profile = with_window_quality(profile, task, held.times, scores, labels, spec.watch)
    return metrics, profile


def _measure(scorer: Scorer, held: Rows) -> tuple[NDArray[np.float64], dict[str, float], Sequence[QualityProfile]]:
    columns = {name: list(values) for name, values in held.columns.items()}
    task, classes = scorer.manifest.task, scorer.manifest.classes
    if task == "regression":
        scores = scorer.score(columns)
        return scores, *measures.of_numbers(np.asarray(held.labels, dtype=np.float64), scores)
    probabilities = scorer.probabilities(columns)
    if task == "binary":
        return probabilities[:, 1], *measures.of_binary(np.asarray(held.labels, dtype=np.int64), probabilities[:, 1])
    place = {name: number for number, name in enumerate(classes)}
    known = np.array([place.get(str(label), -1) for label in held.labels], dtype=np.int64)
    return probabilities.max(axis=1), *measures.of_classes(known, probabilities)


def work(data: bytes) -> dict[str, JsonValue]:
    """Train from a specification as JSON, with the store and the builder that the environment names."""
    settings = TrainerSettings.from_environment(os.environ)
    return train(TrainingSpec.model_validate_json(data), settings.open_store(), builder_of(settings.matrix))


if __name__ == "__main__":
    sys.exit(run_child(work, sys.argv[1:]))
