"""The peer of records of many rows: `python -m benchmarks.drift.loop_peer ADDRESS GROUP`, a bare loop over aiokafka.

It decodes each record and commits once a second: JSON with orjson into Python's own values, Arrow with pyarrow into
arrays. It counts nothing and publishes nothing: what it takes is what decoding alone takes, with the same client.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import orjson
import pyarrow as pa
from aiokafka import AIOKafkaConsumer

from everloop import topics
from everloop.runtime.faust_carrier import SETTINGS
from everloop.runtime.pace import LIMIT

STREAM = b"\xff\xff\xff\xff"
COMMIT_EVERY_S = 1.0


async def main(address: str, group: str) -> None:
    """Decode until a signal."""
    consumer = AIOKafkaConsumer(
        topics.PREDICTIONS.name, bootstrap_servers=address, group_id=group, enable_auto_commit=False,
        auto_offset_reset="earliest", max_partition_fetch_bytes=SETTINGS["consumer_max_fetch_size"],
    )  # fmt: skip
    async with consumer:
        committed = time.monotonic()
        while True:
            batches = await consumer.getmany(timeout_ms=500, max_records=LIMIT)
            for records in batches.values():
                for record in records:
                    decode(record.value)
            if time.monotonic() - committed >= COMMIT_EVERY_S:
                await consumer.commit()
                committed = time.monotonic()


def decode(value: bytes) -> Any:  # noqa: ANN401 -- whatever it holds
    """All values of a record, as the library gives them."""
    if not value.startswith(STREAM):
        return orjson.loads(value)
    with pa.ipc.open_stream(value) as reader:
        batch = reader.read_next_batch()
    return [
        column.to_numpy(zero_copy_only=False) if pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
        else column
        for column in batch.columns
    ]  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
