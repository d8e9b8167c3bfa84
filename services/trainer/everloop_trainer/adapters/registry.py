"""Show a version in MLflow: a run with parameters, metrics, tags and the file, and a registered model version.

A display of what the journal says, never the lock: nobody loads a model from here. Everything is found again by the
event's id before it is made, so a repeat after a crash completes what is there and makes no second one.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from typing import Final

import structlog

from everloop.artifacts import ArtifactStore
from everloop.events import Event, ModelVersionCreated
from everloop.registry import VERSION_TAG, Json, Mlflow, RefusedError

PROXY: Final = "mlflow-artifacts:/"
FILE: Final = "model/model.skops"
LONGEST: Final = 500
"""MLflow's limit for a parameter's text."""
ENVIRONMENT: Final = ("scikit-learn", "skops", "numpy", "pandas", "pyarrow")
logger = structlog.get_logger()


class Registry:
    """An effect of `ModelVersionCreated`: called with the event, again after a crash. Raises as `Mlflow` does."""

    def __init__(self, mlflow: Mlflow, store: ArtifactStore) -> None:
        self._mlflow: Final = mlflow
        self._store: Final = store

    def __call__(self, event: Event) -> None:
        """Show the version."""
        if isinstance(event, ModelVersionCreated):
            logger.info("mlflow_recorded", model=event.model, version=event.version, run=self.record(event))

    def record(self, created: ModelVersionCreated) -> str:
        """Make or complete the run and the registered version; return the run's id."""
        run = self._run(created)
        run_id = str(run["run_id"])
        self._mlflow.post("runs/log-batch", {"run_id": run_id, **_content(created)})
        self._upload(created, str(run["artifact_uri"]))
        self._register(created, run_id)
        self._mlflow.post("runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": _millis(created)})
        return run_id

    def _run(self, created: ModelVersionCreated) -> Json:
        experiment = self._experiment(f"everloop/{created.model}")
        question = {
            "experiment_ids": [experiment],
            "filter": f"tags.`everloop.event` = '{created.id}'",
            "max_results": 1,
        }
        found = self._mlflow.post("runs/search", question).get("runs", [])
        if not found:
            tags = [{"key": "everloop.event", "value": str(created.id)}]
            new = {"experiment_id": experiment, "run_name": f"version {created.version}", "tags": tags}
            found = [self._mlflow.post("runs/create", {**new, "start_time": _millis(created)})["run"]]
        info: Json = found[0]["info"]
        return info

    def _experiment(self, name: str) -> str:
        try:
            return str(self._mlflow.post("experiments/create", {"name": name})["experiment_id"])
        except RefusedError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self._mlflow.get("experiments/get-by-name", experiment_name=name)
        return str(found["experiment"]["experiment_id"])

    def _upload(self, created: ModelVersionCreated, artifact_uri: str) -> None:
        """Hand the file to MLflow's own store, where MLflow keeps one; elsewhere the tag with the address must do."""
        if not artifact_uri.startswith(PROXY):
            return
        data = self._store.fetch(created.artifact.uri, created.artifact.sha256)
        folder = artifact_uri.removeprefix(PROXY).strip("/")
        self._mlflow.upload(f"{folder}/{FILE}", data)

    def _register(self, created: ModelVersionCreated, run_id: str) -> None:
        try:
            self._mlflow.post("registered-models/create", {"name": created.model})
        except RefusedError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self._mlflow.get("model-versions/search", filter=f"run_id = '{run_id}'")
        if not found.get("model_versions"):
            wanted = {"name": created.model, "source": f"runs:/{run_id}/model", "run_id": run_id}
            self._mlflow.post("model-versions/create", {**wanted, "tags": _pairs(_tags(created))})


def _content(created: ModelVersionCreated) -> Json:
    snapshot = created.snapshot
    parameters = {
        "recipe": created.recipe, "task": created.task, "strategy": snapshot.strategy, "start": snapshot.start,
        "end": snapshot.end, "cut": created.cut, "train_rows": created.train_rows, "holdout_rows": created.holdout_rows,
        "files": len(snapshot.predictions) + len(snapshot.outcomes), "features": ",".join(created.features),
    }  # fmt: skip
    stamp = _millis(created)
    figures = {**created.metrics, "seconds": created.seconds, "size_bytes": float(created.size)}
    metrics = [{"key": name, "value": value, "timestamp": stamp, "step": 0} for name, value in figures.items()]
    return {"params": _pairs(parameters), "metrics": metrics, "tags": _pairs(_tags(created))}


def _tags(created: ModelVersionCreated) -> dict[str, str]:
    """What leads back to the journal: version, digests, the turn, and with what it was made."""
    packages = " ".join(f"{name}=={version(name)}" for name in ENVIRONMENT)
    return {
        "everloop.event": str(created.id),
        VERSION_TAG: created.version,
        "everloop.sha256": created.artifact.sha256,
        "everloop.snapshot": sha256(created.snapshot.model_dump_json().encode()).hexdigest(),
        "everloop.turn": str(created.correlation_id),
        "everloop.cause": "bootstrap" if created.bootstrap else "turn",
        "everloop.environment": f"python=={platform.python_version()} {packages}",
    }


def _pairs(values: Mapping[str, object]) -> list[dict[str, str]]:
    return [{"key": key, "value": str(value)[:LONGEST]} for key, value in values.items()]


def _millis(event: Event) -> int:
    """The time of the decision, on the model's clock."""
    return round(event.time.timestamp() * 1000)
