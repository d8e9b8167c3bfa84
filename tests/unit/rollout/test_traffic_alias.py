"""The alias in MLflow, against a server of a few lines that speaks its REST interface."""

from __future__ import annotations

import httpx
import orjson
import pytest

from everloop.events import Event, VersionPromoted
from everloop.registry import Mlflow, RefusedError
from everloop_rollout.adapters import Alias
from tests.builders import NOON, a_fresh_id, a_signed_verdict


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


def an_alias(server: Server) -> Alias:
    return Alias(Mlflow(httpx.Client(base_url="http://mlflow", transport=httpx.MockTransport(server))))


def a_promotion(version: str) -> Event:
    return VersionPromoted.model_validate({
        "id": a_fresh_id(), "time": NOON, "model": "fraud", "version": version, "previous": None, "salt": "",
        "verdict": a_signed_verdict(version), "reason": {"rule": "rollout.steps"},
    })  # fmt: skip


def test_the_alias_points_at_the_number_that_mlflow_gave_our_version() -> None:
    alias = an_alias(server := Server({"2": "5"}))
    alias(promoted := a_promotion("2"))
    alias(promoted)
    assert server.aliases == {"champion": "5"}
    assert server.tags == {"everloop.champion.event": str(promoted.id)}


def test_a_version_that_is_not_shown_yet_is_asked_for_later() -> None:
    alias = an_alias(server := Server({}))
    with pytest.raises(RefusedError, match="does not have that version yet"):
        alias(promoted := a_promotion("3"))
    server.versions["3"] = "1"
    alias(promoted)
    assert server.aliases == {"champion": "1"}
