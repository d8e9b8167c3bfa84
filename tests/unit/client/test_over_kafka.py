"""Over Kafka: the record is the event that `docs/events.md` describes."""

from __future__ import annotations

from uuid import UUID

import orjson

from everloop import topics
from everloop.client.batches import Batch
from everloop.client.over_kafka import PLACES, KafkaTransport, headers
from everloop.client.sending import Later
from everloop.codec import decode
from everloop.events import LabelsLogged, PredictionsLogged
from everloop.local.ports import free_ports

NAME = "583be908-611f-5681-ab30-3382585402af"
PREDICTIONS = Batch(NAME, "predictions", "fraud", 1, 1_767_268_800_000, orjson.dumps({
    "version": "1", "prediction_id": ["a"], "times": [1_767_268_800_000], "features": {"x": [1]}, "score": [0.1],
}))  # fmt: skip


def test_a_record_is_an_event_whose_id_is_that_of_the_batch() -> None:
    event = decode(PREDICTIONS.body, headers(PREDICTIONS))
    assert isinstance(event, PredictionsLogged)
    assert (event.id, event.model, event.version, event.source) == (UUID(NAME), "fraud", "1", "producer")
    labels = PREDICTIONS._replace(kind="labels", body=b'{"prediction_id":["a"],"label":[1],"labelled_at":[5]}')
    assert isinstance(decode(labels.body, headers(labels)), LabelsLogged)
    assert [PLACES[kind][0] for kind in ("predictions", "labels")] == [topics.PREDICTIONS, topics.LABELS]


def test_nobody_there_is_tried_again() -> None:
    transport = KafkaTransport(f"127.0.0.1:{free_ports(1)[0]}", 0.2)
    assert isinstance(transport.send(PREDICTIONS), Later)
    transport.close()
