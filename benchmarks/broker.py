"""A real Kafka of a benchmark's own, the records that it starts with, and how far a group has read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as Sent

from everloop.errors import FatalError
from everloop.local import topics_admin
from everloop.local.testing import running_broker
from everloop.replay.offsets import KafkaOffsets
from everloop.replay.quiescence import Patience
from everloop.runtime.log import Message, Place

FLUSH_S: Final = 240.0
POLL_EVERY: Final = 1_000
MOST_WAITING: Final = 1 << 28
"""Bytes: a broker that is given more at once than its disk takes loses its leader for a while."""


@contextmanager
def broker(folder: Path, *more: topics_admin.Wanted) -> Iterator[str]:
    """The address of a fresh broker with the topics of the registry and some more; stopped and forgotten at the end."""
    with running_broker(folder) as address:
        topics_admin.create(address)
        topics_admin.create(address, more)
        yield address


def load(address: str, messages: Iterable[Message]) -> None:
    """Write records, acknowledged by the broker. librdkafka does it: a load must cost less than what it is for."""
    problems: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Sent) -> None:
        if error is not None:
            problems.append(error)

    producer = Producer({
        "bootstrap.servers": address, "acks": "all", "linger.ms": 20, "message.max.bytes": 8 << 20,
        "queue.buffering.max.messages": 2_000_000, "queue.buffering.max.kbytes": 1 << 20,
    })  # fmt: skip
    for number, one in enumerate(messages):
        if number % POLL_EVERY == 0:
            producer.poll(0)
        while len(producer) * len(one.value or b"") > MOST_WAITING:
            producer.poll(0.01)
        producer.produce(one.place.topic, one.value, one.key, one.place.partition, delivered, headers=list(one.headers))
    left = producer.flush(FLUSH_S)
    if left or problems:
        raise FatalError(f"{left + len(problems)} records of the load were not acknowledged")


def records(committed: Mapping[Place, int]) -> int:
    """How many records lie before these offsets."""
    return sum(committed.values())


@contextmanager
def progress(
    address: str, group: str, places: Sequence[Place], count: Callable[[Mapping[Place, int]], int] = records
) -> Iterator[Callable[[], int]]:
    """A function that says how much of these places a group has committed: what `count` makes of its offsets."""
    offsets, patience = KafkaOffsets(address), Patience(limit_s=FLUSH_S)

    def committed() -> int:
        return count(offsets.committed({group: places}).get(group, {}))

    def nobody_answers() -> list[str]:
        """A fresh broker makes its topic of offsets when it is asked for the first time."""
        try:
            committed()
        except FatalError as error:
            return [str(error)]
        return []

    try:
        patience.until(nobody_answers, "an answer for committed offsets")
        yield committed
    finally:
        offsets.close()
