"""How many rows the batches of an Arrow stream say they have: from its frame, by no code of the reader of rows.

Read as Arrow's `Message.fbs` and the layout of flatbuffers say it: a table begins with the distance back to a list of
16-bit numbers (its own length, the table's length, then where in the table each field lies); an offset leads forward.
"""

from __future__ import annotations

from typing import Final

MARK: Final = b"\xff\xff\xff\xff"
MOST_MESSAGES: Final = 1_000
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
KIND, CONTENT, BODY = 1, 2, 3
"""Numbers of the fields of a message; the rows are field 0 of a batch."""


def streamed_rows(stream: bytes) -> int | None:
    """The sum over all batches; None for what is not one whole stream with nothing behind its end."""
    rest, rows, messages = memoryview(stream), 0, 0
    try:
        while rest:
            size = _whole(rest, 4, 4)
            if bytes(rest[:4]) != MARK:
                return None
            rest = rest[8:]
            if not size:
                break
            said, body = _message(_part(rest, size))
            _part(rest, size + body)
            rest = rest[size + body :]
            rows, messages = rows + said, messages + 1
    except IndexError:
        return None
    return rows if 0 < messages <= MOST_MESSAGES and not rest else None


def _message(data: memoryview) -> tuple[int, int]:
    """The rows of one message, 0 where it is no batch of rows, and the length of its body."""
    table = _whole(data, 0, 4)
    kind, content, body = (_field(data, table, number) for number in (KIND, CONTENT, BODY))
    found = _whole(data, kind, 1) if kind else 0
    length = _whole(data, body, 8, signed=True) if body else 0
    if not content or length < 0 or found not in {SCHEMA, DICTIONARY, BATCH}:
        raise IndexError
    if found != BATCH:
        return 0, length
    counted = _field(data, content + _whole(data, content, 4), 0)
    rows = _whole(data, counted, 8, signed=True) if counted else 0
    if rows < 0:
        raise IndexError
    return rows, length


def _field(data: memoryview, table: int, number: int) -> int:
    """Where a field lies; 0 for one that is left out."""
    places = table - _whole(data, table, 4, signed=True)
    place = 4 + 2 * number
    inside = _whole(data, places + place, 2) if place < _whole(data, places, 2) else 0
    return table + inside if inside else 0


def _whole(data: memoryview, at: int, size: int, *, signed: bool = False) -> int:
    """A number, the least byte first. Raises `IndexError` where there is none."""
    if at < 0:
        raise IndexError
    return int.from_bytes(_part(data[at:], size), "little", signed=signed)


def _part(data: memoryview, size: int) -> memoryview:
    if len(data) < size:
        raise IndexError
    return data[:size]
