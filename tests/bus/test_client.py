"""The client and a real broker: what was logged stands in the log."""

from __future__ import annotations

import pytest

from everloop import topics
from everloop.client import Client
from everloop.codec import decode
from everloop.events import LabelsLogged, PredictionsLogged
from everloop.local import topics_admin
from everloop.runtime.kafka_log import KafkaLog
from everloop.runtime.log import Place
from tests.unit.client.fakes import FAST, ROW


@pytest.mark.kafka
def test_a_real_kafka_has_what_was_logged(kafka: str) -> None:
    topics_admin.create(kafka)
    with Client(kafka, model="sdk", version="1", limits=FAST) as client:
        client.log_predictions([ROW, ROW], [0.1, 0.2], prediction_id=["a", "b"])
        client.log_labels(["a", "b"], [0, 1])
    assert client.stats().sent == 4
    log = KafkaLog(kafka, client_id="test-sdk")
    try:
        for topic in (topics.PREDICTIONS, topics.LABELS):
            places = [Place(topic.name, number) for number in range(topic.partitions)]
            tail, ends = log.tail(), log.ends(places)
            tail.seek(dict.fromkeys(places, 0))
            found = [
                one for one in tail.read_to(ends) if ("ce_subject", b"sdk") in one.headers
            ]  # others write here, too
            (mine,) = [decode(one.value, one.headers) for one in found]
            assert isinstance(mine, PredictionsLogged | LabelsLogged)
            assert mine.prediction_id == ("a", "b")
    finally:
        log.close()
