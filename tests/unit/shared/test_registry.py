"""MLflow's REST: nobody there is one thing, a no is another."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from everloop.errors import AwayError
from everloop.registry import Mlflow, RefusedError


def an_mlflow(answer: Callable[[httpx.Request], httpx.Response]) -> Mlflow:
    return Mlflow(httpx.Client(base_url="http://mlflow", transport=httpx.MockTransport(answer)))


def test_a_server_that_does_not_answer_is_away() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("too slow", request=request)

    with pytest.raises(AwayError, match=r"MLflow at http://mlflow/? does not answer \(ConnectTimeout\)"):
        an_mlflow(silent).get("runs/search")


def test_a_server_in_trouble_is_away_too() -> None:
    with pytest.raises(AwayError, match="answers 503"):
        an_mlflow(lambda _: httpx.Response(503)).post("runs/create", {})


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(400, json={"error_code": "INVALID_PARAMETER_VALUE"}), "INVALID_PARAMETER_VALUE"),
        (httpx.Response(403, text="no"), "HTTP 403"),
        (httpx.Response(404, json=["no"]), "HTTP 404"),
    ],
)
def test_a_no_names_the_call_and_why(answer: httpx.Response, code: str) -> None:
    with pytest.raises(RefusedError, match=r"MLflow refuses POST /api/2\.0/mlflow/runs/create: ") as refused:
        an_mlflow(lambda _: answer).post("runs/create", {"secret": "words"})
    assert refused.value.code == code
    assert "words" not in str(refused.value)


def test_an_answer_that_is_no_object_says_nothing() -> None:
    assert an_mlflow(lambda _: httpx.Response(200, text="")).post("runs/update", {}) == {}
