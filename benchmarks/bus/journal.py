"""`bus.journal`: decisions of one control service under the journal rule, against a bare kafka-python loop."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks.broker import broker, load, progress
from benchmarks.bus.compared import Side, compared, in_turn
from benchmarks.bus.counting import TOPICS
from benchmarks.children import Usage, child
from benchmarks.figures import Measured, Say, Size
from benchmarks.repeats import repeats
from everloop import topics
from everloop.buckets import partition
from everloop.codec import encode
from everloop.events import Event, LoopApplied, WindowClosed
from everloop.loop import Loop
from everloop.runtime.log import Message, Place

MODELS: Final = tuple(f"bench-{number}" for number in range(40))
HOUR_MS: Final = 3_600_000
LIMIT_S: Final = 240.0
START: Final = datetime(2026, 1, 5, tzinfo=UTC)
GROUPS: Final[Mapping[Side, str]] = {"ours": "everloop.drift.judge", "peer": "bench.journal.peer"}
PLACES: Final = [Place(topics.WINDOWS.name, number) for number in range(topics.PARTITIONS)]


def measure(size: Size, say: Say) -> Measured:
    """Decisions per CPU-second, ours and the peer's."""
    each, warm = size.of(100, 10), size.of(400, 80)

    def once(number: int) -> Mapping[Side, Usage]:
        with tempfile.TemporaryDirectory() as scratch, broker(Path(scratch, "kafka"), *TOPICS) as address:
            load(address, messages(each))
            return in_turn(number, lambda side: _run(side, address, Path(scratch), warm, each * len(MODELS)))

    return compared(repeats(size.of(5, 1), once, say), "decisions")


def _run(side: Side, address: str, scratch: Path, warm: int, total: int) -> Usage:
    words = [address] if side == "ours" else [address, GROUPS[side]]
    with (
        progress(address, GROUPS[side], PLACES) as done,
        child(f"benchmarks.bus.journal_{side}", words, scratch / f"{side}.log") as process,
    ):
        return process.work(done, warm=warm, total=total, limit_s=LIMIT_S)


def messages(each: int) -> Iterator[Message]:
    """The rules of every model, then window after window, each for all models."""
    for model in MODELS:
        yield _message(topics.LOOPS, _applied(model))
    for number in range(each):
        for model in MODELS:
            yield _message(topics.WINDOWS, _window(model, number))


def _applied(model: str) -> LoopApplied:
    columns = {"id": "id", "time": "ts", "label": "y"}
    loop = Loop.model_validate({"kind": "Loop", "version": 1, "model": model, "task": "binary", "columns": columns})
    return LoopApplied.named(model, START, model, loop=loop.to_payload(), digest="0")


def _window(model: str, number: int) -> WindowClosed:
    """An empty window: too few rows to judge, so that next to nothing is measured in it."""
    start = round(START.timestamp() * 1000) + number * HOUR_MS
    return WindowClosed.named(
        f"{model}/{number}", START + timedelta(hours=number), model, kind="inputs", start=start, end=start + HOUR_MS,
        arms=(), rows=0,
    )  # fmt: skip


def _message(topic: topics.Topic, event: Event) -> Message:
    value, headers = encode(event, source="bench", recorded=START)
    return Message(Place(topic.name, partition(event.model, topics.PARTITIONS)), event.model.encode(), value, headers)
