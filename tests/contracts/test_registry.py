"""The registry held to itself: legal names, every event has a home, journals are assigned together, retention."""

from __future__ import annotations

import re

import pytest

from everloop.events import TYPES, Event
from everloop.topics import ALL, CLOCK, DLQ, KEYS, PARTITIONS, TOPICS, Topic
from everloop_ingest.domain.joining import HORIZON_MS

KNOWN = {*ALL, "cli", "producers", "subscribers"}
EVERY_TOPIC = pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)


@EVERY_TOPIC
def test_a_topic_has_a_legal_name_and_stands_under_it(topic: Topic) -> None:
    assert re.fullmatch(r"everloop\.[a-z]+\.v[1-9][0-9]*", topic.name)
    assert len(topic.name) <= 249
    assert TOPICS[topic.name] is topic


@EVERY_TOPIC
def test_a_topic_says_what_travels_on_it_and_who_writes_and_reads_it(topic: Topic) -> None:
    assert topic.events
    assert topic.meaning
    assert topic.producers
    assert topic.consumers
    assert set(topic.producers) | set(topic.consumers) <= KNOWN


@EVERY_TOPIC
def test_everything_has_the_same_number_of_partitions_since_it_is_assigned_together(topic: Topic) -> None:
    assert topic.partitions == PARTITIONS


@EVERY_TOPIC
def test_a_journal_is_keyed_by_model_kept_for_ever_and_written_by_one_service_that_reads_it_back(topic: Topic) -> None:
    if topic.journal:
        assert topic.key == topic.placed_by == "model"
        assert topic.cleanup == "forever"
        assert len(topic.producers) == 1
        assert set(topic.producers) <= set(topic.consumers)
        assert topic.config["retention.ms"] == "-1"
    else:
        assert not any(kind.TYPE in _journalled() for kind in topic.events)


def _journalled() -> set[str]:
    return {kind.TYPE for topic in TOPICS.values() if topic.journal for kind in topic.events}


@EVERY_TOPIC
def test_what_is_kept_follows_from_what_is_wanted(topic: Topic) -> None:
    assert topic.config["message.timestamp.type"] == "LogAppendTime"
    match topic.cleanup:
        case "forever":
            assert topic.config["cleanup.policy"] == "delete"
            assert topic.config["retention.ms"] == "-1"
        case "compact":
            assert topic.config["cleanup.policy"] == "compact"
            assert "retention.ms" not in topic.config
        case "time":
            assert int(topic.config["retention.ms"]) == topic.retention_ms > 0


@EVERY_TOPIC
def test_what_has_no_dead_letters_is_written_by_ourselves_alone(topic: Topic) -> None:
    assert topic.dead_letters or "producers" not in topic.producers


def test_the_keys_of_the_join_are_kept_as_long_as_the_join_remembers() -> None:
    assert KEYS.retention_ms >= HORIZON_MS


def test_every_event_type_travels_on_a_topic_and_every_event_of_a_topic_is_a_wire_type() -> None:
    travelling = {kind for topic in TOPICS.values() for kind in topic.events}
    assert travelling == set(TYPES.values())


@pytest.mark.parametrize("name", TYPES)
def test_an_event_type_has_a_legal_name_a_version_and_a_meaning(name: str) -> None:
    kind = TYPES[name]
    assert re.fullmatch(r"io\.everloop\.[a-z-]+\.[a-z-]+\.v[1-9][0-9]*", name)
    assert name == kind.TYPE
    assert kind.__doc__
    assert kind.model_config["frozen"]
    assert kind.model_config["extra"] == "forbid"


def test_no_two_event_classes_share_a_type() -> None:
    wire = [kind.TYPE for kind in _all_events() if kind.TYPE]
    assert len(wire) == len(set(wire)) == len(TYPES)


def _all_events() -> list[type[Event]]:
    found: list[type[Event]] = list(Event.__subclasses__())
    for kind in found:
        found.extend(kind.__subclasses__())
    return found


def test_every_service_may_raise_alerts_and_dead_letters() -> None:
    assert DLQ.producers == ALL
    assert TOPICS["everloop.alerts.v1"].producers == ALL


def test_everything_but_serving_has_a_clock() -> None:
    assert set(CLOCK.consumers) == set(ALL) - {"serving"}
