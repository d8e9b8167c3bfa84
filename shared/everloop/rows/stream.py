"""How large an Arrow stream is, seen from its frame alone: nothing is decoded, so that a bomb is known before it is.

The frame is that of the specification (https://arrow.apache.org/docs/format/Columnar.html, "Encapsulated message
format"): `0xFFFFFFFF`, the length of the metadata, the metadata (a flatbuffer: `Message.fbs`), the body; at the end
`0xFFFFFFFF` and 0. Numbers are little-endian. The older frame without `0xFFFFFFFF` (before 2019) is not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from struct import Struct, error
from typing import Final, NamedTuple

from everloop.errors import InvalidError

MOST_MESSAGES: Final = 1_000
"""Batches of rows or of dictionaries in one stream."""
FRAME: Final = Struct("<II")
BEGIN: Final = 0xFFFFFFFF
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
_AS_IT_IS: Final = -1
"""Instead of the size of a buffer, in a batch that is compressed otherwise."""
_REMEMBERED: Final = 4_096
"""Bytes of metadata that are worth remembering: records of one producer repeat theirs."""
_U8, _U16, _U32, _I32, _I64 = (Struct(form) for form in ("<B", "<H", "<I", "<i", "<q"))
_PAIR: Final = Struct("<qq")

Pairs = tuple[tuple[int, int], ...]


class Head(NamedTuple):
    """What one message is: a batch of so many `rows`, or something else; `size` is the bytes of its body."""

    kind: int
    size: int
    rows: int


class Content(NamedTuple):
    """What the body of a batch holds: (length, missing) of each column, (offset, length) of each buffer.

    Of a dictionary: its `number`, and whether it only adds to an earlier one. `bytes`: of all
    buffers as they lie there.
    """

    nodes: Pairs
    buffers: Pairs
    is_compressed: bool
    number: int = 0
    is_delta: bool = False
    bytes: int = 0


class Framed(NamedTuple):
    """One message: what its metadata say, the metadata, where its body begins in the stream."""

    head: Head
    metadata: bytes
    body: int


def messages(stream: bytes) -> list[Framed]:
    """Every message of one stream. Raises `InvalidError` (`malformed`) for what is no stream, or more than one."""
    try:
        return [*_messages(stream)]
    except error:
        raise malformed("it is torn") from None


def batches(stream: bytes) -> list[Framed]:
    """Those of rows and of dictionaries. Raises as `messages`."""
    return [one for one in messages(stream) if one.head.kind != SCHEMA]


def decoded_bytes(stream: bytes, found: Sequence[Framed]) -> int:
    """Bytes of all buffers once they are decompressed; those that overlap count for each. Raises as `messages`."""
    try:
        return sum(_decoded(stream, one) for one in found)
    except error:
        raise malformed("a buffer lies outside of it") from None


def content(one: Framed) -> Content:
    """Of a batch. Raises `struct.error` or `InvalidError` for what leads outside of the metadata."""
    metadata = one.metadata
    return _known_content(metadata) if len(metadata) <= _REMEMBERED else _content(metadata)


def usual(one: Framed) -> Content:
    """As `content`, of a batch that is not compressed and whole in itself; `ValueError` as well for any other."""
    held = content(one)
    if held.is_compressed or held.is_delta:
        raise ValueError(one.body)
    return held


def head(metadata: bytes) -> Head:
    """What a message with such metadata is. Raises `struct.error` or `InvalidError`."""
    return _known_head(metadata) if len(metadata) <= _REMEMBERED else _head(metadata)


def field(data: bytes, table: int, number: int) -> int:
    """The place of a field of a flatbuffer's table; 0 where it is left out. Raises as `u32`."""
    entries = table - _read(_I32, data, table)
    entry = 4 + 2 * number
    if entry >= _read(_U16, data, entries):
        return 0
    offset = _read(_U16, data, entries + entry)
    return table + offset if offset else 0


