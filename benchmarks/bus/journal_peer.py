"""The peer of `bus.journal`: `python -m benchmarks.bus.journal_peer ADDRESS GROUP`, a bare loop over kafka-python.

Record by record: decode, decide, write, wait for the acknowledgement, commit. A crash between the last two says a
decision twice, two replicas decide twice, and nothing is read back: that is what the journal rule is for.
"""

from __future__ import annotations

import sys
from collections import Counter

import orjson
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from benchmarks.bus.counting import COUNTS
from everloop import topics


def main(address: str, group: str) -> None:
    """Decide until a signal."""
    consumer = KafkaConsumer(
        topics.WINDOWS.name, bootstrap_servers=address, group_id=group, enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    producer = KafkaProducer(bootstrap_servers=address, acks="all")
    decided: Counter[bytes] = Counter()
    for record in consumer:
        window = orjson.loads(record.value)
        decided[record.key] += 1
        said = {
            "start": window["start"], "end": window["end"], "verdict": "stable" if window["arms"] else "too_few",
            "sequence": decided[record.key],
        }  # fmt: skip
        sent = producer.send(COUNTS.name, orjson.dumps(said), record.key, partition=record.partition)
        sent.get(timeout=30)
        place = TopicPartition(record.topic, record.partition)
        consumer.commit({place: OffsetAndMetadata(record.offset + 1, "", -1)})


if __name__ == "__main__":
    main(*sys.argv[1:])
