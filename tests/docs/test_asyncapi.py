"""The AsyncAPI document: valid by the specification, whole by the registry, and true of the records that are written.

`tests/contracts/asyncapi-spec.json` is AsyncAPI's own schema of version 3.0.0 as the npm package `@asyncapi/specs`
6.11.1 carries it (Apache-2.0; Copyright 2016-2025 AsyncAPI Initiative, http://www.asyncapi.com/), unchanged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache

import pytest
from jsonschema import Draft7Validator

from everloop.docs import read_golden
from everloop.docs.asyncapi import OURS, asyncapi_page, document
from everloop.docs.schemas import PLACE, WHOLE
from everloop.events import ENVELOPE, TYPES
from everloop.topics import ALL, TOPICS
from examples import send_arrow, send_kafka
from tests.contracts.test_services import events_built, sources
from tests.docs.asyncapi import DRAFTS, Json, described, read, references, resolve, validator
from tests.docs.pages import ROOT

GOLDEN = read_golden(ROOT)
EVERY_EVENT = pytest.mark.parametrize("name", TYPES)
EVERY_DRAFT = pytest.mark.parametrize("draft", DRAFTS)
SAME_IN_BOTH_DRAFTS = {
    "$ref", "additionalProperties", "allOf", "anyOf", "const", "default", "description", "enum", "format", "items",
    "maxItems", "maxProperties", "maximum", "minimum", "pattern", "properties", "required", "title", "type",
}  # fmt: skip


@pytest.fixture(scope="module")
def asyncapi() -> Json:
    return described()


@cache
def specification() -> Draft7Validator:
    """The validator of the specification."""
    return Draft7Validator(json.loads((ROOT / "tests" / "contracts" / "asyncapi-spec.json").read_bytes()))


def test_it_is_valid_by_the_specification(asyncapi: Json) -> None:
    assert [f"{list(error.path)}: {error.message[:200]}" for error in specification().iter_errors(asyncapi)] == []


def test_the_specification_catches_a_misspelled_key(asyncapi: Json) -> None:
    channels = asyncapi["channels"]
    wrong = {**asyncapi, "channels": {**channels, "x": {"adress": "x"}}}
    assert not specification().is_valid(wrong)


def test_yaml_reads_back_as_what_was_written() -> None:
    assert read(asyncapi_page(GOLDEN)) == json.loads(json.dumps(document(GOLDEN)))


def test_the_same_code_writes_the_same_document() -> None:
    assert asyncapi_page(GOLDEN) == asyncapi_page(dict(reversed(GOLDEN.items())))


def test_every_reference_leads_somewhere(asyncapi: Json) -> None:
    found = set(references(asyncapi))
    assert len(found) > len(TYPES)
    assert all(isinstance(resolve(asyncapi, one), dict) for one in found)


def test_every_component_is_used(asyncapi: Json) -> None:
    kept = {f"#/components/{kind}/{name}" for kind, parts in asyncapi["components"].items() for name in parts}
    assert kept - set(references(asyncapi)) == set()


def test_every_topic_is_one_channel_and_carries_its_events(asyncapi: Json) -> None:
    assert [channel["address"] for channel in asyncapi["channels"].values()] == list(TOPICS)
    for name, topic in TOPICS.items():
        channel = asyncapi["channels"][name]
        carried = [resolve(asyncapi, one["$ref"]) for one in channel["messages"].values()]
        assert carried == [asyncapi["components"]["messages"][kind.TYPE] for kind in topic.events]


def test_a_channel_has_the_settings_that_its_topic_is_created_with(asyncapi: Json) -> None:
    for name, topic in TOPICS.items():
        kafka = asyncapi["channels"][name]["bindings"]["kafka"]
        said = kafka["topicConfiguration"]
        assert kafka["partitions"] == topic.partitions
        assert {key: ",".join(one) if isinstance(one, list) else str(one) for key, one in said.items()} == topic.config


def test_every_event_is_one_message_under_its_type(asyncapi: Json) -> None:
    messages = asyncapi["components"]["messages"]
    assert list(messages) == [message["title"] for message in messages.values()] == list(TYPES)
    assert [message["name"] for message in messages.values()] == [kind.__name__ for kind in TYPES.values()]


def test_operations_are_the_arrows_of_the_registry(asyncapi: Json) -> None:
    sends = {(who, "send", topic.name) for topic in TOPICS.values() for who in topic.producers if who in OURS}
    receives = {(who, "receive", topic.name) for topic in TOPICS.values() for who in topic.consumers if who in OURS}
    assert {(*name.split(".", 2),) for name in asyncapi["operations"]} == sends | receives
    for name, operation in asyncapi["operations"].items():
        service, action, topic = name.split(".", 2)
        assert operation["action"] == action
        assert operation["channel"] == {"$ref": f"#/channels/{topic}"}
        assert operation["tags"] == [{"$ref": f"#/components/tags/{service}"}]


def test_a_service_sends_the_events_that_its_code_says(asyncapi: Json) -> None:
    built = {service: {name for path in sources(service) for name in events_built(path)} for service in ALL}
    shared = [topic for topic in TOPICS.values() if topic.producers != ALL and len(topic.producers) > 1]
    assert shared
    for topic in shared:
        for service in set(topic.producers) & set(ALL):
            operation = asyncapi["operations"][f"{service}.send.{topic.name}"]
            said = {one["$ref"].rpartition("/")[2] for one in operation["messages"]}
            assert said == {kind.TYPE for kind in topic.events if kind.__name__ in built[service]}


def test_a_group_is_named_where_a_service_reads_in_one(asyncapi: Json) -> None:
    trainer = asyncapi["operations"]["trainer.receive.everloop.rollouts.v1"]["bindings"]["kafka"]["groupId"]
    group = {"type": "string", "const": "everloop.trainer"}
    replicas = {"type": "string", "pattern": r"^everloop\.trainer\.broadcast\.[0-9]+$"}
    assert trainer == {"anyOf": [group, replicas]}


@EVERY_EVENT
def test_data_has_every_field_but_the_attributes(asyncapi: Json, name: str) -> None:
    schema = resolve(asyncapi, f"{PLACE}{TYPES[name].__name__}")
    assert isinstance(schema, dict)
    assert set(schema["properties"]) == set(TYPES[name].model_fields) - ENVELOPE
    assert not schema["additionalProperties"]


def test_an_event_inside_another_has_its_attributes_as_fields(asyncapi: Json) -> None:
    inside = [name for name in asyncapi["components"]["schemas"] if name.endswith(WHOLE) and name != "CloudEvent"]
    assert inside == ["ModelVersionCreatedEvent"]
    assert set(asyncapi["components"]["schemas"][inside[0]]["properties"]) >= ENVELOPE


@EVERY_DRAFT
@EVERY_EVENT
def test_a_golden_record_is_valid_and_is_the_example(asyncapi: Json, name: str, draft: str) -> None:
    headers, value = GOLDEN[name]["headers"], GOLDEN[name]["value"]
    message = f"/components/messages/{name}"
    assert asyncapi["components"]["messages"][name]["examples"] == [{"headers": headers, "payload": value}]
    assert list(validator(asyncapi, f"{message}/headers", draft).iter_errors(headers)) == []
    assert list(validator(asyncapi, f"{message}/payload", draft).iter_errors(value)) == []


@EVERY_DRAFT
def test_a_wrong_record_is_not(asyncapi: Json, draft: str) -> None:
    message = "/components/messages/io.everloop.alert.raised.v1"
    headers, value = GOLDEN["io.everloop.alert.raised.v1"]["headers"], GOLDEN["io.everloop.alert.raised.v1"]["value"]
    data = validator(asyncapi, f"{message}/payload", draft)
    assert not data.is_valid({**value, "severity": "shrill"})
    assert not data.is_valid({**value, "colour": "red"})
    attributes = validator(asyncapi, f"{message}/headers", draft)
    assert not attributes.is_valid({**headers, "ce_type": "io.everloop.clock.moved.v1"})
    assert not attributes.is_valid({**headers, "ce_id": "7"})


def test_what_the_examples_send_is_valid(asyncapi: Json) -> None:
    message = "/components/messages/io.everloop.predictions.logged.v1"
    headers = {name: text.decode() for name, text in send_kafka.attributes("fraud")}
    assert list(validator(asyncapi, f"{message}/headers").iter_errors(headers)) == []
    in_arrow = {name: text.decode() for name, text in send_arrow.attributes("fraud")}
    assert list(validator(asyncapi, f"{message}/headers").iter_errors(in_arrow)) == []
    assert not validator(asyncapi, f"{message}/headers").is_valid({**headers, "content-type": "text/plain"})
    value = json.loads(send_kafka.rows())
    assert list(validator(asyncapi, f"{message}/payload").iter_errors(value)) == []


def test_schemas_mean_the_same_in_both_drafts(asyncapi: Json) -> None:
    schemas = asyncapi["components"]["schemas"]
    used = Counter(word for schema in schemas.values() for word in keywords(schema))
    assert set(used) <= SAME_IN_BOTH_DRAFTS
    assert all(set(one) == {"$ref"} for schema in schemas.values() for one in referring(schema))


def keywords(schema: Json) -> Iterator[str]:
    """The keywords of a schema and of those inside."""
    for word, inner in schema.items():
        yield word
        for one in subschemas(word, inner):
            yield from keywords(one)


def subschemas(word: str, inner: object) -> list[Json]:
    """The schemas below a keyword."""
    if isinstance(inner, dict) and word in {"properties", "items", "additionalProperties"}:
        return list(inner.values()) if word == "properties" else [inner]
    return inner if isinstance(inner, list) and word in {"anyOf", "allOf"} else []


def referring(schema: Json) -> Iterator[Json]:
    """The schemas inside that refer to another."""
    if "$ref" in schema:
        yield schema
    for word, inner in schema.items():
        for one in subschemas(word, inner):
            yield from referring(one)
