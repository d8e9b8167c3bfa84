"""MLflow shows each version once, whatever crashes in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import orjson
import pytest

from everloop.artifacts import MemoryStore
from everloop.events import FileRef, ModelVersionCreated, Snapshot
from everloop.profile import ColumnProfile, Profile
from everloop.registry import Mlflow, RefusedError
from everloop_trainer.adapters.registry import Registry

Json = dict[str, Any]
NO_FILES = Snapshot(start=0, end=10, strategy="full", predictions=(), outcomes=())


class CrashError(Exception):
    """The process ends here."""


class FakeMlflow:
    """What of MLflow's REST the registry uses, as measured on 3.17.2. Answers in the n-th place may crash or fail."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: list[Json] = []
        self.models: list[str] = []
        self.versions: list[Json] = []
        self.files: dict[str, bytes] = {}
        self.asked = 0
        self.crash_after = 0
        self.answers: Callable[[int], httpx.Response | None] = lambda _: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if (forced := self.answers(self.asked)) is not None:
            return forced
        answer = self.route(request)
        if self.asked == self.crash_after:
            raise CrashError
        return answer

    def route(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "PUT":
            self.files[path] = request.content
            return httpx.Response(200, json={})
        body: Json = orjson.loads(request.content) if request.content else dict(request.url.params)
        handler = getattr(self, path.removeprefix("/api/2.0/mlflow/").replace("/", "_").replace("-", "_"))
        said = handler(body)
        return said if isinstance(said, httpx.Response) else httpx.Response(200, json=said)

    def experiments_create(self, body: Json) -> Json | httpx.Response:
        if body["name"] in self.experiments:
            return httpx.Response(400, json={"error_code": "RESOURCE_ALREADY_EXISTS"})
        self.experiments[body["name"]] = "7"
        return {"experiment_id": "7"}

    def experiments_get_by_name(self, body: Json) -> Json:
        return {"experiment": {"experiment_id": self.experiments[body["experiment_name"]]}}

    def runs_search(self, body: Json) -> Json:
        wanted = body["filter"].split("'")[1]
        found = [run for run in self.runs if {"key": "everloop.event", "value": wanted} in run["tags"]]
        return {"runs": found} if found else {}

    def runs_create(self, body: Json) -> Json:
        identity = f"run{len(self.runs)}"
        info = {"run_id": identity, "artifact_uri": f"mlflow-artifacts:/7/{identity}/artifacts"}
        self.runs.append({"info": info, "tags": body["tags"], "status": "RUNNING"})
        return {"run": self.runs[-1]}

    def runs_log_batch(self, body: Json) -> Json:
        self.run(body).update(params=body["params"], metrics=body["metrics"])
        return {}

    def runs_update(self, body: Json) -> Json:
        self.run(body).update(status=body["status"])
        return {}

    def run(self, body: Json) -> Json:
        return next(run for run in self.runs if run["info"]["run_id"] == body["run_id"])

    def registered_models_create(self, body: Json) -> Json | httpx.Response:
        if body["name"] in self.models:
            return httpx.Response(400, json={"error_code": "RESOURCE_ALREADY_EXISTS"})
        self.models.append(body["name"])
        return {}

    def model_versions_search(self, body: Json) -> Json:
        wanted = body["filter"].split("'")[1]
        return {"model_versions": [one for one in self.versions if one["run_id"] == wanted]}

    def model_versions_create(self, body: Json) -> Json:
        self.versions.append(body)
        return {}


def a_version(store: MemoryStore) -> ModelVersionCreated:
    kept = store.put(b"the model", "model")
    score = ColumnProfile(name="score", kind="numeric", counts=(0,))
    return ModelVersionCreated(
        id=UUID(int=2), time=datetime(2026, 1, 5, tzinfo=UTC), model="fraud", version="2", size=9, task="binary",
        artifact=FileRef(uri=kept.uri, sha256=kept.sha256), recipe="a.b:C", features={"amount": "numeric"},
        profile=Profile(rows=0, columns=(), score=score), metrics={"roc_auc": 0.9}, snapshot=NO_FILES,
        holdout=NO_FILES, train_rows=7, holdout_rows=3, cut=7,
    )  # fmt: skip


def a_registry(fake: FakeMlflow, store: MemoryStore) -> Registry:
    return Registry(Mlflow(httpx.Client(transport=httpx.MockTransport(fake), base_url="http://mlflow")), store)


def test_a_version_is_a_run_a_file_and_a_registered_version() -> None:
    fake, store = FakeMlflow(), MemoryStore()
    assert a_registry(fake, store).record(a_version(store)) == "run0"
    (run,), (version,) = fake.runs, fake.versions
    assert (run["status"], fake.experiments, fake.models) == ("FINISHED", {"everloop/fraud": "7"}, ["fraud"])
    assert {"key": "recipe", "value": "a.b:C"} in run["params"]
    assert ("roc_auc", 0.9) in [(metric["key"], metric["value"]) for metric in run["metrics"]]
    assert version["source"] == "runs:/run0/model"
    assert {"key": "everloop.version", "value": "2"} in version["tags"]
    assert list(fake.files.values()) == [b"the model"]


def test_a_repeat_after_a_crash_at_any_request_makes_no_second_one() -> None:
    whole, store = FakeMlflow(), MemoryStore()
    a_registry(whole, store).record(a_version(store))
    for crash in range(1, whole.asked + 1):
        fake = FakeMlflow()
        fake.crash_after = crash
        with pytest.raises(CrashError):
            a_registry(fake, store).record(a_version(store))
        a_registry(fake, store).record(a_version(store))
        assert (fake.runs, fake.versions, fake.models) == (whole.runs, whole.versions, whole.models)


def test_a_refusal_is_told_to_the_caller() -> None:
    fake, store = FakeMlflow(), MemoryStore()
    fake.answers = lambda _: httpx.Response(403, text="no")
    with pytest.raises(RefusedError, match="HTTP 403"):
        a_registry(fake, store)(a_version(store))
    assert fake.asked == 1
