"""`ingest.join_memory`: what a worker takes that remembers ten million open predictions, and how soon it is back."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final
from uuid import UUID

import numpy as np
import orjson

from benchmarks.broker import broker, load, progress
from benchmarks.children import Child, Watched, child, watch
from benchmarks.drift.world import START, START_MS
from benchmarks.figures import Measured, Say, Size
from benchmarks.repeats import repeats
from everloop import topics
from everloop.codec import envelope
from everloop.events import KeysRouted
from everloop.runtime.log import Message, Place

GROUP: Final = "everloop.ingest.join"
PLACES: Final = tuple(Place(topics.KEYS.name, number) for number in range(topics.KEYS.partitions))
OPEN: Final = 10_000_000
LABELLED: Final = 2
"""One in so many gets its label, in no order."""
ROWS: Final = 250
"""Of one record of `keys`: a record of 1,000 rows comes to this in each of four partitions."""
QUICK: Final = 100
LIMIT_S: Final = 3_600.0


def measure(size: Size, say: Say) -> Measured:
    """MiB that are resident at the most, from the start of the process until all is joined; then it starts again."""
    found = repeats(1, lambda _: _run(OPEN // size.of(1, QUICK)), say)
    return Measured(
        ours=tuple(full.rss_mb for full, _, _ in found),
        also={
            "MiB of its own (USS)": median(full.uss_mb for full, _, _ in found),
            "rows/CPU-s": median(full.samples[-1].done / full.samples[-1].cpu_s for full, _, _ in found),
            "MiB on disk": median(disk for _, _, disk in found),
            "s from a new start to the next commit": median(back for _, back, _ in found),
        },
    )


def _run(rows: int) -> tuple[Watched, float, float]:
    records = rows // ROWS + rows // LABELLED // ROWS
    with tempfile.TemporaryDirectory() as scratch, broker(Path(scratch, "kafka")) as address:
        load(address, _predictions(rows))
        load(address, _labels(rows, rows // LABELLED))
        with progress(address, GROUP, PLACES) as done:
            with _worker(address, Path(scratch)) as process:
                full = watch([process], lambda: done() * ROWS, total=records * ROWS, limit_s=LIMIT_S)
            load(address, _labels(rows, ROWS * len(PLACES), seed=1))
            began = time.monotonic()
            with _worker(address, Path(scratch)) as process:
                watch([process], done, total=records + len(PLACES), limit_s=LIMIT_S)
            back = time.monotonic() - began
        return full, back, sum(file.stat().st_size for file in Path(scratch, "var").rglob("*.*")) / (1 << 20)


@contextmanager
def _worker(address: str, scratch: Path) -> Iterator[Child]:
    told = {
        "EVERLOOP_BROKER": address, "EVERLOOP_VAR": str(scratch / "var"),
        "EVERLOOP_REMEMBERED": str(OPEN // len(PLACES)),
    }  # fmt: skip
    with child("everloop_ingest", ["worker"], scratch / "worker.log", told) as process:
        yield process


def _predictions(rows: int) -> Iterator[Message]:
    more = {"source": "serving", "version": "1", "digest": "0" * 64, "arm": "champion", "epoch": 1}
    for number in range(rows // ROWS):
        said = {
            "kind": "prediction", **more, "prediction_id": _ids(range(number * ROWS, (number + 1) * ROWS)),
            "times": list(range(START_MS, START_MS + ROWS)), "bucket": [7] * ROWS, "score": [0.25] * ROWS,
        }  # fmt: skip
        yield _message(f"p{number}", number, said)


def _labels(rows: int, count: int, seed: int = 0) -> Iterator[Message]:
    """Each in the partition where its prediction is: ids go round the partitions record by record."""
    chance = np.random.default_rng(seed)
    for number in range(count // ROWS):
        record = chance.integers(0, rows // ROWS // len(PLACES), ROWS) * len(PLACES) + number % len(PLACES)
        ids = record * ROWS + chance.integers(0, ROWS, ROWS)
        said = {
            "kind": "label", "source": "labels", "prediction_id": _ids(ids.tolist()),
            "times": [START_MS] * ROWS, "label": [1.0] * ROWS,
        }  # fmt: skip
        yield _message(f"l{seed}/{number}", number, said)


def _ids(numbers: range | list[int]) -> list[str]:
    return [f"{number:032x}" for number in numbers]


def _message(name: str, number: int, said: Mapping[str, object]) -> Message:
    identity = UUID(bytes=name.encode().ljust(16, b"0")[:16])
    headers = envelope(KeysRouted.TYPE, identity, START, "bench-0000", source="ingest", recorded=START)
    return Message(PLACES[number % len(PLACES)], b"bench-0000", orjson.dumps(said), headers)
