"""The published form of drift's state on `partials`.

Keys name the replica: compaction keeps the later record of a key, and that could be a zombie's older one. Readers take
the furthest of all replicas.

Cells are written without a detour over the event's class, which would look at each of thousands of integers; a test
holds what is written to it.
"""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import orjson

from everloop import topics
from everloop.buckets import partition
from everloop.codec import encode, envelope
from everloop.errors import InvalidError
from everloop.events import BooksKept, ClosedSpan, HeartbeatPassed, IdsRemembered, PartialSaved, WindowsKept, named_id
from everloop.runtime.log import Message, Place
from everloop.sketch import Inputs, Labelled, Schema, SegmentLabels, Sums
from everloop.sketch.delays import delays_from_plain, delays_to_plain
from everloop.sketch.feedback import Brought
from everloop_drift.domain.cells import Cell, Key, is_plain
from everloop_drift.domain.closing import Bounds, Chain, Owed
from everloop_drift.domain.merging import Saved, Source
from everloop_drift.domain.recent import Block

if TYPE_CHECKING:
    from everloop.events import Event
    from everloop.sketch.layout import Layout
    from everloop_drift.domain.lane import Lane

EPOCH = datetime.fromtimestamp(0, UTC)
SOURCE = "drift"


class Writer(NamedTuple):
    """Who writes, and when (`recordedtime` alone)."""

    replica: str
    recorded: datetime


class Published(NamedTuple):
    """A cell as it stands on the topic."""

    key: Key
    source: Source
    saved: Saved


