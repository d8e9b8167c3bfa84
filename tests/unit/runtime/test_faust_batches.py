"""Fetched answers of a broker, unpacked as our records: nothing that was damaged on its way is read."""

from __future__ import annotations

import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder

from everloop.runtime.faust_batches import Answer


def a_batch(first: int) -> bytes:
    """Three records, as a broker keeps them."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=1 << 20,
    )  # fmt: skip
    for number in range(3):
        builder.append(number, timestamp=1, key=b"k", value=b"v%d" % (first + number), headers=[("a", b"b")])
    batch = bytearray(builder.build())
    batch[:8] = first.to_bytes(8, "big")
    return bytes(batch)


def values(data: bytes, *, check: bool = True) -> list[tuple[int, bytes]]:
    """Offset and value of each record of an answer."""
    answer, found = Answer(data), []
    while answer.has_next():
        found += [(one.offset, one.value) for one in answer.next_batch(check=check)]
    return found


def test_the_records_of_all_batches_come_in_order() -> None:
    whole = a_batch(0) + a_batch(3)
    assert values(whole) == [(number, b"v%d" % number) for number in range(6)]
    assert Answer(whole).size_in_bytes() == len(whole)


def test_a_batch_that_is_cut_off_is_asked_for_again() -> None:
    assert [offset for offset, _ in values(a_batch(0) + a_batch(3)[:-1])] == [0, 1, 2]


@pytest.mark.parametrize("place", [*range(17, len(a_batch(0)))])
def test_no_byte_of_a_batch_may_be_another(place: int) -> None:
    damaged = bytearray(a_batch(0) + a_batch(3))
    damaged[place + len(a_batch(0))] ^= 1
    with pytest.raises(CorruptRecordException):
        values(bytes(damaged))


def test_batches_of_old_versions_have_their_own_checksum() -> None:
    builder = LegacyRecordBatchBuilder(magic=1, compression_type=0, batch_size=1 << 20)
    builder.append(0, timestamp=1, key=None, value=b"old")
    batch = bytes(builder.build())
    assert values(batch) == [(0, b"old")]
    with pytest.raises(CorruptRecordException):
        values(batch[:-1] + b"x")
