"""`ingest.http_single`, `ingest.http_batch`: rows over HTTP, acknowledged by Kafka, per CPU-second of the door."""

from __future__ import annotations

import tempfile
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.broker import broker, load
from benchmarks.bus.compared import Side, compared, in_turn
from benchmarks.children import Child, Usage, child
from benchmarks.drift.world import introduced
from benchmarks.figures import Measured, Say, Size
from benchmarks.ingest.load import counts
from benchmarks.ingest.requests import MODEL
from benchmarks.repeats import repeats
from everloop import topics
from everloop.errors import FatalError
from everloop.local.ports import free_ports
from everloop.runtime.kafka_log import KafkaLog
from everloop.runtime.log import Place

PROCESSES: Final = 2
CONNECTIONS: Final = 24
"""Of each process."""
WARM: Final = 5
"""One part in so many is warm-up."""
LIMIT_S: Final = 300.0
START_S: Final = 60.0
PLACES: Final = tuple(Place(topics.PREDICTIONS.name, number) for number in range(topics.PREDICTIONS.partitions))


def single(size: Size, say: Say) -> Measured:
    """Requests of one row per CPU-second of the door, and of an app that does nothing."""

    def once(number: int) -> Mapping[Side, Usage]:
        return in_turn(number, lambda side: _run(side, 1, size.of(20_000, 1_000)))

    return compared(repeats(size.of(3, 1), once, say), "requests")


def batch(size: Size, say: Say) -> Measured:
    """Rows per CPU-second of the door, 500 in each request."""
    rows = 500
    runs = repeats(size.of(3, 1), lambda _: _run("ours", rows, size.of(1_000, 100)), say)
    return Measured(
        ours=tuple(rows * one.per_cpu_s for one in runs),
        also={
            "rows/s on the wall": max(rows * one.per_s for one in runs),
            "peak RSS MiB": max(one.rss_mb for one in runs),
        },
    )


def _run(side: Side, rows: int, total: int) -> Usage:
    """So many requests; those of ours are held against the log."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        scratch = Path(folder)
        (port,) = free_ports(1)
        if side == "peer":
            server = stack.enter_context(child("benchmarks.ingest.nothing", [str(port)], scratch / "peer.log"))
            return _loaded(server, port, rows, total, scratch)
        address = stack.enter_context(broker(scratch / "kafka"))
        load(address, introduced([MODEL]))
        log = KafkaLog(address, client_id="bench-ends")
        stack.callback(log.close)
        told = {"EVERLOOP_BROKER": address, "EVERLOOP_VAR": str(scratch / "var"), "EVERLOOP_HTTP_PORT": str(port)}
        door = stack.enter_context(child("everloop_ingest", ["door"], scratch / "door.log", told))
        found = _loaded(door, port, rows, total, scratch)
        written = sum(log.ends(PLACES).values())
        if written < total:
            raise FatalError(f"{total} requests were answered 202, and {written} records are in the log")
        return found


def _loaded(server: Child, port: int, rows: int, total: int, scratch: Path) -> Usage:
    _ready(server, port)
    seen = counts(scratch / "counts", PROCESSES)
    with ExitStack() as stack:
        words = [[str(port), str(rows), str(CONNECTIONS), str(number)] for number in range(PROCESSES)]
        clients = [
            stack.enter_context(
                child("benchmarks.ingest.load", [*each, str(scratch / "counts")], scratch / f"load-{number}.log")
            )
            for number, each in enumerate(words)
        ]

        def answered() -> int:
            for client in clients:
                client.require_alive()
            return int(seen.sum())

        return server.work(answered, warm=total // WARM, total=total, limit_s=LIMIT_S)


def _ready(server: Child, port: int) -> None:
    deadline = time.monotonic() + START_S
    while not _answers(port):
        server.require_alive()
        if time.monotonic() > deadline:
            raise FatalError(f"not ready in {START_S:.0f} s; {server.end_of_log()}")
        time.sleep(0.1)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 -- OK
    except OSError:
        return False
