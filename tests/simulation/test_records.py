"""The records of a whole run held to the registry: what travels where, under which key, in which partition."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from everloop.buckets import hashes, lanes_in, partition
from everloop.codec import decode
from everloop.events import EVERY_MODEL, Event, WindowsKept
from everloop.runtime.log import Record
from everloop.topics import DLQ, PARTITIONS, REPORTS, TOPICS, Topic
from tests.docs.asyncapi import described, validator
from tests.simulation.stack import Stack

ELSEWHERE = (DLQ, REPORTS)
"""Nothing fails here, and the room of reports has tests of its own."""
EVERY_TOPIC = pytest.mark.parametrize(
    "topic", [one for one in TOPICS.values() if one not in ELSEWHERE],
    ids=lambda one: one.name,
)  # fmt: skip

SOME = 20
"""Records of each type and topic that are validated: what differs between records is seen in the first few."""


def heard(stack: Stack, topic: Topic) -> Iterator[tuple[Record, Event]]:
    """Every record of a topic but tombstones, with its event."""
    for record in stack.records(topic):
        if record.value is not None:
            yield record, decode(record.value, record.headers)


@EVERY_TOPIC
def test_a_topic_carries_the_events_that_it_is_registered_with(undisturbed: Stack, topic: Topic) -> None:
    assert {type(event) for _, event in heard(undisturbed, topic)} <= set(topic.events)


@EVERY_TOPIC
def test_a_record_has_the_key_that_the_registry_says(undisturbed: Stack, topic: Topic) -> None:
    for record, event in heard(undisturbed, topic):
        assert record.key is not None
        if topic.key == "model":
            assert record.key.decode() == event.model
        elif topic.key == "model and epoch":
            assert record.key.decode() == f"{event.model}:{getattr(event, 'epoch', None)}"
        elif isinstance(event, WindowsKept):
            assert record.key.decode().endswith(f"|{event.model}")
        elif topic.key != "any":
            assert f"|{getattr(event, 'topic', None)}|{getattr(event, 'partition', None)}" in record.key.decode()


@EVERY_TOPIC
def test_a_record_stands_where_the_registry_says(undisturbed: Stack, topic: Topic) -> None:
    found = list(heard(undisturbed, topic))
    assert found
    for record, event in found:
        if topic.placed_by == "model" and event.model != EVERY_MODEL:
            assert record.place.partition == partition(event.model, PARTITIONS)
        elif topic.placed_by == "source":
            assert record.place.partition == getattr(event, "partition", None)
        elif topic.placed_by == "prediction id":
            ids = getattr(event, "prediction_id", ())
            assert set(lanes_in(hashes(ids), PARTITIONS).tolist()) <= {record.place.partition}


@EVERY_TOPIC
def test_a_record_is_valid_by_the_asyncapi_document(undisturbed: Stack, topic: Topic) -> None:
    document = described()
    found = list(heard(undisturbed, topic))
    for kind in {type(event) for _, event in found}:
        message = f"/components/messages/{kind.TYPE}"
        attributes, data = validator(document, f"{message}/headers"), validator(document, f"{message}/payload")
        for record, _ in [one for one in found if type(one[1]) is kind][:SOME]:
            headers = {name: text.decode() for name, text in record.headers}
            assert list(attributes.iter_errors(headers)) == []
            assert list(data.iter_errors(orjson.loads(record.value or b""))) == []
