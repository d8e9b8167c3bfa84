"""The alias in MLflow, against a server of a few lines that speaks its REST interface."""

from __future__ import annotations

from uuid import UUID

import httpx
import orjson
import pytest

from everloop_rollout.adapters import MlflowRegistry
from everloop_rollout.handlers import RegistryError

DECISION = UUID(int=7)


class Server:
    """MLflow's registry: versions by our tag, aliases, tags."""

    def __init__(self, versions: dict[str, str]) -> None:
        self.versions = versions
        self.aliases: dict[str, str] = {}
        self.tags: dict[str, str] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content) if request.content else {}
        match request.url.path.removeprefix("/api/2.0/mlflow/"):
            case "model-versions/search":
                wanted = request.url.params["filter"]
                found = [{"version": n} for ours, n in self.versions.items() if wanted.endswith(f"= '{ours}'")]
                return httpx.Response(200, json={"model_versions": found} if found else {})
            case "registered-models/alias":
                self.aliases[body["alias"]] = body["version"]
            case "registered-models/set-tag":
                self.tags[body["key"]] = body["value"]
            case _:
                return httpx.Response(404)
        return httpx.Response(200, json={})


def a_registry(server: Server) -> MlflowRegistry:
    return MlflowRegistry(httpx.Client(base_url="http://mlflow", transport=httpx.MockTransport(server)))


def test_the_alias_points_at_the_number_that_mlflow_gave_our_version() -> None:
    registry = a_registry(server := Server({"2": "5"}))
    registry.set_champion("fraud", "2", DECISION)
    registry.set_champion("fraud", "2", DECISION)
    assert server.aliases == {"champion": "5"}
    assert server.tags == {"everloop.champion.event": str(DECISION)}


def test_a_version_without_our_tag_has_the_same_number_in_mlflow() -> None:
    a_registry(server := Server({})).set_champion("fraud", "3", DECISION)
    assert server.aliases == {"champion": "3"}


def test_an_answer_of_failure_names_the_status_and_the_call() -> None:
    registry = MlflowRegistry(
        httpx.Client(base_url="http://mlflow", transport=httpx.MockTransport(lambda _: httpx.Response(503)))
    )
    with pytest.raises(RegistryError, match="503 to GET model-versions/search"):
        registry.set_champion("fraud", "2", DECISION)


def test_a_server_that_does_not_answer_is_a_registry_error() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("too slow", request=request)

    registry = MlflowRegistry(httpx.Client(base_url="http://mlflow", transport=httpx.MockTransport(silent)))
    with pytest.raises(RegistryError, match="ConnectTimeout"):
        registry.set_champion("fraud", "2", DECISION)
