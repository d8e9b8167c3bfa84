"""The measuring job: `python -m everloop_gatekeeper.adapters.job SPEC RESULT`, SPEC a `CheckSpec` as JSON.

The candidate is loaded, timed and scored in a child of its own first, and only then here, beside the champion. The
result is `Figures`: plain numbers, no verdict. While the child imports its libraries, this process imports its own.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from everloop.artifacts import ArtifactStore
from everloop.dataset import entities, feature_columns, load_rows
from everloop.errors import InvalidError
from everloop.events import ChampionRef, CheckSpec
from everloop.jobs import run_child
from everloop.matrix import MatrixBuilder, builder_of
from everloop.models import Scorer, Task, load
from everloop.models.probe import ProbeResult, probe_in_child
from everloop_gatekeeper.adapters.measuring import Opinion, Truth, calibration_error, measure
from everloop_gatekeeper.domain import Figures
from everloop_gatekeeper.domain.figures import Latency
from everloop_gatekeeper.settings import GatekeeperSettings

PROBE_SHARE: Final = 0.5
"""Share of the job's time that the candidate may take to be loaded and timed."""
Columns = Mapping[str, Sequence[object]]
Probe = Callable[[Path, str, Columns, float], ProbeResult]
"""Loads and times a file where it can do no harm: path, digest, sample rows, wall seconds."""
Millis = NDArray[np.float64]


@dataclass
class Stopwatch:
    """Where the time goes, in wall seconds."""

    last: float = field(default_factory=time.perf_counter)
    laps: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str) -> None:
        """End one part."""
        now = time.perf_counter()
        self.laps[name] = round(now - self.last, 3)
        self.last = now


@dataclass(frozen=True, slots=True)
class Holdout:
    """Labelled rows that no version of this comparison was trained on."""

    columns: Columns
    truth: Truth

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.truth.labels)

    def newest(self, rows: int) -> Columns:
        """The last rows as columns."""
        return {name: values[max(0, self.rows - rows) :] for name, values in self.columns.items()}


def run(
    spec: CheckSpec, store: ArtifactStore, probe: Probe = probe_in_child, builder: MatrixBuilder | None = None
) -> Figures:
    """Measure. A candidate that may not be loaded is a figure; a champion or rows that cannot be read raise.

    `builder` makes the matrix of the holdout; None: this machine does.

    Raises `InvalidError`: a file is missing, the champion's bytes are not those of its verdict, labels are unusable.
    """
    watch = Stopwatch()
    try:
        data = store.fetch(spec.artifact.uri, spec.artifact.sha256)
    except InvalidError as error:
        if error.reason != "digest_mismatch":
            raise
        return Figures(size=0, reason=error.reason, message=str(error))
    held = _holdout(spec, store, builder)
    watch.lap("rows")
    probed, champion = _probe_and_prepare(spec, data, held, store, probe)
    watch.lap("probe")
    if not probed.ok:
        return Figures(size=len(data), reason=probed.reason, message=probed.message, seconds=watch.laps)
    try:
        scorer = load(data)
        watch.lap("load")
        return _figures(spec, held, (scorer, champion), probed, len(data), watch)
    except UnscorableError as error:
        return Figures(size=len(data), reason=error.reason, message=str(error), seconds=watch.laps)


class UnscorableError(InvalidError):
    """The candidate gives scores that are no finite numbers."""

    def __init__(self, scores: int) -> None:
        super().__init__("unscorable", f"{scores} scores of the holdout are no finite numbers")


def _holdout(spec: CheckSpec, store: ArtifactStore, builder: MatrixBuilder | None) -> Holdout:
    rows = load_rows(spec.holdout, lambda file: store.fetch(file.uri, file.sha256), builder)
    columns = {name: list(values) for name, values in feature_columns(rows).items()}
    labels = rows["label"].to_numpy(dtype=np.float64)
    if not np.isfinite(labels).all():
        raise InvalidError("label", "a label of the holdout is not a finite number; send labels as numbers")
    return Holdout(columns, Truth(cast("Task", spec.task), labels, entities(rows)))


