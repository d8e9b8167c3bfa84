"""The log on a real Kafka, through kafka-python: the carrier of the control plane. The only importer of that package.

Settings are those of `docs/adr` and the measured traps: earliest, manual commits, range assignor, fast reconnects.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import KafkaError
from kafka.future import Future
from kafka.structs import OffsetAndMetadata

from everloop.errors import FatalError
from everloop.runtime.log import Assignment, Consumer, Message, Place, Record, Tail, headers_of

ACKNOWLEDGE_S = 30.0
READ_S = 30.0
MAX_REQUEST = 8 * 1024 * 1024
SESSION_MS = 6_000
HEARTBEAT_MS = 1_500
MAX_POLL_RECORDS = 200
ENDS_TRIES = 20
ENDS_PAUSE_S = 0.1


class KafkaLog:
    """One process's connection to a Kafka. Not for use from an event loop's thread."""

    def __init__(self, address: str, *, client_id: str, static: str | None = None) -> None:
        """Connect. `static` names the member for static membership: it is back quickly after a restart."""
        self.common = {"bootstrap_servers": address, "reconnect_backoff_max_ms": 1_000, "metrics_enabled": False}
        self.client_id = client_id
        self.static = static
        self.counts: dict[str, int] = {}
        self.committers: dict[str, KafkaConsumer] = {}
        self.points: KafkaTail | None = None
        try:
            self.producer = KafkaProducer(
                **self.common, client_id=client_id, acks="all", max_request_size=MAX_REQUEST,
                allow_auto_create_topics=False, delivery_timeout_ms=30_000, request_timeout_ms=20_000,
            )  # fmt: skip
            self.reader = self._consumer(None)
        except KafkaError as error:
            raise FatalError(f"no Kafka answers at {address}: {type(error).__name__}") from error

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has. Raises `FatalError` when there is no such topic."""
        if topic not in self.counts:
            found = self.reader.partitions_for_topic(topic)
            if not found:
                raise FatalError(f"topic {topic} does not exist on this broker; `everloop up` creates the topics")
            self.counts[topic] = len(found)
        return self.counts[topic]

    def publish(self, messages: Sequence[Message]) -> list[int]:
        """Write, and wait for the acknowledgement of each. Raises `FatalError` when one does not come in 30 s."""
        try:
            sent = [
                self.producer.send(m.place.topic, m.value, m.key, list(m.headers), m.place.partition) for m in messages
            ]
            return [future.get(timeout=ACKNOWLEDGE_S).offset for future in sent]
        except KafkaError as error:
            raise FatalError(f"a record was not acknowledged: {type(error).__name__}") from error

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The next offset of each place, asked for now."""
        wanted = {_partition(place): place for place in places}
        found = self._ends(list(wanted)) if wanted else {}
        return {wanted[partition]: offset for partition, offset in found.items()}

    def _ends(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Ask again where kafka-python stumbles over a partition whose leader it looks up at this moment."""
        for _ in range(ENDS_TRIES):
            try:
                found: Mapping[TopicPartition, int] = self.reader.end_offsets(partitions)
            except KafkaError as error:
                raise FatalError(f"the broker did not answer for end offsets: {type(error).__name__}") from error
            except KeyError:
                time.sleep(ENDS_PAUSE_S)
            else:
                return found
        raise FatalError(f"the broker did not answer for all end offsets, {ENDS_TRIES} times")

    def committed(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        """The committed offsets of a group; 0 where nothing was."""
        return {place: self._committer(group).committed(_partition(place)) or 0 for place in places}

    def commit_as(self, group: str, offsets: Mapping[Place, int]) -> None:
        """Commit under the name of a group without members."""
        _commit(self._committer(group), offsets)

    def tail(self) -> Tail:
        """A reader without a group."""
        return KafkaTail(self._consumer(None))

    def record_at(self, place: Place, offset: int) -> Record | None:
        """The record at an offset below the end; None where compaction took it. One small fetch."""
        if self.points is None:  # the broker gives a whole batch where a single byte is asked for
            self.points = KafkaTail(self._consumer(None, max_partition_fetch_bytes=1, fetch_max_wait_ms=1))
        self.points.seek({place: offset})
        return next((one for one in self.points.read_to({place: offset + 1}) if one.offset == offset), None)

    def consumer(self, group: str, topics: Sequence[str]) -> Consumer:
        """Join a group; all topics are assigned together by the range assignor."""
        member = self._consumer(group, group_instance_id=f"{group}.{self.static}" if self.static else None)
        return KafkaMember(member, topics)

    def close(self) -> None:
        """Close every connection."""
        for consumer in (self.reader, *self.committers.values(), *filter(None, [self.points])):
            consumer.close()
        self.producer.close(timeout=5)

    def _committer(self, group: str) -> KafkaConsumer:
        if group not in self.committers:
            self.committers[group] = self._consumer(group)
        return self.committers[group]

    def _consumer(self, group: str | None, **more: object) -> KafkaConsumer:
        settings = {"max_partition_fetch_bytes": MAX_REQUEST, **self.common, **more}
        return KafkaConsumer(
            client_id=self.client_id, group_id=group, enable_auto_commit=False,
            auto_offset_reset="earliest", isolation_level="read_committed",
            partition_assignment_strategy=[RangePartitionAssignor],
            session_timeout_ms=SESSION_MS, heartbeat_interval_ms=HEARTBEAT_MS, max_poll_records=MAX_POLL_RECORDS,
            allow_auto_create_topics=False, **settings,
        )  # fmt: skip


class KafkaTail:
    """Reads places without a group."""

    def __init__(self, consumer: KafkaConsumer) -> None:
        """See `KafkaLog.tail`."""
        self.consumer = consumer
        self.positions: dict[Place, int] = {}
        self.ahead: dict[Place, list[Record]] = {}

    def seek(self, positions: Mapping[Place, int]) -> None:
        """Read exactly these places, from these offsets."""
        self.positions = dict(positions)
        self.ahead = {place: [] for place in positions}
        self.consumer.assign([_partition(place) for place in positions])
        for place, offset in positions.items():
            self.consumer.seek(_partition(place), offset)

    def read_to(self, ends: Mapping[Place, int]) -> list[Record]:
        """All records up to the ends (exclusive), in order per place. Raises `FatalError` after 30 s without one."""
        found = [record for place, end in ends.items() for record in self._fetched(place, end)]
        deadline = time.monotonic() + READ_S
        while any(self.positions[place] < end for place, end in ends.items()):
            polled = _poll(self.consumer, 100)
            for partition, records in polled.items():
                place = Place(partition.topic, partition.partition)
                self.ahead[place] += [_record(record) for record in records]
                found += self._fetched(place, ends.get(place, 0))
            if polled:
                deadline = time.monotonic() + READ_S
            else:
                self._step_over_holes(ends)
            if time.monotonic() > deadline:
                raise FatalError("the broker named an end offset, but its records did not come in 30 s")
        return found

    def _fetched(self, place: Place, end: int) -> list[Record]:
        """What was fetched of this place before `end`. A fetch may bring more: that waits for the next call."""
        ahead = self.ahead[place]
        cut = next((index for index, record in enumerate(ahead) if record.offset >= end), len(ahead))
        ready, self.ahead[place] = ahead[:cut], ahead[cut:]
        if ready:
            self.positions[place] = ready[-1].offset + 1
        if self.ahead[place]:
            self.positions[place] = max(self.positions[place], min(end, self.ahead[place][0].offset))
        return ready

    def close(self) -> None:
        """Let go of the connection."""
        self.consumer.close()

    def _step_over_holes(self, ends: Mapping[Place, int]) -> None:
        """Compaction leaves holes at the end; the client's own position has passed them."""
        for place in ends:
            if not self.ahead[place]:
                self.positions[place] = max(self.positions[place], self.consumer.position(_partition(place)) or 0)


class KafkaMember(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no type hints
    """A member of a consumer group."""

    def __init__(self, consumer: KafkaConsumer, topics: Sequence[str]) -> None:
        """Subscribe; the first polls join the group.

        What topics there are is asked for first: a member that joins without knowing is given nothing, and joins again.
        """
        self.consumer = consumer
        self.generation = 0
        for topic in topics:
            consumer.partitions_for_topic(topic)
        consumer.subscribe(list(topics), listener=self)

    def on_partitions_revoked(self, revoked: object) -> None:
        """Nothing is flushed here: what was not committed is read again by the next holder."""

    def on_partitions_assigned(self, assigned: object) -> None:
        """A new generation."""
        del assigned
        self.generation += 1

    def poll(self, timeout_s: float) -> list[Record]:
        """The next records of the held places."""
        _finish_joining(self.consumer)
        polled = _poll(self.consumer, int(timeout_s * 1000))
        return [_record(record) for records in polled.values() for record in records]

    def assignment(self) -> Assignment:
        """What is held now."""
        held = self.consumer.assignment()
        return Assignment(self.generation, frozenset(Place(p.topic, p.partition) for p in held))

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Commit. Raises `FatalError` when the group has moved on: the position is past, only a restart is safe."""
        _commit(self.consumer, offsets)

    def rewind(self, offsets: Mapping[Place, int]) -> None:
        """Read again from these offsets."""
        for place, offset in offsets.items():
            self.consumer.seek(_partition(place), offset)

    def close(self) -> None:
        """Leave the group."""
        self.consumer.close()


class _Joining:
    """A join under way, or one that has ended since the last poll, in the form that kafka-python waits for."""

    is_done = False

    def __init__(self, task: Future) -> None:
        """Take up the join of an earlier poll."""
        self.add_callback, self.add_errback = task.add_callback, task.add_errback


def _finish_joining(consumer: KafkaConsumer) -> None:
    """Take up a join that kafka-python 3.0.12 would leave half done, or would throw away.

    A rejoin whose cause is new metadata, and which outlasts one poll, is forgotten once the leader has noted the new
    metadata: `need_rejoin` says no, heartbeats stay off, and no record ever comes again.

    A join that ends between two polls is thrown away and begun anew. When it was the leader's, all members have to
    join again, and so the leader's next one ends between two polls as well: two members may never get to reading.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 -- there is no public way to see this state
    if coordinator.rejoining and not coordinator.need_rejoin():
        coordinator.request_rejoin()
    task = coordinator._join_task  # noqa: SLF001 -- as above
    if task is not None and not isinstance(task, _Joining):
        coordinator._join_task = _Joining(task)  # noqa: SLF001 -- as above


def _poll(consumer: KafkaConsumer, timeout_ms: int) -> Mapping[TopicPartition, Sequence[object]]:
    try:
        polled: Mapping[TopicPartition, Sequence[object]] = consumer.poll(timeout_ms=timeout_ms)
    except KafkaError as error:
        raise FatalError(f"records could not be fetched: {type(error).__name__}") from error
    return polled


def _commit(consumer: KafkaConsumer, offsets: Mapping[Place, int]) -> None:
    try:
        consumer.commit({_partition(place): OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()})
    except KafkaError as error:
        raise FatalError(f"offsets were not committed: {type(error).__name__}") from error


def _partition(place: Place) -> TopicPartition:
    return TopicPartition(place.topic, place.partition)


def _record(found: object) -> Record:
    r = found
    return Record(Place(r.topic, r.partition), r.offset, r.key, r.value, headers_of(r.headers), r.timestamp)  # type: ignore[attr-defined]  # untyped
