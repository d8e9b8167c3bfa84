"""The OpenAPI document holds, and requests made from it, right and wrong ones, are answered as it says."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from everloop.events import PredictionsLogged
from everloop_ingest.adapters.forms import document
from tests.unit.ingest.houses import House, a_house

EXAMPLES = 12
MANY = 120
"""Of each route and mode, made from its name and from constants of whatever modules are loaded: not the same beside
other tests. Many where one at least is to be accepted, which one in twelve is."""
SIMPLE = ("/v1/labels", "/v1/feedback")
"""Routes whose rules a schema can say, but for columns of one length and ids that come twice."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
ROUTES = ("/v1/predictions", "/v1/labels", "/v1/feedback", "/v1/events")


def of_one_model() -> dict[str, Any]:
    """The document, with a model and feedback that are applied: made-up names would be unknown.

    Each number is a label of the model.
    """
    found: dict[str, Any] = deepcopy(document())
    for schema in found["components"]["schemas"].values():
        for name in ("model", "subject"):
            if name in schema.get("properties", {}):
                schema["properties"][name] = {"enum": ["price"]}
    for name in ("FeedbackRow", "PlainFeedback"):
        found["components"]["schemas"][name]["properties"]["name"] = {"enum": ["click"]}
    for name in ("FeedbackColumns", "FeedbackColumnsData"):
        found["components"]["schemas"][name]["properties"]["name"]["items"] = {"enum": ["click"]}
    for parameter in found["paths"]["/v1/events"]["post"]["parameters"]:
        if (one := ATTRIBUTES.get(parameter["name"])) is not None:
            parameter |= {"required": True, "schema": {"enum": [one]}}
    return found


ATTRIBUTES = {
    "ce-specversion": "1.0", "ce-type": PredictionsLogged.TYPE, "ce-subject": "price", "ce-source": "/shop",
    "ce-id": "7", "ce-time": "2026-01-05T12:00:00Z",
}  # fmt: skip


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with a_house(most_waiting=10_000_000) as found:
        yield found


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("route", ROUTES)
def test_requests_made_from_the_document_are_answered_as_it_says(
    house: House, route: str, mode: GenerationMode
) -> None:
    app: Any = house.client.app
    schema = schemathesis.openapi.from_dict(of_one_model())
    schema.app = app
    strategy: Any = schema[route]["POST"].as_strategy(generation_mode=mode)
    answered = []

    @settings(
        max_examples=MANY if route in SIMPLE else EXAMPLES, derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def ask(case: schemathesis.Case[Any]) -> None:
        answer = case.call(base_url="http://testserver")
        case.validate_response(answer, checks=CHECKS)
        answered.append(answer.status_code)

    ask()
    assert len(answered) >= EXAMPLES
    if route in SIMPLE:
        assert (202 in answered) == (mode is GenerationMode.POSITIVE)


def test_the_document_describes_every_route_of_the_door_and_no_other(house: House) -> None:
    app: Any = house.client.app
    served = {route.path for route in app.routes if "POST" in route.methods}
    assert set(document()["paths"]) == served == set(ROUTES)  # type: ignore[arg-type]  # JSON


def test_every_reference_of_the_document_leads_somewhere() -> None:
    def references(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                yield from references(one)

    found: Any = document()
    names = {name.removeprefix("#/components/schemas/") for name in references(found)}
    assert names <= set(found["components"]["schemas"])
