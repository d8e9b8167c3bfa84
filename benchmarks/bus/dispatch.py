"""`bus.dispatch`: records through the dispatch rule of data services, against a bare aiokafka loop."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.broker import broker, load, progress
from benchmarks.bus.compared import Side, compared, in_turn
from benchmarks.bus.counting import PARTITIONS, ROWS, TOPICS
from benchmarks.children import Usage, child
from benchmarks.figures import Measured, Say, Size
from benchmarks.repeats import repeats
from everloop.codec import encode
from everloop.events import PredictionsLogged
from everloop.runtime.log import Message, Place

COLUMNS: Final = 20
DIFFERENT: Final = 1_000
"""So many records differ; then they come again."""
LIMIT_S: Final = 180.0
START: Final = datetime(2026, 1, 5, tzinfo=UTC)
ROOM: Final = "bench.dispatch"


def measure(size: Size, say: Say) -> Measured:
    """Records per CPU-second, ours and the peer's."""
    total, warm = size.of(120_000, 24_000), size.of(20_000, 4_000)

    def once(number: int) -> Mapping[Side, Usage]:
        with tempfile.TemporaryDirectory() as scratch, broker(Path(scratch, "kafka"), *TOPICS) as address:
            load(address, islice(cycle(messages(DIFFERENT)), total))
            return in_turn(number, lambda side: _run(side, address, Path(scratch), warm, total))

    return compared(repeats(size.of(5, 1), once, say), "records")


def _run(side: Side, address: str, scratch: Path, warm: int, total: int) -> Usage:
    group = f"everloop.{ROOM}" if side == "ours" else f"{ROOM}.peer"
    words = [address, ROOM, str(scratch / "faust")] if side == "ours" else [address, group]
    places = [Place(ROWS.name, number) for number in range(PARTITIONS)]
    with (
        progress(address, group, places) as done,
        child(f"benchmarks.bus.dispatch_{side}", words, scratch / f"{side}.log") as process,
    ):
        return process.work(done, warm=warm, total=total, limit_s=LIMIT_S)


def messages(number: int, seed: int = 4) -> Iterator[Message]:
    """Scored requests of one row and 20 numbers as a server sends them, round the partitions."""
    rng = np.random.default_rng(seed)
    for row in range(number):
        values = rng.normal(size=COLUMNS).round(4)
        event = PredictionsLogged.named(
            f"bench/{row}", START, "bench", version="1", prediction_id=(f"row-{row}",),
            times=(round(START.timestamp() * 1000) + row,), entity_id=(f"card-{row % 97}",),
            features={f"f{place}": (float(value),) for place, value in enumerate(values)}, score=(0.5,),
        )  # fmt: skip
        value, headers = encode(event, source="bench", recorded=START)
        yield Message(Place(ROWS.name, row % PARTITIONS), event.model.encode(), value, headers)
