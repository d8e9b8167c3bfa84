"""Tell Everloop of many predictions at once, as one Arrow stream: what it reads fastest.

python examples/send_arrow.py [--broker HOST:PORT]
"""

from __future__ import annotations

import argparse
import time
import uuid
from datetime import UTC, datetime

import pyarrow as pa
from kafka import KafkaProducer

TOPIC = "everloop.predictions.v1"


def attributes(model: str) -> list[tuple[str, bytes]]:
    """The headers of one CloudEvent in binary mode. A record that you send again keeps its id."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", str(uuid.uuid4()).encode()),
        ("ce_source", b"https://shop.example/payments"),
        ("ce_type", b"io.everloop.predictions.logged.v1"),
        ("ce_subject", model.encode()),
        ("ce_time", datetime.now(UTC).isoformat().encode()),
        ("content-type", b"application/vnd.apache.arrow.stream"),
    ]


def rows() -> bytes:
    """Two rows as columns. What is true of all stands once, in the metadata of the schema; a feature is `f.NAME`."""
    now = round(time.time() * 1000)
    columns = {
        "prediction_id": ["tx-1001", "tx-1002"],
        "time": [now, now],
        "entity_id": ["card-7", "card-9"],
        "f.amount": [12.5, 80.0],
        "f.country": pa.array(["CH", "DE"]).dictionary_encode(),
        "score": [0.11, 0.34],
    }
    table = pa.table(columns).replace_schema_metadata({"version": "1"})
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    value: bytes = stream.getvalue().to_pybytes()
    return value


def send(producer: KafkaProducer, model: str) -> int:
    """Send, and wait until the broker has it; the offset. Key and partition are yours to choose."""
    offset: int = producer.send(TOPIC, value=rows(), headers=attributes(model)).get(timeout=30).offset
    return offset


def main() -> None:
    """Send two rows of the model `fraud`."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--broker", default="127.0.0.1:19092", help="see `everloop status`")
    producer = KafkaProducer(bootstrap_servers=options.parse_args().broker, acks="all", allow_auto_create_topics=False)
    print("sent, offset", send(producer, "fraud"))
    producer.close()


if __name__ == "__main__":
    main()
