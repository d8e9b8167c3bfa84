"""MLflow by plain REST, for what displays decisions there. Its client is not used: importing it takes seconds.

Nothing is tried again here. Nobody there is `AwayError`, a no is `RefusedError`: the reactor tries again later.
"""

from __future__ import annotations

from typing import Any, Final

import httpx

from everloop.errors import AwayError, InvalidError

API: Final = "/api/2.0/mlflow"
ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
TIMEOUT_S: Final = 5.0
SERVER_ERROR: Final = 500
VERSION_TAG: Final = "everloop.version"
"""Our name of a version, as a tag on MLflow's: MLflow counts versions itself."""
Json = dict[str, Any]  # MLflow's own JSON


class RefusedError(InvalidError):
    """MLflow answered that it will not. `code` is MLflow's word for why."""

    def __init__(self, code: str, asked: str) -> None:
        """`asked`: the call, without values."""
        super().__init__("refused", f"MLflow refuses {asked}: {code}")
        self.code = code


class Mlflow:
    """One MLflow. Every method raises `AwayError` and `RefusedError`."""

    def __init__(self, client: httpx.Client) -> None:
        """Use a client with the server's base URL and a time limit; see `connect`."""
        self._client: Final = client

    def get(self, path: str, **params: str) -> Json:
        """Ask for something."""
        return self._ask("GET", f"{API}/{path}", params=params)

    def post(self, path: str, body: Json) -> Json:
        """Tell something."""
        return self._ask("POST", f"{API}/{path}", json=body)

    def upload(self, path: str, data: bytes) -> None:
        """Hand a file to MLflow's own store."""
        self._ask("PUT", f"{ARTIFACTS}/{path}", content=data)

    def _ask(self, method: str, path: str, **request: Any) -> Json:  # noqa: ANN401 - what httpx takes
        try:
            answer = self._client.request(method, path, **request)
        except httpx.TransportError as error:
            message = f"MLflow at {self._client.base_url} does not answer ({type(error).__name__}); is it up?"
            raise AwayError(message) from error
        if answer.status_code >= SERVER_ERROR:
            raise AwayError(f"MLflow at {self._client.base_url} answers {answer.status_code}; see its log")
        said = _json(answer)
        if answer.is_error:
            raise RefusedError(str(said.get("error_code", f"HTTP {answer.status_code}")), f"{method} {path}")
        return said


def connect(address: str) -> Mlflow:
    """An MLflow at this address; proxies and netrc files of the environment are not used."""
    return Mlflow(httpx.Client(base_url=address, timeout=TIMEOUT_S, trust_env=False))


def _json(answer: httpx.Response) -> Json:
    """What is no JSON object says nothing."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
