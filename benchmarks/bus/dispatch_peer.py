"""The peer of `bus.dispatch`: `python -m benchmarks.bus.dispatch_peer ADDRESS GROUP`, a bare loop over aiokafka.

It gives what ours gives: state with its offset, acknowledged by the broker, then the commit; 2,000 records at a time at
most. It leaves out what a bare loop leaves out: the contract of the record, rebalances, and what is broadcast.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.bus.counting import ROWS, count
from everloop.runtime.pace import LIMIT


async def main(address: str, group: str) -> None:
    """Count until a signal."""
    producer = AIOKafkaProducer(bootstrap_servers=address, acks="all")
    consumer = AIOKafkaConsumer(
        ROWS.name, bootstrap_servers=address, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    rows: Counter[int] = Counter()
    async with producer, consumer:
        while True:
            batches = await consumer.getmany(timeout_ms=500, max_records=LIMIT)
            sent = []
            for place, records in batches.items():
                for record in records:
                    rows[place.partition] += len(orjson.loads(record.value)["prediction_id"])
                one = count(place.partition, rows[place.partition], records[-1].offset)
                sent.append(await producer.send(one.place.topic, one.value, one.key, one.place.partition))
            for acknowledged in sent:
                await acknowledged
            if batches:
                await consumer.commit({place: records[-1].offset + 1 for place, records in batches.items()})


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
