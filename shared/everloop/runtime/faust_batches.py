"""A transport for Faust that hands over whole fetched batches: one message per partition and fetch.

Faust's own loop makes several tasks per record, about 9,000 records a second; this one was measured at twenty times
that. It replaces one method of a driver whose version is pinned, and is held by the bus suite. Acknowledgements are not
Faust's: the carrier commits the offsets that it knows to be safe, through `commit_offsets`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from struct import Struct
from typing import Any, ClassVar, Final, cast

from aiokafka import conn
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords
from crc32c import crc32c
from faust.transport.drivers import TRANSPORTS, aiokafka
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message

from everloop.runtime.log import Place, Record, headers_of

SCHEME: Final = "kafkabatch"
FETCH_WAIT_MS: Final = 100
FETCH_BYTES: Final = 4 << 20
"""Of all partitions in one answer, or one batch that is larger: more is slower to read, since memory of such a size is
given back and asked for again each time, and stays resident."""

_HEAD: Final = Struct(">qiibI")
"""How a batch begins: offset, bytes that follow the first 12, epoch, version (2), CRC-32C of all that follows."""
_BEFORE_LENGTH: Final = 12
_VERSION: Final = 2


class Answer:
    """The batches of one fetched answer. Their checksums are taken by the processor, as the package crc32c has it.

    aiokafka takes them in software, which was a quarter of a fetch.
    """

    def __init__(self, data: bytes) -> None:
        """Nothing is read yet."""
        self._inner = MemoryRecords(data)
        self._data = memoryview(data)
        self._at = 0
        self.has_next, self.size_in_bytes = self._inner.has_next, self._inner.size_in_bytes

    def next_batch(self, *, check: bool) -> Any:  # noqa: ANN401 -- a batch of one of two builds of aiokafka
        """The next one; whether it is whole is looked at if it is to be. Raises `CorruptRecordException`."""
        at, batch = self._at, self._inner.next_batch()
        _, length, _, version, told = _HEAD.unpack_from(self._data, at)
        self._at = at + _BEFORE_LENGTH + length
        if check:
            modern = version == _VERSION
            whole = crc32c(self._data[at + _HEAD.size : self._at]) == told if modern else batch.validate_crc()
            if not whole:
                raise CorruptRecordException(f"a batch has another checksum than {told}")
        return batch


class Unpacked(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has types in parts
    """The records of one fetched answer, as ours at once: a record of aiokafka's in between costs as much again."""

    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Record]:
        """All batches but those of control and of aborted transactions, as the original does."""
        place = Place(self._tp.topic, self._tp.partition)
        while self._records.has_next():
            batch = self._records.next_batch(check=self._check_crcs)
            if not self._is_left_out(batch):
                for one in batch:
                    offset = one.offset
                    if offset >= self.next_fetch_offset:  # an answer begins with the whole batch of what was asked for
                        self.next_fetch_offset = offset + 1
                        headers = headers_of(one.headers) if one.headers else ()
                        yield Record(place, offset, one.key, one.value, headers, one.timestamp)
            self.next_fetch_offset = batch.next_offset

    def _is_left_out(self, batch: Any) -> bool:  # noqa: ANN401 -- a batch of one of two builds of aiokafka
        """Whether nobody may see the records, or they are marks of how a transaction has ended."""
        self._consume_aborted_up_to(batch.base_offset)
        if not batch.is_control_batch:
            return bool(batch.is_transactional and batch.producer_id in self._aborted_producers)
        if self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return True


class BatchThread(aiokafka.AIOKafkaConsumerThread):
    """Faust's thread around aiokafka, whose fetches do not wait long for partitions that have nothing.

    What a producer's transaction has aborted is not read.

    A fetch waits at the broker while none of its partitions has anything, and meanwhile the same broker is asked for no
    others: beside an empty topic, Faust's 1.5 s took half of the time of a busy one.
    """

    def _create_consumer(self, loop: Any) -> Any:  # noqa: ANN401 -- its signature
        consumer = super()._create_consumer(loop)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 -- Faust has no setting for it
        consumer._fetch_max_bytes = FETCH_BYTES  # noqa: SLF001 -- as above
        consumer._isolation_level = "read_committed"  # noqa: SLF001 -- Faust reads so only where it writes so
        return consumer


class BatchConsumer(aiokafka.Consumer):
    """Faust's consumer, but for what a message is: `value` is the list of the records of a batch, in order."""

    def _new_consumer_thread(self) -> aiokafka.AIOKafkaConsumerThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109 -- its signature
        """Fetch, with the guards of the original: nothing while the flow is stopped or after a rebalance."""
        records, _ = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        active = self._get_active_partitions()
        for tp, batch in records.items():
            if self._has_ended(generation):
                break
            if batch and (tp in active or tp in self._buffered_partitions):
                yield tp, self._message(tp, batch, generation)

    def _message(self, tp: TP, batch: list[Record], generation: int) -> Message:
        """What Faust routes by, with the whole batch as its value."""
        first = batch[0]
        return ConsumerMessage(
            *first.place, first.offset, first.appended_ms / 1000, 1, None, None, cast("bytes", batch), None, None, None,
            tp, generation_id=generation,
        )  # fmt: skip

    def _has_ended(self, generation: int) -> bool:
        return not self.flow_active or self.app.consumer_generation_id != generation

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> bool:
        """Commit the next offsets to read; False when the group has moved on, and somebody else reads them again."""
        held = self.assignment()
        mine = {tp: offset for tp, offset in offsets.items() if tp in held}
        return bool(mine) and await self._commit(mine)


class BatchTransport(aiokafka.Transport):
    """The transport with that consumer."""

    Consumer: ClassVar[Any] = BatchConsumer


def register() -> None:
    """Let Faust find the transport by the scheme of a broker's address, and aiokafka unpack as we need it."""
    fetcher.PartitionRecords, fetcher.MemoryRecords = Unpacked, Answer
    conn.READER_LIMIT = 2 * FETCH_BYTES  # with the usual 64 kB a connection is paused, and heard again, at each 128 kB
    TRANSPORTS.aliases[SCHEME] = f"{__name__}:{BatchTransport.__name__}"
