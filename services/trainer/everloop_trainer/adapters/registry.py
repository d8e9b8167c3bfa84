"""Show a version in MLflow: a run with parameters, metrics, tags and the file, and a registered model version.

A display of what the journal says, never the lock: nobody loads a model from here. Plain REST, because importing
MLflow's client takes seconds. Everything is found again by the event's id before it is made, so a repeat after a crash
completes what is there and makes no second one.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib.metadata import version
from typing import Any, Final

import httpx
import structlog

from everloop.artifacts import ArtifactStore
from everloop.errors import FatalError
from everloop.events import Event, ModelVersionCreated

TIMEOUT_S: Final = 5.0
PAUSES_S: Final = (0.5, 2.0)
API: Final = "/api/2.0/mlflow"
PROXY: Final = "mlflow-artifacts:/"
FILE: Final = "model/model.skops"
SERVER_ERROR: Final = 500
LONGEST: Final = 500
"""MLflow's limit for a parameter's text."""
ENVIRONMENT: Final = ("scikit-learn", "skops", "numpy", "pandas", "pyarrow")
Json = dict[str, Any]  # MLflow's own JSON
logger = structlog.get_logger()


class RefusedError(Exception):
    """MLflow answered that it will not; asking again cannot help. `code` is MLflow's word for why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Registry:
    """An effect of `ModelVersionCreated`: called with the event, again after a crash.

    Raises `FatalError` when MLflow does not answer after a few tries; the supervisor starts the service again, and the
    event is handed out again. A refusal of MLflow is logged and passed over.
    """

    def __init__(
        self, client: httpx.Client, store: ArtifactStore, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._client: Final = client
        self._store: Final = store
        self._pause: Final = pause

    def __call__(self, event: Event) -> None:
        """Show the version."""
        if not isinstance(event, ModelVersionCreated):
            return
        try:
            run_id = self.record(event)
        except RefusedError as error:
            logger.warning("mlflow_refused", model=event.model, version=event.version, code=error.code)
        else:
            logger.info("mlflow_recorded", model=event.model, version=event.version, run=run_id)

    def record(self, created: ModelVersionCreated) -> str:
        """Make or complete the run and the registered version; return the run's id."""
        run = self._run(created)
        run_id = str(run["run_id"])
        self._post("runs/log-batch", {"run_id": run_id, **_content(created)})
        self._upload(created, str(run["artifact_uri"]))
        self._register(created, run_id)
        self._post("runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": _millis(created)})
        return run_id

    def _run(self, created: ModelVersionCreated) -> Json:
        experiment = self._experiment(f"everloop/{created.model}")
        question = {
            "experiment_ids": [experiment],
            "filter": f"tags.`everloop.event` = '{created.id}'",
            "max_results": 1,
        }
        found = self._post("runs/search", question).get("runs", [])
        if not found:
            tags = [{"key": "everloop.event", "value": str(created.id)}]
            new = {"experiment_id": experiment, "run_name": f"version {created.version}", "tags": tags}
            found = [self._post("runs/create", {**new, "start_time": _millis(created)})["run"]]
        info: Json = found[0]["info"]
        return info

    def _experiment(self, name: str) -> str:
        try:
            return str(self._post("experiments/create", {"name": name})["experiment_id"])
        except RefusedError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self._ask("GET", f"{API}/experiments/get-by-name", params={"experiment_name": name})
        return str(found["experiment"]["experiment_id"])

    def _upload(self, created: ModelVersionCreated, artifact_uri: str) -> None:
        """Hand the file to MLflow's own store, where MLflow keeps one; elsewhere the tag with the address must do."""
        if not artifact_uri.startswith(PROXY):
            return
        data = self._store.fetch(created.artifact.uri, created.artifact.sha256)
        folder = artifact_uri.removeprefix(PROXY).strip("/")
        self._ask("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{folder}/{FILE}", content=data)

    def _register(self, created: ModelVersionCreated, run_id: str) -> None:
        try:
            self._post("registered-models/create", {"name": created.model})
        except RefusedError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        found = self._ask("GET", f"{API}/model-versions/search", params={"filter": f"run_id = '{run_id}'"})
        if not found.get("model_versions"):
            wanted = {"name": created.model, "source": f"runs:/{run_id}/model", "run_id": run_id}
            self._post("model-versions/create", {**wanted, "tags": _pairs(_tags(created))})

    def _post(self, path: str, body: Json) -> Json:
        return self._ask("POST", f"{API}/{path}", json=body)

    def _ask(self, method: str, path: str, **request: Any) -> Json:  # noqa: ANN401 - what httpx takes
        """Ask, a few times where nothing or an error of the server comes back."""
        for pause in (*PAUSES_S, None):
            try:
                answer = self._client.request(method, path, timeout=TIMEOUT_S, **request)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < SERVER_ERROR:
                return _read(answer)
            if pause is not None:
                self._pause(pause)
        message = f"MLflow at {self._client.base_url} does not answer; is it up? (`everloop status`)"
        raise FatalError(message)


def _read(answer: httpx.Response) -> Json:
    if answer.is_error:
        try:
            code = str(answer.json()["error_code"])
        except (ValueError, KeyError, TypeError):
            code = f"HTTP {answer.status_code}"
        raise RefusedError(code)
    said: Json = answer.json() if answer.content else {}
    return said


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
        "everloop.version": created.version,
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
