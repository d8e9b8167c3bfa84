"""A real broker: killed, started again, nothing acknowledged is lost. Topics come from the registry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from everloop.errors import FatalError, UsageError
from everloop.local.testing import LocalBroker, local_broker
from everloop.local.topics_admin import create, registry

pytestmark = pytest.mark.kafka


@dataclass(frozen=True)
class Row:
    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


IDENTITY = "-bKuaBhGSfKvvmBR3lHIPQ"
"""One id in 64 begins with a dash, which Kafka's tool must not take for an option."""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    directory = tmp_path_factory.mktemp("kafka")
    (directory / "cluster.id").write_text(IDENTITY)
    with local_broker(directory) as started:
        yield started


def produce(address: str, topic: str, value: bytes) -> int:
    producer = KafkaProducer(bootstrap_servers=address, acks="all")
    offset = producer.send(topic, value).get(timeout=20).offset
    producer.close()
    return int(offset)


def consume(address: str, topic: str) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest", consumer_timeout_ms=10_000)
    consumer.assign([TopicPartition(topic, 0)])
    value = next(consumer).value
    consumer.close()
    return [value]


def test_a_record_survives_kill(broker: LocalBroker) -> None:
    create(broker.address, [Row("survivors", 1)])
    produce(broker.address, "survivors", b"still here")
    broker.kill()
    broker.start()
    assert consume(broker.address, "survivors") == [b"still here"]


def test_topics_are_created_once(broker: LocalBroker) -> None:
    names = [topic.name for topic in registry()]
    assert create(broker.address) == names
    assert create(broker.address) == []


def test_a_topic_of_an_earlier_release_gets_what_readers_need_and_keeps_the_rest(broker: LocalBroker) -> None:
    needed = {"compression.type": "uncompressed", "message.timestamp.type": "LogAppendTime"}
    create(broker.address, [Row("older", 1, {"retention.ms": "1000"})])
    assert create(broker.address, [Row("older", 1, {**needed, "retention.ms": "2000"})]) == []
    assert settings(broker.address, "older") == {**needed, "retention.ms": "1000"}


def settings(address: str, topic: str) -> dict[str, str]:
    """What is set for a topic itself."""
    client = KafkaAdminClient(bootstrap_servers=address)
    try:
        (found,) = client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])["topic"].values()
    finally:
        client.close()
    return {name: one["value"] for name, one in found.items() if one["config_source"] == "DYNAMIC_TOPIC_CONFIG"}


def test_another_number_of_partitions_is_refused(broker: LocalBroker) -> None:
    create(broker.address, [Row("four", 4)])
    with pytest.raises(UsageError, match="topic four has 4 partitions, the registry says 5"):
        create(broker.address, [Row("new", 1), Row("four", 5)])
    assert create(broker.address, [Row("new", 1)]) == ["new"]


def test_a_topic_that_kafka_refuses_is_told(broker: LocalBroker) -> None:
    with pytest.raises(FatalError, match="Kafka refuses topic odd"):
        create(broker.address, [Row("odd", 1, {"cleanup.policy": "sometimes"})])


def test_a_cluster_id_may_begin_with_a_dash(broker: LocalBroker) -> None:
    assert f"cluster.id={IDENTITY}" in (broker.settings.data / "meta.properties").read_text()


def test_the_broker_writes_its_log(broker: LocalBroker) -> None:
    assert "KafkaRaftServer" in broker.log.read_text()
