"""`docs/asyncapi.yaml`: topics, events and who sends and receives them, as one AsyncAPI document for machines.

AsyncAPI describes one application from its own side. Ours is Everloop, a group of services: `send` and `receive` are
said by one of them, which an operation names and is tagged with. What producers and subscribers of others do is the
other side of that, and no operation; the channels say where they take part.

Version 3.0.0, since every tool that reads 3 reads it, and 3.1 has nothing that we would use. Schemas stand without
`schemaFormat`, so they are AsyncAPI's own: JSON Schema draft 07 and more. There is no format for 2020-12, nor need of
one: see `schemas`. Written out beside each payload, the same format makes AsyncAPI's generator of models skip events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module, metadata
from typing import Any, Final

from everloop.codec import ARROW, JSON
from everloop.docs.events import Golden
from everloop.docs.schemas import ATTRIBUTES, ref, schemas
from everloop.docs.text import one_line, yaml_text
from everloop.docs.topics import OUTSIDE, kept
from everloop.events import TYPES, Event, FeedbackJoined, HeartbeatSent, PredictionsLogged
from everloop.groups import ROOMS, expected
from everloop.local.properties import LOOPBACK
from everloop.local.stack import INFRASTRUCTURE_PORTS
from everloop.topics import ALL, TOPICS, Placing, Topic

Json = dict[str, Any]

NOTICE: Final = "# Generated from the code by `make docs`. Do not edit.\n"
VERSION: Final = "3.0.0"
BINDING: Final = "0.5.0"
"""Version of the Kafka bindings."""
OURS: Final = (*ALL, "cli")
"""Who sends and receives for Everloop."""
OTHERS: Final = tuple(name for name in OUTSIDE if name not in OURS)
"""Who stands outside."""
PLACED: Final[Mapping[Placing, str]] = {
    "model": "its partition follows from the model",
    "prediction id": "its partition follows from the prediction id",
    "source": "in the partition of the record that was read",
    "any": "in any partition",
}
ONLY_SAID_BY: Final[Mapping[type[Event], tuple[str, ...]]] = {
    HeartbeatSent: ("ingest",), FeedbackJoined: ("ingest",)
}  # fmt: skip
"""Where not every service that writes a topic says each of its events. A test compares it with the code."""
ABOUT: Final = """\
Everloop keeps deployed models fit: drift detection in event-time windows, training, a gate, canary rollout, all through
these topics. The document describes all of it as one application: an operation is one of its services (its tag), which
sends or receives on one topic.

Events are CloudEvents 1.0 in binary mode, as described here. Structured mode (`application/cloudevents+json`) is
accepted as well. On the topic of predictions a plain JSON object with the fields of one row is too, and an Arrow stream
(`application/vnd.apache.arrow.stream`), whose columns stand in docs/events.md; the payload described here is that of
JSON. The schemas use only what JSON Schema drafts 07 and 2020-12 read alike.