def cell_message(place: Place, key: Key, cell: Cell, writer: Writer) -> Message:
    """A cell as a record in the partition of its model."""
    model = key.model
    rows = cell.inputs.rows if cell.inputs is not None else cell.labelled.rows if cell.labelled is not None else 0
    value = orjson.dumps(
        {
            "topic": place.topic, "partition": place.partition, "replica": writer.replica, "offset": cell.offset,
            "version": key.version, "arm": key.arm, "start": key.start, "end": key.end, "revision": key.revision,
            **key.schema._asdict(), "rows": rows, "sketch": _sketch(cell),
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )  # fmt: skip
    name = cell_key(place, key, writer.replica)
    identity = named_id(PartialSaved.__name__, f"{name}|{cell.offset}")
    headers = envelope(PartialSaved.TYPE, identity, EPOCH, model, source=SOURCE, recorded=writer.recorded)
    return Message(_home(model), name.encode(), value, headers)


def cell_key(place: Place, key: Key, replica: str) -> str:
    """The key of a cell; the model comes last, since its name may hold anything but a bar."""
    schema = "-" if is_plain(key.schema) else blake2b(orjson.dumps([*key.schema]), digest_size=8).hexdigest()
    return (
        f"cell|{place.topic}|{place.partition}|{replica}|{key.version}|{key.arm}|{key.start}|{key.end}|{key.revision}|"
        f"{schema}|{key.model}"
    )


def model_of(key: bytes) -> str:
    """The model in the key of a cell."""
    return key.decode().split("|", 10)[-1]


def read_published(model: str, value: bytes) -> Published:
    """What stands in the record of a cell, its counts unread. Raises `InvalidError` (`malformed`)."""
    try:
        said = orjson.loads(value)
        schema = Schema(tuple(said["added"]), tuple(said["removed"]), tuple(said["retyped"]))
        key = Key(model, said["version"], said["arm"], schema, said["start"], said["end"], said["revision"])
        source = Source(said["topic"], said["partition"], said["replica"])
        return Published(key, source, Saved(said["offset"], said["rows"], value))
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise InvalidError("malformed", "a partial is a JSON object with key, offset, rows and sketch") from error


def read_cell(value: bytes, layout: Layout) -> Cell:
    """The counts in the record of a cell. Raises `InvalidError` (`malformed`, `shape`)."""
    said = orjson.loads(value)
    sketch = said["sketch"]
    inputs, labelled, segments, late = (sketch.get(part) for part in ("inputs", "labelled", "segments", "late"))
    return Cell(
        Sums.from_plain(sketch["sums"]),
        None if inputs is None else Inputs.from_plain(layout, inputs),
        None if labelled is None else Labelled.from_plain(labelled, signed=True),
        None if segments is None else SegmentLabels.from_plain(layout, segments),
        None if late is None else delays_from_plain(late),
        said["offset"],
        {name: Brought.from_plain(plain) for name, plain in sketch.get("feedback", {}).items()},
    )


def block_message(place: Place, block: Block, writer: Writer) -> Message:
    """Which records came before."""
    numbers = array("Q", block.numbers)
    if sys.byteorder == "big":
        numbers.byteswap()
    event = IdsRemembered.named(
        f"{place}/{writer.replica}/{block.start}/{len(numbers)}", EPOCH, "*", topic=place.topic,
        partition=place.partition, replica=writer.replica, start=block.start,
        numbers=base64.b64encode(numbers.tobytes()).decode(),
    )  # fmt: skip
    return _message(event, place.partition, block_key(place, block.start, writer.replica), writer)


def block_key(place: Place, start: int, replica: str) -> str:
    """The key of a block of ids."""
    return f"ids|{place.topic}|{place.partition}|{replica}|{start}"


def read_block(event: IdsRemembered) -> Block:
    """The numbers of a block."""
    numbers = array("Q", base64.b64decode(event.numbers))
    if sys.byteorder == "big":
        numbers.byteswap()
    return Block(event.start, numbers)


def checkpoint_message(group: str, place: Place, lane: Lane, writer: Writer) -> Message:
    """Books and clocks: all up to their offset is published."""
    event = BooksKept.named(
        f"{place}/{writer.replica}/{lane.offset}", EPOCH, "*", group=group, topic=place.topic,
        partition=place.partition, offset=lane.offset, clocks=lane.clocks, **asdict(lane.books),
    )  # fmt: skip
    return _message(event, place.partition, f"books|{place.topic}|{place.partition}|{writer.replica}", writer)


def clock_messages(place: Place, lane: Lane, settled: Mapping[str, int], writer: Writer) -> list[Message]:
    """Into every partition of `partials`, since each merges other models."""
    event = HeartbeatPassed.named(
        f"{place}/{writer.replica}/{lane.offset}", EPOCH, "*", topic=place.topic, partition=place.partition,
        clocks=lane.clocks, settled=settled,
    )  # fmt: skip
    key = f"clocks|{place.topic}|{place.partition}|{writer.replica}"
    return [_message(event, number, key, writer) for number in range(topics.PARTITIONS)]


def chain_message(model: str, chain: Chain, writer: Writer) -> Message:
    """What has been closed of a model."""
    event = WindowsKept.named(
        f"{model}/{chain.said}", EPOCH, model, said=chain.said, until=chain.until, start=chain.start, empty=chain.empty,
        owed=[
            ClosedSpan(
                kind="inputs", **one.bounds._asdict(), predicted=one.predicted, fresh_rows=one.fresh_rows,
                segments=one.segments,
            )
            for one in chain.owed
        ],
        revisable=[ClosedSpan(kind=kind, **bounds._asdict()) for kind, bounds in chain.revisable],
    )  # fmt: skip
    return _message(event, _home(model).partition, f"windows|{writer.replica}|{model}", writer)


def read_chain(event: WindowsKept) -> Chain:
    """The chain in a record."""
    return Chain(
        said=event.said,
        until=event.until,
        start=event.start,
        empty=event.empty,
        owed=tuple(
            Owed(Bounds(one.start, one.end, one.fresh), one.predicted, one.fresh_rows, one.segments)
            for one in event.owed
        ),
        revisable=tuple((one.kind, Bounds(one.start, one.end, one.fresh)) for one in event.revisable),
    )


def tombstone(key: bytes, number: int) -> Message:
    """Nobody needs the record of this key any more."""
    return Message(Place(topics.PARTIALS.name, number), key, None)


def _sketch(cell: Cell) -> dict[str, object]:
    sketch: dict[str, object] = {"sums": cell.sums.to_plain()}
    if cell.inputs is not None:
        sketch["inputs"] = cell.inputs.to_plain()
    if cell.labelled is not None:
        sketch["labelled"] = cell.labelled.to_plain()
    if cell.segments is not None:
        sketch["segments"] = cell.segments.to_plain()
    if cell.late is not None:
        sketch["late"] = delays_to_plain(cell.late)
    if cell.feedback:
        sketch["feedback"] = {name: cell.feedback[name].to_plain() for name in sorted(cell.feedback)}
    return sketch


def _message(event: Event, number: int, key: str, writer: Writer) -> Message:
    value, headers = encode(event, source=SOURCE, recorded=writer.recorded)
    return Message(Place(topics.PARTIALS.name, number), key.encode(), value, headers)


def _home(model: str) -> Place:
    return Place(topics.PARTIALS.name, partition(model, topics.PARTITIONS))