def _probe_and_prepare(
    spec: CheckSpec, data: bytes, held: Holdout, store: ArtifactStore, probe: Probe
) -> tuple[ProbeResult, Scorer | None]:
    """Probe the candidate in a child; meanwhile load the champion, whose bytes are proven, or at least libraries."""
    sample = held.newest(spec.latency_rows)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        path = Path(folder).resolve() / "candidate"
        path.write_bytes(data)
        probing = pool.submit(probe, path, spec.artifact.sha256, sample, spec.timeout_s * PROBE_SHARE)
        importlib.import_module("skops.io")  # costs seconds, also where there is no champion to load
        champion = _champion(spec.champion, spec.task, store) if spec.champion else None
        return probing.result(), champion


def _champion(champion: ChampionRef, task: str, store: ArtifactStore) -> Scorer:
    if champion.task != task:
        message = f"the champion's task is {champion.task}, not {task}; a model of another task needs another name"
        raise InvalidError("shape", message)
    try:
        return load(store.fetch(champion.artifact.uri, champion.artifact.sha256))
    except InvalidError as error:
        raise InvalidError(error.reason, f"the champion cannot be loaded: {error}") from error


def _figures(
    spec: CheckSpec,
    held: Holdout,
    models: tuple[Scorer, Scorer | None],
    probed: ProbeResult,
    size: int,
    watch: Stopwatch,
) -> Figures:
    scorer, champion = models
    manifest = scorer.manifest
    known = Figures(
        size=size, features=dict(manifest.features), task=manifest.task, rows=held.rows, seconds=watch.laps,
        latency=Latency(rows=len(probed.latency_ms), p50=probed.p50, p95=probed.p95),
    )  # fmt: skip
    if manifest.task != spec.task:
        return known  # nothing can be compared; the check of the schema says why
    opinions = [_say(model, held.columns) for model in (scorer, champion) if model]
    if wrong := int((~np.isfinite(opinions[0].said)).sum()):
        raise UnscorableError(wrong)
    watch.lap("score")
    metrics = measure(spec.metrics, held.truth, opinions)
    binary = spec.task == "binary"
    calibration = calibration_error(held.truth.labels, opinions[0].said[:, 1]) if binary else None
    watch.lap("measure")
    champion_latency = _timed(champion, held.newest(spec.latency_rows)) if champion else None
    watch.lap("champion_latency")
    more = {"metrics": metrics, "calibration_error": calibration, "champion_latency": champion_latency}
    return known.model_copy(update={**more, "seconds": watch.laps})


def _say(scorer: Scorer, columns: Columns) -> Opinion:
    if scorer.manifest.task == "regression":
        return Opinion(scorer.score(columns))
    return Opinion(scorer.probabilities(columns), scorer.manifest.classes)


def _timed(scorer: Scorer, sample: Columns) -> Latency:
    """Score each row alone, as the child does with the candidate; the models are warm."""
    rows = [
        {name: [value] for name, value in zip(sample, row, strict=True)} for row in zip(*sample.values(), strict=True)
    ]
    taken: Millis = np.array([_milliseconds(scorer, row) for row in rows])
    p50, p95 = np.percentile(taken, [50, 95]) if len(taken) else (0.0, 0.0)
    return Latency(rows=len(taken), p50=float(p50), p95=float(p95))


def _milliseconds(scorer: Scorer, row: Columns) -> float:
    began = time.perf_counter()
    scorer.score(row)
    return (time.perf_counter() - began) * 1000


def work(data: bytes) -> dict[str, JsonValue]:
    """Measure what a specification as JSON names, with the store and the builder that the environment names."""
    settings = GatekeeperSettings.from_environment(os.environ)
    figures = run(CheckSpec.model_validate_json(data), settings.open_store(), builder=builder_of(settings.matrix))
    return figures.model_dump(mode="json")


if __name__ == "__main__":
    sys.exit(run_child(work, sys.argv[1:]))