Delivery is at least once. An event's id is computed from its cause, so a repeat is known by its id. In journals a
record counts only when `ce_sequence` is the next one of its model."""


def asyncapi_page(golden: Mapping[str, Golden]) -> str:
    """The whole document."""
    return f"{NOTICE}{yaml_text(document(golden))}"


def document(golden: Mapping[str, Golden]) -> Json:
    """The document as JSON values."""
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Everloop",
            "version": metadata.version("everloop"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [_at("components", "tags", name) for name in (*OURS, "journal", *OTHERS)],
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": f"{LOOPBACK}:{INFRASTRUCTURE_PORTS['broker']}",
                "protocol": "kafka",
                "description": "The Kafka of `everloop up`, at its usual port.",
            }
        },
        "channels": {topic.name: _channel(topic) for topic in TOPICS.values()},
        "operations": dict(_operations()),
        "components": {
            "messages": {name: _message(kind, golden.get(name)) for name, kind in TYPES.items()},
            "schemas": schemas(),
            "correlationIds": {
                "turn": {"location": "$message.header#/ce_correlationid", "description": "The turn of the loop."}
            },
            "tags": dict(_tags()),
        },
    }


def _at(*path: str) -> Json:
    return {"$ref": "#/" + "/".join(path)}


def _tags() -> Iterator[tuple[str, Json]]:
    """Services as their packages describe themselves, found by name, since `everloop` imports no service."""
    for name in ALL:
        yield name, {"name": name, "description": one_line(import_module(f"everloop_{name}").__doc__)}
    yield "cli", {"name": "cli", "description": "The command `everloop`: what a person does."}
    yield "journal", {"name": "journal", "description": "One decision is one record, numbered per model."}
    yield "producers", {"name": "producers", "description": "Your servers may write here."}
    yield "subscribers", {"name": "subscribers", "description": "Made for your programs to read."}


def _channel(topic: Topic) -> Json:
    others = [name for name in OTHERS if name in (*topic.producers, *topic.consumers)]
    tags = [*(["journal"] if topic.journal else []), *others]
    gone = "; a record without a value takes its key away" if topic.cleanup == "compact" else ""
    return {
        "address": topic.name,
        "summary": topic.meaning,
        "description": f"Key: {topic.key}; {PLACED[topic.placed_by]}. Kept: {kept(topic)}{gone}.",
        "messages": {kind.TYPE: _at("components", "messages", kind.TYPE) for kind in topic.events},
        **({"tags": [_at("components", "tags", name) for name in tags]} if tags else {}),
        "bindings": _kafka(partitions=topic.partitions, topicConfiguration=_configuration(topic)),
    }


def _kafka(**binding: object) -> Json:
    return {"kafka": {**binding, "bindingVersion": BINDING}}


def _configuration(topic: Topic) -> Json:
    typed = {name: int(value) if re.fullmatch(r"-?\d+", value) else value for name, value in topic.config.items()}
    return {**typed, "cleanup.policy": topic.config["cleanup.policy"].split(",")}


def _operations() -> Iterator[tuple[str, Json]]:
    """Service by service, what it receives and what it sends."""
    for service in OURS:
        for topic in TOPICS.values():
            if service in topic.consumers:
                yield f"{service}.receive.{topic.name}", _operation(service, "receive", topic)
        for topic in TOPICS.values():
            if service in topic.producers:
                yield f"{service}.send.{topic.name}", _operation(service, "send", topic)


def _operation(service: str, action: str, topic: Topic) -> Json:
    said = [kind for kind in topic.events if action == "receive" or service in ONLY_SAID_BY.get(kind, OURS)]
    groups = list(_groups(service, topic)) if action == "receive" else []
    return {
        "action": action,
        "channel": _at("channels", topic.name),
        "messages": [_at("channels", topic.name, "messages", kind.TYPE) for kind in said],
        "tags": [_at("components", "tags", service)],
        **({"bindings": _kafka(groupId=_one_of(groups))} if groups else {}),
    }


def _groups(service: str, topic: Topic) -> Iterator[Json]:
    """The consumer groups in which a service reads a topic; what is read without one has none."""
    processes = [room.process for room in ROOMS if room.name.partition(".")[0] == service]
    for group, names in expected(processes).items():
        if topic.name in names:
            name, broadcast, _ = group.rpartition(".broadcast.")
            replicas = {"type": "string", "pattern": f"^{re.escape(name + broadcast)}[0-9]+$"}
            yield replicas if broadcast else {"type": "string", "const": group}


def _one_of(known: list[Json]) -> Json:
    return known[0] if len(known) == 1 else {"anyOf": known}


def _message(kind: type[Event], example: Golden | None) -> Json:
    topics = [topic for topic in TOPICS.values() if kind in topic.events]
    forms = (JSON, ARROW) if kind is PredictionsLogged else (JSON,)
    known = {"ce_type": {"const": kind.TYPE}, "content-type": {"pattern": f"^({'|'.join(map(_literal, forms))})"}}
    headers = {"type": "object", "allOf": [ref(ATTRIBUTES)], "properties": known}
    numbered = {"required": ["ce_sequence"]} if all(topic.journal for topic in topics) else {}
    return {
        "name": kind.__name__,
        "title": kind.TYPE,
        "summary": one_line(kind.__doc__).partition("\n")[0],
        "headers": headers | numbered,
        "payload": ref(kind.__name__),
        "correlationId": _at("components", "correlationIds", "turn"),
        "bindings": _kafka(key=_key(topics)),
        **({"examples": [{"headers": example["headers"], "payload": example["value"]}]} if example else {}),
    }


def _literal(form: bytes) -> str:
    return re.escape(form.decode())


def _key(topics: Iterable[Topic]) -> Json:
    """What the key holds; per topic where it differs."""
    keys = {topic.name: topic.key for topic in topics}
    if "any" in keys.values():
        return {"description": "any, or none"}
    same = len(set(keys.values())) == 1
    says = next(iter(keys.values())) if same else "; ".join(f"{key} on {name}" for name, key in keys.items())
    return {"type": "string", "description": says}
