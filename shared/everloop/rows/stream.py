"""How large an Arrow stream is, seen from its frame alone: nothing is decoded, so that a bomb is known before it is.

The frame is that of the specification (https://arrow.apache.org/docs/format/Columnar.html, "Encapsulated message
format"): `0xFFFFFFFF`, the length of the metadata, the metadata (a flatbuffer: `Message.fbs`), the body; at the end
`0xFFFFFFFF` and 0. Numbers are little-endian. The older frame without `0xFFFFFFFF` (before 2019) is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, error
from typing import Final

from everloop.errors import InvalidError

MOST_MESSAGES: Final = 1_000
"""Batches of rows or of dictionaries in one stream."""
_AS_IT_IS: Final = -1
"""Instead of the size of a buffer, in a batch that is compressed otherwise."""
_BEGIN: Final = 0xFFFFFFFF
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_U8, _U16, _U32, _I32, _I64 = (Struct(form) for form in ("<B", "<H", "<I", "<i", "<q"))
_FRAME: Final = Struct("<II")
_BUFFER: Final = Struct("<qq")


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of rows, or of a dictionary: its metadata, where its content lies in them, where its body begins."""

    metadata: bytes
    content: int
    body: int
    rows: int
    is_dictionary: bool


def batches(stream: bytes) -> list[Batch]:
    """Every batch of one stream. Raises `InvalidError` (`malformed`) for what is no stream, or more than one."""
    try:
        return [*_batches(stream)]
    except error:
        raise _malformed("it is torn") from None


def decoded_bytes(stream: bytes, found: list[Batch]) -> int:
    """Bytes of all buffers once they are decompressed; those that overlap count for each. Raises as `batches`."""
    try:
        return sum(_decoded(stream, batch) for batch in found)
    except error:
        raise _malformed("a buffer lies outside of it") from None


def _batches(stream: bytes) -> Iterator[Batch]:
    at, seen = 0, 0
    while at < len(stream):
        begin, length = _FRAME.unpack_from(stream, at)
        if begin != _BEGIN:
            raise _malformed("a message does not begin as one")
        at += _FRAME.size
        if not length:
            break
        metadata, body = stream[at : at + length], at + length
        message = _read(_U32, metadata, 0)
        kind, content, size = (_field(metadata, message, number) for number in (1, 2, 3))
        known = _read(_U8, metadata, kind) if kind else 0
        at = body + (_read(_I64, metadata, size) if size else 0)
        seen += 1
        if known not in {_SCHEMA, _DICTIONARY, _BATCH} or not content or seen > MOST_MESSAGES:
            raise _malformed("a message is of no known kind, empty, or one too many")
        if not body <= at <= len(stream):
            raise _malformed("a message is torn")
        if known != _SCHEMA:
            rows = _rows(metadata, content) if known == _BATCH else 0
            yield Batch(metadata, content, body, rows, known == _DICTIONARY)
    if at != len(stream) or not seen:
        raise _malformed("it is empty, or something follows its end")


def _rows(metadata: bytes, content: int) -> int:
    place = _field(metadata, _table(metadata, content), 0)
    rows = _read(_I64, metadata, place) if place else 0
    if rows < 0:
        raise _malformed("a batch has less than no rows")
    return rows


def _decoded(stream: bytes, batch: Batch) -> int:
    """What the buffers of one batch come to. A compressed one begins with its size."""
    metadata, table = batch.metadata, _table(batch.metadata, batch.content)
    if batch.is_dictionary:  # whose table holds that of a batch
        table = _table(metadata, _field(metadata, table, 1))
    place = _field(metadata, table, 2)
    if not place:
        return 0
    vector = place + _read(_U32, metadata, place)
    count, begin = _read(_U32, metadata, vector), vector + _U32.size
    spans = [*_BUFFER.iter_unpack(metadata[begin : begin + count * _BUFFER.size])]
    lengths = [length for _, length in spans]
    if _field(metadata, table, 3):
        sizes = [(_read(_I64, stream, batch.body + offset), length) for offset, length in spans if length]
        lengths = [length if size == _AS_IT_IS else size for size, length in sizes]
    if len(spans) < count or min(lengths, default=0) < 0:
        raise _malformed("a buffer has less than no bytes, or lies outside")
    return sum(lengths)


def _table(metadata: bytes, place: int) -> int:
    return place + _read(_U32, metadata, place)


def _field(metadata: bytes, table: int, number: int) -> int:
    """The place of a field of a flatbuffer's table; 0 where it is left out."""
    entries = table - _read(_I32, metadata, table)
    entry = 4 + 2 * number
    if entry >= _read(_U16, metadata, entries):
        return 0
    offset = _read(_U16, metadata, entries + entry)
    return table + offset if offset else 0


def _read(form: Struct, data: bytes, at: int) -> int:
    if at < 0:  # `struct` would count from the end
        raise _malformed("an offset leads astray")
    found: int = form.unpack_from(data, at)[0]
    return found


def _malformed(why: str) -> InvalidError:
    return InvalidError("malformed", f"the value is not one Arrow stream (as of Arrow 0.15 or later): {why}")