def table(data: bytes, place: int) -> int:
    """Where a table, or a vector, begins that is pointed to from this place. Raises as `u32`."""
    return place + u32(data, place)


def u32(data: bytes, place: int) -> int:
    """A number. Raises `struct.error` or `InvalidError` for a place outside."""
    return _read(_U32, data, place)


def i64(data: bytes, place: int) -> int:
    """A number; 0 of a field that is left out. Raises as `u32`."""
    return _read(_I64, data, place) if place else 0


def malformed(why: str) -> InvalidError:
    """What is said of a value that is no stream."""
    return InvalidError("malformed", f"the value is not one Arrow stream (as of Arrow 0.15 or later): {why}")


def _messages(stream: bytes) -> Iterator[Framed]:
    at, seen = 0, 0
    while at < len(stream):
        begin, length = FRAME.unpack_from(stream, at)
        if begin != BEGIN:
            raise malformed("a message does not begin as one")
        at += FRAME.size
        if not length:
            break
        metadata, body = stream[at : at + length], at + length
        found = head(metadata)
        at = body + found.size
        seen += 1
        if not body <= at <= len(stream):
            raise malformed("a message is torn")
        if seen > MOST_MESSAGES:
            raise malformed("a message is one too many")
        yield Framed(found, metadata, body)
    if at != len(stream) or not seen:
        raise malformed("it is empty, or something follows its end")


def _head(metadata: bytes) -> Head:
    message = table(metadata, 0)
    kind, content, size = (field(metadata, message, number) for number in (1, 2, 3))
    known = _read(_U8, metadata, kind) if kind else 0
    if known not in {SCHEMA, DICTIONARY, BATCH} or not content:
        raise malformed("a message is of no known kind, or empty")
    rows = field(metadata, table(metadata, content), 0) if known == BATCH else 0
    found = Head(known, i64(metadata, size), i64(metadata, rows))
    if found.rows < 0:
        raise malformed("a batch has less than no rows")
    return found


def _content(metadata: bytes) -> Content:
    message = table(metadata, 0)
    about = table(metadata, field(metadata, message, 2))
    number, is_delta = 0, False
    if _head(metadata).kind == DICTIONARY:  # whose table holds that of a batch
        delta = field(metadata, about, 2)
        number, is_delta = i64(metadata, field(metadata, about, 0)), bool(delta and _read(_U8, metadata, delta))
        about = table(metadata, field(metadata, about, 1))
    nodes, buffers = (_pairs(metadata, field(metadata, about, place)) for place in (1, 2))
    if any(length < 0 for _, length in buffers):
        raise malformed("a buffer has less than no bytes")
    size = sum(length for _, length in buffers)
    return Content(nodes, buffers, bool(field(metadata, about, 3)), number, is_delta, size)


_known_head: Final = lru_cache(maxsize=512)(_head)
_known_content: Final = lru_cache(maxsize=512)(_content)


def _pairs(metadata: bytes, place: int) -> Pairs:
    """A vector of pairs of numbers."""
    if not place:
        return ()
    vector = table(metadata, place)
    count, begin = u32(metadata, vector), vector + _U32.size
    pairs = (*_PAIR.iter_unpack(metadata[begin : begin + count * _PAIR.size]),)
    if len(pairs) < count:
        raise malformed("a buffer lies outside of it")
    return pairs


def _decoded(stream: bytes, one: Framed) -> int:
    """What the buffers of one batch come to. A compressed one begins with its size."""
    held = content(one)
    if not held.is_compressed:
        return held.bytes
    sizes = [(_read(_I64, stream, one.body + offset), length) for offset, length in held.buffers if length]
    lengths = [length if size == _AS_IT_IS else size for size, length in sizes]
    if min(lengths, default=0) < 0:
        raise malformed("a buffer has less than no bytes")
    return sum(lengths)


def _read(form: Struct, data: bytes, at: int) -> int:
    if at < 0:  # `struct` would count from the end
        raise malformed("an offset leads astray")
    found: int = form.unpack_from(data, at)[0]
    return found
