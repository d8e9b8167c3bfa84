"""MLflow's alias `champion`, by plain REST: it displays a decision, it is never the lock (DESIGN rule 10)."""

from __future__ import annotations

from uuid import UUID

import httpx

from everloop_rollout.handlers import RegistryError

API = "/api/2.0/mlflow"
ALIAS = "champion"
VERSION_TAG = "everloop.version"
EVENT_TAG = "everloop.champion.event"


class MlflowRegistry:
    """A `Registry`. Every call is an upsert, so a repeat changes nothing; nothing is retried here."""

    def __init__(self, client: httpx.Client) -> None:
        """Use a client with the server's base URL and short timeouts; see `connect`."""
        self._client = client

    def set_champion(self, model: str, version: str, event_id: UUID) -> None:
        """Point the alias at the version with our tag, and note which decision it shows. Raises `RegistryError`."""
        number = self._number(model, version)
        self._post("registered-models/alias", {"name": model, "alias": ALIAS, "version": number})
        self._post("registered-models/set-tag", {"name": model, "key": EVENT_TAG, "value": str(event_id)})

    def _number(self, model: str, version: str) -> str:
        """MLflow counts versions itself: ours is a tag. A version without the tag has the same number in both."""
        rule = f"name = '{model}' AND tags.`{VERSION_TAG}` = '{version}'"
        found = self._said("GET", "model-versions/search", params={"filter": rule, "max_results": "1"})
        versions = found.get("model_versions")
        first = versions[0] if isinstance(versions, list) and versions else {}
        return str(first.get("version", version)) if isinstance(first, dict) else version

    def _post(self, path: str, body: dict[str, str]) -> None:
        self._said("POST", path, json=body)

    def _said(
        self, method: str, path: str, *, params: dict[str, str] | None = None, json: dict[str, str] | None = None
    ) -> dict[str, object]:
        try:
            answer = self._client.request(method, f"{API}/{path}", params=params, json=json)
            answer.raise_for_status()
            body = answer.json()
        except httpx.HTTPStatusError as error:
            raise RegistryError(f"MLflow answered {error.response.status_code} to {method} {path}") from error
        except (httpx.HTTPError, ValueError) as error:
            raise RegistryError(f"MLflow did not answer {method} {path} ({type(error).__name__})") from error
        return body if isinstance(body, dict) else {}


def connect(address: str, timeout_s: float) -> MlflowRegistry:
    """A registry at this address; proxies and netrc files of the environment are not used."""
    return MlflowRegistry(httpx.Client(base_url=address, timeout=timeout_s, trust_env=False))
