"""Batches straight to Kafka: CloudEvents in binary mode, as `docs/events.md` says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from everloop import topics
from everloop.buckets import partition
from everloop.client.batches import Batch
from everloop.client.sending import Accepted, Answer, Later, Refused
from everloop.client.values import Kind
from everloop.codec import Headers, envelope
from everloop.events import FeedbackLogged, LabelsLogged, PredictionsLogged
from everloop.topics import Topic

SOURCE: Final = "client"
LARGEST: Final = 8 << 20
PLACES: Final[dict[Kind, tuple[Topic, str]]] = {
    "predictions": (topics.PREDICTIONS, PredictionsLogged.TYPE),
    "labels": (topics.LABELS, LabelsLogged.TYPE),
    "feedback": (topics.LABELS, FeedbackLogged.TYPE),
}


class KafkaTransport:
    """A producer of its own. The id of a batch is that of its event and says its partition: repeats are known there."""

    def __init__(self, address: str, timeout_s: float) -> None:
        """Nothing is opened yet."""
        self._address: Final = address
        self._timeout_s: Final = timeout_s
        self._producer: KafkaProducer | None = None

    def send(self, batch: Batch) -> Answer:
        """Write one record, and wait until all in-sync replicas have it."""
        topic, _ = PLACES[batch.kind]
        try:
            producer = self._producer = self._producer or self._connect()
            count = len(producer.partitions_for(topic.name) or ())
            if not count:
                return Later(f"the broker has no topic {topic.name}")
            place = partition(batch.id, count)
            sent = producer.send(topic.name, batch.body, batch.model.encode(), list(headers(batch)), place)
            sent.get(timeout=self._timeout_s)
        except (MessageSizeTooLargeError, RecordListTooLargeError):
            return Refused("a row is too large for a record")
        except KafkaError as error:
            return Later(f"the broker does not acknowledge: {type(error).__name__}")
        return Accepted()

    def close(self) -> None:
        """Close the connection."""
        if self._producer is not None:
            self._producer.close(timeout=1)
            self._producer = None

    def _connect(self) -> KafkaProducer:
        wait_ms = round(self._timeout_s * 1000)
        return KafkaProducer(
            bootstrap_servers=self._address, client_id="everloop-client", acks="all", max_request_size=LARGEST,
            allow_auto_create_topics=False, delivery_timeout_ms=wait_ms, request_timeout_ms=wait_ms,
            max_block_ms=wait_ms, bootstrap_timeout_ms=wait_ms, reconnect_backoff_max_ms=1_000, metrics_enabled=False,
        )  # fmt: skip


def headers(batch: Batch) -> Headers:
    """Give the attributes of a batch's event."""
    made = datetime.fromtimestamp(batch.made_ms / 1000, UTC)
    kind = PLACES[batch.kind][1]
    return envelope(kind, UUID(batch.id), made, batch.model, source=SOURCE, recorded=made)
